//! How the bytes that commands print become text: `logEncoding` (reference 13.016).
//!
//! Workers decode: the one of this project as it is told, under the argument `output_encoding` of a shell command; others
//! by their own setting, and leave the argument alone. For a function the worker is asked for an encoding that keeps
//! every byte, and the function gets the bytes back.

use encoding_rs::{Encoding, UTF_8, X_USER_DEFINED};
use lunabot_model::{Callback, CallbackSpec, Json};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The function that `logEncoding` may be.
pub const LOG_ENCODING: CallbackSpec = CallbackSpec {
    option: "logEncoding",
    args: "bytes",
    returns: "the text that the bytes stand for",
    on_error: "EXCEPTION of the step",
};

/// A name, as Python or the web spell it, or a function from bytes to text.
#[derive(Debug, Clone, PartialEq)]
pub enum LogEncoding {
    Named(&'static Encoding),
    Function(Callback),
}

impl LogEncoding {
    /// Reads a name; the error says what is wrong with it.
    pub fn named(name: &str) -> Result<Self, String> {
        encoding(name).map(LogEncoding::Named).ok_or_else(|| {
            let shown = lunabot_model::text::shortened(name);
            format!("{shown:?} is no encoding; there are \"utf-8\", \"latin-1\", \"cp1252\", \"shift_jis\" …, or a function")
        })
    }

    /// What a worker is told; nothing for UTF-8, in which it decodes anyway.
    pub fn for_worker(&self) -> Option<&'static str> {
        match self {
            LogEncoding::Named(encoding) => (*encoding != UTF_8).then(|| encoding.name()),
            LogEncoding::Function(_) => Some(X_USER_DEFINED.name()),
        }
    }
}

/// The encoding of a name: of the web's spellings, or one of Python's that differ in dashes and underscores.
fn encoding(name: &str) -> Option<&'static Encoding> {
    let dashed = name.replace('_', "-");
    let bare = dashed.replace('-', "");
    [name, &dashed, &bare].iter().find_map(|label| Encoding::for_label(label.as_bytes()))
}

/// The bytes that a worker sent as text in the encoding that keeps them. Text that is not, from a worker that does not
/// know it, is the bytes of UTF-8.
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    let byte = |c: char| match u32::from(c) {
        ascii @ 0..=0x7f => u8::try_from(ascii).ok(),
        kept @ 0xf780..=0xf7ff => u8::try_from(kept - 0xf700).ok(),
        _ => None,
    };
    text.chars().map(byte).collect::<Option<_>>().unwrap_or_else(|| text.as_bytes().to_vec())
}

impl<'de> Deserialize<'de> for LogEncoding {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::String(name) => LogEncoding::named(&name).map_err(D::Error::custom),
            other => Callback::from_json(&other).map(LogEncoding::Function).ok_or_else(|| {
                D::Error::custom(format!("expected the name of an encoding or a function, not {other}"))
            }),
        }
    }
}

impl JsonSchema for LogEncoding {
    fn schema_name() -> Cow<'static, str> {
        "LogEncoding".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "object", "x-callback": true}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_13_016_encodings_have_pythons_names_and_the_webs() {
        for (name, want) in [
            ("utf-8", None),
            ("UTF8", None),
            ("latin-1", Some("windows-1252")),
            ("iso8859_15", Some("ISO-8859-15")),
            ("cp1251", Some("windows-1251")),
            ("shift_jis", Some("Shift_JIS")),
        ] {
            assert_eq!(LogEncoding::named(name).unwrap().for_worker(), want, "{name}");
        }
        assert!(LogEncoding::named("klingon").unwrap_err().starts_with("\"klingon\" is no encoding"));
    }

    #[test]
    fn row_13_016_bytes_survive_the_way_to_a_function() {
        let all: Vec<u8> = (0..=255).collect();
        let (text, ..) = X_USER_DEFINED.decode(&all);
        assert_eq!(bytes_of(&text), all);
        assert_eq!(bytes_of("é"), "é".as_bytes());
    }
}
