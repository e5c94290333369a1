//! Kinds of builders and factories (reference 1c, 5g).

use crate::AnyObject;
use crate::config::{BuilderConfig, FactoryConfig};
use crate::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};

impl Params for BuilderConfig {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.name.is_empty() {
            problems.push(Problem::new("name", "is empty"));
        } else if self.name.starts_with('_') {
            problems.push(Problem::new("name", "must not begin with an underscore"));
        }
        if self.workers().is_empty() {
            problems.push(Problem::new("workernames", "name at least one worker: workernames = {\"…\"}"));
        }
        if !super::factories::is_factory(&self.factory.kind) {
            problems.push(Problem::new(
                "factory",
                format!("expected a util.BuildFactory, got a {}", self.factory.kind),
            ));
        }
        if self.ignore_offline_workers_timeout.is_some_and(|timeout| timeout.secs() <= 0.0) {
            problems.push(Problem::new("ignoreOfflineWorkersTimeout", "must be longer than 0 seconds"));
        }
        if self.description_format.as_deref().is_some_and(|format| format != "markdown") {
            problems.push(Problem::new("description_format", "the only format is \"markdown\""));
        }
        problems.extend(crate::kinds::locks::problem_of_locks(self.locks.as_ref()));
        let long =
            self.properties.keys().chain(self.default_properties.keys()).filter(|name| name.len() > 256);
        problems.extend(long.map(|name| {
            Problem::new("properties", format!("the name {name} is longer than 256 characters"))
        }));
        problems
    }
}

impl Params for FactoryConfig {
    fn validate(&self) -> Vec<Problem> {
        let other = self.build_class.as_ref().filter(|class| class.kind != "util.Build");
        let told = |class: &AnyObject| {
            let told = format!("expected a class that extends util.Build, got {}", class.kind);
            Problem::new("buildClass", told)
        };
        other.map(told).into_iter().collect()
    }
}

/// `util.BuilderConfig`.
pub const BUILDER_CONFIG: Kind = Kind {
    namespace: "util",
    name: "BuilderConfig",
    aliases: &[],
    category: Category::Builder,
    positional: &[
        "name",
        "workername",
        "workernames",
        "builddir",
        "workerbuilddir",
        "factory",
        "tags",
        "nextWorker",
        "nextBuild",
        "locks",
        "env",
        "properties",
        "collapseRequests",
        "description",
        "description_format",
        "canStartBuild",
        "defaultProperties",
        "project",
        "do_build_if",
    ],
    flat: false,
    doc: "A builder: what is built, by which workers.",
    schema: schema_of::<BuilderConfig>,
    check: check_as::<BuilderConfig>,
    callbacks: &[
        CallbackSpec {
            option: "nextBuild",
            args: "builder, requests",
            returns: "one of the requests, or nil for none now",
            on_error: "none now, tried again at the next event",
        },
        CallbackSpec {
            option: "nextWorker",
            args: "builder, wfbs, request",
            returns: "one of wfbs, or nil for none now",
            on_error: "none now",
        },
        CallbackSpec {
            option: "canStartBuild",
            args: "builder, wfb, request",
            returns: "true or false",
            on_error: "false",
        },
        CallbackSpec {
            option: "do_build_if",
            args: "build",
            returns: "true or false: the build ends as skipped",
            on_error: "the build ends in EXCEPTION",
        },
        CallbackSpec {
            option: "collapseRequests",
            args: "master, builder, req1, req2",
            returns: "true or false; true, {set_properties = {…}} also sets properties of req1, which stays",
            on_error: "not collapsed",
        },
        super::locks::LOCKS,
    ],
    extensible: false,
};

/// `util.Build`: what a class of builds may change is in its methods.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildParams {}

impl Params for BuildParams {}

/// `util.Build`.
pub const BUILD: Kind = Kind {
    namespace: "util",
    name: "Build",
    aliases: &[],
    category: Category::Build,
    positional: &[],
    flat: false,
    doc: "A build: extend it with setupBuild or getNextStep, and give the class to a factory as buildClass.",
    schema: schema_of::<BuildParams>,
    check: check_as::<BuildParams>,
    callbacks: &[],
    extensible: true,
};

/// `util.BuildFactory`.
pub const BUILD_FACTORY: Kind = Kind {
    namespace: "util",
    name: "BuildFactory",
    aliases: &[],
    category: Category::Factory,
    positional: &["steps"],
    flat: true,
    doc: "The steps of a build, in order.",
    schema: schema_of::<FactoryConfig>,
    check: check_as::<FactoryConfig>,
    callbacks: &[CallbackSpec {
        option: "workdir",
        args: "source_stamps",
        returns: "the folder: a text",
        on_error: "the build ends in EXCEPTION",
    }],
    extensible: true,
};
