//! Small helpers for the wording of messages.

use std::borrow::Cow;

/// Longest piece of a user's text that a message repeats, in characters.
const SHOWN: usize = 80;

/// The text itself, or its beginning with an ellipsis.
pub fn shortened(text: &str) -> Cow<'_, str> {
    shortened_to(SHOWN, text)
}

/// The same with another number of characters.
pub fn shortened_to(most: usize, text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// `45 s`, `1 m 12 s`, `2 h 5 m`, `3 d 4 h`: seconds as people read them.
pub fn duration(secs: i64) -> String {
    let secs = secs.max(0);
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, m) => format!("{m} m {} s", secs % 60),
        (0, h, m) => format!("{h} h {} m", m % 60),
        (d, h, _) => format!("{d} d {} h", h % 24),
    }
}
