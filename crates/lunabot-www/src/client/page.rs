//! The client's page: where its settings and colours go.

use lunabot_model::Json;
use std::collections::BTreeMap;

/// Marks in the page, as Buildbot 4.3 has them.
const SETTINGS: &str = "<!-- BUILDBOT_CONFIG_PLACEHOLDER -->";
const THEME_BEGINS: &str = "<!-- BUILDBOT_THEME_CSS_PLACEHOLDER_BEGIN -->";
const THEME_ENDS: &str = "<!-- BUILDBOT_THEME_CSS_PLACEHOLDER_END -->";

/// Why a page cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A mark is missing.
    Page,
    /// This variable of the theme is no text for a style sheet.
    Theme(String),
}

/// The page around the place of the settings, in the colours of the theme.
pub fn split(html: &str, theme: &BTreeMap<String, String>) -> Result<(String, String), Wrong> {
    let (before, after) = html.split_once(SETTINGS).ok_or(Wrong::Page)?;
    let (before, after) = (colour(before, theme)?, colour(after, theme)?);
    Ok((before, after))
}

/// The theme's variables win over those that the page brings.
fn colour(html: &str, theme: &BTreeMap<String, String>) -> Result<String, Wrong> {
    let Some((before, rest)) = html.split_once(THEME_BEGINS) else { return Ok(html.to_owned()) };
    let (own, after) = rest.split_once(THEME_ENDS).ok_or(Wrong::Page)?;
    if theme.is_empty() {
        return Ok(format!("{before}{own}{after}"));
    }
    let mut css = String::new();
    for (name, value) in theme {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !name.chars().all(plain) || value.contains([';', '{', '}', '<', '>']) {
            return Err(Wrong::Theme(name.clone()));
        }
        css.push_str(&format!("--{}: {value};", name.trim_start_matches('-')));
    }
    Ok(format!("{before}{own}<style>:root {{{css}}}</style>{after}"))
}

/// A script that gives the client its settings, whatever texts they hold.
pub fn script(settings: &Json) -> String {
    let text = settings
        .to_string()
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    format!("\n    window.buildbotFrontendConfig = {text};\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_10_011_settings_and_colours_have_their_places() {
        let html = format!("<a>{THEME_BEGINS}<style>own</style>{THEME_ENDS}<b> {SETTINGS}<c>");
        let theme = BTreeMap::from([("bb-sidebar-title-text-color".to_owned(), "#123456".to_owned())]);
        let (before, after) = split(&html, &theme).unwrap();
        assert_eq!(
            before,
            "<a><style>own</style><style>:root {--bb-sidebar-title-text-color: #123456;}</style><b> "
        );
        assert_eq!(after, "<c>");
        assert_eq!(split(&html, &BTreeMap::new()).unwrap().0, "<a><style>own</style><b> ");
        assert_eq!(split("<html>", &theme), Err(Wrong::Page));
        let evil = BTreeMap::from([("x".to_owned(), "red}</style>".to_owned())]);
        assert_eq!(split(&html, &evil), Err(Wrong::Theme("x".into())));
    }

    #[test]
    fn no_title_ends_the_script() {
        let script = script(&json!({"title": "</script><script>alert(1)\u{2028}"}));
        assert!(!script.contains("</") && !script.contains('\u{2028}'), "{script}");
    }
}
