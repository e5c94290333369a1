//! What the declarations of all steps share.

use lunabot_model::{CallbackSpec, Category, Json, Kind, Problem};
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
pub const CALLBACKS: &[CallbackSpec] = &[DO_STEP_IF, HIDE_STEP_IF];

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
