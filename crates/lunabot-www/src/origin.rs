//! Which web pages may talk to the API from a browser (09.056), and which may act.
//!
//! Allowed are the globs of `allowed_origins`, by default the origin of `buildbotURL`; besides, a page that was
//! loaded from this very server under an IP address or `localhost`. The latter is safe against rebinding of DNS names,
//! which a comparison of Origin and Host alone would not be.

use crate::site::Site;
use axum::http::{HeaderMap, header};
use std::net::IpAddr;

/// What a request's headers say about where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Origin {
    /// No browser, or a plain same-origin GET.
    None,
    /// Lower-cased, to be echoed.
    Allowed(String),
    Refused,
}

pub fn origin(site: &Site, headers: &HeaderMap) -> Origin {
    let Some(value) = headers.get(header::ORIGIN) else { return Origin::None };
    let Ok(origin) = value.to_str().map(str::to_lowercase) else { return Origin::Refused };
    let listed = match &site.www.allowed_origins {
        Some(globs) => globs.0.iter().any(|glob| glob_matches(&glob.to_lowercase(), &origin)),
        None => own_origin(&site.url) == Some(origin.clone()),
    };
    if listed || same_literal_host(&origin, headers) { Origin::Allowed(origin) } else { Origin::Refused }
}

/// Whether a form may act: sent by a page of ours, or by no browser at all.
pub fn may_act(site: &Site, headers: &HeaderMap) -> bool {
    match origin(site, headers) {
        Origin::Allowed(_) => true,
        Origin::Refused => false,
        Origin::None => {
            let from = headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes);
            matches!(from, None | Some(b"same-origin" | b"none"))
        }
    }
}

/// Whether a WebSocket may be opened: pages of this very server may, under whatever name it was reached, as they read over
/// REST without telling an origin.
pub fn may_listen(site: &Site, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_lowercase);
    match origin(site, headers) {
        Origin::None | Origin::Allowed(_) => true,
        Origin::Refused => {
            let from =
                headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
            let theirs = from.split_once("://").map(|(_, host)| host.to_lowercase());
            theirs.is_some() && theirs == host
        }
    }
}

/// `http://host:port` of a URL; ports that the scheme implies are left out, as browsers do.
fn own_origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?.to_lowercase();
    let scheme = scheme.to_lowercase();
    let implied = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(implied).filter(|_| !implied.is_empty()).unwrap_or(&host);
    Some(format!("{scheme}://{host}"))
}

fn same_literal_host(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default().to_lowercase();
    let Some((_, theirs)) = origin.split_once("://") else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => &host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    theirs == host && (literal == "localhost" || literal.parse::<IpAddr>().is_ok())
}

/// Shell pattern with `*` and `?`; linear in practice, quadratic at worst, on short texts.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    g = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn origins_09_056() {
        let mut site = Site { url: "http://ci.example.org:80/".into(), ..Site::default() };
        let ask = |site: &Site, origin: &str, host: &str| {
            super::origin(site, &headers(&[("origin", origin), ("host", host)])) != Origin::Refused
        };
        assert!(ask(&site, "http://CI.example.org", "ci.example.org"));
        assert!(!ask(&site, "http://evil.example", "evil.example"), "a rebound name is no proof");
        assert!(!ask(&site, "null", "ci.example.org"));
        assert!(ask(&site, "http://127.0.0.1:8010", "127.0.0.1:8010"));
        assert!(ask(&site, "http://localhost:8010", "localhost:8010"));
        assert!(ask(&site, "http://[::1]:8010", "[::1]:8010"));
        assert!(!ask(&site, "http://127.0.0.1:9999", "127.0.0.1:8010"));
        site.www.allowed_origins = Some(lunabot_model::StringOrList(vec!["https://*.example.org".into()]));
        assert!(
            ask(&site, "https://x.example.org", "other") && !ask(&site, "http://ci.example.org", "other")
        );
    }

    #[test]
    fn events_are_for_our_own_pages_under_any_name() {
        let site = Site { url: "http://ci/".into(), ..Site::default() };
        let ask = |origin: &str| may_listen(&site, &headers(&[("origin", origin), ("host", "CI.lan:8010")]));
        assert!(ask("http://ci") && ask("http://ci.lan:8010"));
        assert!(!ask("http://evil") && !ask("null") && !ask("http://ci.lan"));
    }

    #[test]
    fn forms_act_only_from_our_own_pages() {
        let site = Site { url: "http://ci/".into(), ..Site::default() };
        assert!(may_act(&site, &headers(&[])));
        assert!(may_act(&site, &headers(&[("sec-fetch-site", "same-origin")])));
        assert!(!may_act(&site, &headers(&[("sec-fetch-site", "cross-site")])));
        assert!(!may_act(&site, &headers(&[("origin", "http://evil")])));
    }
}
