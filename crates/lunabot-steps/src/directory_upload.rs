//! `steps.DirectoryUpload` (06.032).

use crate::common::{OwnText, step_kind, text};
use crate::transfer::{Compression, SMALL_BLOCK, Upload, base_name, show_url};
use async_trait::async_trait;
use lunabot_engine::command::names;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Renderable};

step_params! {
    /// Fetches a directory from the worker.
    pub struct DirectoryUploadParams {
        /// The directory on the worker, relative to `workdir`; `~` is the worker's home.
        pub workersrc: Renderable<String>,
        /// The directory on the master, relative to the master's base directory; made if absent, else added to.
        pub masterdest: Renderable<String>,
        /// The most bytes of the archive that are taken, compressed or not; a larger one fails the step. Default: no limit.
        pub maxsize: Option<Renderable<Option<u64>>>,
        /// Bytes that are sent at a time. Default 16384.
        #[schemars(extend("default" = 16384))]
        pub blocksize: Option<Renderable<u64>>,
        /// How it is compressed on its way: `"gz"`, `"bz2"`; default: not.
        pub compress: Option<Renderable<Option<Compression>>>,
        /// An address for the step's page, where the directory can be seen.
        pub url: Option<Renderable<Option<String>>>,
        /// The text of that link. Default: the directory's name.
        #[serde(rename = "urlText")]
        pub url_text: Option<Renderable<Option<String>>>,
    }
}

impl OwnChecks for DirectoryUploadParams {}

/// Declares the step.
pub static DIRECTORY_UPLOAD: StepKind = StepKind {
    kind: step_kind(
        "DirectoryUpload",
        &["workersrc", "masterdest", "workdir", "maxsize", "blocksize", "compress", "url", "urlText"],
        "Fetches a directory with all that is in it from the worker to the master.",
        schema_of::<DirectoryUploadParams>,
        check_as::<DirectoryUploadParams>,
    ),
    defaults: StepDefaults::named("upload").halting(),
    build,
};

struct DirectoryUpload {
    source: String,
    target: String,
    params: DirectoryUploadParams,
    says: OwnText,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: DirectoryUploadParams = read(rendered)?;
    let source = text("workersrc", &params.workersrc)?;
    let target = text("masterdest", &params.masterdest)?;
    let says = OwnText::new(format!("uploading {}", base_name(&source)), params.description.is_some());
    Ok(Box::new(DirectoryUpload { source, target, params, says }))
}

#[async_trait]
impl Step for DirectoryUpload {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        cx.check_worker_has_command(names::UPLOAD_DIRECTORY)?;
        let (url, url_text) = (given(&self.params.url).flatten(), given(&self.params.url_text).flatten());
        show_url(cx, url.as_deref(), url_text.as_deref(), &self.target).await?;
        let upload = Upload {
            source: self.source.clone(),
            workdir: cx.workdir().to_string(),
            target: cx.master_path(&self.target),
            max: given(&self.params.maxsize).flatten(),
            block: given(&self.params.blocksize).unwrap_or(SMALL_BLOCK),
            mode: None,
            keep_stamp: false,
            compression: given(&self.params.compress).flatten().unwrap_or(Compression::None),
        };
        upload.directory(cx).await
    }

    fn current_summary(&self) -> Option<String> {
        self.says.current()
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.says.result()
    }
}
