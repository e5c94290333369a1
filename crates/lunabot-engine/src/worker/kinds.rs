//! The kinds of workers (reference 08.001, 08.015).

use super::{PB_CHANGE_SOURCE, latent};
use lunabot_model::downtime::DowntimeOption;
use lunabot_model::kind::{Category, Params, check_as, schema_of};
use lunabot_model::kinds::locks::problem_of_fixed_locks;
use lunabot_model::{Duration, Json, Kind, Problem, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The kinds of this room that declare workers, and what comes in through their door.
pub static KINDS: &[Kind] = &[LOCAL_WORKER, WORKER, latent::KIND, PB_CHANGE_SOURCE];

/// `worker.LocalWorker`: a worker inside the master's process (08.015).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LocalWorkerParams {
    /// Unique.
    pub name: String,
    /// Its base directory; default `workers/NAME` below the master's.
    pub workdir: Option<String>,
    /// Builds it runs at the same time; absent or 0: as many as builders use it.
    pub max_builds: Option<u32>,
    /// Properties of every build it runs (04b, item 5).
    pub properties: BTreeMap<String, Json>,
    /// Properties for names that nothing else sets.
    #[serde(rename = "defaultProperties")]
    pub default_properties: BTreeMap<String, Json>,
    /// A worker in the same process needs none.
    pub password: Option<Json>,
    /// Locks that its builds hold: locks or accesses (05.061).
    #[schemars(schema_with = "lunabot_model::locks::fixed_option_schema")]
    pub locks: Option<Json>,
    /// Times at which no build is started on it: `{"wed 08:00-10:00", tz = "Europe/Berlin"}`.
    pub downtime: Option<DowntimeOption>,
    /// Not supported yet.
    pub machine_name: Option<String>,
    /// Not supported yet.
    pub notify_on_missing: Option<StringOrList>,
    /// Not supported yet.
    pub missing_timeout: Option<Duration>,
    /// A worker in the same process needs none.
    pub keepalive_interval: Option<Duration>,
}

impl Params for LocalWorkerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.name.is_empty() {
            problems.push(Problem::new("name", "is missing"));
        }
        problems.extend(problem_of_fixed_locks(self.locks.as_ref()));
        problems.extend(self.downtime.as_ref().and_then(DowntimeOption::problem));
        let not_yet = [
            ("machine_name", self.machine_name.is_some()),
            ("notify_on_missing", self.notify_on_missing.is_some()),
            ("missing_timeout", self.missing_timeout.is_some()),
        ];
        problems
            .extend(not_yet.iter().filter(|(_, is)| *is).map(|(o, _)| Problem::new(*o, "not supported yet")));
        let no_use = [
            ("password", self.password.is_some()),
            ("keepalive_interval", self.keepalive_interval.is_some()),
        ];
        let text = "has no use: a LocalWorker runs inside the master; leave it out";
        problems.extend(no_use.iter().filter(|(_, is)| *is).map(|(o, _)| Problem::new(*o, text)));
        problems
    }
}

pub const LOCAL_WORKER: Kind = Kind {
    namespace: "worker",
    name: "LocalWorker",
    aliases: &[],
    category: Category::Worker,
    positional: &["name", "workdir"],
    flat: false,
    doc: "A worker inside the master's own process: runs its commands on the master's machine.",
    schema: schema_of::<LocalWorkerParams>,
    check: check_as::<LocalWorkerParams>,
    callbacks: &[],
    extensible: false,
};

/// The kind of workers that connect over a network.
pub(crate) const REMOTE: &str = "worker.Worker";

/// `worker.Worker`: a worker that connects over a network (08.001).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteWorkerParams {
    /// Unique.
    pub name: String,
    /// What it proves itself with: a text, or a renderable such as `util.Secret`.
    pub password: Json,
    /// Builds it runs at the same time; absent or 0: as many as builders use it.
    pub max_builds: Option<u32>,
    /// Who is told when it is missing.
    pub notify_on_missing: Option<StringOrList>,
    /// Seconds it may be away before it counts as missing, 3600 if absent; 0: it never does.
    pub missing_timeout: Option<Duration>,
    /// Properties of every build it runs (04b, item 5).
    pub properties: BTreeMap<String, Json>,
    /// Properties for names that nothing else sets.
    #[serde(rename = "defaultProperties")]
    pub default_properties: BTreeMap<String, Json>,
    /// Locks that its builds hold: locks or accesses (05.061).
    #[schemars(schema_with = "lunabot_model::locks::fixed_option_schema")]
    pub locks: Option<Json>,
    /// Times at which no build is started on it: `{"wed 08:00-10:00", tz = "Europe/Berlin"}`.
    pub downtime: Option<DowntimeOption>,
    /// Seconds between the questions whether it is there, 3600 if absent.
    pub keepalive_interval: Option<Duration>,
    /// Not supported yet.
    pub machine_name: Option<String>,
}

impl Params for RemoteWorkerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |wrong: bool, option, text| {
            if wrong {
                problems.push(Problem::new(option, text));
            }
        };
        problem(self.name.is_empty(), "name", "is missing");
        let given = self.password.as_str().is_some_and(|text| !text.is_empty()) || self.password.is_object();
        let text = "is missing: the text that the worker was created with, or util.Secret \"NAME\"";
        problem(!given, "password", text);
        problem(self.machine_name.is_some(), "machine_name", "not supported yet");
        let interval = self.keepalive_interval.is_some_and(|interval| interval.0 <= 0.0);
        problem(interval, "keepalive_interval", "must be more than 0 seconds");
        problem(
            self.missing_timeout.is_some_and(|t| t.0 < 0.0),
            "missing_timeout",
            "must be 0 seconds or more",
        );
        problems.extend(problem_of_fixed_locks(self.locks.as_ref()));
        problems.extend(self.downtime.as_ref().and_then(DowntimeOption::problem));
        problems
    }
}

pub const WORKER: Kind = Kind {
    name: "Worker",
    positional: &[
        "name",
        "password",
        "max_builds",
        "notify_on_missing",
        "missing_timeout",
        "properties",
        "defaultProperties",
        "locks",
        "keepalive_interval",
        "machine_name",
    ],
    doc: "A worker that connects to the master over a network, through one of `c.protocols`.",
    schema: schema_of::<RemoteWorkerParams>,
    check: check_as::<RemoteWorkerParams>,
    ..LOCAL_WORKER
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_without_support_are_errors_that_say_so() {
        let problems = (LOCAL_WORKER.check)(&json!({"name": "w", "machine_name": "m", "password": "x"}));
        let paths: Vec<_> = problems.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["machine_name", "password"]);
        assert_eq!(problems[0].message, "not supported yet");
        assert_eq!((LOCAL_WORKER.check)(&json!({})), [Problem::new("name", "is missing")]);
    }

    #[test]
    fn row_08_001_a_worker_is_told_what_is_wrong_with_its_options() {
        let problems = |args| (WORKER.check)(&args).into_iter().map(|p| p.path).collect::<Vec<_>>();
        assert_eq!(
            problems(json!({"name": "w1", "password": "x", "max_builds": 2, "missing_timeout": 0})),
            [""; 0]
        );
        let secret = json!({"$kind": "util.Secret", "$args": {"name": "w1"}});
        assert_eq!(problems(json!({"name": "w1", "password": secret})), [""; 0]);
        assert_eq!(problems(json!({"name": ""})), ["name", "password"]);
        let all =
            json!({"name": "w", "password": 7, "locks": [1], "machine_name": "m", "keepalive_interval": 0});
        assert_eq!(problems(all), ["password", "machine_name", "keepalive_interval", "locks"]);
    }
}
