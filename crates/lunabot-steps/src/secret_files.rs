//! `steps.DownloadSecretsToWorker` and `steps.RemoveWorkerFileSecret` (05.066, 12.011): what `withSecrets` of a factory
//! puts around its steps.

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::command::{Dict, RemoteCommand, names};
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// Only the owner reads and writes.
const PRIVATE: u32 = 0o600;
/// `rc` of a removal where there is nothing: the number of the system's error "no such file".
const GONE: i64 = libc::ENOENT as i64;

/// Pairs of path and content.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretFiles(Vec<(String, String)>);

impl JsonSchema for SecretFiles {
    fn schema_name() -> Cow<'static, str> {
        "SecretFiles".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": {"type": "array"}})
    }
}

/// Every entry is a pair. Contents may be renderables; so may paths.
fn pairs(files: &Renderable<SecretFiles>) -> Vec<Problem> {
    let Json::Array(items) = files.source() else { return Vec::new() };
    let bad = items.iter().enumerate().filter(|(_, item)| item.as_array().is_none_or(|pair| pair.len() != 2));
    bad.map(|(index, _)| {
        Problem::new(
            format!("populated_secret_list[{index}]"),
            "expected a pair of path and secret: {\"/path/on/worker\", util.Secret \"name\"}",
        )
    })
    .collect()
}

step_params! {
    /// Writes secrets into files on the worker.
    pub struct DownloadSecretsToWorkerParams {
        /// Pairs of a path on the worker (relative to `workdir`) and its content: `{{"token", util.Secret "token"}}`.
        pub populated_secret_list: Renderable<SecretFiles>,
    }
}

impl OwnChecks for DownloadSecretsToWorkerParams {
    fn problems(&self) -> Vec<Problem> {
        pairs(&self.populated_secret_list)
    }
}

/// Declares the step.
pub static DOWNLOAD_SECRETS_TO_WORKER: StepKind = StepKind {
    kind: step_kind(
        "DownloadSecretsToWorker",
        &["populated_secret_list"],
        "Writes secrets into files on the worker that only the worker can read. RemoveWorkerFileSecret removes them; a \
         factory's withSecrets does both.",
        schema_of::<DownloadSecretsToWorkerParams>,
        check_as::<DownloadSecretsToWorkerParams>,
    ),
    defaults: StepDefaults::named("DownloadSecretsToWorker").halting(),
    build: |rendered| {
        let params: DownloadSecretsToWorkerParams = read(rendered)?;
        Ok(Box::new(Download(files(&params.populated_secret_list)?)))
    },
};

step_params! {
    /// Removes files from the worker.
    pub struct RemoveWorkerFileSecretParams {
        /// The pairs that DownloadSecretsToWorker was given; only the paths matter.
        pub populated_secret_list: Renderable<SecretFiles>,
        /// Whether the environment is written into the log. Default false.
        #[schemars(extend("default" = false))]
        #[serde(rename = "logEnviron")]
        pub log_environ: Option<Renderable<bool>>,
    }
}

impl OwnChecks for RemoveWorkerFileSecretParams {
    fn problems(&self) -> Vec<Problem> {
        pairs(&self.populated_secret_list)
    }
}

/// Declares the step.
pub static REMOVE_WORKER_FILE_SECRET: StepKind = StepKind {
    kind: step_kind(
        "RemoveWorkerFileSecret",
        &["populated_secret_list", "logEnviron"],
        "Removes the files of DownloadSecretsToWorker, even from under a build that is being stopped.",
        schema_of::<RemoveWorkerFileSecretParams>,
        check_as::<RemoveWorkerFileSecretParams>,
    ),
    defaults: StepDefaults::named("RemoveWorkerFileSecret"),
    build: |rendered| {
        let params: RemoveWorkerFileSecretParams = read(rendered)?;
        let log_environ = given(&params.log_environ).unwrap_or(false);
        Ok(Box::new(Remove { files: files(&params.populated_secret_list)?, log_environ }))
    },
};

fn files(option: &Renderable<SecretFiles>) -> Result<Vec<(String, String)>, StepError> {
    let unreadable = || StepError::Exception("populated_secret_list: not a list of pairs of texts".into());
    option.literal().map(|files| files.0).ok_or_else(unreadable)
}

struct Download(Vec<(String, String)>);

#[async_trait]
impl Step for Download {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        cx.check_worker_has_command(names::DOWNLOAD_FILE)?;
        for (path, content) in &self.0 {
            let workdir = cx.workdir().to_string();
            let done =
                cx.download_file_content_to_worker(&workdir, path, content.as_bytes(), Some(PRIVATE)).await?;
            if done.results() != Results::Success {
                return Ok(done.results());
            }
        }
        Ok(Results::Success)
    }
}

struct Remove {
    files: Vec<(String, String)>,
    log_environ: bool,
}

#[async_trait]
impl Step for Remove {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let log = cx.log_for_commands("stdio").await?;
        let mut all = Results::Success;
        // Each is tried, whatever became of the one before.
        for (path, _) in &self.files {
            let path = if path.starts_with('~') { path.clone() } else { cx.join_path(&[cx.workdir(), path]) };
            let args = Dict::new().with("path", path).with("logEnviron", self.log_environ);
            let command =
                RemoteCommand::new(names::RMFILE, args).use_log(log.clone(), false).even_when_stopped();
            let done = cx.run_command(command).await?;
            if done.rc != Some(GONE) {
                all = all.worst(done.results());
            }
        }
        Ok(all)
    }
}
