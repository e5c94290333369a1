//! Output of one channel to whole lines (rows 13.003, 13.017 to 13.019). Memory is bounded by the piece
//! that comes in and the longest line allowed; text that is too long for one line is cut, never lost.

use super::{decode::Decoder, newlines::Newlines};
use encoding_rs::Encoding;
use memchr::{memchr_iter, memrchr};

/// One channel's unfinished business.
#[derive(Debug)]
pub(crate) struct Lines {
    decoder: Decoder,
    newlines: Newlines,
    cutter: Cutter,
}

impl Lines {
    /// `max` is the longest line in characters; without an encoding, output is UTF-8.
    pub(crate) fn new(max: usize, encoding: Option<&'static Encoding>) -> Self {
        let cutter = Cutter { max: max.max(1), pending: String::new(), pending_chars: 0 };
        Self { decoder: Decoder::new(encoding), newlines: Newlines::default(), cutter }
    }

    /// Takes a piece of output, returns the lines that it completes (perhaps none).
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(bytes.len() + self.cutter.pending.len());
        let Self { decoder, newlines, cutter } = self;
        decoder.push(bytes, |text| newlines.push(text, |text| cutter.push(text, &mut out)));
        out
    }

    /// The unfinished last line, ended.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let mut out = String::new();
        let held = self.newlines.finish();
        self.cutter.push(&held, &mut out);
        let rest = std::mem::take(&mut self.cutter.pending);
        self.cutter.pending_chars = 0;
        if !rest.is_empty() {
            out.push_str(&rest);
            out.push('\n');
        }
        (!out.is_empty()).then_some(out)
    }
}

#[derive(Debug)]
struct Cutter {
    max: usize,
    pending: String,
    pending_chars: usize,
}

impl Cutter {
    fn push(&mut self, text: &str, out: &mut String) {
        let Some(last) = memrchr(b'\n', text.as_bytes()) else { return self.hold(text, out) };
        let (mut whole, rest) = text.split_at(last + 1);
        if !self.pending.is_empty() {
            let first = whole.find('\n').map_or(whole.len(), |at| at + 1);
            self.hold(&whole[..first - 1], out);
            out.push_str(&self.pending);
            out.push('\n');
            self.pending.clear();
            self.pending_chars = 0;
            whole = &whole[first..];
        }
        self.cut(whole, out);
        self.hold(rest, out);
    }

    /// Copies whole lines, cutting those that are too long.
    fn cut(&mut self, whole: &str, out: &mut String) {
        let (mut copied, mut start) = (0, 0);
        for end in memchr_iter(b'\n', whole.as_bytes()) {
            // Bytes are a cheap upper bound of characters.
            if end - start > self.max {
                out.push_str(&whole[copied..start]);
                self.hold(&whole[start..end], out);
                out.push_str(&std::mem::take(&mut self.pending));
                self.pending_chars = 0;
                copied = end;
            }
            start = end + 1;
        }
        out.push_str(&whole[copied..]);
    }

    /// Adds to the unfinished line; pieces of full length leave it.
    fn hold(&mut self, mut text: &str, out: &mut String) {
        while text.len() > self.max.saturating_sub(self.pending_chars) {
            let room = self.max - self.pending_chars;
            let Some((at, _)) = text.char_indices().nth(room) else { break };
            out.push_str(&self.pending);
            out.push_str(&text[..at]);
            out.push('\n');
            self.pending.clear();
            self.pending_chars = 0;
            text = &text[at..];
        }
        self.pending.push_str(text);
        self.pending_chars += text.chars().count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(max: usize, text: &[u8], size: usize) -> (String, Option<String>) {
        let mut lines = Lines::new(max, None);
        let out = text.chunks(size).map(|piece| lines.push(piece)).collect();
        (out, lines.finish())
    }

    #[test]
    fn only_whole_lines_come_out_whatever_the_pieces() {
        for (max, text, out, rest) in [
            (10, "a\nb\nc", "a\nb\n", Some("c\n")),
            (10, "a\n\n\n", "a\n\n\n", None),
            (4, "abcd\nabcde\nab\n", "abcd\nabcd\ne\nab\n", None),
            (4, "abcdefghijk", "abcd\nefgh\n", Some("ijk\n")),
            (4, "abcd", "", Some("abcd\n")),
            (3, "éèê\néèêë\n世界世界", "éèê\néèê\në\n世界世\n", Some("界\n")),
            (10, "x\r\ny\r", "x\n", Some("y\n")),
            (1, "abc\n", "a\nb\nc\n", None),
        ] {
            for size in [1, 2, 3, 7, 100] {
                let (got, last) = split(max, text.as_bytes(), size);
                assert_eq!((got.as_str(), last.as_deref()), (out, rest), "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_line_of_ten_thousand_loses_nothing() {
        let text = "x".repeat(10_000) + "\nafter\n";
        let (out, rest) = split(4096, text.as_bytes(), 3000);
        let lengths: Vec<_> = out.lines().map(str::len).collect();
        assert_eq!((lengths, rest), (vec![4096, 4096, 1808, 5], None));
    }

    #[test]
    fn a_flood_without_newlines_stays_bounded() {
        let mut lines = Lines::new(4096, None);
        for _ in 0..100 {
            lines.push(&[b'x'; 65_536]);
            assert!(lines.cutter.pending.len() <= 4096);
        }
    }
}
