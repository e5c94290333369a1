//! Warnings that are not counted: `suppressionFile` and `suppressionList`.

use super::extract::Warning;
use super::kind_of;
use lunabot_model::{Json, pattern};
use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// `{file_re, warning_re, first, last}`, none standing for any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuppressionEntry {
    file: Option<String>,
    warning: Option<String>,
    first: Option<i64>,
    last: Option<i64>,
}

impl<'de> Deserialize<'de> for SuppressionEntry {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Json::Array(parts) = Json::deserialize(d)? else {
            return Err(D::Error::custom("expected a list {file_re, warning_re, first, last}"));
        };
        if parts.len() > 4 {
            return Err(D::Error::custom("expected at most four items {file_re, warning_re, first, last}"));
        }
        let text = |at: usize| match parts.get(at) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(D::Error::custom(format!("expected a pattern, not {}", kind_of(other)))),
        };
        let number = |at: usize| match parts.get(at) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                D::Error::custom(format!("expected the number of a line, not {}", kind_of(value)))
            }),
        };
        Ok(SuppressionEntry { file: text(0)?, warning: text(1)?, first: number(2)?, last: number(3)? })
    }
}

impl JsonSchema for SuppressionEntry {
    fn schema_name() -> Cow<'static, str> {
        "SuppressionEntry".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array"})
    }
}

/// An entry with its patterns.
#[derive(Debug, Clone)]
pub struct Suppression {
    file: Option<Regex>,
    warning: Option<Regex>,
    lines: Option<(i64, i64)>,
}

impl Suppression {
    pub fn new(entry: &SuppressionEntry) -> Result<Self, String> {
        Ok(Suppression {
            file: entry.file.as_deref().map(pattern::anchored).transpose()?,
            warning: entry.warning.as_deref().map(pattern::search).transpose()?,
            lines: entry.first.zip(entry.last),
        })
    }

    /// Covers all warnings whose text matches.
    pub fn of_text(pattern: &str) -> Result<Self, String> {
        Self::new(&SuppressionEntry { warning: Some(pattern.into()), ..SuppressionEntry::default() })
    }

    /// Whether it is about this warning. A warning without a file is about any.
    pub fn covers(&self, warning: &Warning) -> bool {
        let file = match (&warning.file, &self.file) {
            (Some(file), Some(pattern)) => pattern.is_match(file),
            _ => true,
        };
        let text = self.warning.as_ref().is_none_or(|pattern| pattern.is_match(&warning.text));
        let lines = self
            .lines
            .is_none_or(|(first, last)| warning.line.is_some_and(|line| (first..=last).contains(&line)));
        file && text && lines
    }
}

/// Reads a file of suppressions: `FILE-RE : WARNING-RE`, perhaps with ` : FIRST` or ` : FIRST-LAST`; `#` begins a
/// comment line, and lines of another form are passed over. The error names a line whose pattern is none.
pub fn read(content: &str) -> Result<Vec<Suppression>, String> {
    let lines = content.split('\n').enumerate();
    let entries = lines.filter_map(|(at, line)| Some((at + 1, entry(line)?)));
    entries
        .map(|(at, entry)| Suppression::new(&entry).map_err(|error| format!("line {at}: {error}")))
        .collect()
}

fn entry(line: &str) -> Option<SuppressionEntry> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let colon = line.char_indices().skip(1).find(|(_, c)| *c == ':')?.0;
    let (file, rest) = (line[..colon].trim_end(), line[colon + 1..].trim_start());
    let (warning, lines) = match rest.rsplit_once(':').map(|(text, range)| (text.trim_end(), lines(range))) {
        Some((text, Some(range))) if !text.is_empty() => (text, Some(range)),
        _ => (rest, None),
    };
    (!warning.is_empty()).then(|| SuppressionEntry {
        file: Some(file.into()),
        warning: Some(warning.into()),
        first: lines.map(|(first, _)| first),
        last: lines.map(|(_, last)| last),
    })
}

/// `12` or `12-20`.
fn lines(text: &str) -> Option<(i64, i64)> {
    let text = text.trim();
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(i64::MAX))
    };
    match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(text).map(|line| (line, line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(file: &str, line: Option<i64>, text: &str) -> Warning {
        Warning { file: Some(file.into()), line, text: text.into() }
    }

    #[test]
    fn row_06_006_a_file_of_suppressions_is_read_line_by_line() {
        let read = |line| entry(line).map(|e| (e.file.unwrap(), e.warning.unwrap(), e.first, e.last));
        let some = |file: &str, warning: &str, first, last| Some((file.into(), warning.into(), first, last));
        for (line, want) in [
            ("# comment", None),
            ("   ", None),
            ("no colon", None),
            ("a.c : unused", some("a.c", "unused", None, None)),
            ("  a.c:unused:12  ", some("a.c", "unused", Some(12), Some(12))),
            ("a.c : ns::f is odd : 3-9", some("a.c", "ns::f is odd", Some(3), Some(9))),
            ("a.c : ns::f", some("a.c", "ns::f", None, None)),
            ("a.c : 12", some("a.c", "12", None, None)),
            ("a.c : x : y-3", some("a.c", "x : y-3", None, None)),
            ("a.c :", None),
        ] {
            assert_eq!(read(line), want, "{line}");
        }
        assert!(super::read("ok : ok\n( : x").unwrap_err().starts_with("line 2: '('"));
    }

    #[test]
    fn row_06_006_a_suppression_covers_by_file_text_and_lines() {
        let entry: SuppressionEntry =
            serde_json::from_value(serde_json::json!(["src/", "unused", 3, 9])).unwrap();
        let suppression = Suppression::new(&entry).unwrap();
        for (found, want) in [
            (warning("src/a.c", Some(3), "x is unused"), true),
            (warning("src/a.c", Some(10), "x is unused"), false),
            (warning("src/a.c", None, "x is unused"), false),
            (warning("lib/src/a.c", Some(3), "x is unused"), false),
            (warning("src/a.c", Some(3), "x is odd"), false),
            (Warning { file: None, ..warning("", Some(4), "unused") }, true),
        ] {
            assert_eq!(suppression.covers(&found), want, "{found:?}");
        }
    }
}
