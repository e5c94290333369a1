//! Small helpers for the wording of messages.

use crate::Json;
use std::borrow::Cow;

/// Longest piece of a user's text that a message repeats, in characters.
const SHOWN: usize = 80;

/// The text itself, or its beginning with an ellipsis.
pub fn shortened(text: &str) -> Cow<'_, str> {
    shortened_to(SHOWN, text)
}

/// The same with another number of characters.
pub fn shortened_to(most: usize, text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// A name as messages repeat it: not too long, and on one line.
pub fn named(name: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    shortened(name).chars().map(escaped).collect()
}

/// What a function of the configuration returned, as a message repeats it: what is no plain value is told in words. `hide`
/// takes the secrets out of a text, before it is cut: of one that is cut nobody would know what it was.
pub fn returned(value: &Json, hide: &dyn Fn(&str) -> String) -> String {
    told(&hidden(value, hide))
}

/// The same value without secrets.
fn hidden(value: &Json, hide: &dyn Fn(&str) -> String) -> Json {
    match value {
        Json::String(text) => hide(text).into(),
        Json::Array(items) => items.iter().map(|item| hidden(item, hide)).collect(),
        Json::Object(map) => map.iter().map(|(name, value)| (hide(name), hidden(value, hide))).collect(),
        plain => plain.clone(),
    }
}

fn told(value: &Json) -> String {
    match value {
        Json::Null => "nothing".into(),
        Json::Object(map) => match (&map.get("$ref"), &map.get("$kind")) {
            (Some(Json::String(key)), _) => {
                let (class, id) = key.split_once(':').unwrap_or((key, ""));
                format!("the object {}", [class, id].join(" ").trim_end())
            }
            (_, Some(Json::String(kind))) => format!("an object of {kind}"),
            _ if map.contains_key("$fn") => "a function".into(),
            _ => shortened(&value.to_string()).into_owned(),
        },
        Json::Array(items) => {
            let all: Vec<String> = items.iter().map(told).collect();
            shortened(&format!("[{}]", all.join(", "))).into_owned()
        }
        plain => shortened(&plain.to_string()).into_owned(),
    }
}

/// `45 s`, `1 m 12 s`, `2 h 5 m`, `3 d 4 h`: seconds as people read them.
pub fn duration(secs: i64) -> String {
    let secs = secs.max(0);
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, m) => format!("{m} m {} s", secs % 60),
        (0, h, m) => format!("{h} h {} m", m % 60),
        (d, h, _) => format!("{d} d {} h", h % 24),
    }
}
