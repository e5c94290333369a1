//! One upload, from command to finished file: of `FileUpload`, `DirectoryUpload` and `MultipleFileUpload`.

use super::directory_writer::DirectoryWriter;
use super::file_writer::{FileRules, FileWriter};
use super::{Compression, limits};
use lunabot_engine::command::{Dict, FinishedCommand, RemoteCommand, names};
use lunabot_engine::step::{Results, StepContext, StepError};
use std::path::PathBuf;
use std::sync::Arc;

/// What is fetched from the worker, and how.
#[derive(Debug, Clone)]
pub struct Upload {
    /// On the worker, relative to `workdir`.
    pub source: String,
    pub workdir: String,
    /// On the master.
    pub target: PathBuf,
    pub max: Option<u64>,
    pub block: u64,
    /// Permissions of a file.
    pub mode: Option<u32>,
    /// A file keeps its times.
    pub keep_stamp: bool,
    /// Of a directory.
    pub compression: Compression,
}

impl Upload {
    /// Fetches a file.
    pub async fn file(&self, cx: &StepContext) -> Result<Results, StepError> {
        let writer =
            Arc::new(FileWriter::new(self.target.clone(), FileRules { mode: self.mode, max: self.max }));
        let args = self.args().with("keepstamp", self.keep_stamp);
        let command = RemoteCommand::new(names::UPLOAD_FILE, args).with_transfer(writer.clone());
        let done = run(cx, command).await?;
        let kept = done.rc == Some(0) || writer.is_cut().await;
        match !done.interrupted && kept {
            true => self.committed(cx, writer.commit().await, &done).await,
            false => Ok(done.results()),
        }
    }

    /// Fetches a directory.
    pub async fn directory(&self, cx: &StepContext) -> Result<Results, StepError> {
        let writer = Arc::new(DirectoryWriter::new(self.target.clone(), self.compression, self.max));
        let args = self.args().with("compress", self.compression.name());
        let command = RemoteCommand::new(names::UPLOAD_DIRECTORY, args).with_transfer(writer.clone());
        let done = run(cx, command).await?;
        match !done.interrupted && done.rc == Some(0) {
            true => self.committed(cx, writer.commit().await, &done).await,
            false => Ok(done.results()),
        }
    }

    fn args(&self) -> Dict {
        let args = Dict::new().with("workersrc", self.source.as_str());
        limits(args, &self.workdir, self.max, self.block)
    }

    async fn committed(
        &self,
        cx: &StepContext,
        committed: Result<(), String>,
        done: &FinishedCommand,
    ) -> Result<Results, StepError> {
        match committed {
            Ok(()) => Ok(done.results()),
            Err(text) => refuse(cx, &text).await,
        }
    }
}

/// Runs a command with its output in the log `stdio`.
pub async fn run(cx: &StepContext, command: RemoteCommand) -> Result<FinishedCommand, StepError> {
    let log = cx.log_for_commands("stdio").await?;
    cx.run_command(command.use_log(log, false)).await
}

/// FAILURE, and the log `stdio` says why.
pub async fn refuse(cx: &StepContext, text: &str) -> Result<Results, StepError> {
    cx.log_for_commands("stdio").await?.add_stderr(&format!("{text}\n")).await?;
    Ok(Results::Failure)
}

/// The link of `url` and `urlText` (06.031).
pub async fn show_url(
    cx: &StepContext,
    url: Option<&str>,
    text: Option<&str>,
    target: &str,
) -> Result<(), StepError> {
    match url.filter(|url| !url.is_empty()) {
        Some(url) => cx.add_url(text.unwrap_or_else(|| base_name(target)), url).await,
        None => Ok(()),
    }
}

/// The last part of a path, by the rules of either system.
pub fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches(['/', '\\']);
    trimmed.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or(path)
}
