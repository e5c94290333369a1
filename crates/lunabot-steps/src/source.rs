//! What all source steps share: what to check out (06.014), the tree on the worker, patches (06.015).

use lunabot_engine::command::{Dict, FinishedCommand, RemoteCommand, Value, names};
use lunabot_engine::step::{CommandLine, CommandOutput, LogHandle, ShellOptions, StepContext, StepError};
use lunabot_model::resources::Patch;
use lunabot_model::{Duration, Json};
use std::collections::BTreeMap;

/// The patch that is being applied, and the mark of a patched tree, in the tree.
const DIFF_FILE: &str = ".buildbot-diff";
const PATCHED_FILE: &str = ".buildbot-patched";
/// Seconds between SIGTERM and the kill: a source command that is killed outright leaves lock files behind.
const GRACE: f64 = 2.0;

/// The options of every source step, plain.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Seconds without output after which a command is killed.
    pub timeout: Option<f64>,
    pub log_environ: bool,
    pub env: BTreeMap<String, Json>,
    pub codebase: String,
    pub always_use_latest: bool,
    /// Delay and count of further tries.
    pub retry: Option<(Duration, u32)>,
}

/// What a build wants checked out.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub branch: Option<String>,
    pub revision: Option<String>,
    pub patch: Option<Patch>,
}

impl SourceOptions {
    /// 06.014. `None`: the build has no such codebase; the log `log` says so. `step` is the class's name, the source of
    /// properties.
    pub async fn target(&self, cx: &StepContext, step: &str) -> Result<Option<Target>, StepError> {
        if self.always_use_latest {
            return Ok(Some(Target::default()));
        }
        let Some(stamp) = cx.build().sourcestamp(&self.codebase).cloned() else {
            let text = format!("the build has no source stamp of codebase '{}'", self.codebase);
            cx.add_complete_log("log", &text).await?;
            return Ok(None);
        };
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut revision = filled(stamp.revision);
        if revision.is_none() {
            let changes = cx.build().changes.iter().filter(|change| change.codebase == self.codebase);
            revision = filled(
                changes.max_by_key(|change| change.changeid).and_then(|change| change.revision.clone()),
            );
            if let Some(found) = &revision {
                self.update_property(cx, step, "revision", found)?;
            }
        }
        if let Some(patch) = &stamp.patch {
            cx.add_complete_log("patch", &patch.body).await?;
        }
        Ok(Some(Target { branch: filled(stamp.branch), revision, patch: stamp.patch }))
    }

    /// Sets a property that describes the source; with a codebase, its entry in a table by codebase.
    pub fn update_property(
        &self,
        cx: &StepContext,
        step: &str,
        name: &str,
        value: &str,
    ) -> Result<(), StepError> {
        let old = cx.get_property(name);
        let mixed = |message: &str| {
            StepError::Exception(format!(
                "property {name}: this step has {message} codebase, other source steps differ"
            ))
        };
        let new = match (self.codebase.as_str(), old) {
            ("", Some(Json::Object(_))) => return Err(mixed("no")),
            ("", _) => Json::from(value),
            (_, Some(Json::String(_))) => return Err(mixed("a")),
            (codebase, old) => {
                let mut table = old.and_then(|old| old.as_object().cloned()).unwrap_or_default();
                table.insert(codebase.into(), value.into());
                Json::Object(table)
            }
        };
        cx.set_property(name, new, step);
        Ok(())
    }
}

/// The folder on the worker that is checked out into, and how commands run there.
pub struct Tree<'a> {
    pub cx: &'a StepContext,
    pub log: LogHandle,
    /// Relative to the builder's folder.
    pub workdir: String,
    pub options: &'a SourceOptions,
}

impl Tree<'_> {
    /// Runs a program in the tree; its output goes to the log `stdio`, standard output to the answer too. A stopped
    /// build ends the step.
    pub async fn run(
        &self,
        words: Vec<String>,
        env: BTreeMap<String, Json>,
        stdin: Option<String>,
    ) -> Result<FinishedCommand, StepError> {
        let shell = ShellOptions {
            command: Some(CommandLine::Words(words)),
            workdir: Some(self.workdir.clone()),
            env: self.options.env.clone().into_iter().chain(env).collect(),
            timeout: self.options.timeout,
            log_environ: self.options.log_environ,
            sigterm_time: Some(GRACE),
            initial_stdin: stdin,
            ..ShellOptions::default()
        };
        let command = self.cx.make_remote_shell_command(&shell, CommandOutput::collecting_stdout()).await?;
        unless_stopped(self.cx.run_command(command).await?)
    }

    /// A path inside the tree.
    pub fn path(&self, parts: &[&str]) -> String {
        let all: Vec<&str> = std::iter::once(self.workdir.as_str()).chain(parts.iter().copied()).collect();
        self.cx.join_path(&all)
    }

    /// Removes the tree.
    pub async fn clobber(&self) -> Result<(), StepError> {
        match self.cx.run_rmdir(&self.workdir, self.options.timeout).await? {
            true => Ok(()),
            false if self.cx.is_interrupted() => Err(StepError::Cancelled),
            false => {
                Err(StepError::Exception(format!("cannot remove the folder {} on the worker", self.workdir)))
            }
        }
    }

    /// Copies the tree to `target`.
    pub async fn copy_to(&self, target: &str) -> Result<(), StepError> {
        let mut args = Dict::new();
        args.insert("fromdir", Value::Str(self.workdir.clone()));
        args.insert("todir", Value::Str(target.into()));
        args.insert("logEnviron", Value::Bool(self.options.log_environ));
        args.insert("timeout", self.options.timeout.map_or(Value::None, Value::Float));
        let command = RemoteCommand::new(names::CPDIR, args).use_log(self.log.clone(), false);
        match unless_stopped(self.cx.run_command(command).await?)?.did_fail() {
            true => Err(StepError::Failed(format!("cannot copy {} to {target}", self.workdir))),
            false => Ok(()),
        }
    }

    /// Whether an earlier build patched the tree.
    pub async fn is_patched(&self) -> Result<bool, StepError> {
        self.cx.path_exists(&self.path(&[PATCHED_FILE])).await
    }

    /// Lays down the patch and the mark of a patched tree; the caller applies it, in [`Tree`] returned.
    pub async fn begin_patch(&self, patch: &Patch) -> Result<Self, StepError> {
        let root = patch.subdir.trim_matches('/');
        let inside = !root.split(['/', '\\']).any(|part| part == "..") && !root.contains(':');
        let workdir = if inside && !root.is_empty() { self.path(&[root]) } else { self.workdir.clone() };
        self.write(&workdir, DIFF_FILE, patch.body.as_bytes()).await?;
        // The mark is where the next checkout looks for it.
        self.write(&self.workdir, PATCHED_FILE, b"patched\n").await?;
        Ok(Tree { cx: self.cx, log: self.log.clone(), workdir, options: self.options })
    }

    /// Removes the patch from the tree.
    pub async fn end_patch(&self) -> Result<(), StepError> {
        match self.cx.run_rmfile(&self.path(&[DIFF_FILE])).await? {
            true => Ok(()),
            false => Err(StepError::Failed(format!("cannot remove {DIFF_FILE} on the worker"))),
        }
    }

    async fn write(&self, workdir: &str, name: &str, content: &[u8]) -> Result<(), StepError> {
        let done = self.cx.download_file_content_to_worker(workdir, name, content, None).await?;
        match unless_stopped(done)?.did_fail() {
            true => Err(StepError::Failed(format!("cannot write {name} on the worker"))),
            false => Ok(()),
        }
    }
}

/// A command that was interrupted ends the step.
pub fn unless_stopped(command: FinishedCommand) -> Result<FinishedCommand, StepError> {
    if command.interrupted { Err(StepError::Cancelled) } else { Ok(command) }
}
