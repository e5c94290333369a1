//! Reading payloads: what a change needs must be there, and the error names what is not.

use super::HookError;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use lunabot_model::Json;

/// A part of a payload, and where in it.
#[derive(Clone)]
pub struct Part<'a> {
    value: &'a Json,
    /// `commits[3].`, for messages.
    at: String,
}

impl<'a> Part<'a> {
    pub fn new(value: &'a Json) -> Self {
        Part { value, at: String::new() }
    }

    /// An item of a list.
    pub fn item(value: &'a Json, at: &str) -> Self {
        Part { value, at: at.into() }
    }

    pub fn json(&self) -> &'a Json {
        self.value
    }

    /// What lies at a path of names and positions joined by dots (`links.self.0.href`); null counts as absent.
    pub fn find(&self, path: &str) -> Option<&'a Json> {
        let mut value = self.value;
        for name in path.split('.') {
            value = match value {
                Json::Array(items) => items.get(name.parse::<usize>().ok()?)?,
                other => other.get(name)?,
            };
        }
        (!value.is_null()).then_some(value)
    }

    fn missing(&self, what: &str, path: &str) -> HookError {
        HookError::Bad(format!("the payload has no {what} at {}{path}", self.at))
    }

    pub fn part(&self, path: &str) -> Result<Part<'a>, HookError> {
        let value = self.find(path).filter(|value| value.is_object());
        let at = format!("{}{path}.", self.at);
        value.map(|value| Part { value, at }).ok_or_else(|| self.missing("object", path))
    }

    pub fn text(&self, path: &str) -> Result<String, HookError> {
        self.maybe_text(path).ok_or_else(|| self.missing("text", path))
    }

    pub fn maybe_text(&self, path: &str) -> Option<String> {
        self.find(path)?.as_str().map(String::from)
    }

    /// The first of the paths that holds a text.
    pub fn first_text(&self, paths: &[&str]) -> Result<String, HookError> {
        let found = paths.iter().find_map(|path| self.maybe_text(path));
        found.ok_or_else(|| self.missing("text", paths[0]))
    }

    /// A number, also one that was sent as a text.
    pub fn integer(&self, path: &str) -> Result<i64, HookError> {
        let found = match self.find(path) {
            Some(Json::String(text)) => text.parse().ok(),
            Some(other) => other.as_i64(),
            None => None,
        };
        found.ok_or_else(|| self.missing("whole number", path))
    }

    pub fn list(&self, path: &str) -> Result<&'a [Json], HookError> {
        self.find(path).and_then(Json::as_array).map(Vec::as_slice).ok_or_else(|| self.missing("list", path))
    }

    /// Whether there is a true there.
    pub fn is_true(&self, path: &str) -> bool {
        self.find(path) == Some(&Json::Bool(true))
    }

    /// Seconds since 1970.
    pub fn time(&self, path: &str) -> Result<i64, HookError> {
        let text = self.text(path)?;
        seconds(&text).ok_or_else(|| HookError::Bad(format!("{}{path}: '{text}' is not a time", self.at)))
    }

    /// `NAME <EMAIL>` of a person.
    pub fn person(&self, path: &str) -> Result<String, HookError> {
        let person = self.part(path)?;
        Ok(format!("{} <{}>", person.text("name")?, person.text("email")?))
    }

    /// Names of the files that a commit added, modified and removed.
    pub fn files(&self) -> Vec<String> {
        let kinds = ["added", "modified", "removed"];
        let names = kinds.iter().filter_map(|kind| self.find(kind)?.as_array()).flatten();
        names.filter_map(Json::as_str).map(String::from).collect()
    }
}

/// Reads times as forges write them; without a zone they are UTC.
fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_second());
    }
    let plain = text.strip_suffix("UTC").unwrap_or(text).trim();
    let civil = plain.parse::<DateTime>().ok()?;
    Some(TimeZone::UTC.to_timestamp(civil).ok()?.as_second())
}

/// The branch of `refs/heads/NAME` or `refs/tags/NAME`, and whether it is a tag. Other references are of no interest.
pub fn branch_of(reference: &str) -> Option<(&str, bool)> {
    let (name, tag) = match reference.strip_prefix("refs/heads/") {
        Some(name) => (name, false),
        None => (reference.strip_prefix("refs/tags/")?, true),
    };
    (!name.is_empty()).then_some((name, tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_of_all_forges_are_read() {
        for (text, wanted) in [
            ("2026-02-15T14:57:17-08:00", Some(1_771_196_237)),
            ("2026-02-15T22:57:17Z", Some(1_771_196_237)),
            ("2026-02-15T22:57:17.5Z", Some(1_771_196_237)),
            ("2026-02-16T08:57:17+1000", Some(1_771_196_237)),
            ("2026-02-15 22:57:17 UTC", Some(1_771_196_237)),
            ("2026-02-15T22:57:17", Some(1_771_196_237)),
            ("noon", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let payload = json!({"a": {"b": [{"c": "x", "n": "7"}]}, "z": null});
        let part = Part::new(&payload);
        assert_eq!(part.maybe_text("a.b.0.c").as_deref(), Some("x"));
        assert_eq!(part.integer("a.b.0.n").ok(), Some(7));
        let told = |error: HookError| match error {
            HookError::Bad(text) | HookError::Failed(text) => text,
        };
        assert_eq!(told(part.text("z").unwrap_err()), "the payload has no text at z");
        let item = Part::item(&payload["a"]["b"][0], "a.b[0].");
        assert_eq!(told(item.list("d").unwrap_err()), "the payload has no list at a.b[0].d");
        assert_eq!(told(part.person("a").unwrap_err()), "the payload has no text at a.name");
        let inner = part.part("a").and_then(|a| a.part("b.0")).unwrap_or_else(|e| panic!("{}", told(e)));
        assert_eq!(told(inner.part("links").err().unwrap()), "the payload has no object at a.b.0.links");
    }

    #[test]
    fn only_branches_and_tags_have_names() {
        assert_eq!(branch_of("refs/heads/a/b"), Some(("a/b", false)));
        assert_eq!(branch_of("refs/tags/v1"), Some(("v1", true)));
        assert_eq!(branch_of("refs/heads/").or(branch_of("refs/notes/x")).or(branch_of("")), None);
    }
}
