//! `steps.FileUpload` (06.031).

use crate::common::{OwnText, step_kind, text};
use crate::transfer::{Compression, FILE_BLOCK, FileMode, Upload, base_name, show_url};
use async_trait::async_trait;
use lunabot_engine::command::names;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Renderable};

step_params! {
    /// Fetches a file from the worker.
    pub struct FileUploadParams {
        /// The file on the worker, relative to `workdir`; `~` is the worker's home.
        pub workersrc: Renderable<String>,
        /// The file on the master, relative to the master's base directory; folders are made.
        pub masterdest: Renderable<String>,
        /// The most bytes that are taken: a longer file is cut, and the step fails. Default: no limit.
        pub maxsize: Option<Renderable<Option<u64>>>,
        /// Bytes that are sent at a time. Default 262144.
        #[schemars(extend("default" = 262144))]
        pub blocksize: Option<Renderable<u64>>,
        /// Permissions on the master in octal digits, `"0644"`. Default: what the umask leaves.
        pub mode: Option<Renderable<Option<FileMode>>>,
        /// Whether the file keeps its times. Default false.
        #[schemars(extend("default" = false))]
        pub keepstamp: Option<Renderable<bool>>,
        /// An address for the step's page, where the file can be seen.
        pub url: Option<Renderable<Option<String>>>,
        /// The text of that link. Default: the file's name.
        #[serde(rename = "urlText")]
        pub url_text: Option<Renderable<Option<String>>>,
    }
}

impl OwnChecks for FileUploadParams {}

/// Declares the step.
pub static FILE_UPLOAD: StepKind = StepKind {
    kind: step_kind(
        "FileUpload",
        &[
            "workersrc",
            "masterdest",
            "workdir",
            "maxsize",
            "blocksize",
            "mode",
            "keepstamp",
            "url",
            "urlText",
        ],
        "Fetches a file from the worker to the master. It appears there whole or not at all.",
        schema_of::<FileUploadParams>,
        check_as::<FileUploadParams>,
    ),
    defaults: StepDefaults::named("upload").halting(),
    build,
};

struct FileUpload {
    source: String,
    target: String,
    params: FileUploadParams,
    says: OwnText,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: FileUploadParams = read(rendered)?;
    let source = text("workersrc", &params.workersrc)?;
    let target = text("masterdest", &params.masterdest)?;
    let says = OwnText::new(format!("uploading {}", base_name(&source)), params.description.is_some());
    Ok(Box::new(FileUpload { source, target, params, says }))
}

#[async_trait]
impl Step for FileUpload {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        cx.check_worker_has_command(names::UPLOAD_FILE)?;
        let (url, url_text) = (given(&self.params.url).flatten(), given(&self.params.url_text).flatten());
        show_url(cx, url.as_deref(), url_text.as_deref(), &self.target).await?;
        let upload = Upload {
            source: self.source.clone(),
            workdir: cx.workdir().to_string(),
            target: cx.master_path(&self.target),
            max: given(&self.params.maxsize).flatten(),
            block: given(&self.params.blocksize).unwrap_or(FILE_BLOCK),
            mode: given(&self.params.mode).flatten().map(|mode| mode.0),
            keep_stamp: given(&self.params.keepstamp).unwrap_or(false),
            compression: Compression::None,
        };
        upload.file(cx).await
    }

    fn current_summary(&self) -> Option<String> {
        self.says.current()
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.says.result()
    }
}
