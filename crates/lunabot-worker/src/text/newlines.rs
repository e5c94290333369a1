//! One newline for what terminals use to start a line over (row 13.018): CR LF, a CR before anything
//! else, cursor restore `ESC[u`, cursor position `ESC[r;cH` or `f`, clear screen `ESC[2J`, and a run of
//! backspaces. Plain text passes at the speed of `memchr`.

use memchr::memchr3;

const CR: u8 = b'\r';
const ESC: u8 = 0x1b;
const BS: u8 = 0x08;

/// Longest escape sequence that is waited for; a longer one is plain text.
const LONGEST_SEQUENCE: usize = 32;

/// What may still become a newline when more text comes.
#[derive(Debug, Default)]
pub(super) struct Newlines {
    /// A CR or an unfinished escape sequence at the end of the text so far.
    held: String,
    /// The text so far ended in backspaces: more of them belong to the same newline.
    backspaces: bool,
}

enum Sequence {
    /// So many bytes are one newline.
    Newline(usize),
    /// The first byte is plain text.
    Plain,
    /// More text has to decide.
    Open,
}

impl Newlines {
    /// Normalises a piece; `sink` gets the text, perhaps in several parts.
    pub(super) fn push(&mut self, text: &str, mut sink: impl FnMut(&str)) {
        if self.held.is_empty() && !self.backspaces {
            return self.scan(text, sink);
        }
        let joined = std::mem::take(&mut self.held) + text;
        let mut text = joined.as_str();
        if self.backspaces {
            text = text.trim_start_matches('\u{8}');
            self.backspaces = text.is_empty();
        }
        self.scan(text, &mut sink);
    }

    /// What was held at the end of the stream, as text; a lone CR at the very end is no text.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if held == "\r" { String::new() } else { held }
    }

    fn scan(&mut self, mut text: &str, mut sink: impl FnMut(&str)) {
        while let Some(at) = memchr3(CR, ESC, BS, text.as_bytes()) {
            let (plain, special) = text.split_at(at);
            match sequence(special.as_bytes()) {
                Sequence::Newline(length) => {
                    sink(plain);
                    sink("\n");
                    self.backspaces = length == special.len() && special.as_bytes()[0] == BS;
                    text = &special[length..];
                }
                Sequence::Plain => {
                    sink(&text[..=at]);
                    text = &special[1..];
                }
                Sequence::Open => {
                    sink(plain);
                    special.clone_into(&mut self.held);
                    return;
                }
            }
        }
        sink(text);
    }
}

fn sequence(bytes: &[u8]) -> Sequence {
    match bytes {
        [CR] => Sequence::Open,
        [CR, b'\n', ..] => Sequence::Newline(2),
        [CR, ..] => Sequence::Newline(1),
        [BS, ..] => Sequence::Newline(bytes.iter().take_while(|b| **b == BS).count()),
        [ESC] | [ESC, b'['] => Sequence::Open,
        [ESC, b'[', b'u', ..] => Sequence::Newline(3),
        [ESC, b'[', rest @ ..] => numbers(rest),
        _ => Sequence::Plain,
    }
}

/// Behind `ESC[`: `2J`, or two numbers with `H` or `f`.
fn numbers(rest: &[u8]) -> Sequence {
    let open = if rest.len() < LONGEST_SEQUENCE { Sequence::Open } else { Sequence::Plain };
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let row = digits(0);
    match rest.get(row) {
        None => open,
        Some(b'J') if &rest[..row] == b"2" => Sequence::Newline(4),
        Some(b';') if row > 0 => {
            let end = row + 1 + digits(row + 1);
            match rest.get(end) {
                None => open,
                Some(b'H' | b'f') if end > row + 1 => Sequence::Newline(end + 3),
                Some(_) => Sequence::Plain,
            }
        }
        Some(_) => Sequence::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalize(text: &str, size: usize) -> String {
        let (mut newlines, mut out) = (Newlines::default(), String::new());
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(size) {
            newlines.push(&piece.iter().collect::<String>(), |part| out.push_str(part));
        }
        out + &newlines.finish()
    }

    #[test]
    fn row_13_018_whatever_the_pieces() {
        for (text, expected) in [
            ("a\rb\rc\r\nd\u{8}\u{8}\u{8}e\x1b[2Jf\x1b[10;20Hg\x1b[uh\n", "a\nb\nc\nd\ne\nf\ng\nh\n"),
            ("a\r\r\nb\r\rc\n", "a\n\nb\n\nc\n"),
            ("a\r", "a"),
            ("\n\u{8}j", "\n\nj"),
            ("\x1b[1;3fx\x1b[1;Hy\x1b[;3Hz", "\nx\x1b[1;Hy\x1b[;3Hz"),
            ("\x1b[31mred\x1b[0m \x1b]x \x1b[2Kk", "\x1b[31mred\x1b[0m \x1b]x \x1b[2Kk"),
            ("end \x1b[12;", "end \x1b[12;"),
            ("é\r世", "é\n世"),
        ] {
            for size in [1, 2, 3, 5, 100] {
                assert_eq!(normalize(text, size), expected, "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn an_endless_sequence_is_not_held_for_ever() {
        let text = format!("\x1b[{}", "1".repeat(10_000));
        let (mut newlines, mut out) = (Newlines::default(), String::new());
        for piece in text.as_bytes().chunks(7) {
            newlines.push(std::str::from_utf8(piece).unwrap(), |part| out.push_str(part));
            assert!(newlines.held.len() <= 2 * LONGEST_SEQUENCE);
        }
        assert_eq!(out + &newlines.finish(), text);
    }
}
