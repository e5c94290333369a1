//! The options of every step (reference 05.004, 05.021–05.026, 04.038).

use super::params::Switch;
use lunabot_model::kinds::locks::problem_of_locks;
use lunabot_model::results::ResultFlags;
use lunabot_model::{Json, Problem, Renderable, Results, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;

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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BaseStepParams {
    pub name: Option<Renderable<String>>,
    pub halt_on_failure: Option<Renderable<bool>>,
    pub flunk_on_failure: Option<Renderable<bool>>,
    pub flunk_on_warnings: Option<Renderable<bool>>,
    pub warn_on_failure: Option<Renderable<bool>>,
    pub warn_on_warnings: Option<Renderable<bool>>,
    pub always_run: Option<Renderable<bool>>,
    pub do_step_if: Option<Switch>,
    pub hide_step_if: Option<Switch>,
    pub description: Option<Renderable<StringOrList>>,
    pub description_done: Option<Renderable<StringOrList>>,
    pub description_suffix: Option<Renderable<StringOrList>>,
    pub locks: Option<Json>,
    pub log_encoding: Option<String>,
    pub update_build_summary_policy: Option<SummaryPolicy>,
    pub use_progress: Option<bool>,
    pub progress_metrics: Option<StringOrList>,
    pub workdir: Option<Renderable<String>>,
}

impl BaseStepParams {
    /// What types cannot say (05.021).
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match self.name.as_ref().and_then(Renderable::literal) {
            Some(name) if name.chars().count() > MAX_NAME => {
                problems.push(Problem::new("name", format!("longer than {MAX_NAME} characters")));
            }
            Some(name) if name.is_empty() => problems.push(Problem::new("name", "must not be empty")),
            _ => {}
        }
        problems.extend(problem_of_locks(self.locks.as_ref()));
        if self.log_encoding.as_deref().is_some_and(|name| !is_utf8(name)) {
            problems.push(Problem::new("logEncoding", "only utf-8 is supported yet"));
        }
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

fn is_utf8(name: &str) -> bool {
    name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8")
}

/// `updateBuildSummaryPolicy`: all, none, or these results (05.026).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
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

    /// The value of this option becomes part of the name (06.014).
    pub const fn named_after(self, option: &'static str) -> Self {
        StepDefaults { named_after: Some(option), ..self }
    }

    /// What it says of itself while it runs and afterwards, where the configuration says nothing.
    pub const fn described(self, description: &'static str, done: &'static str) -> Self {
        StepDefaults { description: Some(description), description_done: Some(done), ..self }
    }
}
