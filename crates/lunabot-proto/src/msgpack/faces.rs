//! Words of a command that are shown as something else (04.041).
//!
//! Over PB the worker is told what to show. Here it cannot be: it gets the real word, and puts it into its headers. What it
//! says is put right before anybody sees it.

use crate::python::shown_bytes;
use crate::{Dict, Update, Value};

/// What a worker may write for each such word, the longest first, and what is shown instead.
pub(super) struct Faces(Vec<(String, String)>);

impl Faces {
    /// Of a command's arguments as steps make them; `None`: no word of it is to be hidden.
    pub fn of(args: &Dict) -> Option<Self> {
        let words = args.get("command").and_then(Value::as_items)?.iter().filter_map(obfuscated);
        let mut faces: Vec<(String, String)> =
            words.flat_map(|(real, shown)| forms(real).map(|form| (form, shown.to_owned()))).collect();
        faces.retain(|(form, _)| !form.is_empty());
        faces.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        (!faces.is_empty()).then_some(Faces(faces))
    }

    /// The worker's own text. What the program itself prints is not concerned, as over PB.
    pub fn put_right(&self, updates: &mut [Update]) {
        for update in updates {
            if let Update::Header(text) = update {
                *text = self.hide(text);
            }
        }
    }

    pub fn hide(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = self.0.iter().find(|(form, _)| rest.starts_with(form.as_str()));
            let length = found.map_or(first.len_utf8(), |(form, _)| form.len());
            out.push_str(found.map_or(&rest[..length], |(_, shown)| shown));
            rest = &rest[length..];
        }
        out
    }
}

/// The real word and what is shown.
pub(super) fn obfuscated(word: &Value) -> Option<(&str, &str)> {
    let Value::Tuple(parts) = word else { return None };
    match parts.as_slice() {
        [mark, real, shown] if mark.as_str() == Some("obfuscated") => Some((real.as_str()?, shown.as_str()?)),
        _ => None,
    }
}

/// As it is; in a shell's quotes; as Python shows bytes.
fn forms(real: &str) -> impl Iterator<Item = String> {
    let bytes = shown_bytes(real.as_bytes());
    let quoted = bytes.replace('\'', "\\'");
    [real.to_owned(), real.replace('\'', "'\"'\"'"), quoted, bytes].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_04_041_a_word_is_hidden_in_every_form_that_headers_have() {
        let real = "it's \\ ü\n";
        let word = |parts: [&str; 3]| Value::Tuple(parts.map(Value::from).into());
        let words =
            vec!["login".into(), word(["obfuscated", real, "XXX"]), word(["obfuscated", "", "empty"])];
        let faces = Faces::of(&Dict::new().with("command", Value::List(words))).unwrap();
        for (text, shown) in [
            ("login it's \\ ü\n in dir", "login XXX in dir"),
            ("login 'it'\"'\"'s \\ ü\n'\n", "login 'XXX'\n"),
            (" argv: [b'login', b\"it's \\\\ \\xc3\\xbc\\n\"]\n", " argv: [b'login', b\"XXX\"]\n"),
            (" argv: [b'it\\'s \\\\ \\xc3\\xbc\\n\"']\n", " argv: [b'XXX\"']\n"),
            ("ü is left", "ü is left"),
        ] {
            assert_eq!(faces.hide(text), shown);
        }
        assert!(Faces::of(&Dict::new().with("command", vec!["a", "b"])).is_none());
        assert!(Faces::of(&Dict::new().with("command", "a b")).is_none());
    }
}
