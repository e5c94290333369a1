//! How the bytes that commands print become text: `logEncoding` (reference 13.016).
//!
//! Workers decode: the one of this project as it is told, under the argument `output_encoding` of a shell command; others
//! by their own setting, and leave the argument alone. For a function, and where logs of one command differ, the worker
//! is asked for an encoding that keeps every byte, and the master decodes.

use super::{StepContext, StepError};
use encoding_rs::{Decoder, Encoding, UTF_8};
use lunabot_model::{Arg, Callback, CallbackSpec, Json};
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
    pub const UTF_8: LogEncoding = LogEncoding::Named(UTF_8);

    /// Reads what a configuration says: a name or a function.
    pub fn from_json(value: &Json) -> Result<Self, String> {
        match (value, Callback::from_json(value)) {
            (Json::String(name), _) => LogEncoding::named(name),
            (_, Some(function)) => Ok(LogEncoding::Function(function)),
            (other, None) => Err(format!("expected the name of an encoding or a function, not {other}")),
        }
    }

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
            LogEncoding::Function(_) => Some(KEEPS_BYTES),
        }
    }
}

/// The encoding in which a worker sends every byte as it is.
pub(crate) const KEEPS_BYTES: &str = "x-user-defined";

/// Bytes that come in pieces, as text: what is wrong becomes U+FFFD, a character that is cut in two is put together. A
/// function is asked for each piece.
pub struct TextPieces(Reader);

enum Reader {
    Named(Decoder),
    Function(Callback),
}

impl TextPieces {
    pub fn new(encoding: &LogEncoding) -> Self {
        TextPieces(match encoding {
            LogEncoding::Named(encoding) => Reader::Named(encoding.new_decoder_with_bom_removal()),
            LogEncoding::Function(function) => Reader::Function(function.clone()),
        })
    }

    /// The text of the next piece. The error is that of the function.
    pub async fn push(&mut self, cx: &StepContext, bytes: &[u8]) -> Result<String, StepError> {
        match &mut self.0 {
            Reader::Named(decoder) => Ok(decoded(decoder, bytes, false)),
            Reader::Function(_) if bytes.is_empty() => Ok(String::new()),
            Reader::Function(function) => asked(cx, function, bytes.to_vec()).await,
        }
    }

    /// What is left when no more comes.
    pub fn finish(self) -> String {
        match self.0 {
            Reader::Named(mut decoder) => decoded(&mut decoder, &[], true),
            Reader::Function(_) => String::new(),
        }
    }

    /// The same for what a worker was asked to send as [`KEEPS_BYTES`]; one that does not know that has decoded already.
    pub(crate) async fn push_kept(&mut self, cx: &StepContext, text: String) -> Result<String, StepError> {
        match (bytes_of(&text), &self.0) {
            (Some(bytes), _) => self.push(cx, &bytes).await,
            (None, Reader::Named(_)) => Ok(text),
            (None, Reader::Function(function)) => asked(cx, function, text.into_bytes()).await,
        }
    }
}

fn decoded(decoder: &mut Decoder, bytes: &[u8], last: bool) -> String {
    let most = decoder.max_utf8_buffer_length(bytes.len());
    let mut text = String::with_capacity(most.unwrap_or(bytes.len()));
    // There is room for all of it.
    let _ = decoder.decode_to_string(bytes, &mut text, last);
    text
}

async fn asked(cx: &StepContext, function: &Callback, bytes: Vec<u8>) -> Result<String, StepError> {
    match cx.call(function, "logEncoding", vec![Arg::Bytes(bytes)]).await? {
        Json::String(text) => Ok(text),
        other => Err(cx.nonsense(
            function,
            "logEncoding",
            format!("logEncoding returned {}; return a text", cx.shown(&other)),
        )),
    }
}

/// The encoding of a name: of the web's spellings, or one of Python's that differ in dashes and underscores.
fn encoding(name: &str) -> Option<&'static Encoding> {
    let dashed = name.replace('_', "-");
    let bare = dashed.replace('-', "");
    [name, &dashed, &bare].iter().find_map(|label| Encoding::for_label(label.as_bytes()))
}

/// The bytes that a worker sent as text in the encoding that keeps them; `None`: it is another.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let byte = |c: char| match u32::from(c) {
        ascii @ 0..=0x7f => u8::try_from(ascii).ok(),
        kept @ 0xf780..=0xf7ff => u8::try_from(kept - 0xf700).ok(),
        _ => None,
    };
    text.chars().map(byte).collect()
}

impl<'de> Deserialize<'de> for LogEncoding {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        LogEncoding::from_json(&Json::deserialize(d)?).map_err(D::Error::custom)
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
    use encoding_rs::X_USER_DEFINED;

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
        assert_eq!((bytes_of(&text), X_USER_DEFINED.name()), (Some(all), KEEPS_BYTES));
        assert_eq!(bytes_of("é"), None);
    }

    #[test]
    fn no_split_of_the_bytes_changes_the_text() {
        let bytes = "aé€😀z".as_bytes().iter().chain(b"\xff\xc3(\x80").copied().collect::<Vec<_>>();
        let whole = String::from_utf8_lossy(&bytes);
        for cut in 0..=bytes.len() {
            let mut decoder = UTF_8.new_decoder_with_bom_removal();
            let mut text = decoded(&mut decoder, &bytes[..cut], false);
            text += &decoded(&mut decoder, &bytes[cut..], false);
            assert_eq!(text + &decoded(&mut decoder, &[], true), whole, "cut at {cut}");
        }
    }
}
