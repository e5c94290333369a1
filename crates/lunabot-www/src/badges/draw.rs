//! What a badge consists of, whatever it is written as: boxes and texts with their places, in pixels.

use super::font;
use super::options::{Badges, Colour, Style};

const WHITE: Colour = Colour([255, 255, 255]);
const SHADE: Colour = Colour([1, 1, 1]);
const BLACK: Colour = Colour([0, 0, 0]);

/// A stop of a gradient from top to bottom: where (0 to 1), colour, opacity.
pub type Stop = (f32, Colour, f32);

const GLOSSY: &[Stop] =
    &[(0.0, WHITE, 0.7), (0.1, Colour([0xaa, 0xaa, 0xaa]), 0.1), (0.9, BLACK, 0.3), (1.0, BLACK, 0.5)];
const MATT: &[Stop] = &[(0.0, Colour([0xbb, 0xbb, 0xbb]), 0.1), (1.0, BLACK, 0.1)];

/// How a box is filled.
#[derive(Clone, Copy)]
pub enum Fill {
    Plain(Colour),
    Gradient(&'static [Stop]),
}

/// A box of the badge's height.
pub struct Area {
    pub x: f32,
    pub width: f32,
    pub radius: f32,
    pub fill: Fill,
}

/// A text; `x` is where it begins, `y` its base line.
pub struct Label<'a> {
    pub text: &'a str,
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub colour: Colour,
    pub opacity: f32,
}

pub struct Badge<'a> {
    pub width: f32,
    pub height: f32,
    pub areas: Vec<Area>,
    pub labels: Vec<Label<'a>>,
    pub font_face: &'a str,
    pub font_size: f32,
    /// For those who cannot see it.
    pub spoken: String,
}

/// What a style says of sizes.
struct Shape {
    height: f32,
    base: f32,
    radius: f32,
    /// Between the two halves; the joint is drawn in the right one's colour.
    gap: f32,
    /// Widths of the halves beyond their texts.
    pads: (f32, f32),
    /// How far the texts are from the middle of their halves, towards each other.
    insets: (f32, f32),
    gloss: Option<&'static [Stop]>,
}

impl Shape {
    fn of(options: &Badges) -> Shape {
        let pads = (options.left_pad, options.right_pad);
        let radius = options.border_radius;
        let (height, base, insets) = (20.0, 14.0, (1.0, 1.0));
        match options.style {
            Style::Plastic => {
                Shape { height: 18.0, base: 13.0, radius, gap: 2.0, pads, insets, gloss: Some(GLOSSY) }
            }
            Style::Flat => Shape { height, base, radius, gap: 5.0, pads, insets, gloss: Some(MATT) },
            Style::FlatSquare => {
                Shape { height, base, radius: 0.0, gap: 0.0, pads, insets: (0.0, 0.0), gloss: None }
            }
            Style::BadgeIo => {
                let (pads, insets) = ((12.0, 12.0), (0.0, 2.0));
                Shape { height, base, radius: 3.0, gap: 0.0, pads, insets, gloss: Some(GLOSSY) }
            }
        }
    }
}

impl<'a> Badge<'a> {
    pub fn of(options: &'a Badges, status: &'static str) -> Badge<'a> {
        let shape = Shape::of(options);
        let colour = options.color_scheme.get(status).copied().unwrap_or(Colour([0x9f, 0x9f, 0x9f]));
        let width_of = |text: &str| font::layout(text, options.font_size).1;
        let texts = (width_of(&options.left_text), width_of(status));
        let (left, right) = (texts.0 + shape.pads.0, texts.1 + shape.pads.1);
        let (second, width) = (left + shape.gap, left + shape.gap + right);
        let mut labels = Vec::new();
        label(&mut labels, &shape, &options.left_text, (left - texts.0) / 2.0 + shape.insets.0, texts.0);
        label(&mut labels, &shape, status, second + (right - texts.1) / 2.0 - shape.insets.1, texts.1);
        Badge {
            width,
            height: shape.height,
            areas: areas(&shape, options.left_color, colour, (second, right, width)),
            labels,
            font_face: &options.font_face,
            font_size: options.font_size,
            spoken: format!("{}: {status}", options.left_text),
        }
    }
}

fn areas(shape: &Shape, left: Colour, right: Colour, (second, wide, width): (f32, f32, f32)) -> Vec<Area> {
    let mut areas = vec![
        Area { x: 0.0, width, radius: shape.radius, fill: Fill::Plain(left) },
        Area { x: second, width: wide, radius: shape.radius, fill: Fill::Plain(right) },
    ];
    if shape.radius > 0.0 {
        // The right half is round on its right side only.
        let joint = shape.radius.min(wide);
        areas.push(Area { x: second, width: joint, radius: 0.0, fill: Fill::Plain(right) });
    }
    areas.extend(shape.gloss.map(|stops| Area {
        x: 0.0,
        width,
        radius: shape.radius,
        fill: Fill::Gradient(stops),
    }));
    areas
}

/// A text, on its shadow where the style has depth.
fn label<'a>(labels: &mut Vec<Label<'a>>, shape: &Shape, text: &'a str, x: f32, width: f32) {
    if shape.gloss.is_some() {
        labels.push(Label { text, x, y: shape.base + 1.0, width, colour: SHADE, opacity: 0.3 });
    }
    labels.push(Label { text, x, y: shape.base, width, colour: WHITE, opacity: 1.0 });
}
