//! Regular expressions in Python's spelling, matched in linear time.
//!
//! For patterns of options (`branch_re`, `warningPattern` …). Look-around and backreferences are not possible here and
//! the error says so.

use regex::{Regex, RegexBuilder};

/// Compiled patterns larger than this are refused.
const SIZE_LIMIT: usize = 4 << 20;

/// A pattern that must match from the start of the text, as Python's `re.match`.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    let own = translate(pattern);
    compile(pattern, &own)?;
    compile(pattern, &format!(r"\A(?:{own})"))
}

/// A pattern that may match anywhere, as Python's `re.search`.
pub fn search(pattern: &str) -> Result<Regex, String> {
    compile(pattern, &translate(pattern))
}

fn compile(written: &str, pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build().map_err(|error| {
        let shown = crate::text::shortened(written);
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        if text.contains("look-around") {
            format!("the pattern '{shown}' uses look-around, which patterns of options cannot have; write it without, or as a function")
        } else if text.contains("backreferences") {
            format!("the pattern '{shown}' uses a backreference, which patterns of options cannot have")
        } else {
            format!("'{shown}' is not a regular expression: {reason}{}", lua_hint(written))
        }
    })
}

/// `%d` and the like are Lua's, not a regular expression's.
fn lua_hint(pattern: &str) -> &'static str {
    let lua = pattern.as_bytes().windows(2).any(|pair| pair[0] == b'%' && b"adlswpu.-".contains(&pair[1]));
    if lua {
        " (this looks like a Lua pattern; options take regular expressions, e.g. \\d for %d)"
    } else {
        ""
    }
}

/// What Python spells differently: `\Z`, and characters that are plain inside its classes.
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut class_start: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class_start) {
            ('\\', _) => match chars.next() {
                Some('Z') if class_start.is_none() => out.push_str(r"\z"),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            },
            ('[', None) => {
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.extend(chars.next());
                }
                class_start = Some(out.len());
            }
            (']', Some(start)) if out.len() > start => {
                out.push(']');
                class_start = None;
            }
            (']' | '[' | '&' | '~', Some(_)) => out.extend(['\\', c]),
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_from_the_start() {
        assert!(anchored("x").unwrap().is_match("xb"));
        assert!(!anchored("x").unwrap().is_match("ax"));
        assert!(!anchored("a|x").unwrap().is_match("bx"));
        assert!(search("x").unwrap().is_match("ax"));
        assert!(anchored("(?i)MAIN$").unwrap().is_match("main"));
    }

    #[test]
    fn pythons_spelling_is_understood() {
        for (pattern, text) in [
            (r"a\Z", "a"),
            ("[[]", "["),
            ("[]a]+$", "a]"),
            ("[^]]", "a"),
            ("[a&&b]+$", "a&b"),
            (r"[\w~~]+$", "a~"),
            ("(?P<n>a)", "a"),
        ] {
            assert!(anchored(pattern).unwrap().is_match(text), "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert!(anchored("(?=a)").unwrap_err().contains("look-around"));
        assert!(anchored(r"(a)\1").unwrap_err().contains("backreference"));
        assert!(anchored("a)(b").unwrap_err().contains("is not a regular expression: "));
        assert!(anchored("(%d").unwrap_err().contains("Lua pattern"));
    }
}
