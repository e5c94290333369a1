//! A badge as PNG.

use super::draw::{Area, Badge, Fill, Label};
use super::font;
use super::options::Colour;
use tiny_skia::{
    Color, FillRule, GradientStop, LinearGradient, Paint, Path, PathBuilder, Pixmap, Point, Shader,
    SpreadMode, Transform,
};
use ttf_parser::OutlineBuilder;

/// How far the control points of a quarter circle are from its ends, as a part of its radius.
const ROUND: f32 = 0.552_285;

/// `None`: the picture would have no size, or cannot be encoded.
pub fn paint(badge: &Badge<'_>) -> Option<Vec<u8>> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
    let (width, height) = (badge.width.ceil() as u32, badge.height.ceil() as u32);
    let mut pixmap = Pixmap::new(width, height)?;
    for area in &badge.areas {
        fill_area(&mut pixmap, area, badge.height);
    }
    for label in &badge.labels {
        write_label(&mut pixmap, label, badge.font_size);
    }
    pixmap.encode_png().ok()
}

fn colour(Colour([r, g, b]): Colour, opacity: f32) -> Color {
    let part = |byte: u8| f32::from(byte) / 255.0;
    Color::from_rgba(part(r), part(g), part(b), opacity).unwrap_or(Color::BLACK)
}

fn plain(of: Color) -> Paint<'static> {
    Paint { shader: Shader::SolidColor(of), anti_alias: true, ..Paint::default() }
}

fn fill_area(pixmap: &mut Pixmap, area: &Area, height: f32) {
    let Some(path) = rounded(area.x, area.width, height, area.radius) else { return };
    let paint = match area.fill {
        Fill::Plain(of) => plain(colour(of, 1.0)),
        Fill::Gradient(stops) => {
            let stops = stops.iter().map(|(at, of, opacity)| GradientStop::new(*at, colour(*of, *opacity)));
            let (top, bottom) = (Point::from_xy(0.0, 0.0), Point::from_xy(0.0, height));
            let gradient =
                LinearGradient::new(top, bottom, stops.collect(), SpreadMode::Pad, Transform::identity());
            let Some(shader) = gradient else { return };
            Paint { shader, anti_alias: true, ..Paint::default() }
        }
    };
    pixmap.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
}

fn rounded(x: f32, width: f32, height: f32, radius: f32) -> Option<Path> {
    let r = radius.min(width / 2.0).min(height / 2.0).max(0.0);
    let (right, k) = (x + width, r * (1.0 - ROUND));
    let mut path = PathBuilder::new();
    path.move_to(x + r, 0.0);
    path.line_to(right - r, 0.0);
    path.cubic_to(right - k, 0.0, right, k, right, r);
    path.line_to(right, height - r);
    path.cubic_to(right, height - k, right - k, height, right - r, height);
    path.line_to(x + r, height);
    path.cubic_to(x + k, height, x, height - k, x, height - r);
    path.line_to(x, r);
    path.cubic_to(x, k, x + k, 0.0, x + r, 0.0);
    path.close();
    path.finish()
}

fn write_label(pixmap: &mut Pixmap, label: &Label<'_>, size: f32) {
    let (glyphs, _) = font::layout(label.text, size);
    let (paint, scale) = (plain(colour(label.colour, label.opacity)), font::scale(size));
    for (glyph, x) in glyphs {
        let mut outline = Outline(PathBuilder::new());
        font::outline(glyph, &mut outline);
        let Some(path) = outline.0.finish() else { continue };
        // Letters stand upright in fonts, and on their heads in pictures.
        let place = Transform::from_row(scale, 0.0, 0.0, -scale, label.x + x, label.y);
        pixmap.fill_path(&path, &paint, FillRule::Winding, place, None);
    }
}

struct Outline(PathBuilder);

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }
    fn close(&mut self) {
        self.0.close();
    }
}
