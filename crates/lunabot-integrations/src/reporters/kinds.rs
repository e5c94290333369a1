//! The kinds of reporters (11.001, 11.049) and of generators of reports (11.008–11.018).

use super::formatters::kinds::FORMATTERS;
use super::modes::Modes;
use super::texts;
use super::wanted::Wanted;
use lunabot_data::Happening;
use lunabot_model::kind::{CallbackSpec, Category, Params, check_as, schema_of};
use lunabot_model::{AnyObject, Callback, Duration, Json, Kind, Names, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

/// `reporters.ReporterBase`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReporterParams {
    /// What is reported, and when.
    pub generators: Vec<AnyObject>,
    /// Unique among the services; its outbox is kept under it. Default: the class with the names of the generators.
    #[serde(default)]
    #[allow(dead_code, reason = "`lunabot_model::reporters` reads it")]
    pub name: Option<String>,
    /// Delivers reports, where the class has no `sendMessage`.
    #[serde(default)]
    pub send: Option<Callback>,
    /// For how long what could not be delivered is tried again; 0: it is not. Default: a day.
    #[serde(default = "a_day")]
    pub retry_for: Duration,
}

fn a_day() -> Duration {
    Duration(86_400.0)
}

impl Params for ReporterParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.generators.is_empty() {
            let told = "is empty: nothing would be reported; e.g. {reporters.BuildStatusGenerator{}}";
            problems.push(Problem::new("generators", told));
        }
        for (place, object) in self.generators.iter().enumerate() {
            if !GENERATORS.iter().any(|kind| kind.path() == object.kind) {
                let told = format!(
                    "expected a generator such as reporters.BuildStatusGenerator{{…}}, not a {}",
                    object.kind
                );
                problems.push(Problem::new(format!("generators[{place}]"), told));
            }
        }
        if self.name.as_deref() == Some("") {
            problems.push(Problem::new("name", "is empty"));
        }
        if self.retry_for.secs() < 0.0 {
            problems.push(Problem::new("retry_for", "is negative"));
        }
        problems
    }
}

/// What a generator of one kind has, as far as it has it.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    pub mode: Option<Modes>,
    pub tags: Option<Names>,
    pub builders: Option<Names>,
    pub schedulers: Option<Names>,
    pub branches: Option<Names>,
    pub subject: Option<String>,
    pub add_logs: Wanted,
    pub add_patch: bool,
    pub report_new: bool,
    pub workers: Option<Names>,
    /// `message_formatter`, `formatter`, `end_formatter`.
    pub formatter: Option<AnyObject>,
    pub start_formatter: Option<AnyObject>,
    pub wanted_event_keys: Option<Vec<Json>>,
}

impl Chosen {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.builders.is_some() && self.tags.is_some() {
            problems.push(Problem::new("tags", "cannot be given beside builders; give one of them"));
        }
        if self.subject.as_deref().is_some_and(|subject| subject.contains('\n')) {
            problems.push(Problem::new("subject", "must be of one line"));
        }
        if let Some(name) = self.subject.as_deref().and_then(texts::unknown_name) {
            let told = format!(
                "%({name}) is not filled in; there are {}",
                texts::SUBJECT_NAMES.map(|name| format!("%({name})s")).join(", ")
            );
            problems.push(Problem::new("subject", told));
        }
        if let Err(wrong) = self.happenings() {
            problems.push(Problem::new("wanted_event_keys", wrong));
        }
        for object in self.formatter.iter().chain(&self.start_formatter) {
            if !FORMATTERS.iter().any(|kind| kind.path() == object.kind) {
                let told = format!(
                    "expected a formatter such as reporters.MessageFormatter{{…}}, not a {}",
                    object.kind
                );
                problems.push(Problem::new("", told));
            }
        }
        problems
    }

    /// What `wanted_event_keys` names; `None`: it is not given.
    pub fn happenings(&self) -> Result<Option<Vec<Happening>>, String> {
        let Some(keys) = &self.wanted_event_keys else { return Ok(None) };
        if keys.is_empty() {
            return Err("is empty: nothing would be reported; e.g. {\"builds/*/finished\"}".into());
        }
        let read = |key: &Json| {
            let topic = match key {
                Json::String(topic) => topic.clone(),
                Json::Array(parts) => {
                    let part = |part: &Json| match part {
                        Json::Null => "*".to_owned(),
                        Json::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    parts.iter().map(part).collect::<Vec<_>>().join("/")
                }
                other => other.to_string(),
            };
            // Of one build alone nothing is to be heard.
            Happening::ALL.into_iter().find(|one| one.pattern() == topic).ok_or_else(|| {
                let known: Vec<String> = Happening::ALL.map(Happening::pattern).to_vec();
                format!("{topic} cannot be reported; there are {}", known.join(", "))
            })
        };
        keys.iter().map(read).collect::<Result<Vec<_>, _>>().map(Some)
    }
}

/// The parameters of one kind of generators: a struct with options that [`Chosen`] has too.
macro_rules! generator {
    ($params:ident, { $($(#[$doc:meta])* $field:ident: $type:ty $(as $into:ident)?,)* }) => {
        /// See its kind.
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $params {
            $($(#[$doc])* #[serde(default)] pub $field: $type,)*
        }

        impl From<$params> for Chosen {
            fn from(params: $params) -> Chosen {
                let $params { $($field,)* } = params;
                let mut chosen = Chosen::default();
                $(generator!(@set chosen $field $($into)?);)*
                chosen
            }
        }

        impl Params for $params {
            fn validate(&self) -> Vec<Problem> {
                Chosen::from(self.clone()).problems()
            }
        }
    };
    (@set $chosen:ident $field:ident) => { $chosen.$field = $field; };
    (@set $chosen:ident $field:ident $into:ident) => { $chosen.$into = $field; };
}

generator!(BuildStatusParams, {
    /// When: a list of "change", "failing", "passing", "problem", "warnings", "exception", "cancelled", or the text "all" or
    /// "warnings". Default: failing, passing, warnings.
    mode: Option<Modes>,
    /// Only builders with one of these tags.
    tags: Option<Names>,
    /// Only these builders.
    builders: Option<Names>,
    /// Only builds whose property `scheduler` is one of these.
    schedulers: Option<Names>,
    /// Only builds whose property `branch` is one of these.
    branches: Option<Names>,
    /// Logs that go into the report; the formatter's `want_logs_content` does the same.
    add_logs: Wanted,
    /// Whether patches go into the report.
    add_patch: bool,
    /// Whether the beginning of a build is reported too.
    report_new: bool,
    /// Makes the words. Default: a MessageFormatter.
    message_formatter: Option<AnyObject> as formatter,
    /// Of the report, where the formatter has none; `%(result)s`, `%(title)s`, `%(builder)s` in it are filled in.
    subject: Option<String>,
    /// What a class with a `generate` of its own is asked about, e.g. {"builds/*/new"}.
    wanted_event_keys: Option<Vec<Json>>,
});

generator!(BuildStartEndParams, {
    /// Only builders with one of these tags.
    tags: Option<Names>,
    /// Only these builders.
    builders: Option<Names>,
    /// Only builds whose property `scheduler` is one of these.
    schedulers: Option<Names>,
    /// Only builds whose property `branch` is one of these.
    branches: Option<Names>,
    /// Logs that go into the report.
    add_logs: Wanted,
    /// Whether patches go into the report.
    add_patch: bool,
    /// Makes the words at the beginning.
    start_formatter: Option<AnyObject>,
    /// Makes the words at the end.
    end_formatter: Option<AnyObject> as formatter,
    /// What a class with a `generate` of its own is asked about, e.g. {"builds/*/new"}.
    wanted_event_keys: Option<Vec<Json>>,
});

generator!(BuildRequestParams, {
    /// Only builders with one of these tags.
    tags: Option<Names>,
    /// Only these builders.
    builders: Option<Names>,
    /// Only requests whose property `scheduler` is one of these.
    schedulers: Option<Names>,
    /// Only requests whose property `branch` is one of these.
    branches: Option<Names>,
    /// Whether patches go into the report.
    add_patch: bool,
    /// Makes the words.
    formatter: Option<AnyObject>,
    /// What a class with a `generate` of its own is asked about, e.g. {"builds/*/new"}.
    wanted_event_keys: Option<Vec<Json>>,
});

generator!(BuildSetStatusParams, {
    /// Which builds of the set: as for BuildStatusGenerator.
    mode: Option<Modes>,
    /// Only builders with one of these tags.
    tags: Option<Names>,
    /// Only these builders.
    builders: Option<Names>,
    /// Only builds whose property `scheduler` is one of these.
    schedulers: Option<Names>,
    /// Only builds whose property `branch` is one of these.
    branches: Option<Names>,
    /// Of the report, where the formatter has none; `%(result)s`, `%(title)s`, `%(builder)s` in it are filled in.
    subject: Option<String>,
    /// Logs that go into the report.
    add_logs: Wanted,
    /// Whether patches go into the report.
    add_patch: bool,
    /// Makes the words for each build.
    message_formatter: Option<AnyObject> as formatter,
    /// What a class with a `generate` of its own is asked about, e.g. {"builds/*/new"}.
    wanted_event_keys: Option<Vec<Json>>,
});

generator!(WorkerMissingParams, {
    /// "all", or names of workers.
    workers: Option<Names>,
    /// Makes the words.
    message_formatter: Option<AnyObject> as formatter,
    /// What a class with a `generate` of its own is asked about, e.g. {"builds/*/new"}.
    wanted_event_keys: Option<Vec<Json>>,
});

/// `reporters.BuildSetCombinedStatusGenerator`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildSetCombinedParams {
    /// Makes the words for the whole buildset.
    pub message_formatter: AnyObject,
    /// What a class with a `generate` of its own is asked about, e.g. {"builds/*/new"}.
    #[serde(default)]
    pub wanted_event_keys: Option<Vec<Json>>,
}

impl From<BuildSetCombinedParams> for Chosen {
    fn from(params: BuildSetCombinedParams) -> Chosen {
        let BuildSetCombinedParams { message_formatter, wanted_event_keys } = params;
        Chosen { formatter: Some(message_formatter), wanted_event_keys, ..Chosen::default() }
    }
}

impl Params for BuildSetCombinedParams {
    fn validate(&self) -> Vec<Problem> {
        Chosen::from(self.clone()).problems()
    }
}

/// The base of reporters of one's own.
pub const REPORTER: Kind = Kind {
    namespace: "reporters",
    name: "ReporterBase",
    aliases: &["Reporter"],
    category: Category::Reporter,
    positional: &["generators"],
    flat: false,
    doc: "The base of reporters of your own: extend it with sendMessage(self, reports), or give it a function send.",
    schema: schema_of::<ReporterParams>,
    check: check_as::<ReporterParams>,
    callbacks: &[CallbackSpec {
        option: "send",
        args: "reports",
        returns: "nothing; it raises where the reports were not delivered",
        on_error: "tried again with back-off, and shown",
    }],
    extensible: true,
};

const fn generator<P: Params>(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
) -> Kind {
    Kind {
        name,
        aliases: &[],
        category: Category::Generator,
        positional,
        doc,
        schema: schema_of::<P>,
        check: check_as::<P>,
        callbacks: &[],
        ..REPORTER
    }
}

/// All generators.
pub static GENERATORS: &[Kind] = &[
    generator::<BuildStatusParams>(
        "BuildStatusGenerator",
        &[
            "mode",
            "tags",
            "builders",
            "schedulers",
            "branches",
            "add_logs",
            "add_patch",
            "report_new",
            "message_formatter",
        ],
        "Reports builds that have ended.",
    ),
    generator::<BuildStartEndParams>(
        "BuildStartEndStatusGenerator",
        &[
            "tags",
            "builders",
            "schedulers",
            "branches",
            "add_logs",
            "add_patch",
            "start_formatter",
            "end_formatter",
        ],
        "Reports that builds begin, and that they have ended.",
    ),
    generator::<BuildRequestParams>(
        "BuildRequestGenerator",
        &["tags", "builders", "schedulers", "branches", "add_patch", "formatter"],
        "Reports requests that are made, and those that are cancelled.",
    ),
    generator::<BuildSetStatusParams>(
        "BuildSetStatusGenerator",
        &[
            "mode",
            "tags",
            "builders",
            "schedulers",
            "branches",
            "subject",
            "add_logs",
            "add_patch",
            "message_formatter",
        ],
        "Reports buildsets that are complete: the words for each of its builds, together.",
    ),
    generator::<BuildSetCombinedParams>(
        "BuildSetCombinedStatusGenerator",
        &["message_formatter"],
        "Reports buildsets that are complete, in one message.",
    ),
    generator::<WorkerMissingParams>(
        "WorkerMissingGenerator",
        &["workers", "message_formatter"],
        "Reports workers that are missing to those whom their notify_on_missing names.",
    ),
];

/// Every kind of this part.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    std::iter::once(&REPORTER_KIND).chain(GENERATORS).chain(FORMATTERS)
}

static REPORTER_KIND: Kind = REPORTER;
