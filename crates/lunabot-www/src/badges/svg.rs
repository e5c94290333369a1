//! A badge as SVG.

use super::draw::{Badge, Fill};
use std::fmt::Write as _;

/// The whole document. Numbers are ours, colours were read, the rest is escaped.
pub fn write(badge: &Badge<'_>) -> String {
    let (width, height, spoken) = (rounded(badge.width), rounded(badge.height), escaped(&badge.spoken));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"{spoken}\"><title>{spoken}</title>"
    );
    for area in &badge.areas {
        let fill = match area.fill {
            Fill::Plain(colour) => colour.to_string(),
            Fill::Gradient(stops) => {
                svg.push_str("<linearGradient id=\"g\" x2=\"0\" y2=\"100%\">");
                for (at, colour, opacity) in stops {
                    let _ = write!(
                        svg,
                        "<stop offset=\"{at}\" stop-color=\"{colour}\" stop-opacity=\"{opacity}\"/>"
                    );
                }
                svg.push_str("</linearGradient>");
                "url(#g)".to_owned()
            }
        };
        let (x, width, radius) = (rounded(area.x), rounded(area.width), rounded(area.radius));
        let _ = write!(
            svg,
            "<rect x=\"{x}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\" fill=\"{fill}\"/>"
        );
    }
    let (face, size) = (escaped(badge.font_face), badge.font_size);
    let _ = write!(svg, "<g font-family=\"{face},Verdana,Geneva,sans-serif\" font-size=\"{size}\">");
    for label in &badge.labels {
        // The width of the text is given, so that it fits in whatever font it is shown.
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" textLength=\"{}\" fill=\"{}\" fill-opacity=\"{}\">{}</text>",
            rounded(label.x),
            rounded(label.y),
            rounded(label.width),
            label.colour,
            label.opacity,
            escaped(label.text)
        );
    }
    svg.push_str("</g></svg>\n");
    svg
}

fn rounded(number: f32) -> f32 {
    (number * 100.0).round() / 100.0
}

/// For text and for attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What no XML document may hold.
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}
