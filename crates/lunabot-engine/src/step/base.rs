//! The options of every step (reference 05.004, 05.021–05.026, 04.038).

use super::LogEncoding;
use super::params::Switch;
use lunabot_model::kinds::locks::problem_of_locks;
use lunabot_model::kinds::renderables::InterpolateParams;
use lunabot_model::results::ResultFlags;
use lunabot_model::{AnyObject, Json, Problem, Renderable, Results, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::Map;

/// Longest name of a step (05.009, 05.021).
pub const MAX_NAME: usize = 50;

/// A struct of options that has those of every step; made by [`crate::step_params!`].
pub trait HasBase {
    fn base(&self) -> BaseStepParams;
}

/// What a step checks of its own options when the configuration is loaded.
pub trait OwnChecks {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// The options of every step, as written or rendered.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseStepParams {
    /// Name of the step; made unique within its build.
    pub name: Option<Renderable<String>>,
    /// A failure ends the build; only steps with `alwaysRun` still run.
    pub halt_on_failure: Option<Renderable<bool>>,
    /// A failure makes the build fail.
    pub flunk_on_failure: Option<Renderable<bool>>,
    /// Warnings make the build fail.
    pub flunk_on_warnings: Option<Renderable<bool>>,
    /// A failure gives the build warnings.
    pub warn_on_failure: Option<Renderable<bool>>,
    /// Warnings give the build warnings.
    pub warn_on_warnings: Option<Renderable<bool>>,
    /// Runs even when the build has ended, except when the worker is lost.
    pub always_run: Option<Renderable<bool>>,
    /// Whether the step runs at all; otherwise it is skipped.
    pub do_step_if: Option<Switch>,
    /// Whether the pages hide the step.
    pub hide_step_if: Option<Switch>,
    /// What the step is doing.
    pub description: Option<Renderable<StringOrList>>,
    /// What the step has done.
    pub description_done: Option<Renderable<StringOrList>>,
    /// Added to either.
    pub description_suffix: Option<Renderable<StringOrList>>,
    /// Locks held while the step runs: locks, accesses, or what yields them.
    #[schemars(schema_with = "lunabot_model::locks::option_schema")]
    pub locks: Option<Json>,
    /// Encoding of what commands print: a name, or a function from bytes to text. Default: the configuration's.
    pub log_encoding: Option<LogEncoding>,
    /// Results for which the step's text is shown as the build's: true, false or a list of results.
    pub update_build_summary_policy: Option<SummaryPolicy>,
    /// Whether the step counts for the expected end of builds. Default true.
    pub use_progress: Option<bool>,
    /// Numbers that tell how far it is, which it sets while it runs (`setProgress`).
    pub progress_metrics: Option<StringOrList>,
    /// Folder of its commands below the builder's; default: the factory's, or `build`.
    pub workdir: Option<Renderable<String>>,
}

/// Takes the options of a group one by one, each under its name.
macro_rules! shared {
    ($group:ident { $($name:literal => $field:ident,)* $(; $null:literal => $nullable:ident,)* }) => {
        impl $group {
            /// The names of these options.
            pub(crate) const NAMES: &[&str] = &[$($name,)* $($null,)*];

            /// Takes the value of the option `name`; false: it is none of these, and nothing was taken.
            pub(super) fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
                match name {
                    $($name => self.$field = map.next_value()?,)*
                    // Null is a value.
                    $($null => self.$nullable = Some(map.next_value()?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}
pub(super) use shared;

shared!(BaseStepParams {
    "name" => name,
    "haltOnFailure" => halt_on_failure,
    "flunkOnFailure" => flunk_on_failure,
    "flunkOnWarnings" => flunk_on_warnings,
    "warnOnFailure" => warn_on_failure,
    "warnOnWarnings" => warn_on_warnings,
    "alwaysRun" => always_run,
    "doStepIf" => do_step_if,
    "hideStepIf" => hide_step_if,
    "description" => description,
    "descriptionDone" => description_done,
    "descriptionSuffix" => description_suffix,
    "locks" => locks,
    "logEncoding" => log_encoding,
    "updateBuildSummaryPolicy" => update_build_summary_policy,
    "useProgress" => use_progress,
    "progressMetrics" => progress_metrics,
    "workdir" => workdir,
});

impl BaseStepParams {
    /// What types cannot say (05.021).
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.name.as_ref().is_some_and(|name| shortest(name) > MAX_NAME) {
            problems.push(Problem::new("name", format!("longer than {MAX_NAME} characters")));
        }
        if self.name.as_ref().and_then(Renderable::literal).is_some_and(|name| name.is_empty()) {
            problems.push(Problem::new("name", "must not be empty"));
        }
        problems.extend(problem_of_locks(self.locks.as_ref()));
        for (option, switch) in [("doStepIf", &self.do_step_if), ("hideStepIf", &self.hide_step_if)] {
            let Some(source) = switch.as_ref().map(Switch::source) else { continue };
            if !source.is_boolean() && !source.is_null() && !lunabot_model::object::is_dynamic(source) {
                problems.push(Problem::new(
                    option,
                    format!("expected true, false, a function or a renderable, got {source}"),
                ));
            }
        }
        problems
    }
}

/// The fewest characters that a name can have (04.026).
fn shortest(name: &Renderable<String>) -> usize {
    if let Some(name) = name.literal() {
        return name.chars().count();
    }
    let object = AnyObject::from_json(name.source()).filter(|object| object.kind == "util.Interpolate");
    let params = object.and_then(|object| serde_json::from_value::<InterpolateParams>(object.args).ok());
    params.and_then(|params| params.check().ok()).map_or(0, |template| template.shortest())
}

/// `updateBuildSummaryPolicy`: all, none, or these results (05.026).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false or a list of results such as {util.FAILURE}")]
pub enum SummaryPolicy {
    Switch(bool),
    Results(Vec<Results>),
}

/// Where a class of steps differs from a plain one (05.004, 05.005).
#[derive(Debug, Clone, Copy)]
pub struct StepDefaults {
    /// The name where none is given.
    pub name: &'static str,
    pub flags: ResultFlags,
    pub description: Option<&'static str>,
    pub description_done: Option<&'static str>,
    /// The option whose text, unless it is empty, is added to the name after a hyphen (06.014).
    pub named_after: Option<&'static str>,
}

impl StepDefaults {
    /// As options, by name.
    pub fn options(&self) -> Map<String, Json> {
        let flags = self.flags;
        let texts = [("description", self.description), ("descriptionDone", self.description_done)];
        let texts = texts.into_iter().filter_map(|(option, text)| Some((option, Json::from(text?))));
        let all = [
            ("name", self.name.into()),
            ("haltOnFailure", flags.halt_on_failure.into()),
            ("flunkOnFailure", flags.flunk_on_failure.into()),
            ("flunkOnWarnings", flags.flunk_on_warnings.into()),
            ("warnOnFailure", flags.warn_on_failure.into()),
            ("warnOnWarnings", flags.warn_on_warnings.into()),
            ("alwaysRun", false.into()),
            ("doStepIf", true.into()),
            ("hideStepIf", false.into()),
        ];
        all.into_iter().chain(texts).map(|(option, value)| (option.to_string(), value)).collect()
    }

    /// A plain step of this name: a failure fails the build, and the build goes on.
    pub const fn named(name: &'static str) -> Self {
        let flags = ResultFlags {
            halt_on_failure: false,
            flunk_on_failure: true,
            flunk_on_warnings: false,
            warn_on_failure: false,
            warn_on_warnings: false,
        };
        StepDefaults { name, flags, description: None, description_done: None, named_after: None }
    }

    /// The same, but a failure ends the build.
    pub const fn halting(self) -> Self {
        let flags = ResultFlags { halt_on_failure: true, ..self.flags };
        StepDefaults { flags, ..self }
    }

    /// The same, but a failure gives the build warnings, if it does not fail it.
    pub const fn warning_on_failure(self) -> Self {
        let flags = ResultFlags { warn_on_failure: true, ..self.flags };
        StepDefaults { flags, ..self }
    }

    /// What it says of itself while it runs, where the configuration says nothing.
    pub const fn describing(self, description: &'static str) -> Self {
        StepDefaults { description: Some(description), ..self }
    }

    /// The same, but a failure does not fail the build.
    pub const fn forgiving(self) -> Self {
        let flags = ResultFlags { flunk_on_failure: false, ..self.flags };
        StepDefaults { flags, ..self }
    }

    /// The value of this option becomes part of the name (06.014).
    pub const fn named_after(self, option: &'static str) -> Self {
        StepDefaults { named_after: Some(option), ..self }
    }

    /// What it says of itself while it runs and afterwards, where the configuration says nothing.
    pub const fn described(self, description: &'static str, done: &'static str) -> Self {
        StepDefaults { description: Some(description), description_done: Some(done), ..self }
    }
}
