//! The font that texts are measured and painted with: DejaVu Sans, cut down to Latin, Greek and Cyrillic.

use std::sync::LazyLock;
use ttf_parser::{Face, GlyphId};

static DATA: &[u8] = include_bytes!("font/DejaVuSans.ttf");
static FACE: LazyLock<Option<Face<'static>>> = LazyLock::new(|| Face::parse(DATA, 0).ok());

/// What a letter without a glyph is taken for, as a part of the font's size.
const UNKNOWN_WIDTH: f32 = 0.6;

/// The glyphs of a text, each with where it begins, in pixels, and the width of all.
pub fn layout(text: &str, size: f32) -> (Vec<(GlyphId, f32)>, f32) {
    let Some(face) = &*FACE else { return (Vec::new(), 0.0) };
    let (mut x, mut glyphs) = (0.0, Vec::new());
    for c in text.chars() {
        match face.glyph_index(c) {
            Some(glyph) => {
                glyphs.push((glyph, x));
                x += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * scale(size);
            }
            None => {
                glyphs.push((GlyphId(0), x));
                x += size * UNKNOWN_WIDTH;
            }
        }
    }
    (glyphs, x)
}

/// Pixels per unit of the font.
pub fn scale(size: f32) -> f32 {
    FACE.as_ref().map_or(0.0, |face| size / f32::from(face.units_per_em()))
}

/// Hands a glyph's outline to `builder`, in units of the font.
pub fn outline(glyph: GlyphId, builder: &mut dyn ttf_parser::OutlineBuilder) {
    if let Some(face) = &*FACE {
        face.outline_glyph(glyph, builder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_letters_of_known_widths() {
        assert!(FACE.is_some());
        let width = |text: &str| layout(text, 11.0).1;
        assert!((width("Build Status") - 66.2).abs() < 0.2, "{}", width("Build Status"));
        assert!(width("iii") < width("MMM") && width("ж") > 0.0 && width("漢") > 0.0);
    }
}
