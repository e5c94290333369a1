//! Conditional requests and parts: what a client has already, and which bytes it wants.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use std::ops::RangeInclusive;

/// Whether one of the tags in `name` is this one; strong and weak ones count alike.
pub fn matches(headers: &HeaderMap, name: HeaderName, tag: &str) -> bool {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one).trim_matches('"') == tag
    })
}

/// Whether the client takes bodies that are packed by gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        let refused =
            quality.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// What `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All: nothing else was asked, or in a way that may be ignored.
    Whole,
    Part(RangeInclusive<u64>),
    /// Bytes that are not there.
    Beyond,
}

/// Reads `Range` for a body of `total` bytes. Several parts at once are answered with the whole.
pub fn range(value: Option<&HeaderValue>, total: u64) -> Wanted {
    let Some(text) = value.and_then(|value| value.to_str().ok()) else { return Wanted::Whole };
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|part| part.split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| match text.trim() {
        text if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u64>().ok(),
        _ => None,
    };
    match (first.trim(), last.trim()) {
        ("", count) => match number(count) {
            Some(0) => Wanted::Beyond,
            Some(_) if total == 0 => Wanted::Beyond,
            Some(count) => Wanted::Part(total.saturating_sub(count)..=total - 1),
            None => Wanted::Whole,
        },
        (first, last) => match (number(first), last, number(last)) {
            (Some(first), _, _) if first >= total && !last.contains(',') => Wanted::Beyond,
            (Some(first), "", _) => Wanted::Part(first..=total - 1),
            (Some(first), _, Some(last)) if first <= last => Wanted::Part(first..=last.min(total - 1)),
            _ => Wanted::Whole,
        },
    }
}

/// Whether the part is still of what the client knows: `If-Range` with a tag, or nothing of the kind.
pub fn still(headers: &HeaderMap, tag: &str) -> bool {
    !headers.contains_key(header::IF_RANGE) || matches(headers, header::IF_RANGE, tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_named_and_not_refused() {
        for (text, taken) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("deflate", false),
            ("gzip;q=0", false),
            ("gzip; q=0.00, br", false),
            ("x-gzip", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]);
            assert_eq!(takes_gzip(&headers), taken, "{text}");
        }
    }

    #[test]
    fn parts_of_ten_bytes() {
        let ask = |text: &'static str| range(Some(&HeaderValue::from_static(text)), 10);
        for (text, wanted) in [
            ("bytes=0-3", Wanted::Part(0..=3)),
            ("bytes=4-", Wanted::Part(4..=9)),
            ("bytes=-3", Wanted::Part(7..=9)),
            ("bytes=-30", Wanted::Part(0..=9)),
            ("bytes=5-99", Wanted::Part(5..=9)),
            ("bytes=9-9", Wanted::Part(9..=9)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=99999999999999999999-", Wanted::Whole),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=", Wanted::Whole),
        ] {
            assert_eq!(ask(text), wanted, "{text}");
        }
        assert_eq!(range(None, 10), Wanted::Whole);
        assert_eq!(range(Some(&HeaderValue::from_static("bytes=-1")), 0), Wanted::Beyond);
        assert_eq!(range(Some(&HeaderValue::from_static("bytes=0-")), 0), Wanted::Beyond);
    }

    #[test]
    fn tags_are_found_in_lists() {
        let headers = |text: &'static str| {
            HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(text))])
        };
        let ask = |text| matches(&headers(text), header::IF_NONE_MATCH, "a-1");
        assert!(ask("\"a-1\"") && ask("\"x\", W/\"a-1\"") && ask("*"));
        assert!(!ask("\"a-11\"") && !ask(""));
    }
}
