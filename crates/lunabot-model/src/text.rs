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
