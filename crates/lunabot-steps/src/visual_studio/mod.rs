//! `steps.VC6` … `steps.VS2022`, `steps.VCExpress9`, `steps.MsBuild4` … `steps.MsBuild17` (06.058).
//!
//! All run a command of a Visual Studio, with its folders in the environment, and read its messages. They differ in
//! little: `devenv` holds the versions that build projects by the development environment, `msbuild` those that use
//! msbuild, `options` what they share, `messages` reads.

mod devenv;
mod messages;
mod msbuild;
mod options;

pub use devenv::{VC6, VC7, VC8, VC9, VC10, VC11, VC12, VC14, VC141, VCEXPRESS9, VS2019, VS2022};
pub use msbuild::{MSBUILD4, MSBUILD12, MSBUILD14, MSBUILD16, MSBUILD17, MSBUILD141};

use async_trait::async_trait;
use lunabot_engine::step::{CommandOutput, Results, ShellOptions, Step, StepContext, StepError};
use lunabot_model::resources::LogType;
use messages::{Counts, Messages};

/// Runs the command and reads its messages.
struct VisualStudio {
    options: ShellOptions,
    counts: Option<Counts>,
    /// What msbuild 4 to 14 say: `solution for release|Win32`.
    subject: Option<String>,
    /// Shown while the command runs.
    building: Option<String>,
}

impl VisualStudio {
    fn new(options: ShellOptions) -> Self {
        VisualStudio { options, counts: None, subject: None, building: None }
    }
}

#[async_trait]
impl Step for VisualStudio {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        if let Some(building) = &self.building {
            cx.set_summary(building);
        }
        let warnings = cx.add_log("warnings", LogType::Stdio).await?;
        let errors = cx.add_log("errors", LogType::Stdio).await?;
        let (messages, counts) = Messages::new(warnings, errors);
        cx.add_log_observer("stdio", Box::new(messages)).await;
        let command = cx.make_remote_shell_command(&self.options, CommandOutput::default()).await?;
        let command = cx.run_command(command).await?;
        cx.finish_logs().await?;
        let counts = *counts.lock();
        counts.keep(cx);
        self.counts = Some(counts);
        Ok(match command.results() {
            Results::Cancelled => Results::Cancelled,
            Results::Failure => Results::Failure,
            _ => counts.results(),
        })
    }

    fn description_done(&self, _: Option<&str>) -> Option<String> {
        match &self.subject {
            Some(subject) => Some(format!("built {subject}")),
            None => Some(self.counts?.summary()),
        }
    }
}
