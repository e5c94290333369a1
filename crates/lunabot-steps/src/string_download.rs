//! `steps.StringDownload` (06.035).

use crate::common::{OwnText, step_kind, text};
use crate::file_download::Download;
use crate::transfer::{FileMode, SMALL_BLOCK};
use async_trait::async_trait;
use lunabot_engine::command::{BytesReader, names};
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Renderable};
use std::sync::Arc;

step_params! {
    /// Gives the worker a text as a file.
    pub struct StringDownloadParams {
        /// The text.
        pub s: Renderable<String>,
        /// The file on the worker, relative to `workdir`; folders are made, `~` is the worker's home.
        pub workerdest: Renderable<String>,
        /// The most bytes that are sent: a longer text is cut, and the step fails. Default: no limit.
        pub maxsize: Option<Renderable<Option<u64>>>,
        /// Bytes that are sent at a time. Default 16384.
        #[schemars(extend("default" = 16384))]
        pub blocksize: Option<Renderable<u64>>,
        /// Permissions on the worker in octal digits, `"0600"`. Default: what the umask leaves.
        pub mode: Option<Renderable<Option<FileMode>>>,
    }
}

impl OwnChecks for StringDownloadParams {}

/// Declares the step.
pub static STRING_DOWNLOAD: StepKind = StepKind {
    kind: step_kind(
        "StringDownload",
        &["s", "workerdest", "workdir", "maxsize", "blocksize", "mode"],
        "Gives the worker a text as a file.",
        schema_of::<StringDownloadParams>,
        check_as::<StringDownloadParams>,
    ),
    defaults: StepDefaults::named("string_download").halting(),
    build,
};

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: StringDownloadParams = read(rendered)?;
    let to = Download {
        target: text("workerdest", &params.workerdest)?,
        max: given(&params.maxsize).flatten(),
        block: given(&params.blocksize).unwrap_or(SMALL_BLOCK),
        mode: given(&params.mode).flatten(),
    };
    let says = to.says(params.description.is_some());
    Ok(Box::new(StringDownload { content: text("s", &params.s)?, to, says }))
}

struct StringDownload {
    content: String,
    to: Download,
    says: OwnText,
}

#[async_trait]
impl Step for StringDownload {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        send_text(cx, &self.to, self.content.clone()).await
    }

    fn current_summary(&self) -> Option<String> {
        self.says.current()
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.says.result()
    }
}

/// Sends a text as a file.
pub async fn send_text(cx: &StepContext, to: &Download, content: String) -> Result<Results, StepError> {
    cx.check_worker_has_command(names::DOWNLOAD_FILE)?;
    to.send(cx, Arc::new(BytesReader::new(content))).await
}
