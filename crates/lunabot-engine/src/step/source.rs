//! What a source step lends to a class that extends it (lua-api § 3): its program, and properties of the source.

use super::{StepContext, StepError};
use crate::command::FinishedCommand;
use async_trait::async_trait;
use lunabot_model::Json;

/// A command of a system for version control.
#[derive(Debug, Clone, Default)]
pub struct VcCommand {
    /// Arguments of the program (`{"describe", "--tags"}`).
    pub args: Vec<String>,
    /// Text for its standard input.
    pub stdin: Option<String>,
}

/// A step that checks out sources.
#[async_trait]
pub trait SourceCommands: Send + Sync {
    /// Runs the program in the tree as the step itself does: with its settings, environment and credentials. Standard
    /// output goes to the log and into the answer. A build that is stopped ends it as [`StepError::Cancelled`].
    async fn vccmd(&self, cx: &StepContext, command: VcCommand) -> Result<FinishedCommand, StepError>;

    /// Sets a property that describes the source; with a codebase, its entry in a table by codebase. `source` says who
    /// sets it.
    fn update_property(
        &self,
        cx: &StepContext,
        source: &str,
        name: &str,
        value: Json,
    ) -> Result<(), StepError>;
}
