//! Small helpers for the wording of messages.

/// Longest piece of a user's text that a message repeats, in characters.
const SHOWN: usize = 80;

/// The text itself, or its beginning with an ellipsis.
pub fn shortened(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
