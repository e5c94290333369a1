//! Reading the arguments of a command.

use crate::{CommandError, errors::Failure};
use lunabot_proto::{Command, Dict, Value};

/// The arguments of one command; wrong types become failures that name the argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a Dict);

impl<'a> Args<'a> {
    /// The value of `key`, none and absent being the same.
    pub(crate) fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_none())
    }

    /// The first of `keys` that is there.
    pub(crate) fn text_of(self, keys: &[&str]) -> Result<&'a str, Failure> {
        let found = keys.iter().find_map(|key| Some((key, self.get(key)?)));
        let Some((key, value)) = found else {
            return Err(Failure::new(format!("argument '{}' is missing", keys.join("' or '"))));
        };
        value.as_str().ok_or_else(|| wrong(key, "text", value))
    }

    /// Text, if there.
    pub(crate) fn text(self, key: &str) -> Result<Option<&'a str>, Failure> {
        self.get(key).map(|v| v.as_str().ok_or_else(|| wrong(key, "text", v))).transpose()
    }

    /// A number of seconds (not negative), if there.
    pub(crate) fn seconds(self, key: &str) -> Result<Option<f64>, Failure> {
        let good = |v: &Value| v.as_f64().filter(|n| n.is_finite() && *n >= 0.0);
        self.get(key).map(|v| good(v).ok_or_else(|| wrong(key, "a number of seconds", v))).transpose()
    }

    /// A count (not negative), if there.
    pub(crate) fn count(self, key: &str) -> Result<Option<u64>, Failure> {
        let good = |v: &Value| v.as_i64().and_then(|n| u64::try_from(n).ok());
        self.get(key).map(|v| good(v).ok_or_else(|| wrong(key, "a whole number", v))).transpose()
    }

    /// Truth of `key`, `default` when absent.
    pub(crate) fn flag(self, key: &str, default: bool) -> bool {
        self.0.get(key).map_or(default, Value::is_truthy)
    }

    /// One path or a list of them, under the first of `keys` that is there.
    pub(crate) fn texts_of(self, keys: &[&str]) -> Result<Vec<&'a str>, Failure> {
        let found = keys.iter().find_map(|key| Some((key, self.get(key)?)));
        let Some((key, value)) = found else {
            return Err(Failure::new(format!("argument '{}' is missing", keys.join("' or '"))));
        };
        match value.as_items() {
            Some(items) => items.iter().map(|v| v.as_str().ok_or_else(|| wrong(key, "text", v))).collect(),
            None => Ok(vec![value.as_str().ok_or_else(|| wrong(key, "text or a list", value))?]),
        }
    }
}

/// Required arguments: each entry is satisfied by any of its names. What is missing is told by the first, which is PB's and
/// the one that people write.
pub(crate) fn require(
    class: &'static str,
    command: &Command,
    required: &[&[&'static str]],
) -> Result<(), CommandError> {
    let absent = |names: &&&[&'static str]| names.iter().all(|name| command.args.get(name).is_none());
    let missing: Vec<_> = required.iter().filter(absent).map(|names| names[0]).collect();
    if missing.is_empty() { Ok(()) } else { Err(CommandError::MissingArgs { command: class, missing }) }
}

pub(crate) fn wrong(key: &str, expected: &str, value: &Value) -> Failure {
    Failure::new(format!("argument '{key}' must be {expected}, not {}", crate::text::python::repr(value)))
}
