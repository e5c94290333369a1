//! `steps.Configure` (06.005).

use crate::common::step_kind;
use crate::shell_command::ShellCommand;
use lunabot_engine::step::{CommandLine, HasShell, OwnChecks, StepDefaults, StepKind, read};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};

step_params! {
    /// Configures a source tree.
    pub struct ConfigureParams: shell {}
}

impl OwnChecks for ConfigureParams {}

/// Declares the step.
pub static CONFIGURE: StepKind = StepKind {
    kind: step_kind(
        "Configure",
        &[],
        "A ShellCommand that runs `./configure` unless told otherwise, and ends the build if it fails.",
        schema_of::<ConfigureParams>,
        check_as::<ConfigureParams>,
    ),
    defaults: StepDefaults::named("configure").halting().described("configuring", "configure"),
    build: |rendered| {
        let params: ConfigureParams = read(rendered)?;
        let mut options = params.shell()?;
        options.command.get_or_insert_with(|| CommandLine::Words(vec!["./configure".into()]));
        Ok(Box::new(ShellCommand { options, described: true }))
    },
};
