//! `mode` options: permissions, written as octal text.

use lunabot_model::Json;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Permissions of a file: `"0644"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub u32);

/// The largest: all permissions, setuid, setgid, sticky.
const MAX: u32 = 0o7777;

impl FileMode {
    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if mode <= MAX && !digits.starts_with('+') => Ok(FileMode(mode)),
            _ => Err(format!("\"{text}\" is not a mode in octal digits such as \"0644\"")),
        }
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::String(text) => FileMode::parse(&text).map_err(D::Error::custom),
            other => Err(D::Error::custom(format!(
                "expected a text of octal digits, not {other}; Lua has no octal numbers, write mode = \"0644\""
            ))),
        }
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn modes_are_octal_texts() {
        let read = |value| serde_json::from_value::<FileMode>(value).map_err(|error| error.to_string());
        for (text, mode) in [("0644", 0o644), ("755", 0o755), ("0o600", 0o600), ("7777", 0o7777)] {
            assert_eq!(read(json!(text)), Ok(FileMode(mode)));
        }
        for bad in
            [json!("0888"), json!("-1"), json!(""), json!("+644"), json!("10000"), json!(644), json!(null)]
        {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
        assert!(read(json!(644)).unwrap_err().contains("write mode = \"0644\""));
    }
}
