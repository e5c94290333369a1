//! What a running step may do (reference 05c, 05d).

use super::{CommandOutput, LogHandle, ShellOptions, StepError};
use crate::command::{FinishedCommand, RemoteCommand};
use lunabot_model::resources::{Change, LogType, SourceStamp};
use lunabot_model::{Arg, BuildId, BuilderId, Callback, Json, Properties, StepId};
use lunabot_proto::{Stat, WorkerInfo};

/// Facts about the build that a step runs in; they do not change while it runs.
#[derive(Debug, Clone)]
pub struct BuildInfo {
    pub buildid: BuildId,
    pub number: i64,
    pub builderid: BuilderId,
    pub builder: String,
    pub worker: String,
    pub reason: String,
    /// One per codebase.
    pub sourcestamps: Vec<SourceStamp>,
    /// All changes of all stamps, by id.
    pub changes: Vec<Change>,
    /// Its page, `…/#/builders/1/builds/2`.
    pub url: String,
    /// Folder of the builder below the worker's base directory.
    pub builddir: String,
}

impl BuildInfo {
    pub fn sourcestamp(&self, codebase: &str) -> Option<&SourceStamp> {
        self.sourcestamps.iter().find(|stamp| stamp.codebase == codebase)
    }
}

/// A running step's view of its build. Clones are the same step.
#[derive(Clone)]
pub struct StepContext {}

/// The build around the step.
impl StepContext {
    pub fn build(&self) -> &BuildInfo {
        todo!()
    }

    pub fn step_id(&self) -> StepId {
        todo!()
    }

    /// The step's unique name.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// Folder of this step's commands, relative to the builder's: the step's `workdir`, else the build's (05.035).
    pub fn workdir(&self) -> &str {
        todo!()
    }

    pub fn worker_info(&self) -> &WorkerInfo {
        todo!()
    }

    /// Joins by the worker's path rules.
    pub fn join_path(&self, parts: &[&str]) -> String {
        let _ = parts;
        todo!()
    }

    pub fn get_property(&self, name: &str) -> Option<Json> {
        let _ = name;
        todo!()
    }

    pub fn properties(&self) -> Properties {
        todo!()
    }

    /// Sets a property of the build (05.034); stored when the step ends.
    pub fn set_property(&self, name: &str, value: Json, source: &str) {
        let _ = (name, value, source);
        todo!()
    }

    pub fn set_statistic(&self, name: &str, value: Json) {
        let _ = (name, value);
        todo!()
    }

    pub fn get_statistic(&self, name: &str) -> Option<Json> {
        let _ = name;
        todo!()
    }

    /// Stores bytes under a name of the build, replacing earlier ones (05.032).
    pub async fn set_build_data(&self, name: &str, value: Vec<u8>, source: &str) -> Result<(), StepError> {
        let _ = (name, value, source);
        todo!()
    }

    /// Renders a value against the build. The options a step gets are rendered already.
    pub async fn render(&self, value: &Json) -> Result<Json, StepError> {
        let _ = value;
        todo!()
    }

    /// Calls a function of the configuration; `option` is its name in messages. An error of it is the step's.
    pub async fn call(&self, callback: &Callback, option: &str, args: Vec<Arg>) -> Result<Json, StepError> {
        let _ = (callback, option, args);
        todo!()
    }

    /// Whether the build was stopped or its worker lost.
    pub fn is_interrupted(&self) -> bool {
        todo!()
    }

    /// Waits so long, by the master's clock; a build that is stopped meanwhile ends the wait as [`StepError::Cancelled`].
    pub async fn sleep(&self, duration: std::time::Duration) -> Result<(), StepError> {
        let _ = duration;
        todo!()
    }

    /// Completes when it is.
    pub async fn interrupted(&self) {
        todo!()
    }
}

/// Logs, texts and links.
impl StepContext {
    /// Makes a log (13.004).
    pub async fn add_log(&self, name: &str, log_type: LogType) -> Result<LogHandle, StepError> {
        let _ = (name, log_type);
        todo!()
    }

    /// The step's log of that name.
    pub fn get_log(&self, name: &str) -> Option<LogHandle> {
        let _ = name;
        todo!()
    }

    /// A stdio log for commands: the one of that name, made if there is none.
    pub async fn log_for_commands(&self, name: &str) -> Result<LogHandle, StepError> {
        let _ = name;
        todo!()
    }

    /// A text log, complete.
    pub async fn add_complete_log(&self, name: &str, text: &str) -> Result<(), StepError> {
        let _ = (name, text);
        todo!()
    }

    /// An HTML log, complete.
    pub async fn add_html_log(&self, name: &str, html: &str) -> Result<(), StepError> {
        let _ = (name, html);
        todo!()
    }

    /// Adds a link to the step (05.030).
    pub async fn add_url(&self, name: &str, url: &str) -> Result<(), StepError> {
        let _ = (name, url);
        todo!()
    }

    /// Sets what the step says while it runs, in place of its description; shown within a second (05.024).
    pub fn set_summary(&self, text: &str) {
        let _ = text;
        todo!()
    }

    /// Marks the final text with ` (timed out)` or ` (max lines)` (05.022, 05.042). Done for every command of
    /// [`StepContext::run_command`].
    pub fn note_outcome(&self, command: &FinishedCommand) {
        let _ = command;
        todo!()
    }
}

/// Commands (05d).
impl StepContext {
    /// Runs a command to its end. Once the build is stopped, it ends as interrupted, or is not started at all (05.028). A
    /// command that breaks in itself is an exception (05.040).
    pub async fn run_command(&self, command: RemoteCommand) -> Result<FinishedCommand, StepError> {
        let _ = command;
        todo!()
    }

    /// A `shell` command from options (05.045): logs made, builder's environment below the step's, workdir defaulted.
    pub async fn make_remote_shell_command(
        &self,
        shell: &ShellOptions,
        output: CommandOutput,
    ) -> Result<RemoteCommand, StepError> {
        let _ = (shell, output);
        todo!()
    }

    /// Version of a command the worker knows (05.036).
    pub fn worker_version(&self, command: &str) -> Option<&str> {
        let _ = command;
        todo!()
    }

    /// The reference's error for a worker that lacks a command (05.036).
    pub fn check_worker_has_command(&self, command: &str) -> Result<(), StepError> {
        let _ = command;
        todo!()
    }

    /// Makes a directory, parents too. True: done; false: the worker could not (its complaint is in the log `stdio`).
    /// Paths here and below are relative to the builder's folder.
    pub async fn run_mkdir(&self, dir: &str) -> Result<bool, StepError> {
        let _ = dir;
        todo!()
    }

    /// Removes a directory with its contents; `timeout`: seconds without progress.
    pub async fn run_rmdir(&self, dir: &str, timeout: Option<f64>) -> Result<bool, StepError> {
        let _ = (dir, timeout);
        todo!()
    }

    pub async fn run_rmfile(&self, path: &str) -> Result<bool, StepError> {
        let _ = path;
        todo!()
    }

    pub async fn path_exists(&self, path: &str) -> Result<bool, StepError> {
        let _ = path;
        todo!()
    }

    /// `None`: no such file.
    pub async fn run_stat(&self, path: &str) -> Result<Option<Stat>, StepError> {
        let _ = path;
        todo!()
    }

    /// Absolute paths that match; none is not an error.
    pub async fn run_glob(&self, pattern: &str) -> Result<Vec<String>, StepError> {
        let _ = pattern;
        todo!()
    }

    /// Names in a directory; `None`: not readable.
    pub async fn run_listdir(&self, dir: &str) -> Result<Option<Vec<String>>, StepError> {
        let _ = dir;
        todo!()
    }

    /// Writes a file on the worker; `mode` e.g. `0o600`. Relative to `workdir` below the builder's folder.
    pub async fn download_file_content_to_worker(
        &self,
        workdir: &str,
        path: &str,
        content: &[u8],
        mode: Option<u32>,
    ) -> Result<FinishedCommand, StepError> {
        let _ = (workdir, path, content, mode);
        todo!()
    }

    /// Reads a file from the worker; `None`: it could not be read. More than 16 MiB is an error.
    pub async fn get_file_content_from_worker(
        &self,
        workdir: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, StepError> {
        let _ = (workdir, path);
        todo!()
    }
}
