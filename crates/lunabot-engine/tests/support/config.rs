//! Configurations, written as a script would declare them.

use lunabot_model::config::{BuilderConfig, Config, DeclaredBuilder, FactoryConfig};
use lunabot_model::{AnyObject, Json};
use serde_json::json;

/// A configuration under construction.
#[derive(Default)]
pub struct Setup {
    pub config: Config,
}

impl Setup {
    /// With these workers.
    pub fn new(workers: &[&str]) -> Self {
        let mut setup = Setup::default();
        setup.config.buildbot_url = "http://localhost:8010/".into();
        for name in workers {
            setup = setup.worker(json!({"name": name}));
        }
        setup
    }

    pub fn worker(mut self, args: Json) -> Self {
        self.config.workers.push(object("worker.LocalWorker", args));
        self
    }

    pub fn builder(mut self, builder: DeclaredBuilder) -> Self {
        self.config.builders.push(builder);
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }
}

pub fn object(kind: &str, args: Json) -> AnyObject {
    AnyObject { kind: kind.into(), id: 1, at: "master.lua:1".into(), class: None, args }
}

/// A builder with its workers and steps.
pub fn builder(name: &str, workers: &[&str], steps: Vec<AnyObject>) -> DeclaredBuilder {
    builder_with(json!({"name": name, "workernames": workers}), steps)
}

/// The same with any options.
pub fn builder_with(mut options: Json, steps: Vec<AnyObject>) -> DeclaredBuilder {
    options["factory"] = serde_json::to_value(object("util.BuildFactory", json!({}))).unwrap();
    let config: BuilderConfig = serde_json::from_value(options).unwrap();
    DeclaredBuilder {
        at: "master.lua:1".into(),
        config,
        factory: FactoryConfig { steps, ..FactoryConfig::default() },
    }
}

/// A step that runs a command: `true`, `false`, `exit N`, `hold NAME` (until the test lets it go), `print TEXT`.
pub fn step(command: &str) -> AnyObject {
    step_with(command, json!({}))
}

pub fn step_with(command: &str, mut options: Json) -> AnyObject {
    if options.get("command").is_none() {
        options["command"] = command.split(' ').collect();
    }
    object("steps.ShellCommand", options)
}

pub fn property(name: &str) -> Json {
    json!({"$kind": "util.Property", "$id": 1, "$at": "master.lua:1", "$args": {"key": name}})
}
