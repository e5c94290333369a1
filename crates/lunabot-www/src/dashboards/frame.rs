//! How a template of the configuration comes to stand in the frame of the master's pages.
//!
//! `lunabot/page.html` writes its blocks one after the other behind a mark that nobody outside this process knows; when the
//! text comes back as a dashboard's answer, the parts go into the frame that fits who asks.

use std::sync::LazyLock;

/// Not to be guessed: what templates show may come from anywhere.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{1}{}\u{1}", uuid::Uuid::new_v4()));

/// The template that others extend.
pub fn source() -> String {
    let mark = &*MARK;
    format!(
        "{mark}{{% block title %}}{{% endblock %}}{mark}{{% block head %}}{{% endblock %}}{mark}\
         {{% block main %}}{{% block content %}}{{% endblock %}}{{% endblock %}}"
    )
}

/// What a dashboard shows, without a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// As HTML.
    pub title: &'a str,
    pub head: &'a str,
    pub main: &'a str,
}

/// The parts of an answer; `None`: it is a whole page, to be sent as it is.
pub fn parts(html: &str) -> Option<Parts<'_>> {
    if let Some(rest) = html.trim_start().strip_prefix(MARK.as_str()) {
        let mut parts = rest.splitn(3, MARK.as_str());
        let mut next = || parts.next().unwrap_or_default().trim();
        return Some(Parts { title: next(), head: next(), main: next() });
    }
    let start: String = html.trim_start().chars().take(9).collect::<String>().to_ascii_lowercase();
    let whole = start == "<!doctype" || start.starts_with("<html");
    (!whole).then_some(Parts { main: html, ..Parts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_framed_and_pages_are_not() {
        let mark = &*MARK;
        let text = format!("{mark} A &amp; B {mark}<style></style>{mark}<p>x</p>");
        assert_eq!(
            parts(&text),
            Some(Parts { title: "A &amp; B", head: "<style></style>", main: "<p>x</p>" })
        );
        assert_eq!(parts("<p>é</p>").unwrap().main, "<p>é</p>");
        assert_eq!(parts(" <!DOCTYPE html><html>"), None);
        assert_eq!(parts("<html>"), None);
        assert_eq!(parts(""), Some(Parts::default()));
    }
}
