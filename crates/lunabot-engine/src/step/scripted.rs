//! Steps of classes of the configuration (lua-api § 3): what a class overrides is asked of the script host, the rest is
//! done by the built-in class below it.

use super::over_all::BaseRun;
use super::{BaseStepParams, ShellParams, Step, StepContext, StepError};
use crate::command::FinishedCommand;
use crate::plan::PlannedStep;
use crate::scripts::command::ended;
use crate::scripts::step_object;
use lunabot_model::results::ResultFlags;
use lunabot_model::script::Instance;
use lunabot_model::{
    Arg, Callback, ClassOf, FromLua, Json, Results, ScriptError, ScriptErrorKind, StringOrList,
};
use serde_json::Map;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A stopped step that waits for none of its own methods is given up after so long.
const IDLE: Duration = Duration::from_secs(1);
/// A stopped step is given up after so long in any case.
const PATIENCE: Duration = Duration::from_secs(60);

/// One run of a step whose class is the configuration's.
pub(crate) struct Scripted {
    class: ClassOf,
    planned: Arc<PlannedStep>,
    /// The options, rendered.
    args: Json,
    instance: std::sync::OnceLock<Arc<Instance>>,
    /// The newest run of the built-in class.
    base: tokio::sync::Mutex<Option<Box<dyn Step>>>,
    /// What the class assigned while it ran.
    assigned: Mutex<Map<String, Json>>,
    base_result: Mutex<Option<Results>>,
    last_command: Mutex<Option<FinishedCommand>>,
    /// True once the method `interrupt` has returned.
    interrupted: watch::Sender<bool>,
}

/// The texts that a class gives for its step.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct OwnSummary {
    pub step: Option<String>,
    pub build: Option<String>,
}

impl Scripted {
    /// The run of `planned` if its class is the configuration's; then it is the script of `cx`.
    pub async fn begin(
        cx: &StepContext,
        planned: &Arc<PlannedStep>,
        args: &Json,
        params: &Json,
    ) -> Result<Option<Arc<Self>>, StepError> {
        let Some(class) = &planned.class else { return Ok(None) };
        let script = Arc::new(Scripted {
            class: class.clone(),
            planned: planned.clone(),
            args: args.clone(),
            instance: std::sync::OnceLock::new(),
            base: tokio::sync::Mutex::default(),
            assigned: Mutex::default(),
            base_result: Mutex::default(),
            last_command: Mutex::default(),
            interrupted: watch::channel(false).0,
        });
        if let Some(shell) = script.shell_options() {
            ShellParams::read(&shell.into()).map_err(|text| super::run::misfit(cx, planned, &text))?;
        }
        // Set here only.
        let _ = cx.0.script.set(script.clone());
        let mut fields = args.as_object().cloned().unwrap_or_default();
        fields.extend(params.as_object().cloned().unwrap_or_default());
        let live = step_object(cx, fields.into());
        let keep = cx.0.build.builder.generation.host.keep();
        let _ = script.instance.set(Arc::new(Instance { keep, of: planned.id, live }));
        script.hook(cx, "before_start", Vec::new()).await?;
        for (log, observers) in &script.class.observers {
            let all = observers.as_array().map_or(std::slice::from_ref(observers), Vec::as_slice);
            for observer in all {
                let object = lunabot_model::AnyObject::from_json(observer)
                    .ok_or_else(|| StepError::Exception(format!("observers.{log} is no observer")))?;
                let observer = super::observers::make(cx, &object).await?;
                cx.add_log_observer(log, observer).await;
            }
        }
        Ok(Some(script))
    }

    /// `self`.
    pub fn this(&self) -> Option<Arc<Instance>> {
        self.instance.get().cloned()
    }

    fn args_of(&self, args: Vec<Arg>) -> Vec<Arg> {
        self.this().map(Arg::Instance).into_iter().chain(args).collect()
    }

    /// Calls a method of the class, if it has it.
    async fn hook(&self, cx: &StepContext, name: &str, args: Vec<Arg>) -> Result<Option<Json>, StepError> {
        let Some(callback) = self.class.hook(name) else { return Ok(None) };
        cx.call(callback, name, self.args_of(args)).await.map(Some)
    }

    /// Does the work.
    pub async fn run(&self, cx: &StepContext) -> Result<Results, StepError> {
        let Some(callback) = self.class.hook("run") else { return self.base_run_in(cx).await };
        let base = self.base_of_own_run();
        let Some(over_all) = base.as_ref().and_then(|base| base.over_all()) else {
            return self.own_run(cx, callback).await;
        };
        over_all.begin(cx).await?;
        let ended = self.own_run(cx, callback).await;
        if matches!(ended, Err(StepError::Cancelled | StepError::Lost)) {
            return ended;
        }
        // The logs stay open: why it fails is told there.
        let best = over_all.end(&cx.for_base_run(BaseRun::begin())).await;
        match (ended?, best?) {
            (results, Results::Success) => Ok(results),
            // The class's own verdict is the last word.
            (results, _) if self.class.hook("evaluateCommand").is_some() => Ok(results),
            (results, best) => Ok(results.worst(best)),
        }
    }

    async fn own_run(&self, cx: &StepContext, callback: &Callback) -> Result<Results, StepError> {
        let host = &cx.0.build.builder.generation.host;
        let call = host.call(callback, cx.site("run").endless(), self.args_of(Vec::new()));
        tokio::select! {
            biased;
            answer = call => self.read_results(cx, callback, "run", answer.map_err(error_of)),
            () = self.given_up(cx) => Err(cx.interruption()),
        }
    }

    fn read_results(
        &self,
        cx: &StepContext,
        callback: &Callback,
        method: &str,
        answer: Result<Json, StepError>,
    ) -> Result<Results, StepError> {
        let answer = answer?;
        if let Some(results) = Results::from_json(&answer) {
            return Ok(results);
        }
        let got = match &answer {
            Json::Array(several) if several.len() > 1 => {
                let all: Vec<String> = several.iter().map(|one| cx.shown(one)).collect();
                format!("{} values, {}", several.len(), all.join(" and "))
            }
            one => cx.shown(one),
        };
        let text = format!("{}: {method} returned {got}; return a result such as util.SUCCESS", callback.at);
        Err(cx.nonsense(callback, method, text))
    }

    /// Completes when a step that was stopped has had its time to end.
    async fn given_up(&self, cx: &StepContext) {
        cx.interrupted().await;
        let clock = &cx.0.build.services.clock;
        let idle = async {
            if self.class.hook("interrupt").is_some() {
                // It says how the step ends.
                return std::future::pending().await;
            }
            loop {
                cx.0.calls.idle().await;
                tokio::select! {
                    () = clock.sleep(IDLE) => return,
                    () = cx.0.calls.busy() => {}
                }
            }
        };
        tokio::select! {
            () = idle => {}
            () = clock.sleep(PATIENCE) => {}
        }
    }

    /// Tells the class of an interruption, if it wants to know.
    pub async fn interrupt(&self, cx: &StepContext, reason: &str) {
        if let Some(callback) = self.class.hook("interrupt") {
            let args = self.args_of(vec![Arg::Value(reason.into())]);
            if let Err(error) = cx.call_patiently(callback, "interrupt", args).await {
                tracing::warn!(step = cx.step_id(), "interrupt: {error}");
            }
        }
        self.interrupted.send_replace(true);
    }

    /// What the built-in class does, for a class with a `run` of its own.
    pub async fn base_run(&self, cx: &StepContext) -> Result<Results, StepError> {
        let run = BaseRun::begin();
        let ran = self.base_run_in(&cx.for_base_run(run.clone())).await;
        run.end();
        ran
    }

    /// Each time a new one.
    async fn base_run_in(&self, cx: &StepContext) -> Result<Results, StepError> {
        let mut step = self.base_step(cx)?;
        let ran = step.run(cx).await;
        *self.base.lock().await = Some(step);
        let results = ran?;
        *lock(&self.base_result) = Some(results);
        let last = lock(&self.last_command).clone();
        match (self.class.hook("evaluateCommand"), last) {
            (Some(callback), Some(finished)) => {
                let args = self.args_of(vec![Arg::Object(ended(finished))]);
                let answer = cx.call(callback, "evaluateCommand", args).await;
                self.read_results(cx, callback, "evaluateCommand", answer)
            }
            _ => Ok(results),
        }
    }

    /// The built-in class beside a `run` of the class's own, which may do without the step's own command. Only what
    /// runs commands does anything over all of them. What is wrong with its options `Base.run` tells.
    fn base_of_own_run(&self) -> Option<Box<dyn Step>> {
        if !self.planned.has_shell {
            return None;
        }
        let build = self.planned.kind.build;
        let with_command = || {
            let mut args = self.args.clone();
            args.as_object_mut()?.insert("command".into(), "true".into());
            build(&args).ok()
        };
        build(&self.args).ok().or_else(with_command)
    }

    /// The built-in class as it were to run now, for what it lends to its subclasses.
    pub fn base_step(&self, cx: &StepContext) -> Result<Box<dyn Step>, StepError> {
        super::run::made(cx, &self.planned, &self.args)
    }

    /// Name of its class.
    pub fn class_name(&self) -> &str {
        &self.class.name
    }

    /// What the built-in class made of its newest run.
    pub fn base_result(&self) -> Option<Results> {
        *lock(&self.base_result)
    }

    /// A command of the step has ended.
    pub fn note_command(&self, finished: &FinishedCommand) {
        if self.class.hook("evaluateCommand").is_some() {
            *lock(&self.last_command) = Some(finished.clone());
        }
    }

    /// Options of a command, where the step has them: those that were given.
    pub fn shell_options(&self) -> Option<Map<String, Json>> {
        let named = |name: &str| ShellParams::NAMES.contains(&name) || name == "workdir";
        if !self.planned.has_shell {
            return None;
        }
        let all = self.args.as_object().into_iter().flatten();
        Some(all.filter(|(name, _)| named(name)).map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

/// Its texts.
impl Scripted {
    /// What the class says while it runs; `None`: nothing of its own.
    pub async fn current_summary(&self, cx: &StepContext) -> Option<String> {
        let callback = self.class.hook("getCurrentSummary")?;
        // Its error is told by the host; the old text stays.
        let answer = self.hook(cx, "getCurrentSummary", Vec::new()).await.ok()??;
        match own_summary(cx, &answer) {
            Ok(own) => own.step,
            Err(text) => {
                let text = format!("{}: getCurrentSummary {text}", callback.at);
                cx.nonsense(callback, "getCurrentSummary", text);
                None
            }
        }
    }

    /// What the class says of its end.
    pub async fn result_summary(&self, cx: &StepContext) -> Result<Option<OwnSummary>, StepError> {
        let Some(callback) = self.class.hook("getResultSummary") else { return Ok(None) };
        let answer = cx.call(callback, "getResultSummary", self.args_of(Vec::new())).await?;
        let own = own_summary(cx, &answer).map_err(|text| {
            cx.nonsense(callback, "getResultSummary", format!("{}: getResultSummary {text}", callback.at))
        })?;
        Ok(Some(own))
    }

    /// The built-in class's own words while it runs.
    pub fn base_current_summary(&self, cx: &StepContext) -> String {
        let texts = super::summary::Texts::of(&self.base_options(), &self.planned.kind.defaults);
        let mut texts = texts;
        texts.own_current = self.base_words_before();
        let _ = cx;
        texts.current()
    }

    /// The built-in class's own words before it has run.
    pub fn base_words_before(&self) -> Option<String> {
        (self.planned.kind.build)(&self.args).ok()?.current_summary()
    }

    /// The built-in class's own words about its end, as `Step::result_summary` and the rest have them.
    pub async fn base_words(
        &self,
        results: Results,
        done: Option<&str>,
    ) -> (Option<String>, bool, Option<String>) {
        let words = |step: &dyn Step| {
            let own = step.result_summary(results);
            let tells = step.tells_its_result() && own.is_some();
            (own, tells, step.description_done(done))
        };
        if let Some(step) = &*self.base.lock().await {
            return words(&**step);
        }
        // It never ran: a class that brings its own commands says what it did, or nothing is said.
        match (self.planned.kind.build)(&self.args) {
            Ok(step) => words(&*step),
            Err(_) => (None, false, None),
        }
    }

    /// The text of the end as it were without the class.
    pub async fn base_result_summary(&self, cx: &StepContext, results: Results) -> String {
        let mut texts = super::summary::Texts::of(&self.base_options(), &self.planned.kind.defaults);
        let (own, tells, done) = self.base_words(results, texts.done()).await;
        texts.own_result = own;
        texts.tells_its_result = tells;
        texts.found(done);
        texts.result(results, &cx.0)
    }
}

/// What it changes of its step.
impl Scripted {
    /// Takes an assignment; the error says what would be right.
    pub fn assign(&self, cx: &StepContext, field: &str, value: Json) -> Result<(), String> {
        if field.starts_with("description") {
            if !value.is_null() {
                FromLua(&value).read::<StringOrList>().map_err(|error| error.to_string())?;
            }
            lock(&self.assigned).insert(field.into(), value);
            cx.0.summary_changed.notify_one();
            return Ok(());
        }
        if !value.is_boolean() {
            return Err(format!("{field}: expected true or false, got {value}"));
        }
        lock(&self.assigned).insert(field.into(), value);
        Ok(())
    }

    /// The options as they are now.
    pub fn base_options(&self) -> BaseStepParams {
        let mut all = self.args.as_object().cloned().unwrap_or_default();
        all.extend(lock(&self.assigned).clone());
        // What was assigned is of the right type, and the rest was read before.
        FromLua(&Json::Object(all)).read().unwrap_or_default()
    }

    pub fn flags(&self, flags: ResultFlags) -> ResultFlags {
        let assigned = lock(&self.assigned);
        let flag = |name: &str, old: bool| assigned.get(name).and_then(Json::as_bool).unwrap_or(old);
        ResultFlags {
            halt_on_failure: flag("haltOnFailure", flags.halt_on_failure),
            flunk_on_failure: flag("flunkOnFailure", flags.flunk_on_failure),
            flunk_on_warnings: flag("flunkOnWarnings", flags.flunk_on_warnings),
            warn_on_failure: flag("warnOnFailure", flags.warn_on_failure),
            warn_on_warnings: flag("warnOnWarnings", flags.warn_on_warnings),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `{step =, build =}`. The error says what it is instead.
fn own_summary(cx: &StepContext, answer: &Json) -> Result<OwnSummary, String> {
    let wrong = || format!("returned {}; return {{step = \"…\", build = \"…\"}}", cx.shown(answer));
    let map = answer.as_object().ok_or_else(wrong)?;
    let text = |name: &str| match map.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong()),
    };
    if map.keys().any(|key| key != "step" && key != "build") {
        return Err(wrong());
    }
    Ok(OwnSummary { step: text("step")?, build: text("build")? })
}

/// How many calls of a step's methods are under way.
pub(crate) struct Calls(watch::Sender<usize>);

impl Default for Calls {
    fn default() -> Self {
        Calls(watch::channel(0).0)
    }
}

/// Counts one call.
pub(crate) struct Counted<'a>(&'a Calls);

impl Calls {
    pub fn enter(&self) -> Counted<'_> {
        self.0.send_modify(|count| *count += 1);
        Counted(self)
    }

    /// Completes when none is.
    async fn idle(&self) {
        // The sender is ours.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Completes when there is one.
    async fn busy(&self) {
        let _ = self.0.subscribe().wait_for(|count| *count > 0).await;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// An error of a function as the step's.
pub(crate) fn error_of(error: ScriptError) -> StepError {
    match error.kind {
        ScriptErrorKind::Failed => StepError::Failed(error.message),
        ScriptErrorKind::Cancelled => StepError::Cancelled,
        ScriptErrorKind::Lost => StepError::Lost,
        _ => StepError::Exception(super::with_traceback(error.message, &error.traceback)),
    }
}
