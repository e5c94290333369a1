//! `worker.AbstractLatentWorker`: the base of latent workers (reference 08.038, 08.046, 08.048).

use super::terms::{Idle, Settings};
use crate::worker::kinds::WORKER;
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::downtime::DowntimeOption;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::kinds::locks::problem_of_fixed_locks;
use lunabot_model::object::same;
use lunabot_model::{AnyObject, ClassOf, Duration, Json, Kind, Problem, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The kind of latent workers.
pub(crate) const ABSTRACT: &str = "worker.AbstractLatentWorker";

/// Methods without which there is nothing to do.
const WANTED: [&str; 2] = ["start_instance", "stop_instance"];

/// `worker.AbstractLatentWorker`, what a class of the configuration extends.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LatentParams {
    /// Unique.
    pub name: String,
    /// What the instance proves itself with: a text, or a renderable such as `util.Secret`. Absent: another one for each
    /// instance, by chance; `self.password` tells it (08.049).
    pub password: Option<Json>,
    /// Builds it runs at the same time; absent or 0: as many as builders use it.
    pub max_builds: Option<u32>,
    /// Who is told when an instance does not connect.
    pub notify_on_missing: Option<StringOrList>,
    /// Seconds an instance may take from `start_instance` to its connection, 3600 if absent.
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
    /// Seconds an instance is kept without a build, 600 if absent; 0: it is stopped at once; less: it is kept until the
    /// master stops (08.046).
    pub build_wait_timeout: Option<Duration>,
    /// Seconds between the calls of `check_instance` until it connects, 10 if absent (08.042).
    pub check_instance_interval: Option<Duration>,
    /// Whether an instance may not suit a build: `isCompatibleWithBuild` is asked (08.048).
    pub builds_may_be_incompatible: bool,
    /// The master's name for its instances, `self.masterFQDN`. Absent: the host name of its machine.
    #[serde(rename = "masterFQDN")]
    pub master_fqdn: Option<String>,
}

impl Params for LatentParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |wrong: bool, option, text| {
            if wrong {
                problems.push(Problem::new(option, text));
            }
        };
        let not_positive = |time: Option<Duration>| time.is_some_and(|time| time.0 <= 0.0);
        let password =
            |given: &Json| given.as_str().is_some_and(|text| !text.is_empty()) || given.is_object();
        problem(self.name.is_empty(), "name", "is missing");
        let text =
            "expected a text, or util.Secret \"NAME\"; leave it out to have one made for each instance";
        problem(self.password.as_ref().is_some_and(|given| !password(given)), "password", text);
        problem(self.machine_name.is_some(), "machine_name", "not supported yet");
        let positive = "must be more than 0 seconds";
        problem(not_positive(self.keepalive_interval), "keepalive_interval", positive);
        problem(not_positive(self.missing_timeout), "missing_timeout", positive);
        problem(not_positive(self.check_instance_interval), "check_instance_interval", positive);
        problem(self.master_fqdn.as_deref() == Some(""), "masterFQDN", "must not be empty");
        problems.extend(problem_of_fixed_locks(self.locks.as_ref()));
        problems.extend(self.downtime.as_ref().and_then(DowntimeOption::problem));
        problems
    }
}

pub(crate) const KIND: Kind = Kind {
    name: "AbstractLatentWorker",
    aliases: &["LatentWorker"],
    positional: &["name", "password"],
    doc: "The base of latent workers of your own: extend it with start_instance and stop_instance.",
    schema: schema_of::<LatentParams>,
    check: check_as::<LatentParams>,
    extensible: true,
    ..WORKER
};

/// A latent worker as it is declared.
#[derive(Debug)]
pub(crate) struct LatentSpec {
    pub object: AnyObject,
    pub class: ClassOf,
    pub params: LatentParams,
}

impl LatentSpec {
    /// The error says what is wrong with it.
    pub fn read(object: &AnyObject, params: LatentParams) -> Result<Self, String> {
        let class = object.class.as_ref().map(ClassOf::read).transpose()?;
        let class = class.filter(|class| WANTED.iter().all(|wanted| class.hook(wanted).is_some()));
        let class = class.ok_or_else(|| {
            format!("starts nothing by itself: extend it with the methods {}", WANTED.join(" and "))
        })?;
        Ok(LatentSpec { object: object.clone(), class, params })
    }

    pub fn settings(&self) -> Settings {
        let LatentParams { build_wait_timeout, missing_timeout, check_instance_interval, .. } = self.params;
        let seconds = |time: Option<Duration>, default| time.unwrap_or(Duration(default));
        let idle = match seconds(build_wait_timeout, 600.0) {
            Duration(0.0) => Idle::Stop,
            time if time.0 < 0.0 => Idle::Keep,
            time => Idle::StopAfter(time.std()),
        };
        let checks = self.class.hook("check_instance").is_some();
        Settings {
            idle,
            missing: seconds(missing_timeout, 3600.0).std(),
            check: checks.then(|| seconds(check_instance_interval, 10.0).std()),
        }
    }

    /// Whether it would make the same instances: what is said of times, limits and properties does not count.
    pub fn makes_the_same(&self, other: &LatentSpec) -> bool {
        same(&identity(&self.object), &identity(&other.object))
    }
}

fn identity(object: &AnyObject) -> Json {
    let mut all = serde_json::to_value(object).unwrap_or_default();
    if let Some(args) = all["$args"].as_object_mut() {
        args.retain(|name, _| !ABOUT_THE_MASTER.contains(&name.as_str()));
    }
    all
}

/// Options that say how the master uses an instance, not what it is.
const ABOUT_THE_MASTER: &[&str] = &[
    "max_builds",
    "notify_on_missing",
    "missing_timeout",
    "properties",
    "defaultProperties",
    "locks",
    "downtime",
    "keepalive_interval",
    "build_wait_timeout",
    "check_instance_interval",
    "builds_may_be_incompatible",
];

/// Latent workers that can start nothing.
pub fn latent_errors(config: &Config) -> Vec<ConfigError> {
    let latent = config.workers.iter().filter(|object| object.kind == ABSTRACT);
    let wrong = latent.filter_map(|object| {
        let read = LatentSpec::read(object, LatentParams::default()).err()?;
        let (file, line) = object.at.rsplit_once(':').unwrap_or((&object.at, ""));
        Some(ConfigError {
            file: file.into(),
            line: line.parse().ok(),
            path: object.kind.clone(),
            message: read,
        })
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(args: Json) -> LatentSpec {
        let hook = |id: u64| json!({"$fn": {"id": id, "generation": 1, "fingerprint": format!("f{id}"), "at": "master.lua:1"}});
        let class = json!({"name": "Mine", "fingerprint": "x", "hooks": {"start_instance": hook(1), "stop_instance": hook(2)}});
        let object = AnyObject {
            kind: ABSTRACT.into(),
            id: 1,
            at: "master.lua:1".into(),
            class: Some(class),
            args: args.clone(),
        };
        LatentSpec::read(&object, serde_json::from_value(args).unwrap()).unwrap()
    }

    #[test]
    fn rows_08_038_08_046_options_are_checked_and_have_buildbots_defaults() {
        let problems = |args| (KIND.check)(&args).into_iter().map(|p| p.path).collect::<Vec<_>>();
        assert_eq!(problems(json!({"name": "w", "build_wait_timeout": -1})), [""; 0]);
        let secret = json!({"$kind": "util.Secret", "$args": {"name": "w1"}});
        assert_eq!(problems(json!({"name": "w", "password": secret})), [""; 0]);
        let all = json!({
            "password": "", "machine_name": "m", "keepalive_interval": 0, "missing_timeout": 0,
            "check_instance_interval": -1, "masterFQDN": "", "locks": [1],
        });
        let wrong = [
            "name",
            "password",
            "machine_name",
            "keepalive_interval",
            "missing_timeout",
            "check_instance_interval",
            "masterFQDN",
            "locks",
        ];
        assert_eq!(problems(all), wrong);
        let idle = |args| spec(args).settings().idle;
        assert_eq!(idle(json!({"name": "w"})), Idle::StopAfter(std::time::Duration::from_secs(600)));
        assert_eq!(idle(json!({"name": "w", "build_wait_timeout": 0})), Idle::Stop);
        assert_eq!(idle(json!({"name": "w", "build_wait_timeout": -1})), Idle::Keep);
        assert_eq!(spec(json!({"name": "w"})).settings().check, None, "the class has no check_instance");
    }

    #[test]
    fn what_is_about_the_master_makes_no_other_instance() {
        let one = spec(json!({"name": "w", "build_wait_timeout": 5}));
        assert!(one.makes_the_same(&spec(json!({"name": "w", "max_builds": 2}))));
        assert!(!one.makes_the_same(&spec(json!({"name": "w", "password": "x"}))));
    }

    #[test]
    fn a_latent_worker_needs_a_class() {
        let bare = AnyObject { class: None, ..spec(json!({"name": "w"})).object };
        let config = Config { workers: vec![bare], ..Config::default() };
        let told = latent_errors(&config)[0].to_string();
        let text = "master.lua:1: worker.AbstractLatentWorker: starts nothing by itself: \
                    extend it with the methods start_instance and stop_instance";
        assert_eq!(told, text);
    }
}
