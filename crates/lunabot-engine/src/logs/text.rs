//! One log's text on its way to the store: masked, in whole lines, prefixed, within its size limits.

use super::{Lines, Masker, Masks};

/// A channel of a log of type `s`; logs of other types have only content (13.002).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Stdout,
    Stderr,
    Header,
    /// Text and HTML logs: no prefix.
    Content,
}

impl Channel {
    const fn letter(self) -> Option<char> {
        match self {
            Channel::Stdout => Some('o'),
            Channel::Stderr => Some('e'),
            Channel::Header => Some('h'),
            Channel::Content => None,
        }
    }

    /// The channel of a stored line of a log of type `s`, and the line itself.
    pub(crate) fn of_stored(line: &str) -> (Self, &str) {
        let channel = match line.as_bytes().first() {
            Some(b'e') => Channel::Stderr,
            Some(b'h') => Channel::Header,
            _ => Channel::Stdout,
        };
        (channel, line.get(1..).unwrap_or_default())
    }
}

/// `logMaxSize` and `logMaxTailSize`, in bytes (13.015).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeLimits {
    pub max: Option<u64>,
    pub tail: u64,
}

/// The text of one log.
#[derive(Debug, Default)]
pub struct LogText {
    streams: [Stream; 4],
    limits: SizeLimits,
    stored: u64,
    /// The newest lines past the limit, as they would have been stored.
    tail: String,
    cut: bool,
}

#[derive(Debug, Default)]
struct Stream {
    masker: Masker,
    lines: Lines,
}

impl LogText {
    pub fn new(limits: SizeLimits) -> Self {
        LogText { limits, ..LogText::default() }
    }

    /// Adds what is to be stored of `text` to `out`; `seen` gets the whole lines of it, also those past the limits.
    pub fn push(
        &mut self,
        masks: &Masks,
        channel: Channel,
        text: &str,
        out: &mut String,
        seen: &mut impl FnMut(Channel, &str),
    ) {
        // Out of its place for the moment, so that its lines can be stored without a copy.
        let mut stream = std::mem::take(&mut self.streams[channel as usize]);
        let shown = stream.masker.push(masks, text);
        let lines = stream.lines.push(&shown);
        seen(channel, &lines);
        self.store(channel, &lines, out);
        drop(lines);
        self.streams[channel as usize] = stream;
    }

    /// Adds what remains: unfinished lines and, of a cut log, its tail.
    pub fn finish(&mut self, masks: &Masks, out: &mut String, seen: &mut impl FnMut(Channel, &str)) {
        self.end_lines(masks, out, seen);
        if self.cut {
            out.push_str(&std::mem::take(&mut self.tail));
        }
    }

    /// Adds unfinished lines.
    pub fn end_lines(&mut self, masks: &Masks, out: &mut String, seen: &mut impl FnMut(Channel, &str)) {
        for channel in [Channel::Stdout, Channel::Stderr, Channel::Header, Channel::Content] {
            let stream = &mut self.streams[channel as usize];
            let rest = stream.masker.finish(masks);
            let mut lines = stream.lines.push(&rest).into_owned();
            lines.push_str(&stream.lines.finish());
            seen(channel, &lines);
            self.store(channel, &lines, out);
        }
    }

    fn store(&mut self, channel: Channel, lines: &str, out: &mut String) {
        if lines.is_empty() {
            return;
        }
        let limit = self.limits.max.filter(|_| matches!(channel, Channel::Stdout | Channel::Stderr));
        if limit.is_none_or(|max| self.stored + lines.len() as u64 <= max) && !(self.cut && limit.is_some()) {
            self.stored += lines.len() as u64;
            prefix(channel, lines, out);
            return;
        }
        let lines = if self.cut { lines } else { self.head(channel, lines, out) };
        if !self.cut {
            self.cut = true;
            let note = format!(
                "output exceeds logMaxSize ({} bytes): the rest is left out, except its end\n",
                self.limits.max.unwrap_or_default()
            );
            prefix(Channel::Header, &note, out);
        }
        prefix(channel, lines, &mut self.tail);
        self.shorten_tail();
    }

    /// Keeps what still fits of the piece that crosses the limit; gives the rest. A line is cut only where none fits whole.
    fn head<'t>(&mut self, channel: Channel, lines: &'t str, out: &mut String) -> &'t str {
        let room = self.limits.max.unwrap_or(u64::MAX).saturating_sub(self.stored);
        let most = lines.floor_char_boundary(usize::try_from(room).unwrap_or(usize::MAX));
        let whole = lines[..most].rfind('\n').map(|at| at + 1);
        let at = whole.unwrap_or(if self.stored == 0 { most } else { 0 });
        let (head, rest) = lines.split_at(at);
        self.stored += head.len() as u64;
        prefix(channel, head, out);
        if !head.is_empty() && !head.ends_with('\n') {
            out.push('\n');
        }
        rest
    }

    fn shorten_tail(&mut self) {
        let most = usize::try_from(self.limits.tail).unwrap_or(usize::MAX);
        let Some(excess) = self.tail.len().checked_sub(most).filter(|excess| *excess > 0) else { return };
        let from = self.tail.as_bytes()[excess - 1..].iter().position(|byte| *byte == b'\n');
        self.tail.drain(..from.map_or(self.tail.len(), |at| excess + at));
    }
}

fn prefix(channel: Channel, lines: &str, out: &mut String) {
    let Some(letter) = channel.letter() else {
        out.push_str(lines);
        return;
    };
    out.reserve(lines.len() + lines.len() / 32 + 2);
    for line in lines.split_inclusive('\n') {
        out.push(letter);
        out.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_13_002_every_line_has_its_channel_and_channels_do_not_mix_in_a_line() {
        let (mut log, masks, mut out) = (LogText::default(), Masks::default(), String::new());
        log.push(&masks, Channel::Header, "one\ntwo\n", &mut out, &mut |_, _| {});
        log.push(&masks, Channel::Stdout, "par", &mut out, &mut |_, _| {});
        log.push(&masks, Channel::Stderr, "oops\n", &mut out, &mut |_, _| {});
        log.push(&masks, Channel::Stdout, "tial\nrest", &mut out, &mut |_, _| {});
        log.finish(&masks, &mut out, &mut |_, _| {});
        assert_eq!(out, "hone\nhtwo\neoops\nopartial\norest\n");
    }

    #[test]
    fn row_13_015_a_log_past_its_limit_keeps_head_headers_and_tail() {
        let limits = SizeLimits { max: Some(8), tail: 9 };
        let (mut log, masks, mut out) = (LogText::new(limits), Masks::default(), String::new());
        for line in ["1234567\n", "cut\n", "cut too\n", "last\n"] {
            log.push(&masks, Channel::Stdout, line, &mut out, &mut |_, _| {});
        }
        log.push(&masks, Channel::Header, "exit 0\n", &mut out, &mut |_, _| {});
        log.finish(&masks, &mut out, &mut |_, _| {});
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((lines[0], lines[2], lines[3], lines.len()), ("o1234567", "hexit 0", "olast", 4));
    }

    #[test]
    fn row_13_015_the_piece_that_crosses_the_limit_is_cut_where_it_does() {
        for (before, piece, head, tail) in [
            ("", "one\ntwo\nthree\nfour\n", vec!["oone", "otwo"], vec!["ofour"]),
            ("one\n", "two\nthree\nfour\n", vec!["oone", "otwo"], vec!["ofour"]),
            ("one\ntwo\n", "three\nfour\n", vec!["oone", "otwo"], vec!["ofour"]),
            ("", "ééééééééé\nfour\n", vec!["oéééé"], vec!["ofour"]),
            ("one\n", "too long for it\nfour\n", vec!["oone"], vec!["ofour"]),
        ] {
            let limits = SizeLimits { max: Some(9), tail: 7 };
            let (mut log, masks, mut out) = (LogText::new(limits), Masks::default(), String::new());
            for text in [before, piece] {
                log.push(&masks, Channel::Stdout, text, &mut out, &mut |_, _| {});
            }
            log.finish(&masks, &mut out, &mut |_, _| {});
            let lines: Vec<&str> = out.lines().collect();
            let note = lines.iter().position(|line| line.starts_with("houtput exceeds")).unwrap();
            assert_eq!((&lines[..note], &lines[note + 1..]), (&head[..], &tail[..]), "{before:?} {piece:?}");
        }
    }
}
