//! `steps.MultipleFileUpload` (06.033).

use crate::common::{OwnText, step_kind, text};
use crate::transfer::{
    Compression, FileMode, SMALL_BLOCK, Upload, base_name, is_directory, is_regular, show_url,
};
use async_trait::async_trait;
use lunabot_engine::command::names;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Renderable, StringOrList};

step_params! {
    /// Fetches files and directories from the worker.
    pub struct MultipleFileUploadParams {
        /// Files and directories on the worker, relative to `workdir`.
        pub workersrcs: Renderable<StringOrList>,
        /// The directory on the master that takes them, relative to the master's base directory; made if absent.
        pub masterdest: Renderable<String>,
        /// The most bytes of each that are taken. Default: no limit.
        pub maxsize: Option<Renderable<Option<u64>>>,
        /// Bytes that are sent at a time. Default 16384.
        #[schemars(extend("default" = 16384))]
        pub blocksize: Option<Renderable<u64>>,
        /// Whether `workersrcs` are patterns: `*`, `?`, `[…]`, `**`. Default false.
        #[schemars(extend("default" = false))]
        pub glob: Option<Renderable<bool>>,
        /// Permissions of files on the master in octal digits, `"0644"`. Default: what the umask leaves.
        pub mode: Option<Renderable<Option<FileMode>>>,
        /// How directories are compressed on their way: `"gz"`, `"bz2"`; default: not.
        pub compress: Option<Renderable<Option<Compression>>>,
        /// Whether files keep their times. Default false.
        #[schemars(extend("default" = false))]
        pub keepstamp: Option<Renderable<bool>>,
        /// An address for the step's page, where the files can be seen.
        pub url: Option<Renderable<Option<String>>>,
        /// The text of that link. Default: the name of `masterdest`.
        #[serde(rename = "urlText")]
        pub url_text: Option<Renderable<Option<String>>>,
    }
}

impl OwnChecks for MultipleFileUploadParams {}

/// Declares the step.
pub static MULTIPLE_FILE_UPLOAD: StepKind = StepKind {
    kind: step_kind(
        "MultipleFileUpload",
        &[
            "workersrcs",
            "masterdest",
            "workdir",
            "maxsize",
            "blocksize",
            "glob",
            "mode",
            "compress",
            "keepstamp",
            "url",
            "urlText",
        ],
        "Fetches files and directories from the worker into one directory of the master. Without any, it is skipped.",
        schema_of::<MultipleFileUploadParams>,
        check_as::<MultipleFileUploadParams>,
    ),
    defaults: StepDefaults::named("upload").halting(),
    build,
};

struct MultipleFileUpload {
    sources: Vec<String>,
    target: String,
    params: MultipleFileUploadParams,
    says: OwnText,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: MultipleFileUploadParams = read(rendered)?;
    let unreadable = || StepError::Exception("workersrcs: not a list of texts".into());
    let sources = params.workersrcs.literal().ok_or_else(unreadable)?.0;
    let target = text("masterdest", &params.masterdest)?;
    let says = OwnText::new(counted(sources.len()), params.description.is_some());
    Ok(Box::new(MultipleFileUpload { sources, target, params, says }))
}

fn counted(sources: usize) -> String {
    format!("uploading {sources} {}", if sources == 1 { "file" } else { "files" })
}

#[async_trait]
impl Step for MultipleFileUpload {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        for command in [names::UPLOAD_FILE, names::UPLOAD_DIRECTORY, names::STAT] {
            cx.check_worker_has_command(command)?;
        }
        if given(&self.params.glob).unwrap_or(false) {
            self.sources = self.found(cx).await?;
            self.says = OwnText::new(counted(self.sources.len()), self.params.description.is_some());
        }
        if self.sources.is_empty() {
            return Ok(Results::Skipped);
        }
        let (url, url_text) = (given(&self.params.url).flatten(), given(&self.params.url_text).flatten());
        show_url(cx, url.as_deref(), url_text.as_deref(), &self.target).await?;
        let mut all = Results::Success;
        for source in &self.sources {
            all = all.worst(self.fetch(cx, source).await?);
            if matches!(all, Results::Failure | Results::Cancelled) {
                break;
            }
        }
        Ok(all)
    }

    fn current_summary(&self) -> Option<String> {
        self.says.current()
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.says.result()
    }
}

impl MultipleFileUpload {
    /// What the patterns match, in order, each once.
    async fn found(&self, cx: &StepContext) -> Result<Vec<String>, StepError> {
        cx.check_worker_has_command(names::GLOB)?;
        let mut all: Vec<String> = Vec::new();
        for pattern in &self.sources {
            let mut found = cx.run_glob(&cx.join_path(&[cx.workdir(), pattern])).await?;
            found.sort();
            found.retain(|path| !all.contains(path));
            all.extend(found);
        }
        Ok(all)
    }

    async fn fetch(&self, cx: &StepContext, source: &str) -> Result<Results, StepError> {
        let Some(stat) = cx.run_stat(&cx.join_path(&[cx.workdir(), source])).await? else {
            return self.complain(cx, &format!("'{source}' is not on the worker")).await;
        };
        let upload = self.upload(cx, source);
        if is_directory(&stat) {
            upload.directory(cx).await
        } else if is_regular(&stat) {
            upload.file(cx).await
        } else {
            self.complain(cx, &format!("'{source}' is neither a file nor a directory")).await
        }
    }

    fn upload(&self, cx: &StepContext, source: &str) -> Upload {
        Upload {
            source: source.to_string(),
            workdir: cx.workdir().to_string(),
            target: cx.master_path(&self.target).join(base_name(source)),
            max: given(&self.params.maxsize).flatten(),
            block: given(&self.params.blocksize).unwrap_or(SMALL_BLOCK),
            mode: given(&self.params.mode).flatten().map(|mode| mode.0),
            keep_stamp: given(&self.params.keepstamp).unwrap_or(false),
            compression: given(&self.params.compress).flatten().unwrap_or(Compression::None),
        }
    }

    async fn complain(&self, cx: &StepContext, text: &str) -> Result<Results, StepError> {
        cx.add_complete_log("stderr", &format!("{text}\n")).await?;
        Ok(Results::Failure)
    }
}
