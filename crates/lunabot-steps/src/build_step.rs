//! `steps.BuildStep`, `steps.ShellMixin`: what classes of a configuration begin with (06.013, 06.060, 06.061).

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};

step_params! {
    /// Does nothing of its own.
    pub struct BuildStepParams {}
}

impl OwnChecks for BuildStepParams {}

step_params! {
    /// Does nothing of its own, with the options of a command for what a class runs.
    pub struct ShellMixinParams: shell {}
}

impl OwnChecks for ShellMixinParams {}

/// Declares the step.
pub static BUILD_STEP: StepKind = StepKind {
    kind: step_kind(
        "BuildStep",
        &[],
        "The base of steps of your own: extend it with a method run.",
        schema_of::<BuildStepParams>,
        check_as::<BuildStepParams>,
    ),
    defaults: StepDefaults::named("generic"),
    build: |_| Ok(Box::new(Plain("BuildStep"))),
};

/// Declares the step.
pub static SHELL_MIXIN: StepKind = StepKind {
    kind: step_kind(
        "ShellMixin",
        &[],
        "The base of steps of your own that run commands: a BuildStep with the options of ShellCommand, for \
         self:makeRemoteShellCommand{…} in the method run.",
        schema_of::<ShellMixinParams>,
        check_as::<ShellMixinParams>,
    ),
    defaults: StepDefaults::named("generic"),
    build: |_| Ok(Box::new(Plain("ShellMixin"))),
};

struct Plain(&'static str);

#[async_trait]
impl Step for Plain {
    async fn run(&mut self, _: &StepContext) -> Result<Results, StepError> {
        let name = self.0;
        let text = format!("steps.{name} does nothing by itself: extend it with a method run");
        Err(StepError::Exception(text))
    }
}
