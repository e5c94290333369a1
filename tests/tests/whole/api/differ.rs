//! Where two masters' answers differ, and which of the differences are meant.

use super::answer::Question;
use anyhow::{Context, Result};
use serde_json::Value;
use std::cell::Cell;

/// Differences of one kind that are meant: `ask` and `at` are globs over the question and the place in the answer.
struct Meant<'a> {
    ask: &'a str,
    at: &'a str,
    seen: Cell<bool>,
}

/// What is wrong: differences that nobody means, and meant ones that do not occur.
pub fn compare(
    questions: &[Question],
    theirs: &[Value],
    ours: &[Value],
    expected: &Value,
) -> Result<Vec<String>> {
    let listed = expected.as_array().context("the list of meant differences")?;
    let meant: Vec<Meant<'_>> = listed
        .iter()
        .map(|one| Some(Meant { ask: one["ask"].as_str()?, at: one["at"].as_str()?, seen: Cell::new(false) }))
        .collect::<Option<_>>()
        .context("each meant difference says ask, at and why")?;
    let mut told = Vec::new();
    for (question, (theirs, ours)) in questions.iter().zip(theirs.iter().zip(ours)) {
        let mut found = Vec::new();
        differences("", Some(theirs), Some(ours), &mut found);
        for (place, difference) in found {
            let fits: Vec<_> =
                meant.iter().filter(|m| glob(m.ask, &question.text) && glob(m.at, &place)).collect();
            fits.iter().for_each(|m| m.seen.set(true));
            if fits.is_empty() {
                told.push(format!("{}\n  at {place}: {difference}", question.text));
            }
        }
    }
    let unseen = meant.iter().filter(|m| !m.seen.get());
    told.extend(unseen.map(|m| format!("{} at {}: listed as meant, and not there", m.ask, m.at)));
    Ok(told)
}

fn differences(path: &str, theirs: Option<&Value>, ours: Option<&Value>, found: &mut Vec<(String, String)>) {
    match (theirs, ours) {
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
                differences(&inner, a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{index}"), Some(a), Some(b), found);
            }
        }
        _ => {
            let shown = |value: Option<&Value>| {
                value.map_or("–".to_owned(), |value| value.to_string().chars().take(400).collect())
            };
            found.push((path.to_owned(), format!("Buildbot {}, Lunabot {}", shown(theirs), shown(ours))));
        }
    }
}

/// `*` stands for any text, even none.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
