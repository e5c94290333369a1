//! The forms in which a secret may appear besides its own: as programs and formats write it (04.039).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use lunabot_proto::python::shown_bytes;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeSet;

/// Encoded parts shorter than this many characters could be anything.
const SHORTEST_PART: usize = 6;
/// Lines of a secret shorter than this many bytes are not masked by themselves.
const SHORTEST_LINE: usize = 8;
/// Secrets longer than this many bytes, such as keys, are known in fewer forms: all of them together are in memory for
/// each build.
const LONG: usize = 1024;
/// Secrets longer than this many bytes are masked in their own form, and line by line, only.
const LONGEST_ENCODED: usize = 64 * 1024;
/// Columns at which programs break lines of base64: `base64`, `openssl`.
const COLUMNS: [usize; 2] = [76, 64];

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');
/// What libraries that follow the URL Standard encode, in a query and in a path.
const URL_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');
const URL_PATH: &AsciiSet = &URL_QUERY.remove(b'\'').add(b'?').add(b'^').add(b'`').add(b'{').add(b'}');

/// All forms of `value`, itself included; none of a blank one.
pub fn forms(value: &str) -> BTreeSet<String> {
    if value.trim().is_empty() {
        return BTreeSet::new();
    }
    let mut all = BTreeSet::from([value.to_string(), value.trim().to_string()]);
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    all.extend(lines.map(str::to_string));
    if value.len() <= LONG {
        for value in [value, value.trim()] {
            percent(value, &mut all);
            escaped(value, &mut all);
            base64(value.as_bytes(), &mut all);
        }
    } else if value.len() <= LONGEST_ENCODED {
        long(value.trim(), &mut all);
    }
    all.retain(|form| !form.trim().is_empty());
    all
}

/// A key: on one line, percent-encoded, and in base64 by itself.
fn long(value: &str, all: &mut BTreeSet<String>) {
    all.insert(with_breaks_escaped(value));
    all.insert(utf8_percent_encode(value, UNRESERVED).to_string());
    let encoded = STANDARD.encode(value);
    all.extend(COLUMNS.iter().flat_map(|columns| lines_of(&encoded, *columns)));
    all.insert(encoded);
}

/// Base64 as programs break it into lines; none that are short.
fn lines_of(encoded: &str, columns: usize) -> impl Iterator<Item = String> {
    // Digits of base64 are ASCII.
    let lines = encoded.as_bytes().chunks(columns).filter_map(|line| std::str::from_utf8(line).ok());
    lines.filter(|line| line.len() >= SHORTEST_PART).map(str::to_string)
}

fn with_breaks_escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

fn percent(value: &str, all: &mut BTreeSet<String>) {
    for set in [UNRESERVED, PATH, URL_QUERY, URL_PATH] {
        let upper = utf8_percent_encode(value, set).to_string();
        // Forms write a blank as a plus sign.
        all.insert(upper.replace("%20", "+"));
        all.insert(lower_hex(&upper));
        all.insert(upper);
    }
}

/// `%2F` as some programs write it: `%2f`.
fn lower_hex(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    let mut digits = 0u8;
    for c in encoded.chars() {
        out.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2 } else { digits.saturating_sub(1) };
    }
    out
}

/// Text inside of HTML. All that is escaped here is escaped so: in other forms masks would not find a secret.
pub(crate) fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON, Python's texts and bytes, a shell's quotes, HTML.
fn escaped(value: &str, all: &mut BTreeSet<String>) {
    let breaks = with_breaks_escaped(value);
    all.insert(breaks.replace('"', "\\\""));
    all.insert(breaks.replace('\'', "\\'"));
    all.insert(shown_bytes(value.as_bytes()));
    all.insert(value.replace('\'', "'\"'\"'"));
    all.insert(value.replace('\'', "'\\''"));
    let html = html(value);
    all.insert(html.replace('"', "&quot;"));
    all.insert(html);
    all.insert(breaks);
}

/// Base64 of the value, alone and inside of something longer, as in `user:password`: for each of the three ways its
/// bytes may fall into groups, the digits that depend on them alone; and the same to the end, where it ends there.
fn base64(value: &[u8], all: &mut BTreeSet<String>) {
    let mut add = |part: &str| {
        if part.len() >= SHORTEST_PART {
            all.insert(part.to_string());
        }
    };
    for engine in [&STANDARD, &URL_SAFE] {
        for before in 0..3 {
            let padded = [&[0; 3][..before], value].concat();
            let encoded = engine.encode(&padded);
            let from = (before * 8).div_ceil(6);
            let whole = padded.len() * 8 / 6;
            add(&encoded[from.min(whole)..whole]);
            add(&encoded[from..]);
        }
        let encoded = engine.encode(value);
        let broken = COLUMNS.into_iter().filter(|columns| encoded.len() > *columns);
        broken.flat_map(|columns| lines_of(&encoded, columns)).for_each(|line| add(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_04_039_a_secret_is_known_in_each_of_its_forms() {
        let known = forms("it's a/b \"ü\"\n");
        for form in [
            "it's a/b \"ü\"",
            "it%27s%20a%2Fb%20%22%C3%BC%22",
            "it%27s%20a%2fb%20%22%c3%bc%22",
            "it%27s+a%2Fb+%22%C3%BC%22",
            "it%27s%20a/b%20%22%C3%BC%22",
            "it's a/b \\\"ü\\\"\\n",
            "it\\'s a/b \"ü\"",
            "it's a/b \"\\xc3\\xbc\"\\n",
            "it'\"'\"'s a/b \"ü\"",
            "it's a/b &quot;ü&quot;",
            "aXQncyBhL2IgIsO8Ig==",
        ] {
            assert!(known.contains(form), "{form}: {known:#?}");
        }
    }

    #[test]
    fn row_04_039_base64_is_known_wherever_the_secret_lies() {
        let secret = "s3cr3t-\u{fffd}?>";
        let known = forms(secret);
        for before in ["", "u", "us", "use", "user:"] {
            for after in ["", "!", "!!", "!!!"] {
                for engine in [&STANDARD, &URL_SAFE] {
                    let encoded = engine.encode(format!("{before}{secret}{after}"));
                    let longest = known.iter().filter(|form| encoded.contains(*form)).map(String::len).max();
                    // All but the digits it shares with its neighbours.
                    assert!(longest.is_some_and(|length| length >= secret.len() * 8 / 6 - 1), "{encoded}");
                }
            }
        }
    }

    #[test]
    fn row_04_039_long_secrets_are_known_line_by_line() {
        let key = format!(
            "-----BEGIN KEY-----\n{}\nshort\n{}\n-----END KEY-----\n",
            "Ab3".repeat(20),
            "Zy9".repeat(21)
        );
        let known = forms(&key);
        assert!(known.contains(&"Zy9".repeat(21)) && !known.contains("short"));
        let longer = key.repeat(10);
        let size: usize = forms(&longer).iter().map(String::len).sum();
        assert!(
            forms(&longer).contains(&STANDARD.encode(longer.trim())) && size < 12 * longer.len(),
            "{size}"
        );
        let encoded = STANDARD.encode(&key);
        for columns in COLUMNS {
            assert!(known.contains(&encoded[columns..2 * columns]), "{columns}");
        }
        assert!(forms("  \n ").is_empty());
        assert!(!forms("ab").iter().any(|form| form.starts_with("YW")), "{:?}", forms("ab"));
    }
}
