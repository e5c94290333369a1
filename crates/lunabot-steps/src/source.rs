//! What all source steps share: what to check out (06.014), the tree on the worker, patches (06.015).
//!
//! A step declares its options with [`source_params!`] and implements [`Vcs`]; [`SourceStep`] does the rest.

use async_trait::async_trait;
use lunabot_engine::command::{Dict, FinishedCommand, RemoteCommand, Value, names};
use lunabot_engine::step::{
    CommandLine, CommandOutput, LogHandle, Results, ShellOptions, SourceCommands, Step, StepContext,
    StepDefaults, StepError, VcCommand,
};
use lunabot_model::resources::{Change, Patch};
use lunabot_model::{Duration, Json, Problem};
use std::collections::BTreeMap;

/// The patch that is being applied, and the mark of a patched tree, in the tree.
pub const DIFF_FILE: &str = ".buildbot-diff";
const PATCHED_FILE: &str = ".buildbot-patched";
/// Seconds between SIGTERM and the kill: a source command that is killed outright leaves lock files behind.
const GRACE: f64 = 2.0;

/// Seconds without output, where `timeout` says nothing.
pub const PATIENCE: f64 = 1200.0;
/// What a password looks like in a log.
const HIDDEN: &str = "XXXXXX";

/// Declares the options of a source step: its own and those that all have.
macro_rules! source_params {
    ($(#[$attr:meta])* pub struct $name:ident { $($own:tt)* }) => {
        lunabot_engine::step_params! {
            $(#[$attr])*
            pub struct $name {
                $($own)*
                /// `incremental` (default) keeps what earlier builds left; `full` gives a clean tree.
                #[schemars(extend("default" = "incremental"))]
                pub mode: Option<lunabot_model::Renderable<String>>,
                /// Take the newest of the default branch, whatever the build asks for.
                #[serde(rename = "alwaysUseLatest")]
                pub always_use_latest: Option<lunabot_model::Renderable<bool>>,
                /// Seconds without output after which a command is killed; `util.null`: never. Default 1200.
                #[schemars(extend("default" = 1200))]
                #[serde(default, deserialize_with = "lunabot_engine::step::present")]
                pub timeout: Option<lunabot_model::Renderable<Option<lunabot_model::Duration>>>,
                /// `{delay, count}`: try a failed first checkout so many times more, after so many seconds.
                pub retry: Option<(lunabot_model::Duration, u32)>,
                /// Environment of the commands.
                pub env: Option<lunabot_model::Renderable<std::collections::BTreeMap<String, lunabot_model::Json>>>,
                /// Show the environment in the log. Default true.
                #[schemars(extend("default" = true))]
                #[serde(rename = "logEnviron")]
                pub log_environ: Option<lunabot_model::Renderable<bool>>,
                /// The codebase whose source stamp is checked out; part of the step's name.
                pub codebase: Option<lunabot_model::Renderable<String>>,
            }
        }

        impl $name {
            /// The options that all source steps have, once they are rendered.
            pub fn source(&self) -> $crate::source::SourceOptions {
                use lunabot_engine::step::given;
                $crate::source::SourceOptions {
                    timeout: given(&self.timeout)
                        .map_or(Some($crate::source::PATIENCE), |timeout| timeout.map(lunabot_model::Duration::secs)),
                    log_environ: given(&self.log_environ).unwrap_or(true),
                    env: given(&self.env).unwrap_or_default(),
                    codebase: given(&self.codebase).unwrap_or_default(),
                    always_use_latest: given(&self.always_use_latest).unwrap_or(false),
                    retry: self.retry,
                    described: self.description.is_some(),
                    described_done: self.description_done.is_some(),
                }
            }
        }
    };
}
pub(crate) use source_params;

/// What the class of a source step differs in: a failure ends the build, the codebase is part of the name.
pub const fn source_defaults(name: &'static str) -> StepDefaults {
    StepDefaults::named(name).halting().described("updating", "update").named_after("codebase")
}

/// Reads mode and method. `None`: incremental; the first of `methods` is that of mode `full` without one. The error says
/// which values there are.
pub fn full_by<M: Copy>(
    mode: Option<&str>,
    method: Option<&str>,
    methods: &[(&str, M)],
) -> Result<Option<M>, Problem> {
    let named = match method {
        None => methods.first(),
        Some(method) => methods.iter().find(|(name, _)| *name == method),
    };
    let Some((_, found)) = named else {
        let known: Vec<&str> = methods.iter().map(|(name, _)| *name).collect();
        let message = format!("{:?} is none of {}", method.unwrap_or_default(), known.join(", "));
        return Err(Problem::new("method", message));
    };
    match mode {
        None | Some("incremental") => Ok(None),
        Some("full") => Ok(Some(*found)),
        Some(other) => Err(Problem::new("mode", format!("{other:?} is neither incremental nor full"))),
    }
}

/// The options of every source step, plain.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// Seconds without output after which a command is killed.
    pub timeout: Option<f64>,
    pub log_environ: bool,
    pub env: BTreeMap<String, Json>,
    pub codebase: String,
    pub always_use_latest: bool,
    /// Delay and count of further tries.
    pub retry: Option<(Duration, u32)>,
    /// `description` and `descriptionDone` were given.
    pub described: bool,
    pub described_done: bool,
}

/// What a system for version control does of a source step.
#[async_trait]
pub trait Vcs: Send + Sync {
    /// The class's name, the source of the properties that it sets.
    fn class(&self) -> &'static str;

    /// Makes the tree what `target` says, and sets `got_revision`.
    async fn check_out(&mut self, tree: Tree<'_>, target: &Target) -> Result<(), StepError>;

    /// Runs its program in the tree with these arguments, for a class that extends the step.
    async fn command(&self, tree: Tree<'_>, command: VcCommand) -> Result<FinishedCommand, StepError>;

    /// Words of commands that no log shows.
    fn hidden(&self) -> Vec<String> {
        Vec::new()
    }

    /// Which of a build's changes, oldest first, is the newest revision.
    fn newest(&self, changes: &[&Change]) -> Option<String> {
        changes.last().and_then(|change| change.revision.clone())
    }
}

/// The change with the highest number as its revision, for systems that count.
pub fn highest(changes: &[&Change]) -> Option<String> {
    let numbered = changes.iter().filter_map(|change| change.revision.as_ref()?.parse::<u64>().ok());
    numbered.max().map(|number| number.to_string())
}

/// A source step (06.014).
pub struct SourceStep<V> {
    vcs: V,
    options: SourceOptions,
    /// The codebase is not in the build.
    missing: bool,
}

impl<V: Vcs + 'static> SourceStep<V> {
    pub fn boxed(vcs: V, options: SourceOptions) -> Box<dyn Step> {
        Box::new(SourceStep { vcs, options, missing: false })
    }
}

#[async_trait]
impl<V: Vcs> Step for SourceStep<V> {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let Some(target) = self.options.target(cx, &self.vcs).await? else {
            self.missing = true;
            return Ok(Results::Failure);
        };
        let hidden = self.vcs.hidden();
        let tree = Tree::new(cx, &self.options, hidden).await?;
        self.vcs.check_out(tree, &target).await?;
        Ok(Results::Success)
    }

    fn current_summary(&self) -> Option<String> {
        let told = self.options.described || self.options.codebase.is_empty();
        (!told).then(|| format!("updating {}", self.options.codebase))
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        if self.missing {
            return Some(format!("Codebase {} not in build", self.options.codebase));
        }
        let told = self.options.described_done || self.options.codebase.is_empty();
        (!told).then(|| format!("update {}", self.options.codebase))
    }

    fn source(&self) -> Option<&dyn SourceCommands> {
        Some(self)
    }
}

#[async_trait]
impl<V: Vcs> SourceCommands for SourceStep<V> {
    async fn vccmd(&self, cx: &StepContext, command: VcCommand) -> Result<FinishedCommand, StepError> {
        self.vcs.command(Tree::new(cx, &self.options, self.vcs.hidden()).await?, command).await
    }

    fn update_property(
        &self,
        cx: &StepContext,
        source: &str,
        name: &str,
        value: Json,
    ) -> Result<(), StepError> {
        self.options.update_property(cx, source, name, value)
    }
}

/// What a build wants checked out.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub branch: Option<String>,
    pub revision: Option<String>,
    pub patch: Option<Patch>,
    /// Of the source stamp; none: the build's is not asked for (`alwaysUseLatest`).
    pub project: Option<String>,
}

impl SourceOptions {
    /// 06.014. `None`: the build has no such codebase; the log `log` says so.
    async fn target(&self, cx: &StepContext, vcs: &impl Vcs) -> Result<Option<Target>, StepError> {
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
            let ours = cx.build().changes.iter().filter(|change| change.codebase == self.codebase);
            let mut changes: Vec<&Change> = ours.collect();
            changes.sort_by_key(|change| change.changeid);
            revision = filled(vcs.newest(&changes));
            if let Some(found) = &revision {
                self.update_property(cx, vcs.class(), "revision", found.as_str().into())?;
            }
        }
        if let Some(patch) = &stamp.patch {
            cx.add_complete_log("patch", &patch.body).await?;
        }
        Ok(Some(Target {
            branch: filled(stamp.branch),
            revision,
            patch: stamp.patch,
            project: Some(stamp.project),
        }))
    }

    /// Sets a property that describes the source; with a codebase, its entry in a table by codebase.
    pub fn update_property(
        &self,
        cx: &StepContext,
        step: &str,
        name: &str,
        value: Json,
    ) -> Result<(), StepError> {
        let old = cx.get_property(name);
        let mixed = |message: &str| {
            StepError::Exception(format!(
                "property {name}: this step has {message} codebase, other source steps differ"
            ))
        };
        let new = match (self.codebase.as_str(), old) {
            ("", Some(Json::Object(_))) => return Err(mixed("no")),
            ("", _) => value,
            (_, Some(Json::String(_))) => return Err(mixed("a")),
            (codebase, old) => {
                let mut table = old.and_then(|old| old.as_object().cloned()).unwrap_or_default();
                table.insert(codebase.into(), value);
                Json::Object(table)
            }
        };
        cx.try_set_property(name, new, step)
    }
}

/// The folder on the worker that is checked out into, and how commands run there.
pub struct Tree<'a> {
    pub cx: &'a StepContext,
    pub log: LogHandle,
    /// Relative to the builder's folder.
    pub workdir: String,
    pub options: &'a SourceOptions,
    /// Words of commands that no log shows.
    pub hidden: Vec<String>,
}

impl<'a> Tree<'a> {
    /// The step's own folder, with its log `stdio`.
    pub async fn new(
        cx: &'a StepContext,
        options: &'a SourceOptions,
        hidden: Vec<String>,
    ) -> Result<Self, StepError> {
        let log = cx.log_for_commands("stdio").await?;
        Ok(Tree { cx, log, workdir: cx.workdir().to_string(), options, hidden })
    }
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
        let command = self.command(words, env, stdin, CommandOutput::collecting_stdout()).await?;
        unless_stopped(self.cx.run_command(command).await?)
    }

    /// The same with standard error in the answer too.
    pub async fn run_for_errors(&self, words: Vec<String>) -> Result<FinishedCommand, StepError> {
        let output = CommandOutput { collect_stdout: true, collect_stderr: true, ..CommandOutput::default() };
        let command = self.command(words, BTreeMap::new(), None, output).await?;
        unless_stopped(self.cx.run_command(command).await?)
    }

    async fn command(
        &self,
        words: Vec<String>,
        env: BTreeMap<String, Json>,
        stdin: Option<String>,
        output: CommandOutput,
    ) -> Result<RemoteCommand, StepError> {
        let shown = self.obfuscated(&words);
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
        let mut command = self.cx.make_remote_shell_command(&shell, output).await?;
        if let Some(shown) = shown {
            command.args.insert("command", shown);
        }
        Ok(command)
    }

    /// The words with those hidden that have to be, if there are any.
    fn obfuscated(&self, words: &[String]) -> Option<Value> {
        let secret = |word: &String| self.hidden.contains(word);
        let hide = |word: &String| match secret(word) {
            true => Value::Tuple(vec!["obfuscated".into(), word.as_str().into(), HIDDEN.into()]),
            false => word.as_str().into(),
        };
        words.iter().any(secret).then(|| Value::List(words.iter().map(hide).collect()))
    }

    /// A path inside the tree.
    pub fn path(&self, parts: &[&str]) -> String {
        let all: Vec<&str> = std::iter::once(self.workdir.as_str()).chain(parts.iter().copied()).collect();
        self.cx.join_path(&all)
    }

    /// Removes files and folders; paths as for [`Tree::path`] makes them.
    pub async fn remove(&self, paths: Vec<String>) -> Result<(), StepError> {
        if paths.is_empty() {
            return Ok(());
        }
        let args = Dict::new().with("dir", paths).with("logEnviron", self.options.log_environ);
        let command = RemoteCommand::new(names::RMDIR, args.with("timeout", self.options.timeout));
        let done = self.cx.run_command(command.use_log(self.log.clone(), false)).await?;
        match unless_stopped(done)?.did_fail() {
            true => Err(StepError::Failed("cannot remove files on the worker".into())),
            false => Ok(()),
        }
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

    /// What to give a command that reads a patch from its input: words that name the file instead where the patch is no
    /// text, and the input.
    pub fn patch_input<'p>(patch: &'p Patch, input: &[&'p str]) -> (Vec<&'p str>, Option<String>) {
        if patch.raw.is_some() { (vec![DIFF_FILE], None) } else { (input.to_vec(), Some(patch.body.clone())) }
    }

    /// Lays down the patch and the mark of a patched tree; the caller applies it, in [`Tree`] returned.
    pub async fn begin_patch(&self, patch: &Patch) -> Result<Self, StepError> {
        let root = patch.subdir.trim_matches('/');
        let inside = !root.split(['/', '\\']).any(|part| part == "..") && !root.contains(':');
        let workdir = if inside && !root.is_empty() { self.path(&[root]) } else { self.workdir.clone() };
        self.write(&workdir, DIFF_FILE, patch.bytes()).await?;
        // The mark is where the next checkout looks for it.
        self.write(&self.workdir, PATCHED_FILE, b"patched\n").await?;
        Ok(self.at(workdir))
    }

    /// The same in another folder.
    pub fn at(&self, workdir: String) -> Self {
        let hidden = self.hidden.clone();
        Tree { cx: self.cx, log: self.log.clone(), workdir, options: self.options, hidden }
    }

    /// Applies a patch with the program `patch` (06.015).
    pub async fn patch(&self, patch: &Patch) -> Result<(), StepError> {
        let tree = self.begin_patch(patch).await?;
        let level = format!("-p{}", patch.level);
        let options = ["--remove-empty-files", "--force", "--forward", "-i", DIFF_FILE];
        let words = std::iter::once("patch").chain([level.as_str()]).chain(options).map(String::from);
        let outcome = tree.run(words.collect(), BTreeMap::new(), None).await?;
        tree.end_patch().await?;
        match outcome.did_fail() {
            true => Err(StepError::Failed("the patch does not apply".into())),
            false => Ok(()),
        }
    }

    /// Sets a property that describes the source.
    pub fn note(&self, class: &str, name: &str, value: &str) -> Result<(), StepError> {
        self.options.update_property(self.cx, class, name, value.into())
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
