//! What a running step may do (reference 05c, 05d): facts, properties, logs, texts and links. Commands are in
//! [`super::remote`].

use super::encoding::TextPieces;
use super::over_all::BaseRun;
use super::scripted::{Calls, Scripted, error_of};
use super::summary::Texts;
use super::test_results::TestResults;
use super::{LineObserver, LogEncoding, LogHandle, LogObserver, Observed, StepError};
use crate::build::{BuildShared, Patience, PropertiesHandle, Stop};
use crate::command::FinishedCommand;
use crate::locks::client::Ticket;
use crate::logs::Masks;
use futures::FutureExt;
use lunabot_model::resources::{Change, LogType, SourceStamp};
use lunabot_model::script::CallSite;
use lunabot_model::{
    Arg, BuildId, BuilderId, Callback, Clock, Crosses, Json, LogId, Properties, Results, StepId, Time,
};
use lunabot_proto::WorkerInfo;
use std::any::Any;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Facts about the build that a step runs in; they do not change while it runs.
#[derive(Debug, Clone)]
pub struct BuildInfo {
    pub buildid: BuildId,
    pub number: i64,
    pub builderid: BuilderId,
    pub builder: String,
    pub worker: String,
    pub reason: String,
    /// Of its request.
    pub priority: i64,
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

/// Makes observers of logs; `None`: nothing is to be seen.
pub type MakeObserver = Box<dyn Fn(&StepContext) -> Option<Box<dyn LogObserver>> + Send + Sync>;

/// A running step's view of its build. Clones are the same step.
#[derive(Clone)]
pub struct StepContext(pub(crate) Crosses<Arc<Inner>>, Option<BaseRun>);

pub(crate) struct Inner {
    pub build: Arc<BuildShared>,
    pub step_id: StepId,
    pub name: String,
    pub workdir: OnceLock<String>,
    /// The step's own.
    pub encoding: OnceLock<LogEncoding>,
    /// Bytes of its logs so far.
    pub output: Arc<AtomicU64>,
    /// Why this step was interrupted, once it was.
    pub stopped: watch::Receiver<Option<Arc<str>>>,
    pub logs: Mutex<Vec<LogHandle>>,
    /// Where the helpers for files write; without one: into `stdio` (13.005).
    pub helpers_log: Mutex<Option<LogHandle>>,
    /// Observers of logs that there are not yet, by the log's name.
    pub observers: Mutex<Vec<(String, Box<dyn LogObserver>)>>,
    pub test_results: Mutex<Vec<Arc<TestResults>>>,
    /// The text the step chose for itself while it runs.
    pub summary: Mutex<Option<String>>,
    pub summary_changed: Notify,
    pub timed_out: AtomicBool,
    pub max_lines_reached: AtomicBool,
    /// Its worker was found lost.
    pub lost: AtomicBool,
    /// Its locks, while it holds them.
    pub ticket: Mutex<Option<Ticket>>,
    /// Of a step whose class is the configuration's.
    pub script: OnceLock<Arc<Scripted>>,
    /// Calls of its methods that functions wait for.
    pub calls: Calls,
    /// It is over: nothing acts on it any more.
    pub ended: CancellationToken,
    /// The best that observers let its result be.
    pub at_best: Mutex<Option<Results>>,
    /// Steps that it shows parts of itself as, until they end.
    pub subs: Mutex<Vec<(StepContext, Texts)>>,
    /// Makes an observer for each log that commands print into.
    pub of_commands: OnceLock<(MakeObserver, Mutex<HashSet<LogId>>)>,
    /// Its options, rendered, where the class of its build may read them.
    pub options: OnceLock<Json>,
    /// What it ends with, as far as it is known: for those that are asked about its end.
    pub results: Mutex<Option<Results>>,
    /// How it ended, for who still has it then.
    pub result: Arc<OnceLock<Results>>,
    /// What its built-in class keeps from run to run.
    pub kept: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl StepContext {
    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        StepContext(Crosses::new(inner), None)
    }

    /// The same step, for one run of its built-in class that the class of the configuration asks for: there may be
    /// more of them.
    pub(crate) fn for_base_run(&self, run: BaseRun) -> Self {
        StepContext(self.0.clone(), Some(run))
    }

    pub(crate) fn new(
        build: Arc<BuildShared>,
        step_id: StepId,
        name: String,
        stopped: watch::Receiver<Option<Arc<str>>>,
    ) -> Self {
        StepContext::of(Arc::new(Inner {
            build,
            step_id,
            name,
            workdir: OnceLock::new(),
            encoding: OnceLock::new(),
            output: Arc::default(),
            stopped,
            logs: Mutex::default(),
            helpers_log: Mutex::default(),
            observers: Mutex::default(),
            test_results: Mutex::default(),
            summary: Mutex::default(),
            summary_changed: Notify::new(),
            timed_out: AtomicBool::new(false),
            max_lines_reached: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            ticket: Mutex::default(),
            script: OnceLock::new(),
            calls: Calls::default(),
            ended: CancellationToken::new(),
            at_best: Mutex::default(),
            subs: Mutex::default(),
            of_commands: OnceLock::new(),
            options: OnceLock::new(),
            results: Mutex::default(),
            result: Arc::default(),
            kept: OnceLock::new(),
        }))
    }

    pub(crate) fn masks(&self) -> &Arc<Masks> {
        &self.0.build.masks
    }
}

/// The build around the step.
impl StepContext {
    pub fn build(&self) -> &BuildInfo {
        &self.0.build.info
    }

    pub fn step_id(&self) -> StepId {
        self.0.step_id
    }

    /// What it ends with, for those that are asked about its end.
    pub(crate) fn set_results(&self, results: Results) {
        *self.0.results.lock().unwrap_or_else(PoisonError::into_inner) = Some(results);
    }

    pub(crate) fn known_results(&self) -> Option<Results> {
        *self.0.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step's unique name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Folder of this step's commands, relative to the builder's: the step's `workdir`, else the build's (05.035).
    pub fn workdir(&self) -> &str {
        let own = self.0.workdir.get().or_else(|| self.0.build.workdir.get());
        own.map_or(DEFAULT_WORKDIR, String::as_str)
    }

    pub fn worker_info(&self) -> &WorkerInfo {
        self.0.build.worker.link.info()
    }

    /// Joins by the worker's path rules.
    pub fn join_path(&self, parts: &[&str]) -> String {
        crate::build::properties::join(&self.worker_info().system, parts)
    }

    /// A path on the master: relative ones start at the master's base directory, `~` is the home of who runs the master.
    pub fn master_path(&self, path: &str) -> PathBuf {
        let home = || std::env::var_os("HOME").map(PathBuf::from);
        let expanded = match path.strip_prefix('~') {
            Some("") => home(),
            Some(rest) if rest.starts_with('/') => home().map(|home| home.join(rest.trim_start_matches('/'))),
            _ => None,
        };
        self.0.build.services.data.basedir().join(expanded.unwrap_or_else(|| path.into()))
    }

    /// Keeps a value for later runs of the built-in class in this step: the first one counts.
    pub fn keep<T: Any + Send + Sync>(&self, value: T) {
        let _ = self.0.kept.set(Arc::new(value));
    }

    /// What was kept.
    pub fn kept<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.kept.get().cloned()?.downcast().ok()
    }

    pub fn get_property(&self, name: &str) -> Option<Json> {
        self.0.build.properties().all().get(name).cloned()
    }

    pub fn properties(&self) -> Properties {
        self.0.build.properties().all().clone()
    }

    /// Sets a property of the build (05.034); stored when the step ends. A name of more than 256 characters is refused
    /// with a message in the master's log (04.001).
    pub fn set_property(&self, name: &str, value: Json, source: &str) {
        if let Err(error) = self.try_set_property(name, value, source) {
            tracing::warn!(build = self.build().buildid, "{error}");
        }
    }

    /// The same; a name that is refused is the step's error.
    pub fn try_set_property(&self, name: &str, value: Json, source: &str) -> Result<(), StepError> {
        self.0.build.properties().set(name, value, source).map_err(StepError::Exception)
    }

    /// Keeps a number, or what else sums up the step, for its summary and for later steps (05.029).
    pub fn set_statistic(&self, name: &str, value: Json) {
        self.0.build.statistics().set(&self.0.name, name, value);
    }

    pub fn get_statistic(&self, name: &str) -> Option<Json> {
        self.0.build.statistics().get(&self.0.name, name).cloned()
    }

    /// Says how far the step is, for the expected end of its build (lua-api § 3). Earlier builds say what `metric` is at
    /// the end. The error is that of a number that is none, or of too many metrics.
    pub fn set_progress(&self, metric: &str, value: f64) -> Result<(), StepError> {
        self.0.build.progress.set(&self.0.name, metric, value).map_err(StepError::Exception)
    }

    /// Folds a statistic over the steps of the build that have it, in the order in which they ran (05.016). Without
    /// `initial` the first value is the beginning; `None`: no step has it.
    pub fn summary_statistic(
        &self,
        name: &str,
        fold: impl FnMut(Json, Json) -> Json,
        initial: Option<Json>,
    ) -> Option<Json> {
        let values = self.0.build.statistics().all(name);
        let mut values = initial.into_iter().chain(values);
        let first = values.next()?;
        Some(values.fold(first, fold))
    }

    /// Stores bytes under a name of the build, replacing earlier ones (05.032). Secrets are masked if the bytes are text.
    pub async fn set_build_data(&self, name: &str, value: Vec<u8>, source: &str) -> Result<(), StepError> {
        let value = match String::from_utf8(value) {
            Ok(text) => self.masks().mask(&text).into_owned().into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        let data = &self.0.build.services.data;
        data.set_build_data(self.build().buildid, name, value, source).await?.detach();
        Ok(())
    }

    /// Renders a value against the build. The options a step gets are rendered already. A moment after an interruption
    /// what still waits is given up.
    pub async fn render(&self, value: &Json) -> Result<Json, StepError> {
        let rendered = async { Ok(lunabot_model::render::render(value, self).await?) };
        self.patience().or_give_up(rendered).await
    }

    /// Calls a function of the configuration; `option` is its name in messages. An error of it is the step's. A moment
    /// after an interruption a call that still waits is given up.
    pub async fn call(&self, callback: &Callback, option: &str, args: Vec<Arg>) -> Result<Json, StepError> {
        self.patience().or_give_up(self.call_patiently(callback, option, args)).await
    }

    /// The same for a function that is told of an interruption: it has the time that every function has.
    pub(crate) async fn call_patiently(
        &self,
        callback: &Callback,
        option: &str,
        args: Vec<Arg>,
    ) -> Result<Json, StepError> {
        let host = &self.0.build.builder.generation.host;
        host.call(callback, self.site(option), args).await.map_err(error_of)
    }

    /// The error for a function whose answer is not what the option `option` wants; it is counted and listed as well.
    pub fn nonsense(&self, callback: &Callback, option: &str, text: String) -> StepError {
        let text = callback.placed(&text);
        self.0.build.builder.generation.host.nonsense(callback, self.site(option), &text);
        StepError::Exception(text)
    }

    /// What a function returned, as an error repeats it.
    pub fn shown(&self, value: &Json) -> String {
        self.0.build.builder.generation.host.shown(value)
    }

    /// How bytes become text: the step's `logEncoding`, else the configuration's (13.016).
    pub fn encoding(&self) -> LogEncoding {
        let config = &self.0.build.builder.generation.config;
        // What is none was refused when the configuration was loaded.
        let configured = || LogEncoding::from_json(&config.log_encoding).unwrap_or(LogEncoding::UTF_8);
        self.own_encoding().unwrap_or_else(configured)
    }

    /// The step's `logEncoding`.
    pub fn own_encoding(&self) -> Option<LogEncoding> {
        self.0.encoding.get().cloned()
    }

    /// What a function wrote into `log`. Bytes in the log's own encoding, if it has one; else what is UTF-8 is text, and
    /// other bytes are in the step's.
    pub(crate) async fn text_for(&self, log: &LogHandle, bytes: Vec<u8>) -> Result<String, StepError> {
        self.text_in(log.encoding(), bytes).await
    }

    /// See [`StepContext::text_for`].
    pub(crate) async fn text_in(
        &self,
        own: Option<&LogEncoding>,
        bytes: Vec<u8>,
    ) -> Result<String, StepError> {
        let bytes = match own {
            Some(_) => bytes,
            None => match String::from_utf8(bytes) {
                Ok(text) => return Ok(text),
                Err(other) => other.into_bytes(),
            },
        };
        let mut pieces = TextPieces::new(own.unwrap_or(&self.encoding()));
        Ok(pieces.push(self, &bytes).await? + &pieces.finish())
    }

    /// Where a function of this step is called from.
    pub fn site(&self, option: &str) -> CallSite {
        CallSite::new(option, format!("step {} of builder {}", self.name(), self.build().builder))
    }

    /// The step as an argument of a function: `self`, where its class is the configuration's; else with further fields,
    /// e.g. options that the function goes by.
    pub fn script_arg(&self, fields: impl FnOnce() -> Json) -> Arg {
        match self.0.script.get().and_then(|script| script.this()) {
            Some(instance) => Arg::Instance(instance),
            None => Arg::Object(crate::scripts::step_object(self, fields())),
        }
    }

    /// The build's properties as an argument of a function.
    pub fn properties_arg(&self) -> Arg {
        let handle = PropertiesHandle(std::sync::Weak::clone(&self.0.build.itself));
        Arg::Properties(Arc::new(handle), self.properties())
    }

    /// Takes out of the database what these rules want gone (14.025); a build that is stopped meanwhile ends it.
    pub async fn tidy(
        &self,
        rules: &[lunabot_model::retention::Rule],
        progress: lunabot_data::Progress<'_>,
    ) -> Result<lunabot_data::Tidied, StepError> {
        tokio::select! {
            biased;
            () = self.interrupted() => Err(self.interruption()),
            done = self.0.build.services.data.tidy(rules, progress) => Ok(done?),
        }
    }

    /// The master's clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.build.services.clock
    }

    /// Whether the build was stopped or its worker lost.
    pub fn is_interrupted(&self) -> bool {
        self.patience().is_interrupted()
    }

    /// The time of the master's wall clock.
    pub fn now(&self) -> Time {
        self.0.build.services.clock.now()
    }

    /// Waits so long, by the master's clock; a build that is stopped meanwhile ends the wait as [`StepError::Cancelled`].
    pub async fn sleep(&self, duration: std::time::Duration) -> Result<(), StepError> {
        tokio::select! {
            biased;
            () = self.interrupted() => Err(self.interruption()),
            () = self.0.build.services.clock.sleep(duration) => Ok(()),
        }
    }

    /// Completes when it is.
    pub async fn interrupted(&self) {
        self.patience().interrupted().await;
    }

    fn patience(&self) -> Patience {
        self.0.build.patience_of(Stop::Step(self.0.stopped.clone()))
    }

    /// The error for work that an interruption ended.
    pub fn interruption(&self) -> StepError {
        self.patience().interruption()
    }
}

/// Logs, texts and links.
impl StepContext {
    /// Makes a log (13.004).
    pub async fn add_log(&self, name: &str, log_type: LogType) -> Result<LogHandle, StepError> {
        self.add_log_in(name, log_type, None).await
    }

    /// The same, for bytes in an encoding of its own (13.016).
    pub async fn add_log_in(
        &self,
        name: &str,
        log_type: LogType,
        encoding: Option<LogEncoding>,
    ) -> Result<LogHandle, StepError> {
        let build = &self.0.build;
        let (log, ack) =
            build.services.data.add_log(self.0.step_id, &build.masks.mask(name), log_type).boxed().await?;
        ack.detach();
        let data = build.services.data.clone();
        let (masks, limits, output) = (build.masks.clone(), build.log_limits(), self.0.output.clone());
        let handle = LogHandle::new(data, &log, masks, limits, encoding, output, self.patience());
        self.logs().push(handle.clone());
        for observer in self.take_observers(name) {
            handle.observe(observer).await;
        }
        Ok(handle)
    }

    /// Lets `observer` see the log of that name, from its beginning, whether the step has it already or makes it later
    /// (05.051, 13.005). A built-in class that may run several times in one step sees what each run adds.
    pub async fn add_log_observer(&self, name: &str, observer: Box<dyn LogObserver>) {
        let observer = match &self.1 {
            Some(run) => run.observer(observer),
            None => observer,
        };
        match (self.get_log(name), &self.1) {
            (Some(log), None) => log.observe(observer).await,
            (Some(log), Some(_)) => log.observe_from_now(observer).await,
            (None, _) => self.observers().push((name.into(), observer)),
        }
    }

    /// Lets an observer of its own see each log that a command prints into, from then on.
    pub fn observe_commands(&self, make: MakeObserver) {
        // Set once per step.
        let _ = self.0.of_commands.set((make, Mutex::default()));
    }

    /// A command is about to print into this log.
    pub(crate) async fn let_see_commands(&self, log: &LogHandle) {
        let Some((make, seen)) = self.0.of_commands.get() else { return };
        let new = seen.lock().unwrap_or_else(PoisonError::into_inner).insert(log.id());
        if let Some(observer) = new.then(|| make(self)).flatten() {
            log.observe_from_now(observer).await;
        }
    }

    /// The same for an observer of single lines; what it has seen can be read from the answer.
    pub async fn observe_lines<T: LineObserver + 'static>(&self, name: &str, observer: T) -> Observed<T> {
        let observed = Observed::new(observer);
        self.add_log_observer(name, Box::new(observed.clone())).await;
        observed
    }

    /// Finishes all logs: after this, observers have seen everything, unfinished last lines too. Where more may be to
    /// come, as in a built-in class that may run several times in one step, the logs stay open.
    pub async fn finish_logs(&self) -> Result<(), StepError> {
        let logs = self.logs().clone();
        for log in logs {
            match self.1 {
                Some(_) => log.end_lines().await?,
                None => log.finish().await?,
            }
        }
        Ok(())
    }

    /// Drops observers of logs that never came: they may hold the step.
    pub(crate) fn forget_observers(&self) {
        let waiting = std::mem::take(&mut *self.observers());
        drop(waiting);
    }

    /// What observers of the step's logs broke on, once.
    pub(crate) fn take_faults(&self) -> Vec<StepError> {
        self.logs().iter().flat_map(LogHandle::take_faults).collect()
    }

    fn take_observers(&self, name: &str) -> Vec<Box<dyn LogObserver>> {
        let mut waiting = self.observers();
        let (found, rest) = std::mem::take(&mut *waiting).into_iter().partition(|(log, _)| log == name);
        *waiting = rest;
        let found: Vec<(String, Box<dyn LogObserver>)> = found;
        found.into_iter().map(|(_, observer)| observer).collect()
    }

    fn observers(&self) -> std::sync::MutexGuard<'_, Vec<(String, Box<dyn LogObserver>)>> {
        self.0.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step's log of that name.
    pub fn get_log(&self, name: &str) -> Option<LogHandle> {
        self.logs().iter().find(|log| log.name() == name).cloned()
    }

    /// A stdio log for commands: the one of that name, made if there is none.
    pub async fn log_for_commands(&self, name: &str) -> Result<LogHandle, StepError> {
        match self.get_log(name) {
            Some(log) => Ok(log),
            None => self.add_log(name, LogType::Stdio).await,
        }
    }

    /// Makes a log that the helpers for files write into from now on (13.005).
    pub async fn add_log_for_remote_commands(&self, name: &str) -> Result<LogHandle, StepError> {
        let log = self.add_log(name, LogType::Stdio).await?;
        *self.0.helpers_log.lock().unwrap_or_else(PoisonError::into_inner) = Some(log.clone());
        Ok(log)
    }

    /// One of its logs, or of those of its parts.
    pub(crate) fn log_of(&self, id: LogId) -> Option<LogHandle> {
        let own = self.logs().iter().find(|log| log.id() == id).cloned();
        own.or_else(|| {
            let parts = self.0.subs.lock().unwrap_or_else(PoisonError::into_inner);
            parts.iter().find_map(|(part, _)| part.log_of(id))
        })
    }

    /// The log of the helpers for files.
    pub(crate) async fn helpers_log(&self) -> Result<LogHandle, StepError> {
        let chosen = self.0.helpers_log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match chosen {
            Some(log) => Ok(log),
            None => self.log_for_commands("stdio").await,
        }
    }

    /// A text log, complete.
    pub async fn add_complete_log(&self, name: &str, text: &str) -> Result<(), StepError> {
        let log = self.add_log(name, LogType::Text).await?;
        log.add_content(text).await?;
        log.finish().await
    }

    /// An HTML log, complete.
    pub async fn add_html_log(&self, name: &str, html: &str) -> Result<(), StepError> {
        let log = self.add_log(name, LogType::Html).await?;
        log.add_content(html).await?;
        log.finish().await
    }

    /// Adds a link to the step (05.030). Secrets in it are masked (04.039).
    pub async fn add_url(&self, name: &str, url: &str) -> Result<(), StepError> {
        let (name, url) = (self.masks().mask(name), self.masks().mask(url));
        self.0.build.services.data.add_step_url(self.0.step_id, &name, &url).await?.detach();
        Ok(())
    }

    /// Sets what the step says while it runs, in place of its description; shown within a second (05.024).
    pub fn set_summary(&self, text: &str) {
        *self.0.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_string());
        self.0.summary_changed.notify_one();
    }

    /// Marks the final text with ` (timed out)` or ` (max lines)` (05.022, 05.042). Done for every command of
    /// [`StepContext::run_command`].
    pub fn note_outcome(&self, command: &FinishedCommand) {
        if let Some(script) = self.0.script.get() {
            script.note_command(command);
        }
        self.0.timed_out.fetch_or(command.timed_out(), Ordering::Relaxed);
        self.0.max_lines_reached.fetch_or(command.max_lines_reached(), Ordering::Relaxed);
    }

    pub(super) fn test_results(&self) -> std::sync::MutexGuard<'_, Vec<Arc<TestResults>>> {
        self.0.test_results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn logs(&self) -> std::sync::MutexGuard<'_, Vec<LogHandle>> {
        self.0.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder of commands where neither step nor factory names one (05.035).
pub(crate) const DEFAULT_WORKDIR: &str = "build";

/// A script's error as it is shown in `err.text`.
pub(crate) fn with_traceback(message: String, traceback: &str) -> String {
    if traceback.is_empty() || traceback == message { message } else { format!("{message}\n{traceback}") }
}
