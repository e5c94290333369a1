//! The client's page: where its settings and colours go.

use lunabot_model::Json;
use lunabot_model::kind::nearest;
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
    /// The page knows no such variable; the one that may be meant.
    Unknown(String, Option<String>),
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
    let known: Vec<&str> = variables(own).collect();
    let mut css = String::new();
    for (name, value) in theme {
        let bare = name.trim_start_matches('-');
        if !known.is_empty() && !known.contains(&bare) {
            return Err(Wrong::Unknown(name.clone(), nearest(bare, known).map(str::to_owned)));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !name.chars().all(plain) || value.contains([';', '{', '}', '<', '>']) {
            return Err(Wrong::Theme(name.clone()));
        }
        css.push_str(&format!("--{bare}: {value};"));
    }
    Ok(format!("{before}{own}<style>:root {{{css}}}</style>{after}"))
}

/// What a style sheet sets: `--NAME: value;`.
fn variables(css: &str) -> impl Iterator<Item = &str> {
    css.split("--").skip(1).filter_map(|rest| Some(rest.split_once(':')?.0.trim()))
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
        let html = html.replace("own", ":root { --bb-title-color: red; --bb-link: blue; }");
        let misspelt = BTreeMap::from([("bb-title-colour".to_owned(), "red".to_owned())]);
        let near = Some("bb-title-color".to_owned());
        assert_eq!(split(&html, &misspelt), Err(Wrong::Unknown("bb-title-colour".into(), near)));
        let good = BTreeMap::from([("--bb-link".to_owned(), "red".to_owned())]);
        assert!(split(&html, &good).unwrap().0.contains("<style>:root {--bb-link: red;}</style>"));
    }

    #[test]
    fn no_title_ends_the_script() {
        let script = script(&json!({"title": "</script><script>alert(1)\u{2028}"}));
        assert!(!script.contains("</") && !script.contains('\u{2028}'), "{script}");
    }
}
