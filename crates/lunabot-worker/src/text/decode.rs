//! Bytes to text, piece by piece. Bad bytes become U+FFFD; a character cut by the end of a piece waits
//! for the next; one cut by the end of the stream is dropped, as the reference does.

/// The bytes of an unfinished character (at most three).
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    carry: Vec<u8>,
}

impl Utf8 {
    /// Decodes a piece; `sink` gets the text, perhaps in several parts.
    pub(super) fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(&str)) {
        let joined;
        let mut rest = if self.carry.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.carry).as_slice(), bytes].concat();
            &joined
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return sink(text),
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    sink(std::str::from_utf8(good).unwrap_or_default());
                    let Some(length) = error.error_len() else {
                        self.carry = bad.to_vec();
                        return;
                    };
                    sink("\u{FFFD}");
                    rest = &bad[length..];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_may_cut_characters_anywhere() {
        let bytes = b"\xff\xfe abc \xc3( h\xc3\xa9 \xf0\x9f\x98\x80 \xe4\xb8";
        let whole = "\u{FFFD}\u{FFFD} abc \u{FFFD}( hé 😀 ";
        for size in 1..=bytes.len() {
            let (mut utf8, mut text) = (Utf8::default(), String::new());
            bytes.chunks(size).for_each(|piece| utf8.push(piece, |part| text.push_str(part)));
            assert_eq!(text, whole, "pieces of {size}");
        }
    }
}
