//! Remote commands and the file helpers of steps (reference 05d, 05.036, 05.045–05.047).

use super::{CommandLine, CommandOutput, Logfile, ShellOptions, StepContext, StepError, Word};
use crate::command::{self, BytesReader, BytesWriter, FinishedCommand, RemoteCommand};
use lunabot_model::resources::LogType;
use lunabot_model::{Json, spliced};
use lunabot_proto::{Dict, Stat, Value, names};
use std::sync::Arc;

/// The most that [`StepContext::get_file_content_from_worker`] reads, in bytes.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// Bytes per request of a transfer.
const BLOCK: i64 = 64 * 1024;

impl StepContext {
    /// Runs a command to its end. Once the build is stopped, it ends as interrupted, or is not started at all (05.028). A
    /// command that breaks in itself is an exception (05.040).
    pub async fn run_command(&self, command: RemoteCommand) -> Result<FinishedCommand, StepError> {
        let finished = command::run(self, command).await?;
        self.note_outcome(&finished);
        Ok(finished)
    }

    /// A `shell` command from options (05.045): logs made, builder's environment below the step's, workdir defaulted.
    pub async fn make_remote_shell_command(
        &self,
        shell: &ShellOptions,
        output: CommandOutput,
    ) -> Result<RemoteCommand, StepError> {
        let mut made = RemoteCommand::new(names::SHELL, self.shell_args(shell).await?);
        made.collect_stdout = output.collect_stdout;
        made.collect_stderr = output.collect_stderr;
        made.decode_rc.clone_from(&shell.decode_rc);
        if let Some(name) = output.stdio_log_name {
            let log = self.log_for_commands(&name).await?;
            made = made.use_log(log, false);
        }
        for name in shell.logfiles.keys() {
            made = if shell.lazylogfiles {
                made.use_log_delayed(name)
            } else {
                let log = self.add_log(name, LogType::Stdio).await?;
                made.use_log_for(name, log, true)
            };
        }
        Ok(made)
    }

    async fn shell_args(&self, shell: &ShellOptions) -> Result<Dict, StepError> {
        let Some(line) = &shell.command else {
            return Err(StepError::Exception("there is no command to run".into()));
        };
        let line: Value = match line {
            CommandLine::Text(text) => text.as_str().into(),
            CommandLine::Words(words) => words.clone().into(),
            CommandLine::Obfuscated(words) => Value::List(words.iter().map(word).collect()),
        };
        let workdir = shell.workdir.as_deref().unwrap_or_else(|| self.workdir());
        let logfiles: Dict =
            shell.logfiles.iter().map(|(name, file)| (name.as_str(), logfile(file))).collect();
        let mut args = Dict::new().with("workdir", workdir).with("command", line);
        args.insert("env", self.environment(shell).await?);
        args.insert("want_stdout", shell.want_stdout);
        args.insert("want_stderr", shell.want_stderr);
        args.insert("logfiles", logfiles);
        args.insert("timeout", shell.timeout);
        args.insert("maxTime", shell.max_time);
        args.insert("max_lines", shell.max_lines);
        args.insert("sigtermTime", shell.sigterm_time);
        args.insert("usePTY", shell.use_pty);
        args.insert("logEnviron", shell.log_environ);
        args.insert("initial_stdin", shell.initial_stdin.clone());
        args.insert("interruptSignal", shell.interrupt_signal.as_str());
        Ok(args)
    }

    /// The builder's environment, rendered, overlaid by the step's.
    async fn environment(&self, shell: &ShellOptions) -> Result<Value, StepError> {
        let builder = &self.0.build.builder.config.env;
        let mut all = Dict::new();
        for (name, value) in builder {
            all.insert(name.as_str(), variable(name, &self.render(value).await?)?);
        }
        for (name, value) in &shell.env {
            all.insert(name.as_str(), variable(name, value)?);
        }
        Ok(if all.is_empty() { Value::None } else { all.into() })
    }

    /// Version of a command the worker knows (05.036).
    pub fn worker_version(&self, command: &str) -> Option<&str> {
        self.worker_info().command_version(command)
    }

    /// The reference's error for a worker that lacks a command (05.036).
    pub fn check_worker_has_command(&self, command: &str) -> Result<(), StepError> {
        match self.worker_version(command) {
            Some(_) => Ok(()),
            None => Err(StepError::Exception(format!("worker is too old, does not know about {command}"))),
        }
    }
}

/// Files on the worker. Paths are relative to the builder's folder.
impl StepContext {
    /// Makes a directory, parents too. True: done; false: the worker could not (its complaint is in the log `stdio`).
    pub async fn run_mkdir(&self, dir: &str) -> Result<bool, StepError> {
        let args = Dict::new().with("dir", dir).with("logEnviron", false);
        Ok(self.file_command(names::MKDIR, args).await?.rc == Some(0))
    }

    /// Removes a directory with its contents; `timeout`: seconds without progress.
    pub async fn run_rmdir(&self, dir: &str, timeout: Option<f64>) -> Result<bool, StepError> {
        let mut args = Dict::new().with("dir", dir).with("logEnviron", false);
        if let Some(timeout) = timeout {
            args.insert("timeout", timeout);
        }
        Ok(self.file_command(names::RMDIR, args).await?.rc == Some(0))
    }

    pub async fn run_rmfile(&self, path: &str) -> Result<bool, StepError> {
        let args = Dict::new().with("path", path).with("logEnviron", false);
        Ok(self.file_command(names::RMFILE, args).await?.rc == Some(0))
    }

    pub async fn path_exists(&self, path: &str) -> Result<bool, StepError> {
        Ok(self.run_stat(path).await?.is_some())
    }

    /// `None`: no such file.
    pub async fn run_stat(&self, path: &str) -> Result<Option<Stat>, StepError> {
        let args = Dict::new().with("file", path).with("logEnviron", false);
        let done = self.file_command(names::STAT, args).await?;
        Ok(done.stats.into_iter().next().filter(|_| done.rc == Some(0)))
    }

    /// Absolute paths that match; none is not an error.
    pub async fn run_glob(&self, pattern: &str) -> Result<Vec<String>, StepError> {
        let args = Dict::new().with("path", pattern).with("logEnviron", false);
        Ok(self.file_command(names::GLOB, args).await?.files)
    }

    /// Names in a directory; `None`: not readable.
    pub async fn run_listdir(&self, dir: &str) -> Result<Option<Vec<String>>, StepError> {
        let args = Dict::new().with("dir", dir).with("logEnviron", false);
        let done = self.file_command(names::LISTDIR, args).await?;
        Ok((done.rc == Some(0)).then_some(done.files))
    }

    /// Writes a file on the worker; `mode` e.g. `0o600`. Relative to `workdir` below the builder's folder.
    pub async fn download_file_content_to_worker(
        &self,
        workdir: &str,
        path: &str,
        content: &[u8],
        mode: Option<u32>,
    ) -> Result<FinishedCommand, StepError> {
        let args = Dict::new()
            .with("workerdest", path)
            .with("workdir", workdir)
            .with("maxsize", Value::None)
            .with("blocksize", BLOCK)
            .with("mode", mode);
        let peer = Arc::new(BytesReader::new(content.to_vec()));
        self.transfer(RemoteCommand::new(names::DOWNLOAD_FILE, args).with_transfer(peer)).await
    }

    /// Reads a file from the worker; `None`: it could not be read. More than 16 MiB is an error.
    pub async fn get_file_content_from_worker(
        &self,
        workdir: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, StepError> {
        let args = Dict::new()
            .with("workersrc", path)
            .with("workdir", workdir)
            .with("maxsize", Value::None)
            .with("blocksize", BLOCK)
            .with("keepstamp", false);
        let peer = Arc::new(BytesWriter::new(MAX_FILE));
        let command = RemoteCommand::new(names::UPLOAD_FILE, args).with_transfer(peer.clone());
        let done = self.transfer(command).await?;
        Ok((done.rc == Some(0)).then(|| peer.take()))
    }

    async fn transfer(&self, command: RemoteCommand) -> Result<FinishedCommand, StepError> {
        let log = self.helpers_log().await?;
        let done = self.run_command(command.use_log(log, false)).await?;
        if done.interrupted { Err(StepError::Cancelled) } else { Ok(done) }
    }

    async fn file_command(&self, name: &str, args: Dict) -> Result<FinishedCommand, StepError> {
        self.transfer(RemoteCommand::new(name, args)).await
    }
}

/// A word as the worker takes it: with a fake, as the mark, the word and what is shown (04.041).
fn word(word: &Word) -> Value {
    match &word.fake {
        None => word.real.as_str().into(),
        Some(fake) => Value::Tuple(["obfuscated", &word.real, fake].map(Value::from).into()),
    }
}

fn logfile(file: &Logfile) -> Value {
    match file {
        Logfile::Path(path) => path.as_str().into(),
        Logfile::Options { filename, follow } => {
            Dict::new().with("filename", filename.as_str()).with("follow", *follow).into()
        }
    }
}

/// One environment variable: text, a number, null to remove it, or a list of texts.
fn variable(name: &str, value: &Json) -> Result<Value, StepError> {
    match value {
        Json::Null => Ok(Value::None),
        Json::String(text) => Ok(text.as_str().into()),
        Json::Number(number) => Ok(number.to_string().into()),
        Json::Array(items) => {
            let texts: Option<Vec<&str>> = spliced(items).into_iter().map(Json::as_str).collect();
            texts.map(Value::from).ok_or_else(|| bad_variable(name, value))
        }
        Json::Bool(_) | Json::Object(_) => Err(bad_variable(name, value)),
    }
}

fn bad_variable(name: &str, value: &Json) -> StepError {
    StepError::Exception(format!("env: {name} must be a text or a list of texts, not {value}"))
}
