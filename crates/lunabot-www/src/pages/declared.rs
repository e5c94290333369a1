//! How a builder is configured, for its page: steps, locks, functions, and where each was written.

use lunabot_model::config::{Collapse, DeclaredBuilder};
use lunabot_model::{AnyObject, Callback, Json};
use serde::Serialize;

/// Longest text of a step's work.
const MAX_TEXT: usize = 200;
/// The options that tell best what a step does, the first that is given counts.
const TELLING: &[&str] = &[
    "command",
    "commands",
    "repourl",
    "schedulerNames",
    "url",
    "workersrc",
    "workersrcs",
    "mastersrc",
    "property",
    "properties",
    "dir",
    "file",
    "src",
    "content",
    "check",
    "s",
];

/// A builder's configuration.
#[derive(Debug, Serialize)]
pub struct Configured {
    pub at: String,
    pub steps: Vec<StepRow>,
    pub functions: Vec<FunctionRow>,
    pub locks: Vec<String>,
}

/// A step of the factory.
#[derive(Debug, Serialize)]
pub struct StepRow {
    pub name: String,
    pub kind: String,
    pub what: String,
    pub halts: bool,
    pub always: bool,
    pub conditional: bool,
    pub locks: Vec<String>,
    pub at: String,
}

/// A function that decides something about the builder.
#[derive(Debug, Serialize)]
pub struct FunctionRow {
    pub option: &'static str,
    pub at: String,
}

impl Configured {
    pub fn new(builder: &DeclaredBuilder) -> Self {
        let config = &builder.config;
        let collapse = config.collapse_requests.as_ref().and_then(|collapse| match collapse {
            Collapse::Callback(callback) => Some(callback),
            _ => None,
        });
        let functions = [
            ("nextBuild", config.next_build.as_ref()),
            ("nextWorker", config.next_worker.as_ref()),
            ("canStartBuild", config.can_start_build.as_ref()),
            ("collapseRequests", collapse),
        ];
        let row = |(option, callback): (&'static str, Option<&Callback>)| {
            callback.map(|callback| FunctionRow { option, at: callback.at.clone() })
        };
        let locks = serde_json::to_value(config).unwrap_or_default();
        Configured {
            at: builder.at.clone(),
            steps: builder.factory.steps.iter().map(StepRow::new).collect(),
            functions: functions.into_iter().filter_map(row).collect(),
            locks: lock_names(locks.get("locks")),
        }
    }
}

impl StepRow {
    fn new(step: &AnyObject) -> Self {
        let given = |name: &str| step.arg(name).filter(|value| !value.is_null());
        let kind = step.kind.strip_prefix("steps.").unwrap_or(&step.kind);
        let what = TELLING.iter().find_map(|name| given(name)).map(shown).unwrap_or_default();
        let is = |name: &str| given(name) == Some(&Json::Bool(true));
        StepRow {
            name: given("name").map(shown).unwrap_or_default(),
            kind: kind.to_string(),
            what: cut(&without_password(&what)),
            halts: is("haltOnFailure"),
            always: is("alwaysRun"),
            conditional: given("doStepIf").is_some_and(|value| *value != Json::Bool(true)),
            locks: lock_names(given("locks")),
            at: step.at.clone(),
        }
    }
}

/// A value as it was meant: texts as they are, what is computed later by its name.
fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(" "),
        Json::Object(map) => match AnyObject::from_json(value) {
            Some(object) => renderable(&object),
            None if map.contains_key("$fn") => "ƒ".into(),
            None => map.keys().cloned().collect::<Vec<_>>().join(", "),
        },
        other => other.to_string(),
    }
}

fn renderable(object: &AnyObject) -> String {
    let text = |name: &str| object.arg(name).and_then(Json::as_str);
    match object.kind.as_str() {
        "util.Interpolate" => text("fmtstring").unwrap_or("…").to_string(),
        "util.Property" => format!("‹{}›", text("key").unwrap_or("property")),
        "util.Secret" => "‹secret›".into(),
        "util.ShellArg" => object.arg("command").map(shown).unwrap_or_default(),
        kind => format!("‹{}›", kind.rsplit('.').next().unwrap_or(kind)),
    }
}

/// Names of locks, as far as they are written out.
fn lock_names(locks: Option<&Json>) -> Vec<String> {
    let all = match locks {
        Some(Json::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    all.iter().filter(|lock| !lock.is_null()).map(lock_name).collect()
}

fn lock_name(lock: &Json) -> String {
    let Some(object) = AnyObject::from_json(lock) else { return shown(lock) };
    let name = object.arg("name").and_then(Json::as_str).map(str::to_string);
    let name = name.or_else(|| object.arg("lock").map(lock_name)).unwrap_or_else(|| "lock".into());
    match object.arg("mode").and_then(Json::as_str) {
        Some(mode) => format!("{name} ({mode})"),
        None => name,
    }
}

/// An address without the user and password in it.
fn without_password(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let Some((scheme, rest)) = word.split_once("://") else { return word.to_string() };
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = place.rsplit('@').next().unwrap_or(place);
        format!("{scheme}://{host}{path}")
    });
    words.collect::<Vec<_>>().join(" ")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, args: Json) -> Json {
        json!({"$kind": kind, "$id": 1, "$at": "master.lua:7", "$args": args})
    }

    fn row(args: Json) -> StepRow {
        StepRow::new(&AnyObject::from_json(&object("steps.X", args)).unwrap())
    }

    #[test]
    fn a_step_tells_what_it_does_and_no_password() {
        let interpolated = object("util.Interpolate", json!({"fmtstring": "-j%(prop:cpus)s"}));
        let command = json!(["make", interpolated, object("util.Property", json!({"key": "target"}))]);
        assert_eq!(row(json!({"command": command})).what, "make -j%(prop:cpus)s ‹target›");
        assert_eq!(row(json!({"repourl": "https://joe:pw@host/x.git"})).what, "https://host/x.git");
        let secret = row(json!({"command": ["login", object("util.Secret", json!({"name": "key"}))]}));
        assert_eq!(secret.what, "login ‹secret›");
        assert_eq!(row(json!({"command": "x".repeat(500)})).what.chars().count(), MAX_TEXT + 1);
        let flags = row(json!({"haltOnFailure": true, "doStepIf": {"$fn": {}}, "name": "n"}));
        assert!(
            flags.halts
                && flags.conditional
                && !flags.always
                && flags.name == "n"
                && flags.at == "master.lua:7"
        );
    }

    #[test]
    fn locks_are_told_by_name_and_mode() {
        let lock = object("util.MasterLock", json!({"name": "disk"}));
        let access = object("util.LockAccess", json!({"lock": lock, "mode": "exclusive"}));
        assert_eq!(lock_names(Some(&json!([lock, access]))), ["disk", "disk (exclusive)"]);
    }
}
