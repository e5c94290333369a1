//! `steps.FileExists` (06.037).

use crate::common::{step_kind, text};
use crate::transfer::is_regular;
use async_trait::async_trait;
use lunabot_engine::command::names;
use lunabot_engine::step::{OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, read};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Renderable};

step_params! {
    /// Asks for a file on the worker.
    pub struct FileExistsParams {
        /// The file, relative to the builder's folder: `"build/configure"`.
        pub file: Renderable<String>,
    }
}

impl OwnChecks for FileExistsParams {}

/// Declares the step.
pub static FILE_EXISTS: StepKind = StepKind {
    kind: step_kind(
        "FileExists",
        &["file"],
        "Fails unless there is a regular file of that name on the worker.",
        schema_of::<FileExistsParams>,
        check_as::<FileExistsParams>,
    ),
    defaults: StepDefaults::named("FileExists").halting(),
    build,
};

struct FileExists {
    file: String,
    found: &'static str,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: FileExistsParams = read(rendered)?;
    Ok(Box::new(FileExists { file: text("file", &params.file)?, found: "" }))
}

#[async_trait]
impl Step for FileExists {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        cx.check_worker_has_command(names::STAT)?;
        let (found, results) = match cx.run_stat(&self.file).await? {
            Some(stat) if is_regular(&stat) => ("File found.", Results::Success),
            Some(_) => ("Not a file.", Results::Failure),
            None => ("File not found.", Results::Failure),
        };
        self.found = found;
        Ok(results)
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        Some(self.found.to_string()).filter(|found| !found.is_empty())
    }
}
