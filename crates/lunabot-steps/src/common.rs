//! What the declarations of all steps share.

use lunabot_engine::step::StepError;
use lunabot_model::kinds::locks::LOCKS;
use lunabot_model::{CallbackSpec, Category, Json, Kind, Problem, Renderable};
use schemars::Schema;

/// `doStepIf` (05.019 item 5).
pub const DO_STEP_IF: CallbackSpec = CallbackSpec {
    option: "doStepIf",
    args: "step",
    returns: "boolean: whether the step runs",
    on_error: "EXCEPTION of the step",
};

/// `hideStepIf` (05.019 item 10).
pub const HIDE_STEP_IF: CallbackSpec = CallbackSpec {
    option: "hideStepIf",
    args: "results, step",
    returns: "boolean: whether pages hide the step",
    on_error: "EXCEPTION of the step, which is shown",
};

/// The functions that every step takes.
pub const CALLBACKS: &[CallbackSpec] = &[DO_STEP_IF, HIDE_STEP_IF, LOCKS];

/// A kind `steps.NAME` with the functions of every step.
pub const fn step_kind(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
    schema: fn() -> Schema,
    check: fn(&Json) -> Vec<Problem>,
) -> Kind {
    Kind {
        namespace: "steps",
        name,
        aliases: &[],
        category: Category::Step,
        positional,
        flat: false,
        doc,
        schema,
        check,
        callbacks: CALLBACKS,
        extensible: false,
    }
}

/// What a step says of itself before and after its work, where its options do not say it.
#[derive(Debug)]
pub struct OwnText {
    text: String,
    /// `description` was given, and stands for `descriptionDone` too.
    described: bool,
}

impl OwnText {
    pub fn new(text: impl Into<String>, described: bool) -> Self {
        OwnText { text: text.into(), described }
    }

    pub fn current(&self) -> Option<String> {
        Some(self.text.clone())
    }

    pub fn result(&self) -> Option<String> {
        (!self.described).then(|| self.text.clone())
    }
}

/// A rendered text that must be there.
pub fn text(name: &str, option: &Renderable<String>) -> Result<String, StepError> {
    option.literal().ok_or_else(|| StepError::Exception(format!("{name}: not a text")))
}
