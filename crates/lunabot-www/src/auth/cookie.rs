//! Cookies: reading those of a request, and making ours.

use axum::http::{HeaderMap, HeaderValue, header};
use lunabot_model::config::Config;

/// The session (10.018).
pub const SESSION: &str = "TWISTED_SESSION";
/// Cookies of one name that are looked at.
const MAX_SAME: usize = 4;

/// All values of a name; several come where cookies of several paths fit.
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value).take(MAX_SAME)
}

/// Where cookies of this master are sent back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The path of `buildbotURL`: masters behind one name do not end each other's sessions.
    path: String,
    /// The pages are reached by https.
    secure: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Scope { path: "/".into(), secure: false }
    }
}

impl Scope {
    pub fn of(config: &Config) -> Scope {
        let (scheme, rest) = config.buildbot_url.split_once("://").unwrap_or(("http", ""));
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ';' | ',' | '"');
        let path = if path.chars().all(plain) { path } else { "/" };
        Scope { path: path.to_owned(), secure: scheme.eq_ignore_ascii_case("https") }
    }

    /// A cookie for `seconds`; no script reads it, and no other site's form sends it. 0: it is taken away.
    pub fn set(&self, name: &str, value: &str, seconds: i64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let path = &self.path;
        let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_10_018_cookies_are_for_this_master_and_no_script() {
        let scope = |url: &str| Scope::of(&Config { buildbot_url: url.into(), ..Config::default() });
        assert_eq!(
            scope("http://ci:8010/").set("A", "b", 60),
            "A=b; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            scope("https://ci/main/").set("A", "b", 60),
            "A=b; Path=/main/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            scope("http://ci/x;Domain=evil/").set("A", "b", 0),
            "A=b; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn cookies_are_found_in_any_header_line() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; TWISTED_SESSION=x.y", "TWISTED_SESSION=z;b=2", "TWISTED_SESSIONS=no"] {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(values(&headers, SESSION).collect::<Vec<_>>(), ["x.y", "z"]);
    }
}
