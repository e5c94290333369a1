//! Bytes of commits as text: names and messages are UTF-8 by custom, not by rule.

use std::borrow::Cow;

/// What to try where bytes are not UTF-8 (option `encoding`, in Python's or the web's spelling).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// The encoding of that name. The error says which names are known.
    pub fn named(name: &str) -> Result<Self, String> {
        let plain = name.trim().to_ascii_lowercase().replace('_', "-");
        let label = match plain.as_str() {
            "latin-1" | "iso8859-1" | "iso-8859-1" | "8859" => "latin1",
            other => other,
        };
        let found = encoding_rs::Encoding::for_label(label.as_bytes());
        found.map(Encoding).ok_or_else(|| {
            format!("unknown encoding {name:?}; known are utf-8, latin-1, iso-8859-15, windows-1252, shift_jis, euc-jp, gbk, koi8-r …")
        })
    }

    /// Valid UTF-8 stays; anything else is read in this encoding, with replacement characters for what does not fit.
    pub fn decode(self, bytes: &[u8]) -> String {
        if self.0.is_ascii_compatible()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return text.to_string();
        }
        let text: Cow<'_, str> = self.0.decode_without_bom_handling(bytes).0;
        text.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_wins_and_the_rest_follows_the_option() {
        let latin = Encoding::named("Latin_1").unwrap();
        assert_eq!(latin.decode(b"caf\xe9"), "café");
        assert_eq!(latin.decode("café".as_bytes()), "café");
        assert_eq!(Encoding::named("utf-8").unwrap().decode(b"caf\xe9"), "caf\u{fffd}");
        assert!(Encoding::named("klingon").unwrap_err().contains("klingon"));
    }
}
