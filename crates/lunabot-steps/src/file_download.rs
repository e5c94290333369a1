//! `steps.FileDownload` (06.034).

use crate::common::{OwnText, step_kind, text};
use crate::transfer::{FileMode, FileReader, SMALL_BLOCK, base_name, limits, refuse, run};
use async_trait::async_trait;
use lunabot_engine::command::{Dict, RemoteCommand, TransferPeer, names};
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Renderable};
use std::sync::Arc;

step_params! {
    /// Gives the worker a file.
    pub struct FileDownloadParams {
        /// The file on the master, relative to the master's base directory.
        pub mastersrc: Renderable<String>,
        /// The file on the worker, relative to `workdir`; folders are made, `~` is the worker's home.
        pub workerdest: Renderable<String>,
        /// The most bytes that are sent: a longer file is cut, and the step fails. Default: no limit.
        pub maxsize: Option<Renderable<Option<u64>>>,
        /// Bytes that are sent at a time. Default 16384.
        #[schemars(extend("default" = 16384))]
        pub blocksize: Option<Renderable<u64>>,
        /// Permissions on the worker in octal digits, `"0755"`. Default: what the umask leaves.
        pub mode: Option<Renderable<Option<FileMode>>>,
    }
}

impl OwnChecks for FileDownloadParams {}

/// Declares the step.
pub static FILE_DOWNLOAD: StepKind = StepKind {
    kind: step_kind(
        "FileDownload",
        &["mastersrc", "workerdest", "workdir", "maxsize", "blocksize", "mode"],
        "Gives the worker a file of the master.",
        schema_of::<FileDownloadParams>,
        check_as::<FileDownloadParams>,
    ),
    defaults: StepDefaults::named("download").halting(),
    build,
};

struct FileDownload {
    source: String,
    to: Download,
    says: OwnText,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: FileDownloadParams = read(rendered)?;
    let to = Download {
        target: text("workerdest", &params.workerdest)?,
        max: given(&params.maxsize).flatten(),
        block: given(&params.blocksize).unwrap_or(SMALL_BLOCK),
        mode: given(&params.mode).flatten(),
    };
    let says = to.says(params.description.is_some());
    Ok(Box::new(FileDownload { source: text("mastersrc", &params.mastersrc)?, to, says }))
}

#[async_trait]
impl Step for FileDownload {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        cx.check_worker_has_command(names::DOWNLOAD_FILE)?;
        let path = cx.master_path(&self.source);
        match FileReader::open(&path).await {
            Ok(reader) => self.to.send(cx, Arc::new(reader)).await,
            Err(error) => {
                refuse(cx, &format!("cannot read '{}' on the master: {error}", path.display())).await
            }
        }
    }

    fn current_summary(&self) -> Option<String> {
        self.says.current()
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.says.result()
    }
}

/// Where a download goes, and how.
#[derive(Debug)]
pub struct Download {
    pub target: String,
    pub max: Option<u64>,
    pub block: u64,
    pub mode: Option<FileMode>,
}

impl Download {
    /// What the step says of itself.
    pub fn says(&self, described: bool) -> OwnText {
        OwnText::new(format!("downloading to {}", base_name(&self.target)), described)
    }

    pub async fn send(&self, cx: &StepContext, content: Arc<dyn TransferPeer>) -> Result<Results, StepError> {
        let args = Dict::new().with("workerdest", self.target.as_str());
        let args =
            limits(args, cx.workdir(), self.max, self.block).with("mode", self.mode.map(|mode| mode.0));
        let command = RemoteCommand::new(names::DOWNLOAD_FILE, args).with_transfer(content);
        Ok(run(cx, command).await?.results())
    }
}
