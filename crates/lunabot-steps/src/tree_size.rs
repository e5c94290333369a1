//! `steps.TreeSize` (06.011).

use crate::common::{command_of, step_kind};
use async_trait::async_trait;
use lunabot_engine::step::{
    CommandOutput, HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults, StepError,
    StepKind, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};

step_params! {
    /// Measures a tree.
    pub struct TreeSizeParams: shell {}
}

impl OwnChecks for TreeSizeParams {}

/// Declares the step.
pub static TREE_SIZE: StepKind = StepKind {
    kind: step_kind(
        "TreeSize",
        &[],
        "Measures the workdir with `du -s -k .` and sets the property `tree-size-KiB`.",
        schema_of::<TreeSizeParams>,
        check_as::<TreeSizeParams>,
    ),
    defaults: StepDefaults::named("treesize").describing("measuring tree size"),
    build: |rendered| {
        let params: TreeSizeParams = read(rendered)?;
        let mut options = params.shell()?;
        options.command.get_or_insert_with(|| command_of(["du", "-s", "-k", "."]));
        Ok(Box::new(TreeSize { options, said: None }))
    },
};

struct TreeSize {
    options: ShellOptions,
    said: Option<String>,
}

#[async_trait]
impl Step for TreeSize {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let command = cx.make_remote_shell_command(&self.options, CommandOutput::collecting_stdout()).await?;
        let command = cx.run_command(command).await?;
        let digits = command.stdout.chars().take_while(char::is_ascii_digit).collect::<String>();
        let size = digits.parse::<u64>().ok();
        self.said = Some(match size {
            Some(kib) => format!("treesize {kib} KiB"),
            None => "treesize unknown".into(),
        });
        if let Some(kib) = size {
            cx.set_property("tree-size-KiB", kib.into(), "treesize");
        }
        Ok(match (command.results(), size) {
            (Results::Cancelled, _) => Results::Cancelled,
            (Results::Failure, _) => Results::Failure,
            (_, None) => Results::Warnings,
            (_, Some(_)) => Results::Success,
        })
    }

    fn description_done(&self, _: Option<&str>) -> Option<String> {
        self.said.clone()
    }
}
