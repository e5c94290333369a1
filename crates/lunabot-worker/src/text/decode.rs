//! Bytes to text, piece by piece. Bad bytes become U+FFFD; a character cut by the end of a piece waits
//! for the next; one cut by the end of the stream is dropped, as the reference does.

use encoding_rs::{DecoderResult, Encoding};

/// How output becomes text.
#[derive(Debug)]
pub(super) enum Decoder {
    Utf8(Utf8),
    Other(Box<encoding_rs::Decoder>),
}

impl Decoder {
    /// `None`: UTF-8.
    pub(super) fn new(encoding: Option<&'static Encoding>) -> Self {
        match encoding {
            Some(encoding) if encoding != encoding_rs::UTF_8 => {
                Decoder::Other(Box::new(encoding.new_decoder_without_bom_handling()))
            }
            _ => Decoder::Utf8(Utf8::default()),
        }
    }

    /// Decodes a piece; `sink` gets the text, perhaps in several parts.
    pub(super) fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(&str)) {
        match self {
            Decoder::Utf8(utf8) => utf8.push(bytes, sink),
            Decoder::Other(decoder) => {
                let mut text = String::new();
                decode(decoder, bytes, &mut text);
                sink(&text);
            }
        }
    }
}

fn decode(decoder: &mut encoding_rs::Decoder, mut bytes: &[u8], text: &mut String) {
    loop {
        let most = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
        text.reserve(most.unwrap_or(bytes.len()));
        let (result, read) = decoder.decode_to_string_without_replacement(bytes, text, false);
        bytes = &bytes[read..];
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => text.push('\u{FFFD}'),
        }
    }
}

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
    fn row_13_016_other_encodings_are_decoded_piece_by_piece() {
        for (label, bytes, whole) in [
            ("latin1", &b"caf\xe9 \x80"[..], "café €"),
            ("shift_jis", b"\x83\x65\x83X\x83g!", "テスト!"),
            ("euc-jp", b"a\xffb", "a\u{FFFD}b"),
            ("x-user-defined", b"a\xff", "a\u{F7FF}"),
        ] {
            for size in 1..=bytes.len() {
                let mut decoder = Decoder::new(Encoding::for_label(label.as_bytes()));
                let mut text = String::new();
                bytes.chunks(size).for_each(|piece| decoder.push(piece, |part| text.push_str(part)));
                assert_eq!(text, whole, "{label} in pieces of {size}");
            }
        }
    }

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
