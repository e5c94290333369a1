//! How badges look: the defaults of the configuration, and what an address asks for (10.035).

use csscolorparser::Color;
use lunabot_model::Json;
use lunabot_model::config::{ConfigError, WwwConfig};
use std::collections::BTreeMap;

/// Longest text on the left, in characters.
const LONGEST_TEXT: usize = 200;
const STATUSES: &[&str] =
    &["cancelled", "exception", "failure", "retry", "running", "skipped", "success", "unknown", "warnings"];

/// The shapes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plastic,
    Flat,
    FlatSquare,
    BadgeIo,
}

impl Style {
    fn named(name: &str) -> Result<Style, String> {
        Ok(match name {
            "plastic" => Style::Plastic,
            "flat" => Style::Flat,
            "flat-square" => Style::FlatSquare,
            "badgeio" => Style::BadgeIo,
            _ => return Err("must be plastic, flat, flat-square or badgeio".into()),
        })
    }
}

/// A colour without transparency, `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// As CSS writes colours; `#` may be left out.
    fn read(text: &str) -> Result<Colour, String> {
        let parsed: Color =
            text.trim().parse().map_err(|_| "must be a colour such as #4c1 or blue".to_owned())?;
        let [r, g, b, _] = parsed.to_rgba8();
        Ok(Colour([r, g, b]))
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Colour([r, g, b]) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// `c.www.plugins.badges`.
#[derive(Debug, Clone, PartialEq)]
pub struct Badges {
    pub left_text: String,
    pub left_color: Colour,
    pub left_pad: f32,
    pub right_pad: f32,
    pub border_radius: f32,
    pub style: Style,
    pub font_face: String,
    pub font_size: f32,
    /// By status.
    pub color_scheme: BTreeMap<&'static str, Colour>,
}

impl Default for Badges {
    fn default() -> Self {
        let blue = Colour([0x00, 0x7e, 0xc6]);
        let grey = Colour([0x9f, 0x9f, 0x9f]);
        let color_scheme = BTreeMap::from([
            ("cancelled", grey),
            ("exception", blue),
            ("failure", Colour([0xe0, 0x5d, 0x44])),
            ("retry", blue),
            ("running", blue),
            ("skipped", Colour([0xa4, 0xa6, 0x1d])),
            ("success", Colour([0x44, 0xcc, 0x11])),
            ("unknown", grey),
            ("warnings", Colour([0xdf, 0xb3, 0x17])),
        ]);
        Badges {
            left_text: "Build Status".into(),
            left_color: Colour([0x55, 0x55, 0x55]),
            left_pad: 5.0,
            right_pad: 5.0,
            border_radius: 5.0,
            style: Style::Plastic,
            font_face: "DejaVu Sans".into(),
            font_size: 11.0,
            color_scheme,
        }
    }
}

impl Badges {
    /// Reads the settings; none: badges are off.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(www: &WwwConfig) -> Result<Option<Badges>, Vec<ConfigError>> {
        let error = |path: &str, message: String| ConfigError {
            file: String::new(),
            line: None,
            path: format!("www.plugins.badges{path}"),
            message,
        };
        let settings = match www.plugins.get("badges") {
            None => return Ok(None),
            Some(Json::Object(settings)) => settings.clone(),
            Some(Json::Bool(true)) => serde_json::Map::new(),
            Some(Json::Array(none)) if none.is_empty() => serde_json::Map::new(),
            Some(_) => return Err(vec![error("", "expected a table of settings, {} for none".into())]),
        };
        let (mut badges, mut errors) = (Badges::default(), Vec::new());
        for (name, value) in &settings {
            let set = match (name.as_str(), value) {
                ("color_scheme", Json::Object(colours)) => badges.set_colours(colours),
                ("color_scheme", _) => Err("expected a table of colours by status".into()),
                (_, Json::String(text)) => badges.set(name, text),
                (_, Json::Number(number)) => badges.set(name, &number.to_string()),
                _ => Err("expected a text or a number".into()),
            };
            errors.extend(set.err().map(|message| error(&format!(".{name}"), message)));
        }
        if errors.is_empty() { Ok(Some(badges)) } else { Err(errors) }
    }

    fn set_colours(&mut self, colours: &serde_json::Map<String, Json>) -> Result<(), String> {
        for (status, colour) in colours {
            let known = STATUSES.iter().find(|known| *known == status);
            let known = known.ok_or_else(|| format!("{status} is none of {}", STATUSES.join(", ")))?;
            let colour = colour.as_str().map_or_else(|| Err("must be a text".into()), Colour::read);
            self.color_scheme.insert(known, colour.map_err(|problem| format!("{status} {problem}"))?);
        }
        Ok(())
    }

    /// As an address wants it: of a name that is there several times the first counts, others are not ours.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn with_query(&self, query: &str) -> Result<Badges, String> {
        let (mut badges, mut seen) = (self.clone(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !NAMES.contains(&&*name) || seen.contains(&name) {
                continue;
            }
            badges.set(&name, &value).map_err(|problem| format!("{name} {problem}"))?;
            seen.push(name);
        }
        Ok(badges)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "left_text" => self.left_text = text(value)?,
            "left_color" => self.left_color = Colour::read(value)?,
            "left_pad" => self.left_pad = number(value, 0.0, 200.0)?,
            "right_pad" => self.right_pad = number(value, 0.0, 200.0)?,
            "border_radius" => self.border_radius = number(value, 0.0, 50.0)?,
            "font_size" => self.font_size = number(value, 4.0, 40.0)?,
            "font_face" => self.font_face = face(value)?,
            "style" => self.style = Style::named(value)?,
            "template_name" => {
                let style = value.strip_suffix(".svg.j2").unwrap_or_default();
                if style != "{style}" {
                    let known =
                        Style::named(style).map_err(|_| "not supported yet; choose a style".to_owned());
                    self.style = known?;
                }
            }
            "color_scheme" => return Err("belongs into the configuration".into()),
            _ => return Err("unknown option".into()),
        }
        Ok(())
    }
}

/// What an address may set.
const NAMES: &[&str] = &[
    "border_radius",
    "color_scheme",
    "font_face",
    "font_size",
    "left_color",
    "left_pad",
    "left_text",
    "right_pad",
    "style",
    "template_name",
];

fn text(value: &str) -> Result<String, String> {
    match value.chars().count() {
        0..=LONGEST_TEXT => Ok(value.chars().filter(|c| !c.is_control()).collect()),
        _ => Err(format!("must have at most {LONGEST_TEXT} characters")),
    }
}

fn number(value: &str, least: f32, most: f32) -> Result<f32, String> {
    let read = value.trim().parse::<f32>().ok().filter(|number| (least..=most).contains(number));
    read.ok_or_else(|| format!("must be a number from {least} to {most}"))
}

fn face(value: &str) -> Result<String, String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let fits = !value.is_empty() && value.chars().count() <= 60 && value.chars().all(plain);
    fits.then(|| value.to_owned()).ok_or_else(|| "must be the name of a font".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(settings: Json) -> Result<Option<Badges>, Vec<String>> {
        let mut www = WwwConfig::default();
        www.plugins.insert("badges".into(), settings);
        Badges::load(&www).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn row_10_035_settings_are_checked() {
        assert_eq!(Badges::load(&WwwConfig::default()).unwrap(), None);
        assert_eq!(load(json!({})).unwrap(), Some(Badges::default()));
        let set = load(json!({"style": "flat", "left_pad": 7, "left_color": "red",
                              "color_scheme": {"success": "0f0", "cancelled": "#123456"}}));
        let set = set.unwrap().unwrap();
        assert_eq!((set.style, set.left_pad, set.left_color), (Style::Flat, 7.0, Colour([255, 0, 0])));
        assert_eq!(set.color_scheme["success"].to_string(), "#00ff00");
        for (settings, told) in [
            (json!(3), "www.plugins.badges: expected a table of settings, {} for none"),
            (json!({"colour": 1}), "www.plugins.badges.colour: unknown option"),
            (
                json!({"style": "round"}),
                "www.plugins.badges.style: must be plastic, flat, flat-square or badgeio",
            ),
            (json!({"font_size": 400}), "www.plugins.badges.font_size: must be a number from 4 to 40"),
            (json!({"font_size": "NaN"}), "www.plugins.badges.font_size: must be a number from 4 to 40"),
            (
                json!({"template_name": "own.svg.j2"}),
                "www.plugins.badges.template_name: not supported yet; choose a style",
            ),
            (
                json!({"color_scheme": {"good": "red"}}),
                "www.plugins.badges.color_scheme: good is none of cancelled",
            ),
        ] {
            let errors = load(settings).unwrap_err();
            assert!(errors[0].starts_with(told), "{errors:?}");
        }
    }

    #[test]
    fn row_10_035_an_address_overrides_and_is_checked() {
        let ask = |query: &str| Badges::default().with_query(query);
        let set = ask("left_text=a%20b&left_text=c&style=badgeio&v=3&border_radius=0").unwrap();
        assert_eq!((set.left_text.as_str(), set.style, set.border_radius), ("a b", Style::BadgeIo, 0.0));
        assert_eq!(ask("template_name=flat.svg.j2").unwrap().style, Style::Flat);
        for bad in [
            "left_color=%22/%3E%3Cscript%3E",
            "left_color=url(%23x)",
            "font_face=x%22%20onload=%22alert(1)",
            "template_name=../../etc/passwd",
            "font_size=1e9",
            "left_pad=-1",
            "color_scheme=red",
        ] {
            assert!(ask(bad).is_err(), "{bad}");
        }
        assert!(ask(&format!("left_text={}", "x".repeat(201))).is_err());
    }
}
