//! Classes that a configuration makes of a kind (lua-api § 3): what an object tells of its class, and the methods of it
//! that are called.

use crate::{Callback, Category, Duration, Json};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The `$class` of a declared object.
#[derive(Debug, Clone, Deserialize)]
pub struct ClassOf {
    pub name: String,
    /// Equal for classes that do the same.
    #[serde(default)]
    pub fingerprint: Json,
    /// The methods of the class and of those that it extends.
    #[serde(default)]
    pub hooks: BTreeMap<String, Callback>,
    /// Values of its own parameters, as written.
    #[serde(default)]
    pub params: Json,
    /// Those of them that are lists: what they yield, where it is an empty table, is an empty list.
    #[serde(default)]
    pub lists: Vec<String>,
    /// What those of them must be that are computed.
    #[serde(default)]
    pub types: BTreeMap<String, ParamType>,
    /// Observers that a step begins with: log name → object.
    #[serde(default)]
    pub observers: BTreeMap<String, Json>,
}

impl ClassOf {
    /// Reads the `$class` of an object. The error is ours: the script host wrote it.
    pub fn read(class: &Json) -> Result<Self, String> {
        Self::deserialize(class).map_err(|error| error.to_string())
    }

    /// The rendered values of its own parameters as functions are to see them.
    pub fn typed_params(&self, mut rendered: Json) -> Json {
        for name in &self.lists {
            if let Some(value) =
                rendered.get_mut(name).filter(|v| v.as_object().is_some_and(serde_json::Map::is_empty))
            {
                *value = Json::Array(Vec::new());
            }
        }
        for (name, wanted) in &self.types {
            if let Some(value) = rendered.get_mut(name) {
                exact(&wanted.name, value);
            }
        }
        rendered
    }

    /// The first of its rendered parameters that is not what it must be, and what that is in words.
    pub fn misfit(&self, rendered: &Json) -> Option<(&str, String)> {
        let mut all = self.types.iter();
        all.find_map(|(name, wanted)| Some((name.as_str(), wanted.refuses(rendered.get(name)?)?)))
    }

    pub fn hook(&self, name: &str) -> Option<&Callback> {
        self.hooks.get(name)
    }
}

/// What a parameter must be (lua-api § 3).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ParamType {
    #[serde(default, rename = "type")]
    pub name: String,
    #[serde(default)]
    pub choices: Vec<Json>,
}

impl ParamType {
    /// What it must be, if `value` is something else. Nothing is always welcome.
    fn refuses(&self, value: &Json) -> Option<String> {
        if value.is_null() {
            return None;
        }
        if !self.choices.is_empty() {
            // However they are written: 1 is 1.0.
            let equal = |choice: &Json| match (choice.as_f64(), value.as_f64()) {
                (Some(choice), Some(value)) => choice == value,
                _ => choice == value,
            };
            let all = || self.choices.iter().map(plain).collect::<Vec<_>>().join(", ");
            return (!self.choices.iter().any(equal)).then(|| format!("one of {}", all()));
        }
        let whole = || value.as_i64().is_some() || value.as_f64().is_some_and(|n| n.fract() == 0.0);
        let (fits, words) = match self.name.as_str() {
            "string" | "secret" => (value.is_string(), "a text"),
            "integer" => (whole(), "an integer"),
            "number" => (value.is_number(), "a number"),
            "boolean" => (value.is_boolean(), "true or false"),
            "duration" => (Duration::deserialize(value).is_ok(), "seconds or a text such as \"7d 12h\""),
            "list" => (value.is_array(), "a list"),
            "map" => (value.is_object(), "a table with names"),
            _ => (true, ""),
        };
        (!fits).then(|| words.into())
    }
}

/// A value as functions read a parameter of this type: a duration in seconds, an integer without a fraction. What is of
/// another type stays as it is.
pub fn exact(kind: &str, value: &mut Json) {
    let number = match kind {
        "duration" => Duration::deserialize(&*value).ok().map(Duration::secs),
        "integer" => value.as_f64().filter(|number| number.fract() == 0.0),
        _ => None,
    };
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64);
    if let Some(number) = number.filter(|_| value.as_i64().is_none()) {
        *value = whole(number).map_or_else(|| number.into(), Json::from);
    }
}

/// A choice in messages: whole numbers without a fraction.
fn plain(choice: &Json) -> String {
    let whole = choice.as_f64().filter(|number| number.fract() == 0.0);
    whole.map_or_else(|| choice.to_string(), |number| number.to_string())
}

/// Among the hooks of a change source: what the script host calls with a path and a request that `self:serve` wanted.
pub const SERVE: &str = "$serve";

/// A method that is called where a class has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    pub name: &'static str,
    /// Its arguments besides `self`.
    pub takes: &'static [&'static str],
    /// What it returns, in words.
    pub returns: &'static str,
    /// The outcome when it fails.
    pub on_error: &'static str,
}

const fn hook(
    name: &'static str,
    takes: &'static [&'static str],
    returns: &'static str,
    on_error: &'static str,
) -> Hook {
    Hook { name, takes, returns, on_error }
}

const EXCEPTION: &str = "EXCEPTION of the step";
const OF_BUILD: &str = "EXCEPTION of the build";
const OF_HOOK: &str = "500, and util.fail 400 with its text";
const NOTHING: &str = "nothing";

const STEP: &[Hook] = &[
    hook("before_start", &[], NOTHING, EXCEPTION),
    hook("run", &[], "a result", EXCEPTION),
    hook("getCurrentSummary", &[], "{step =}", "the old text stays"),
    hook("getResultSummary", &[], "{step =, build =}", EXCEPTION),
    hook("evaluateCommand", &["cmd"], "a result", EXCEPTION),
    hook("interrupt", &["reason"], NOTHING, "it is told"),
    hook(
        "getSchedulersAndProperties",
        &[],
        "a list of {sched_name =, props_to_set =, unimportant =}",
        EXCEPTION,
    ),
];

const OBSERVER: &[Hook] = &[
    hook("before_start", &[], NOTHING, EXCEPTION),
    hook("outReceived", &["data"], NOTHING, EXCEPTION),
    hook("errReceived", &["data"], NOTHING, EXCEPTION),
    hook("headerReceived", &["data"], NOTHING, EXCEPTION),
    hook("outLineReceived", &["line"], NOTHING, EXCEPTION),
    hook("errLineReceived", &["line"], NOTHING, EXCEPTION),
    hook("headerLineReceived", &["line"], NOTHING, EXCEPTION),
    hook("finishReceived", &[], NOTHING, EXCEPTION),
];

const BUILD: &[Hook] = &[
    hook("before_start", &[], NOTHING, OF_BUILD),
    hook("setupBuild", &[], NOTHING, OF_BUILD),
    hook("getNextStep", &["last"], "a step, or nil for the end", OF_BUILD),
];

const CHANGE_SOURCE: &[Hook] = &[
    hook("before_start", &[], NOTHING, "repeated with back-off, and shown"),
    hook("activate", &[], NOTHING, "repeated with back-off, and shown"),
    hook("deactivate", &[], NOTHING, "repeated with back-off until it succeeds"),
    hook("describe", &[], "a text", "the name is shown"),
    hook("poll", &[], NOTHING, "it is logged, shown and repeated"),
];

/// Of latent workers (08.038, 08.039, 08.048).
const WORKER: &[Hook] = &[
    hook("before_start", &[], NOTHING, "RETRY of the build, and quarantine"),
    hook("start_instance", &["build"], "true, false or a table", "RETRY of the build, and quarantine"),
    hook("stop_instance", &["fast"], NOTHING, "repeated with back-off until it succeeds"),
    hook("check_instance", &[], "true, or false and a text", "it is told; the instance counts as running"),
    hook("isCompatibleWithBuild", &["build_props"], "true or false", "false"),
];

const REPEATED: &str = "repeated with back-off, with a new object, and shown";
const FAREWELL: &str = "repeated with back-off, for 15 s";

const SERVICE: &[Hook] = &[
    hook("before_start", &[], NOTHING, REPEATED),
    hook("startService", &[], NOTHING, REPEATED),
    hook("stopService", &[], NOTHING, FAREWELL),
];

const SCHEDULER: &[Hook] = &[
    hook("before_start", &[], NOTHING, REPEATED),
    hook("activate", &[], NOTHING, REPEATED),
    hook("deactivate", &[], NOTHING, FAREWELL),
    hook("gotChange", &["change", "important"], NOTHING, "it is told, and the change is passed over"),
];

const OF_FIELD: &str = "nothing is built, and the error is shown at the field; util.fail says what is wrong";

/// Of fields of forms (03.037).
const PARAMETER: &[Hook] = &[
    hook("before_start", &[], NOTHING, OF_FIELD),
    hook("parse_from_arg", &["value"], "the value of the property", OF_FIELD),
];

const OF_REPORT: &str = "tried again with back-off, and shown";

/// Of reporters (11.049).
const REPORTER: &[Hook] =
    &[hook("before_start", &[], NOTHING, OF_REPORT), hook("sendMessage", &["reports"], NOTHING, OF_REPORT)];

/// Of generators of reports (11.019).
const GENERATOR: &[Hook] = &[
    hook("before_start", &[], NOTHING, OF_REPORT),
    hook("generate", &["master", "reporter", "key", "message"], "a report, or nil", OF_REPORT),
    hook("is_message_needed_by_props", &["build"], "true or false", OF_REPORT),
    hook("is_message_needed_by_results", &["build"], "true or false", OF_REPORT),
    hook("build_message", &["formatter", "master", "reporter", "build"], "a report, or nil", OF_REPORT),
    hook(
        "buildset_message",
        &["formatter", "master", "reporter", "builds", "results"],
        "a report, or nil",
        OF_REPORT,
    ),
];

/// Of formatters of messages (11.022).
const FORMATTER: &[Hook] = &[
    hook("before_start", &[], NOTHING, OF_REPORT),
    hook("buildAdditionalContext", &["master", "ctx"], "nothing, or a table of what is added", OF_REPORT),
];

/// Among the hooks of a formatter that has `buildAdditionalContext`: what the script host calls with the same, and which
/// returns what came to the context.
pub const CONTEXT: &str = "$context";

const WEB_HOOK: &[Hook] = &[
    hook("before_start", &[], NOTHING, OF_HOOK),
    hook("getChanges", &["request"], "a list of changes, or nil", OF_HOOK),
];

/// Of stores of secrets (12.001).
const SECRET: &[Hook] =
    &[hook("get", &["name"], "a text, or nil: it is not known", "whoever needs it fails")];

/// The methods that are called on objects of a category.
pub const fn hooks(category: Category) -> &'static [Hook] {
    match category {
        Category::Step => STEP,
        Category::Observer => OBSERVER,
        Category::Build => BUILD,
        Category::ChangeSource => CHANGE_SOURCE,
        Category::Worker => WORKER,
        Category::WebHook => WEB_HOOK,
        Category::Service => SERVICE,
        Category::Scheduler => SCHEDULER,
        Category::Parameter => PARAMETER,
        Category::Reporter => REPORTER,
        Category::Generator => GENERATOR,
        Category::Formatter => FORMATTER,
        Category::Secret => SECRET,
        _ => &[],
    }
}
