//! The kinds of workers (reference 08.001, 08.015).

use lunabot_model::kind::{Category, Params, check_as, schema_of};
use lunabot_model::kinds::locks::problem_of_fixed_locks;
use lunabot_model::{Duration, Json, Kind, Problem, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The kinds of this room that declare workers.
pub static KINDS: &[Kind] = &[LOCAL_WORKER, WORKER];

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

/// `worker.Worker`: a worker that connects over a network (08.001). Declared so that a configuration that has one is told
/// what is missing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteWorkerParams {
    /// Unique.
    pub name: String,
    /// What it proves itself with; may be a renderable.
    pub password: Json,
    /// Builds it runs at the same time; absent or 0: as many as builders use it.
    pub max_builds: Option<u32>,
    /// Who is told when it is missing.
    pub notify_on_missing: Option<StringOrList>,
    /// How long it may be away before.
    pub missing_timeout: Option<Duration>,
    /// Properties of every build it runs.
    pub properties: BTreeMap<String, Json>,
    /// Properties for names that nothing else sets.
    #[serde(rename = "defaultProperties")]
    pub default_properties: BTreeMap<String, Json>,
    /// Locks that its builds hold: locks or accesses (05.061).
    #[schemars(schema_with = "lunabot_model::locks::fixed_option_schema")]
    pub locks: Option<Json>,
    /// How often it is asked whether it is there.
    pub keepalive_interval: Option<Duration>,
    /// The machine that has to run for it.
    pub machine_name: Option<String>,
}

impl Params for RemoteWorkerParams {
    fn validate(&self) -> Vec<Problem> {
        let text = "workers that connect over a network are not supported yet; use worker.LocalWorker";
        vec![Problem::new("", text)]
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
    doc: "A worker that connects to the master over a network. Not supported yet.",
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
        let remote = (WORKER.check)(&json!({"name": "w1", "password": "x", "max_builds": 2}));
        assert!(remote[0].message.contains("not supported yet"), "{remote:?}");
    }
}
