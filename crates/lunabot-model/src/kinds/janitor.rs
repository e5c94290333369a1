//! `util.JanitorConfigurator` (14.026): a builder of the master's own that takes out what is old.

use crate::kind::{Category, Kind, Params, Problem, check_as, schema_of};
use crate::retention::Rule;
use crate::{Duration, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The options of a janitor.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JanitorParams {
    /// Texts of logs are kept for so long after the end of their build.
    #[serde(rename = "logHorizon")]
    pub log_horizon: Option<Duration>,
    /// When it runs, as in `schedulers.Nightly`; default: at midnight.
    pub hour: Option<Json>,
    /// Build data are kept for so long.
    pub build_data_horizon: Option<Duration>,
    /// Further rules, per builder, tag and result; the first that fits a build counts.
    pub retention: Vec<Rule>,
    pub minute: Option<Json>,
    #[serde(rename = "dayOfMonth")]
    pub day_of_month: Option<Json>,
    pub month: Option<Json>,
    #[serde(rename = "dayOfWeek")]
    pub day_of_week: Option<Json>,
    /// The time zone of these times; default: the master's.
    pub tz: Option<String>,
    /// The name of its Nightly scheduler; default `__Janitor`.
    pub name: Option<String>,
}

impl JanitorParams {
    /// What its Nightly scheduler is told, by name.
    pub fn times(&self) -> Vec<(&'static str, Json)> {
        let given = |name, value: &Option<Json>| value.clone().map(|value| (name, value));
        let hour = self.hour.clone().unwrap_or_else(|| 0.into());
        let rest = [
            given("minute", &self.minute),
            given("dayOfMonth", &self.day_of_month),
            given("month", &self.month),
            given("dayOfWeek", &self.day_of_week),
            given("tz", &self.tz.clone().map(Json::from)),
        ];
        std::iter::once(("hour", hour)).chain(rest.into_iter().flatten()).collect()
    }
}

impl Params for JanitorParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.log_horizon.is_none() && self.build_data_horizon.is_none() && self.retention.is_empty() {
            problems.push(Problem::new(
                "",
                "has nothing to do; give logHorizon, build_data_horizon or retention",
            ));
        }
        for (i, rule) in self.retention.iter().enumerate() {
            problems.extend(rule.problems(&format!("retention[{i}]")));
        }
        problems
    }
}

/// Options of Nightly that mean nothing to what builds no sources (14.026).
const FOREIGN: &[&str] = &[
    "branch",
    "builderNames",
    "change_filter",
    "codebases",
    "createAbsoluteSourceStamps",
    "fileIsImportant",
    "force_at_day_of_month",
    "force_at_day_of_week",
    "force_at_hour",
    "force_at_minute",
    "force_at_month",
    "onlyIfChanged",
    "onlyImportant",
    "priority",
    "properties",
    "reason",
];

fn check(args: &Json) -> Vec<Problem> {
    let foreign = FOREIGN.iter().filter(|option| args.get(**option).is_some());
    let text = "has no use here: the janitor builds no sources; leave it out";
    let problems: Vec<Problem> = foreign.map(|option| Problem::new(*option, text)).collect();
    if problems.is_empty() { check_as::<JanitorParams>(args) } else { problems }
}

/// `util.JanitorConfigurator`.
pub const JANITOR_CONFIGURATOR: Kind = Kind {
    namespace: "util",
    name: "JanitorConfigurator",
    aliases: &[],
    category: Category::Value,
    positional: &["logHorizon", "hour", "build_data_horizon"],
    flat: false,
    doc: "Keeps the database from growing without end: each night it takes out the texts of old logs, old build data and old builds.",
    schema: schema_of::<JanitorParams>,
    check,
    callbacks: &[],
    extensible: false,
};
