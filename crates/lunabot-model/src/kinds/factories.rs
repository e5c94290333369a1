//! Factories that bring steps of their own (reference 05.067, 05.068), and those that there are no more (05.069).
//!
//! Each is worked out to a plain list of steps when the configuration is read.

use super::builders::BUILD_FACTORY;
use crate::config::FactoryConfig;
use crate::kind::{Kind, Params, Problem, check_as, schema_of};
use crate::{AnyObject, Json, Renderable, StringOrList};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::json;

/// `util.GNUAutoconf` (05.067).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GnuAutoconfParams {
    /// The first step: the checkout.
    pub source: AnyObject,
    /// The command that configures; `util.null`: none. Default `./configure`.
    #[serde(default, deserialize_with = "present")]
    pub configure: Option<Json>,
    /// The environment of all commands.
    #[serde(default, rename = "configureEnv")]
    pub configure_env: Option<Json>,
    /// Further words of `configure`.
    #[serde(default, rename = "configureFlags")]
    pub configure_flags: StringOrList,
    /// `true`: run `autoreconf -si` first; or the command that does it.
    #[serde(default)]
    pub reconf: Option<Json>,
    /// The command that compiles; `util.null`: none. Default `make all`.
    #[serde(default, deserialize_with = "present")]
    pub compile: Option<Json>,
    /// The command that tests; `util.null`: none. Default `make check`.
    #[serde(default, deserialize_with = "present")]
    pub test: Option<Json>,
    /// The command that tests the distribution; `util.null`: none. Default `make distcheck`.
    #[serde(default, deserialize_with = "present")]
    pub distcheck: Option<Json>,
    /// Steps that follow, as `addStep` adds them.
    #[serde(default)]
    pub steps: Vec<AnyObject>,
    /// Folder of the steps below the builder's; may be a renderable, or a function of the source stamps (05.035).
    pub workdir: Option<Renderable<String>>,
}

/// `util.CPAN` (05.068).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpanParams {
    /// The first step: the checkout.
    pub source: AnyObject,
    /// The interpreter. Default `perl`.
    pub perl: Option<String>,
    /// Steps that follow, as `addStep` adds them.
    #[serde(default)]
    pub steps: Vec<AnyObject>,
    /// Folder of the steps below the builder's; may be a renderable, or a function of the source stamps (05.035).
    pub workdir: Option<Renderable<String>>,
}

/// `util.Trial` (05.068).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialFactoryParams {
    /// The first step: the checkout.
    pub source: AnyObject,
    /// The interpreter that runs `setup.py build`. Default `python`.
    pub buildpython: Option<StringOrList>,
    /// The interpreter that runs the tests; default: the program's own.
    pub trialpython: Option<StringOrList>,
    /// The program. Default `trial`.
    pub trial: Option<String>,
    /// Put in front of `PYTHONPATH`; `util.null`: nothing is. Default `.`.
    #[serde(default, deserialize_with = "present")]
    pub testpath: Option<Json>,
    /// Tests in random order.
    pub randomly: Option<bool>,
    /// Tests in packages below too.
    pub recurse: Option<bool>,
    /// What is tested.
    pub tests: Option<Json>,
    /// In its place: the tests of the files that changes touch.
    #[serde(rename = "useTestCaseNames")]
    pub use_test_case_names: Option<bool>,
    /// The environment of both commands.
    pub env: Option<Json>,
    /// Steps that follow, as `addStep` adds them.
    #[serde(default)]
    pub steps: Vec<AnyObject>,
    /// Folder of the steps below the builder's; may be a renderable, or a function of the source stamps (05.035).
    pub workdir: Option<Renderable<String>>,
}

/// Tells `util.null` from what is not given.
fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(d).map(Some)
}

impl Params for GnuAutoconfParams {
    fn validate(&self) -> Vec<Problem> {
        let commands = [
            ("configure", &self.configure),
            ("compile", &self.compile),
            ("test", &self.test),
            ("distcheck", &self.distcheck),
            ("reconf", &self.reconf),
        ];
        let mut problems: Vec<Problem> =
            commands.iter().filter_map(|(name, option)| command_problem(name, option.as_ref())).collect();
        let blank = self.configure.as_ref().and_then(Json::as_str).is_some_and(|text| text.contains(' '));
        if blank && !self.configure_flags.0.is_empty() {
            let message = "write a list of words where there are configureFlags: {\"./configure\", \"-q\"}";
            problems.push(Problem::new("configure", message));
        }
        problems
    }
}

fn command_problem(name: &str, option: Option<&Json>) -> Option<Problem> {
    let command = option?;
    let switch = name == "reconf" && command.is_boolean();
    let fits =
        command.is_null() || command.is_string() || command.is_array() || command.get("$kind").is_some();
    (!fits && !switch)
        .then(|| Problem::new(name, format!("expected a text, a list of texts or util.null, got {command}")))
}

impl Params for CpanParams {}

impl Params for TrialFactoryParams {
    fn validate(&self) -> Vec<Problem> {
        let named = self.tests.as_ref().is_some_and(|tests| !tests.is_null());
        if named || self.use_test_case_names == Some(true) {
            Vec::new()
        } else {
            vec![Problem::new("", "one of tests and useTestCaseNames must be given")]
        }
    }
}

const fn kind(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
    schema: fn() -> schemars::Schema,
    check: fn(&Json) -> Vec<Problem>,
) -> Kind {
    Kind { name, positional, flat: false, doc, schema, check, ..BUILD_FACTORY }
}

pub const GNU_AUTOCONF: Kind = kind(
    "GNUAutoconf",
    &["source", "configure", "configureEnv", "configureFlags", "reconf", "compile", "test", "distcheck"],
    "A factory for sources with a configure script: checkout, `autoreconf` if asked for, Configure, Compile, and Test \
     twice.",
    schema_of::<GnuAutoconfParams>,
    check_as::<GnuAutoconfParams>,
);

pub const CPAN: Kind = kind(
    "CPAN",
    &["source", "perl"],
    "A factory for Perl modules: checkout, `perl Makefile.PL`, `make`, `make test`.",
    schema_of::<CpanParams>,
    check_as::<CpanParams>,
);

pub const TRIAL: Kind = kind(
    "Trial",
    &[
        "source",
        "buildpython",
        "trialpython",
        "trial",
        "testpath",
        "randomly",
        "recurse",
        "tests",
        "useTestCaseNames",
        "env",
    ],
    "A factory for Python modules tested with trial: checkout, `python ./setup.py build`, steps.Trial.",
    schema_of::<TrialFactoryParams>,
    check_as::<TrialFactoryParams>,
);

/// Whether a kind of this path is a factory.
pub fn is_factory(path: &str) -> bool {
    [BUILD_FACTORY, GNU_AUTOCONF, CPAN, TRIAL].iter().any(|kind| kind.path() == path)
}

/// The plain factory that a declared one stands for.
pub fn expand(factory: &AnyObject) -> Result<FactoryConfig, serde_json::Error> {
    let args = &factory.args;
    match factory.kind.as_str() {
        "util.GNUAutoconf" => GnuAutoconfParams::deserialize(args).map(|params| params.expand(factory)),
        "util.CPAN" => CpanParams::deserialize(args).map(|params| params.expand(factory)),
        "util.Trial" => TrialFactoryParams::deserialize(args).map(|params| params.expand(factory)),
        _ => FactoryConfig::deserialize(args),
    }
}

/// A step, declared where its factory is.
fn step(factory: &AnyObject, kind: &str, args: Json) -> AnyObject {
    AnyObject { kind: kind.into(), id: factory.id, at: factory.at.clone(), class: None, args }
}

impl GnuAutoconfParams {
    fn expand(self, factory: &AnyObject) -> FactoryConfig {
        let env = self.configure_env.clone().filter(|env| !env.is_null()).unwrap_or_else(|| json!({}));
        let add = |kind: &str, command: Option<Json>| {
            let command = command.filter(|command| !command.is_null())?;
            Some(step(factory, kind, json!({"command": command, "env": env})))
        };
        let default = |option: Option<Json>, words: Json| Some(option.unwrap_or(words));
        let reconf = match self.reconf {
            Some(Json::Bool(true)) => Some(json!(["autoreconf", "-si"])),
            Some(Json::Bool(false)) | None => None,
            own => own,
        };
        let mut reconf = add("steps.ShellCommand", reconf);
        if let Some(step) = &mut reconf {
            step.args["name"] = "autoreconf".into();
        }
        let configure = match default(self.configure, "./configure".into()) {
            Some(Json::String(program)) if !self.configure_flags.0.is_empty() => {
                Some(json!([program, self.configure_flags]))
            }
            Some(Json::Array(words)) => Some(json!([words, self.configure_flags])),
            other => other,
        };
        let own = [
            reconf,
            add("steps.Configure", configure),
            add("steps.Compile", default(self.compile, json!(["make", "all"]))),
            add("steps.Test", default(self.test, json!(["make", "check"]))),
            add("steps.Test", default(self.distcheck, json!(["make", "distcheck"]))),
        ];
        let steps = std::iter::once(self.source).chain(own.into_iter().flatten()).chain(self.steps);
        FactoryConfig { steps: steps.collect(), workdir: self.workdir, ..FactoryConfig::default() }
    }
}

impl CpanParams {
    fn expand(self, factory: &AnyObject) -> FactoryConfig {
        let perl = self.perl.unwrap_or_else(|| "perl".into());
        let own = [
            step(factory, "steps.Configure", json!({"command": [perl, "Makefile.PL"]})),
            step(factory, "steps.Compile", json!({"command": ["make"]})),
            step(factory, "steps.PerlModuleTest", json!({"command": ["make", "test"]})),
        ];
        let steps = std::iter::once(self.source).chain(own).chain(self.steps);
        FactoryConfig { steps: steps.collect(), workdir: self.workdir, ..FactoryConfig::default() }
    }
}

impl TrialFactoryParams {
    fn expand(self, factory: &AnyObject) -> FactoryConfig {
        let python = self.buildpython.unwrap_or_else(|| StringOrList(vec!["python".into()]));
        let env = self.env.filter(|env| !env.is_null()).unwrap_or_else(|| json!({}));
        let mut trial = json!({"testpath": self.testpath.unwrap_or_else(|| ".".into()), "env": env});
        let options = [
            ("python", self.trialpython.map(|words| json!(words))),
            ("trial", self.trial.map(Json::from)),
            ("tests", self.tests.filter(|tests| !tests.is_null())),
            ("testChanges", self.use_test_case_names.map(Json::from)),
            ("randomly", self.randomly.map(Json::from)),
            ("recurse", self.recurse.map(Json::from)),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                trial[name] = value;
            }
        }
        let build = json!({"command": [python, "./setup.py", "build"], "env": env});
        let own = [step(factory, "steps.Compile", build), step(factory, "steps.Trial", trial)];
        let steps = std::iter::once(self.source).chain(own).chain(self.steps);
        FactoryConfig { steps: steps.collect(), workdir: self.workdir, ..FactoryConfig::default() }
    }
}

/// A deprecated factory: known, and refused with what to write instead.
const fn retired(name: &'static str, doc: &'static str, check: fn(&Json) -> Vec<Problem>) -> Kind {
    // Whatever is written: its error is the one of the factory.
    kind(name, &["*"], doc, any_options, check)
}

fn any_options() -> schemars::Schema {
    schemars::json_schema!({"type": "object", "properties": {"*": true}, "additionalProperties": true})
}

macro_rules! retired {
    ($($constant:ident $name:literal => $instead:literal;)*) => {
        $(
            #[doc = concat!("`util.", $name, "`: ", $instead)]
            pub const $constant: Kind = retired($name, concat!("Not supported: ", $instead), |_| {
                vec![Problem::new("", concat!("is not supported: ", $instead))]
            });
        )*
    };
}

retired! {
    BASIC_BUILD_FACTORY "BasicBuildFactory" =>
        "convert the CVS repository to git and write util.GNUAutoconf{steps.Git{…}}";
    QUICK_BUILD_FACTORY "QuickBuildFactory" =>
        "convert the CVS repository to git and write util.GNUAutoconf{steps.Git{…}}";
    BASIC_SVN "BasicSVN" => "write util.GNUAutoconf{steps.SVN{…}}";
    DISTUTILS "Distutils" =>
        "write util.BuildFactory{source, steps.Compile{command = {\"python\", \"./setup.py\", \"build\"}}}";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(kind: &str, args: Json) -> Vec<String> {
        let mut args = args;
        args["source"] = json!({"$kind": "steps.Git", "$id": 1, "$at": "m.lua:1", "$args": {}});
        let factory = AnyObject { kind: kind.into(), id: 2, at: "m.lua:2".into(), class: None, args };
        let steps = expand(&factory).unwrap().steps;
        steps.iter().map(|step| format!("{} {}", step.kind, step.args["command"])).collect()
    }

    #[test]
    fn row_05_067_the_steps_of_gnu_autoconf() {
        assert_eq!(
            expanded("util.GNUAutoconf", json!({})),
            [
                "steps.Git null",
                "steps.Configure \"./configure\"",
                "steps.Compile [\"make\",\"all\"]",
                "steps.Test [\"make\",\"check\"]",
                "steps.Test [\"make\",\"distcheck\"]",
            ]
        );
        let own = json!({
            "reconf": true, "configureFlags": ["-q"], "compile": "make", "test": null, "distcheck": null,
            "steps": [{"$kind": "steps.X", "$id": 1, "$at": "m.lua:1", "$args": {}}],
        });
        assert_eq!(
            expanded("util.GNUAutoconf", own),
            [
                "steps.Git null",
                "steps.ShellCommand [\"autoreconf\",\"-si\"]",
                "steps.Configure [\"./configure\",[\"-q\"]]",
                "steps.Compile \"make\"",
                "steps.X null",
            ]
        );
    }

    #[test]
    fn row_05_068_the_steps_of_cpan_and_trial() {
        assert_eq!(
            expanded("util.CPAN", json!({"perl": "perl5"})),
            [
                "steps.Git null",
                "steps.Configure [\"perl5\",\"Makefile.PL\"]",
                "steps.Compile [\"make\"]",
                "steps.PerlModuleTest [\"make\",\"test\"]",
            ]
        );
        assert_eq!(
            expanded("util.Trial", json!({"tests": "a"})),
            ["steps.Git null", "steps.Compile [[\"python\"],\"./setup.py\",\"build\"]", "steps.Trial null"]
        );
        assert_eq!(
            check_as::<TrialFactoryParams>(
                &json!({"source": {"$kind": "s", "$id": 1, "$at": "m", "$args": {}}})
            )
            .len(),
            1
        );
    }

    #[test]
    fn row_05_069_deprecated_factories_name_what_to_write_instead() {
        for kind in [BASIC_BUILD_FACTORY, QUICK_BUILD_FACTORY, BASIC_SVN, DISTUTILS] {
            assert!(
                (kind.check)(&json!({"svnurl": "x"}))[0].message.contains("write util."),
                "{}",
                kind.name
            );
        }
    }
}
