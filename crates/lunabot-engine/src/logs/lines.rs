//! Whole lines out of any pieces of text (reference 13.003, 13.018, 13.019).

use regex::Regex;
use std::borrow::Cow;
use std::sync::OnceLock;

/// A pending line longer than this is given out in pieces of this many characters (13.019).
pub const LONGEST_PENDING: usize = 4096;

/// Collects one channel's text and gives out whole lines.
#[derive(Debug, Default)]
pub struct Lines {
    pending: String,
}

/// What moves the cursor and so ends a line in effect (13.018).
fn moves() -> &'static Regex {
    static MOVES: OnceLock<Regex> = OnceLock::new();
    MOVES.get_or_init(|| {
        let pattern = r"\r\n|\r|\x1b\[u|\x1b\[[0-9]+;[0-9]+[Hf]|\x1b\[2J|\x08+";
        Regex::new(pattern).expect("a constant pattern")
    })
}

impl Lines {
    /// Takes text; gives the lines that are complete now, each with its newline.
    pub fn push<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        if self.pending.is_empty() && text.ends_with('\n') && is_plain(text) {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        if self.pending.len() > LONGEST_PENDING {
            split_long(&std::mem::take(&mut self.pending), &mut out);
        }
        self.pending.push_str(text);
        let text = std::mem::take(&mut self.pending);
        // A carriage return at the very end may be half of a line end: it waits.
        let settled = text.trim_end_matches('\r').len();
        let normal = normalise(&text[..settled]);
        let end = normal.rfind('\n').map_or(0, |at| at + 1);
        out.push_str(&normal[..end]);
        self.pending.push_str(&normal[end..]);
        self.pending.push_str(&text[settled..]);
        Cow::Owned(out)
    }

    /// The unfinished line, ended (13.003).
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.pending);
        let mut out = String::new();
        let rest = normalise(&rest).trim_end_matches('\n').to_string();
        if !rest.is_empty() {
            split_long(&rest, &mut out);
        }
        out
    }
}

fn is_plain(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'\r' | 0x1b | 0x08))
}

fn normalise(text: &str) -> Cow<'_, str> {
    if is_plain(text) { Cow::Borrowed(text) } else { moves().replace_all(text, "\n") }
}

/// A long line as several; those but the last hold exactly [`LONGEST_PENDING`] characters.
fn split_long(line: &str, out: &mut String) {
    for (count, character) in line.chars().enumerate() {
        if count > 0 && count % LONGEST_PENDING == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&str]) -> String {
        let mut lines = Lines::default();
        let mut out: String = pieces.iter().map(|piece| lines.push(piece).into_owned()).collect();
        out.push_str(&lines.finish());
        out
    }

    #[test]
    fn row_13_003_lines_are_whole_and_the_last_is_ended() {
        let mut lines = Lines::default();
        assert_eq!(lines.push("a\nb"), "a\n");
        assert_eq!(lines.push("c\n"), "bc\n");
        assert_eq!(lines.push("d"), "");
        assert_eq!(lines.finish(), "d\n");
        assert_eq!(lines.finish(), "");
    }

    #[test]
    fn row_13_018_cursor_movements_end_lines() {
        for (pieces, want) in [
            (&["a\rb"][..], "a\nb\n"),
            (&["a\r\nb\r\n"], "a\nb\n"),
            (&["a\r", "\nb\n"], "a\nb\n"),
            (&["a\r", "b\n"], "a\nb\n"),
            (&["1%\x08\x082%\n"], "1%\n2%\n"),
            (&["x\x1b[uy\x1b[2Jz\x1b[10;2Hw\x1b[3;4fv\n"], "x\ny\nz\nw\nv\n"),
            (&["end\r"], "end\n"),
        ] {
            assert_eq!(all(pieces), want, "{pieces:?}");
        }
    }

    #[test]
    fn row_13_019_a_long_unfinished_line_is_given_out_in_pieces() {
        let piece = "x".repeat(5000);
        let out = all(&[&piece, &piece]);
        let lengths: Vec<usize> = out.lines().map(str::len).collect();
        assert_eq!(lengths, [4096, 904, 4096, 904]);
        let whole = format!("{piece}\n");
        assert_eq!(all(&[&whole]), whole);
    }
}
