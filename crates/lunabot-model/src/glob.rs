//! File name patterns, and properties picked out of a payload by them.

use crate::Json;
use std::collections::BTreeMap;

/// Whether the whole text matches: `*`, `?`, `[seq]`, `[!seq]`, as Python's `fnmatchcase`.
pub fn matches(pattern: &str, text: &str) -> bool {
    walk(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// Flattens an object under `base`, names joined by dots (`github.head.ref`), and keeps what one of the patterns
/// matches. Lists stay whole (02.041).
pub fn pick(base: &str, object: &Json, patterns: &[String]) -> BTreeMap<String, Json> {
    let mut picked = BTreeMap::new();
    if !patterns.is_empty() {
        pick_into(base, object, patterns, &mut picked);
    }
    picked
}

fn pick_into(base: &str, object: &Json, patterns: &[String], picked: &mut BTreeMap<String, Json>) {
    for (name, value) in object.as_object().into_iter().flatten() {
        let name = format!("{base}.{name}");
        if value.is_object() {
            pick_into(&name, value, patterns, picked);
        } else if patterns.iter().any(|pattern| matches(pattern, &name)) {
            picked.insert(name, value.clone());
        }
    }
}

fn walk(pattern: &[char], text: &[char]) -> bool {
    // The last star, and where the text was when it was met: enough to go back to.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match one(&pattern[p..], text[t]) {
            Some(length) => {
                p += length;
                t += 1;
            }
            None if pattern.get(p) == Some(&'*') => {
                star = Some((p, t));
                p += 1;
            }
            None => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much of the pattern matches one character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '*' => None,
        '?' => Some(1),
        '[' => class(pattern, c),
        literal => (*literal == c).then_some(1),
    }
}

fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    // A bracket right after the start is a member.
    let Some(end) = (start + 1..pattern.len()).find(|i| pattern[*i] == ']') else {
        return (c == '[').then_some(1);
    };
    let (members, mut found, mut i) = (&pattern[start..end], false, 0);
    while i < members.len() {
        if i + 2 < members.len() && members[i + 1] == '-' {
            found |= (members[i]..=members[i + 2]).contains(&c);
            i += 3;
        } else {
            found |= members[i] == c;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, text) in [
            ("*.py", "a.py"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("*a*b*", "xaybz"),
            ("[]]", "]"),
            ("[", "["),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("*.py", "a.pyc"), ("a?c", "ac"), ("[!a]x", "ax"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn payloads_are_flattened_and_picked_from_02_041() {
        let payload =
            json!({"title": "t", "labels": [{"name": "bug"}], "head": {"ref": "f", "repo": {"name": "r"}}});
        let names = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).into()).collect();
            pick("github", &payload, &patterns).into_keys().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&["github.*"]), "github.head.ref github.head.repo.name github.labels github.title");
        assert_eq!(
            names(&["github.head.r*", "*.title"]),
            "github.head.ref github.head.repo.name github.title"
        );
        assert_eq!(names(&["github.head"]), "");
        assert_eq!(names(&[]), "");
        assert_eq!(pick("x", &json!([1]), &["*".into()]), BTreeMap::new());
    }
}
