//! Kinds: everything a configuration can declare, described once (architecture: "Kinds").
//!
//! A room declares its kinds as `static` tables of [`Kind`]; the script host needs nothing else to offer the
//! constructor, check its arguments, report errors, and print editor stubs and reference pages.

use crate::{FromLua, Json};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

/// What a kind is, and so where its objects may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    Step,
    Scheduler,
    ChangeSource,
    Worker,
    Reporter,
    /// `reporters.BuildStatusGenerator` …: makes reports of what happens.
    Generator,
    /// `reporters.MessageFormatter` …: the words of a report.
    Formatter,
    Secret,
    /// `util.Property`, `util.Interpolate` …: a value that is computed later.
    Renderable,
    /// `util.ChangeFilter` …
    Filter,
    /// Parameters of force schedulers.
    Parameter,
    Lock,
    /// `util.BuildFactory`.
    Factory,
    /// `util.BuilderConfig`.
    Builder,
    Project,
    Service,
    /// `util.RemoteCommand`: made inside functions.
    Command,
    /// Sees the lines of a log: made inside functions.
    Observer,
    /// `util.Build`.
    Build,
    /// `webhooks.BaseHookHandler` …: reads what a web hook is sent.
    WebHook,
    /// Anything else that is only data.
    Value,
}

/// One mistake in the arguments of a constructor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The option, or the path inside it (`logfiles.main.filename`); empty if the whole is meant. Items count from 0
    /// here; the script host shows them from 1.
    pub path: String,
    /// What is wrong and what would be right, e.g. `unknown option, did you mean timeout?`.
    pub message: String,
}

impl Problem {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { path: path.into(), message: message.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// An option that takes a function (lua-api § 2): how it is called and what becomes of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackSpec {
    pub option: &'static str,
    /// The arguments, as written in the documentation: `builder, wfb, request`.
    pub args: &'static str,
    /// What it may return, in words.
    pub returns: &'static str,
    /// The outcome when it fails.
    pub on_error: &'static str,
}

/// One thing a configuration can declare.
#[derive(Debug)]
pub struct Kind {
    /// The module of the `lunabot` package: `changes schedulers steps util worker reporters secrets webhooks`.
    pub namespace: &'static str,
    /// Buildbot's name.
    pub name: &'static str,
    /// Shorter or older names of the same kind.
    pub aliases: &'static [&'static str],
    pub category: Category,
    /// Positional arguments in Buildbot's order (`signatures.json`). A last name `*` collects all further ones, as a
    /// list under the option `*` (`util.Interpolate`).
    pub positional: &'static [&'static str],
    /// The only positional argument is a list or a map, and may also be written flat (lua-api § 1, rule 2).
    pub flat: bool,
    /// One or more sentences for the reference pages and the editor.
    pub doc: &'static str,
    /// The JSON schema of the parameters, options documented.
    pub schema: fn() -> Schema,
    /// Checks arguments that are already plain JSON; empty means good.
    pub check: fn(&Json) -> Vec<Problem>,
    /// Options that take functions.
    pub callbacks: &'static [CallbackSpec],
    /// Whether `X:extend{…}` is offered (lua-api § 3).
    pub extensible: bool,
}

impl Kind {
    /// `steps.ShellCommand`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

/// The parameters of a kind: a plain struct, unknown fields denied.
pub trait Params: DeserializeOwned + JsonSchema {
    /// What serde cannot see: combinations, ranges, names. Called only with arguments of the right types.
    fn validate(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// The `schema` of a [`Kind`] whose parameters are `P`.
pub fn schema_of<P: Params>() -> Schema {
    schemars::SchemaGenerator::default().into_root_schema_for::<P>()
}

/// The `check` of a [`Kind`] whose parameters are `P`.
pub fn check_as<P: Params>(args: &Json) -> Vec<Problem> {
    match serde_path_to_error::deserialize::<_, P>(FromLua(args)) {
        Ok(params) => params.validate(),
        Err(error) => vec![problem_of(&error, args)],
    }
}

/// Reads options that are not those of a kind.
pub fn read<T: DeserializeOwned>(options: &Json) -> Result<T, Problem> {
    serde_path_to_error::deserialize(FromLua(options)).map_err(|error| problem_of(&error, options))
}

pub(crate) fn problem_of(error: &serde_path_to_error::Error<serde_json::Error>, args: &Json) -> Problem {
    let (path, text) = (error.path().to_string(), error.inner().to_string());
    let path = if path == "." { String::new() } else { path };
    let Some(expected) = text.strip_prefix("unknown field `") else {
        return Problem::new(path, friendly(&text));
    };
    let unknown = expected.split('`').next().unwrap_or_default();
    let known = expected.split('`').skip(2).step_by(2);
    let hint = nearest(unknown, known).map_or(String::new(), |near| format!(", did you mean {near}?"));
    let inner = path.rsplit_once('.').map_or("", |(outer, _)| outer);
    let full = if path.ends_with(unknown) || args.get(unknown).is_some() && inner.is_empty() {
        if path.is_empty() { unknown.to_string() } else { path.clone() }
    } else {
        format!("{path}.{unknown}")
    };
    Problem::new(full, format!("unknown option{hint}"))
}

/// serde's wording, turned into the user's: JSON types become Lua's.
fn friendly(text: &str) -> String {
    if let Some(field) = text.strip_prefix("missing field `") {
        return format!("{} is missing", field.trim_end_matches('`'));
    }
    if let Some(lengths) = text.strip_prefix("invalid length ")
        && let Some((got, expected)) = lengths.split_once(", expected a tuple of size ")
    {
        return format!("expected a list of {expected} items, got {got}");
    }
    let words = [
        ("invalid type: ", "got "),
        ("invalid value: ", "got "),
        ("a sequence", "a list"),
        ("sequence", "a list"),
        ("a map", "a table"),
        ("map", "a table"),
        ("null", "nil"),
        ("f64", "a number"),
        ("i64", "a whole number"),
        ("u64", "a whole number from 0"),
        ("u32", "a whole number from 0"),
        ("a string", "a text"),
        ("string", "the text"),
        ("floating point", "the number"),
        ("integer", "the number"),
        ("a boolean", "true or false"),
        ("boolean", "the boolean"),
    ];
    words.iter().fold(without_types(text), |text, (from, to)| replace_word(&text, from, to))
}

/// The names of our own types say nothing to a user.
fn without_types(text: &str) -> String {
    if text.starts_with("data did not match any variant of ") {
        return "is nothing that is possible here".into();
    }
    match text.split_once("expected struct ") {
        Some((got, _)) => format!("{got}expected a table"),
        None => text.into(),
    }
}

fn replace_word(text: &str, from: &str, to: &str) -> String {
    text.split_inclusive(", ").map(|part| part.replacen(from, to, 1)).collect()
}

/// Longest name for which others are looked up, in bytes: nobody mistypes a name so long.
const MAX_NAME: usize = 64;
/// Shortest beginning of a name that stands for it.
const MIN_START: usize = 4;

/// The name most like `wanted`, if one is near enough to be meant: in another case, in few other letters, or longer or
/// shorter by its end.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let sensible = |name: &&str| name.len() <= MAX_NAME && wanted.len() <= MAX_NAME;
    let far = names.into_iter().filter(sensible).filter_map(|name| Some((distance(wanted, name)?, name)));
    far.min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

/// How far two names are from each other; `None`: too far.
fn distance(wanted: &str, name: &str) -> Option<usize> {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    if plain(wanted) == plain(name) {
        return Some(0);
    }
    let letters = strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase());
    let longest = wanted.chars().count().max(name.chars().count());
    let begins = |one: &str, other: &str| one.len() >= MIN_START && other.starts_with(one);
    (letters <= longest / 3 || begins(wanted, name) || begins(name, wanted)).then_some(letters)
}

/// The name that `written` is likely a mistyped form of: another in few letters, and not merely its plural.
pub fn typo_of<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = match written.chars().count() {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    };
    let far = |name: &str| match written.eq_ignore_ascii_case(name) {
        true => 0,
        false => strsim::damerau_levenshtein(written, name),
    };
    let plural = |name: &str| written.strip_suffix('s') == Some(name);
    let sensible = |name: &&str| written.len() <= MAX_NAME && name.len() <= MAX_NAME && !plural(name);
    let near = names.into_iter().filter(sensible).map(|name| (far(name), name));
    near.filter(|(far, _)| *far <= most).min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code)]
    struct Sample {
        command: Vec<String>,
        timeout: Option<f64>,
    }
    impl Params for Sample {}

    #[test]
    fn unknown_options_name_the_nearest() {
        let problems = check_as::<Sample>(&json!({"command": [], "timout": 3}));
        assert_eq!(problems, [Problem::new("timout", "unknown option, did you mean timeout?")]);
    }

    #[test]
    fn only_names_that_can_be_meant_are_suggested() {
        let names =
            ["flunkOnWarnings", "warnOnWarnings", "timeout", "failing", "all", "JSONPropertiesDownload"];
        for (written, meant) in [
            ("unknwn", None),
            ("Nope", None),
            ("warningPattern", None),
            ("al", Some("all")),
            ("timout", Some("timeout")),
            ("warn_on_warnings", Some("warnOnWarnings")),
            ("JSONProperties", Some("JSONPropertiesDownload")),
            (&"timeout".repeat(20_000), None),
        ] {
            assert_eq!(nearest(written, names), meant, "{written:.20}");
        }
    }

    #[test]
    fn mistyped_names_are_told_from_others() {
        let names = ["haltOnFailure", "timeout", "command", "name", "env"];
        for (written, meant) in [
            ("haltOnFailur", Some("haltOnFailure")),
            ("haltonfailure", Some("haltOnFailure")),
            ("timeou", Some("timeout")),
            ("commadn", Some("command")),
            ("commands", None),
            ("numTests", None),
            ("nom", None),
        ] {
            assert_eq!(typo_of(written, names), meant, "{written}");
        }
    }

    #[test]
    fn wrong_types_name_the_path() {
        let problems = check_as::<Sample>(&json!({"command": ["a", 3]}));
        assert_eq!(problems[0].path, "command[1]");
        assert!(problems[0].message.contains("expected a text"), "{problems:?}");
        assert_eq!(check_as::<Sample>(&json!({})), [Problem::new("", "command is missing")]);
    }
}
