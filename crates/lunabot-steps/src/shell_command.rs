//! `steps.ShellCommand` (06.001–06.003).

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{
    CommandOutput, HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults, StepError,
    StepKind, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem};

step_params! {
    /// Runs a program on the worker; its exit status decides.
    pub struct ShellCommandParams: shell {}
}

impl OwnChecks for ShellCommandParams {
    fn problems(&self) -> Vec<Problem> {
        if self.command.is_some() { Vec::new() } else { vec![Problem::new("", "command is missing")] }
    }
}

/// Declares the step.
pub static SHELL_COMMAND: StepKind = StepKind {
    kind: step_kind(
        "ShellCommand",
        &[],
        "Runs a program on the worker: a list of words as it is, a text through the shell. Its output is the log \
         stdio, and its exit status the result (decodeRC).",
        schema_of::<ShellCommandParams>,
        check_as::<ShellCommandParams>,
    ),
    defaults: StepDefaults::named("shell"),
    build,
};

/// Runs one command.
pub struct ShellCommand {
    pub options: ShellOptions,
    /// `descriptionDone` was given and says what was done.
    pub described: bool,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: ShellCommandParams = read(rendered)?;
    Ok(Box::new(ShellCommand { options: params.shell()?, described: params.description_done.is_some() }))
}

#[async_trait]
impl Step for ShellCommand {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let command = cx.make_remote_shell_command(&self.options, CommandOutput::default()).await?;
        Ok(cx.run_command(command).await?.results())
    }

    /// 05.023.
    fn result_summary(&self, _: Results) -> Option<String> {
        let command = self.options.command.as_ref()?;
        (!self.described).then(|| command.summary())
    }
}
