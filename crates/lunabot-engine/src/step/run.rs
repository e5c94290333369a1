//! The life cycle around a step's own work (reference 05c).

use super::scripted::{OwnSummary, Scripted};
use super::summary::{self, Texts};
use super::{BaseStepParams, Step, StepContext, StepError, Switch, given};
use crate::build::{BuildShared, Patience, Stop};
use crate::plan::PlannedStep;
use futures::FutureExt;
use lunabot_model::results::ResultFlags;
use lunabot_model::{Arg, Callback, FromLua, Json, Mono, Renderable, Results};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// The text of a running step changes at most so often (05.024).
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a step may go on after its worker is lost before it is dropped: its commands ended at once.
const LOST_GRACE: Duration = Duration::from_secs(5);

/// How a step ended, for the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepEnd {
    /// Its unique name.
    pub name: String,
    pub results: Results,
    pub flags: ResultFlags,
    /// Its contribution to the build's text (05.025).
    pub summary: Option<String>,
    /// How functions of the step want the build to end.
    pub finish: Option<Results>,
    /// Its worker was lost: nothing more can run there. A result of RETRY alone does not say so.
    pub lost: bool,
    /// What the class of its build may read of it besides.
    pub facts: Facts,
}

/// What a step leaves to be read, by name. Not for logs: options may hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts(pub serde_json::Map<String, Json>);

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Facts")
    }
}

/// Whether a step runs although the build has ended; renderables are asked (04.038). One that cannot be rendered counts
/// as yes: the step then starts, and says why it cannot go on. One that is given up counts as no.
pub(crate) async fn always_runs(build: &BuildShared, step: &PlannedStep) -> bool {
    let Some(option) = &step.base.always_run else { return false };
    match option.literal() {
        Some(literal) => literal,
        None => {
            let patience = build.patience();
            match build.rendered(option.source(), &patience).await {
                Ok(value) => lunabot_model::render::truthy(&value),
                Err(error) => !patience.gave_up(&error),
            }
        }
    }
}

/// Runs one step from its row to its end. Never fails: what goes wrong is the step's result.
pub(crate) async fn run_step(
    build: Arc<BuildShared>,
    step: Arc<PlannedStep>,
    stopped: watch::Receiver<Option<Arc<str>>>,
) -> StepEnd {
    let mut flags = step.kind.defaults.flags;
    match begin(&build, &step, stopped).await {
        Ok((cx, number)) => {
            let ran = AssertUnwindSafe(perform(&cx, &step, &mut flags)).catch_unwind().await;
            let (results, texts, hidden) = match ran {
                Ok(ended) => ended,
                Err(_) => {
                    fail(&cx, &StepError::Exception("internal error: the step panicked".into())).await;
                    (Results::Exception, Texts::default(), false)
                }
            };
            let end = finish(&cx, &step, results, flags, texts, hidden, number).await;
            cx.0.ended.cancel();
            super::locks::release(&cx);
            end
        }
        Err(error) => {
            tracing::error!(build = build.info.buildid, "step at {}: {error}", step.at);
            let text = build.masks.mask(&error.to_string()).into_owned();
            let facts = crate::scripts::facts_of_none(unprepared(&step), &text);
            StepEnd {
                name: String::new(),
                results: Results::Exception,
                flags,
                summary: Some(text),
                finish: None,
                lost: false,
                facts,
            }
        }
    }
}

/// The options of a step that came to nothing before it had them, as functions read them.
fn unprepared(step: &PlannedStep) -> Json {
    let mut all = step.readable(&Json::Null);
    let params = step.class.as_ref().and_then(|class| class.params.as_object());
    if let (Json::Object(all), Some(params)) = (&mut all, params) {
        all.extend(params.keys().map(|name| (name.clone(), Json::Null)));
    }
    all
}

/// Items 1 and 2: name, row, start.
async fn begin(
    build: &Arc<BuildShared>,
    step: &PlannedStep,
    stopped: watch::Receiver<Option<Arc<str>>>,
) -> Result<(StepContext, i64), StepError> {
    let patience = build.patience_of(Stop::Step(stopped.clone()));
    let name = name_of(build, step, &patience).await;
    let data = &build.services.data;
    let (row, ack) = data.add_step(build.info.buildid, &build.masks.mask(&name), "pending").await?;
    ack.detach();
    data.start_step(row.stepid, step.base.locks.is_none()).await?.detach();
    let cx = StepContext::new(build.clone(), row.stepid, row.name, stopped);
    if step.base.use_progress.unwrap_or(true) {
        let metrics = step.base.progress_metrics.as_ref().map_or(&[][..], |metrics| &metrics.0);
        build.progress.begin(cx.name(), metrics, cx.0.output.clone());
    }
    Ok((cx, row.number))
}

/// The name before it is made unique: the one given, else the class's; of a step that is named after an option, with
/// that option's text (06.014). What cannot be rendered is left out; the options that follow report the fault.
async fn name_of(build: &BuildShared, step: &PlannedStep, patience: &Patience) -> String {
    let text = async |source: &Json| match build.rendered(source, patience).await {
        Ok(Json::String(text)) => Some(text).filter(|text| !text.is_empty()),
        Ok(_) | Err(_) => None,
    };
    let defaults = &step.kind.defaults;
    let given = match &step.base.name {
        Some(name) => text(name.source()).await,
        None => None,
    };
    let name = given.unwrap_or_else(|| defaults.name.to_string());
    let suffix = match defaults.named_after.and_then(|option| step.args.get(option)) {
        Some(source) => text(source).await,
        None => None,
    };
    suffix.map_or(name.clone(), |suffix| format!("{name}-{suffix}"))
}

/// Items 3 to 10.
async fn perform(
    cx: &StepContext,
    step: &Arc<PlannedStep>,
    flags: &mut ResultFlags,
) -> (Results, Texts, bool) {
    let prepared = match unless_interrupted(cx, prepare(cx, step)).await {
        Ok(prepared) => prepared,
        Err(error) => {
            // Set here only.
            let _ = cx.0.options.set(unprepared(step));
            return (fail(cx, &error).await, Texts::default(), false);
        }
    };
    *flags = flags_of(&prepared.base, step.kind.defaults.flags);
    if cx.0.build.script.get().is_some() {
        // Set here only.
        let _ = cx.0.options.set(prepared.readable(step));
    }
    let (texts, mut results) = match work(cx, step, &prepared).await {
        Ok(ended) => ended,
        Err(error) => (Texts::of(&prepared.base, &step.kind.defaults), fail(cx, &error).await),
    };
    if let Some(script) = cx.0.script.get() {
        *flags = script.flags(*flags);
    }
    // Item 9.
    if cx.0.stopped.borrow().is_some() && !matches!(results, Results::Retry | Results::Cancelled) {
        results = Results::Exception;
    }
    match hides(cx, step, &prepared, results).await {
        Ok(hidden) => (results, texts, hidden),
        // It says nothing about the step's work: the step is shown, and why (lua-api § 2).
        Err(error) => {
            fail(cx, &error).await;
            (results, texts, false)
        }
    }
}

/// What renders and decides before the step's own work may wait; a stop gives it up (05.013).
pub(super) async fn unless_interrupted<T>(
    cx: &StepContext,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    tokio::select! {
        biased;
        done = work => done,
        () = cx.interrupted() => {
            note_interruption(cx, "cancelled").await?;
            Err(cx.interruption())
        }
    }
}

struct Prepared {
    base: BaseStepParams,
    rendered: Json,
    /// Of its class.
    params: Json,
}

impl Prepared {
    /// All of them, as functions read them.
    fn readable(&self, step: &PlannedStep) -> Json {
        let mut all = step.readable(&self.rendered);
        if let (Json::Object(all), Json::Object(params)) = (&mut all, &self.params) {
            all.extend(params.clone());
        }
        all
    }
}

/// Item 3: all options at once, before anything else sees them (04.037).
async fn prepare(cx: &StepContext, step: &PlannedStep) -> Result<Prepared, StepError> {
    let params = step.class.as_ref().map(|class| &class.params).cloned().unwrap_or_default();
    if !step.dynamic {
        cx.take_options(&step.base).await?;
        return Ok(Prepared { base: step.base.clone(), rendered: step.args.clone(), params });
    }
    let params = cx.render(&params).await?;
    let params = step.class.as_ref().map(|class| class.typed_params(params)).unwrap_or_default();
    if let Some((name, wanted)) = step.class.as_ref().and_then(|class| class.misfit(&params)) {
        let text = format!("{name}: expected {wanted}, got {}", cx.shown(&params[name]));
        return Err(misfit(cx, step, &text));
    }
    let mut rendered = cx.render(&step.args).await?;
    decide_flags(&step.args, &mut rendered);
    let base: BaseStepParams = serde_path_to_error::deserialize(FromLua(&rendered))
        .map_err(|error| misfit(cx, step, &format!("{}: {}", error.path(), error.inner())))?;
    cx.take_options(&base).await?;
    Ok(Prepared { base, rendered, params })
}

/// Lists what is wrong with an option, the text begins with its name, at the function that has computed it.
fn blame(cx: &StepContext, step: &PlannedStep, text: &str) {
    let of = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let params = step.class.as_ref().map(|class| &class.params);
    let written = params.and_then(|params| params.get(of)).or_else(|| step.args.get(of));
    if let Some(callback) = written.and_then(Callback::first_in) {
        cx.nonsense(&callback, "renderer", text.into());
    }
}

/// The error for such an option.
pub(super) fn misfit(cx: &StepContext, step: &PlannedStep, text: &str) -> StepError {
    blame(cx, step, text);
    StepError::Exception(format!("{}: {text}", step.at))
}

/// The built-in step of these options.
pub(super) fn made(cx: &StepContext, step: &PlannedStep, args: &Json) -> Result<Box<dyn Step>, StepError> {
    (step.kind.build)(args).inspect_err(|error| {
        if let StepError::Exception(text) = error {
            blame(cx, step, text);
        }
    })
}

/// Options that are true or false; what is rendered for one counts by its truth, an unset property as false (04.038).
const FLAGS: &[&str] = &[
    "haltOnFailure",
    "flunkOnFailure",
    "flunkOnWarnings",
    "warnOnFailure",
    "warnOnWarnings",
    "alwaysRun",
    "doStepIf",
    "hideStepIf",
];

fn decide_flags(written: &Json, rendered: &mut Json) {
    for flag in FLAGS {
        let computed = written.get(flag).is_some_and(|value| value.get("$kind").is_some());
        if computed {
            rendered[*flag] = lunabot_model::render::truthy(&rendered[*flag]).into();
        }
    }
}

impl StepContext {
    /// Options that commands and logs of the step go by.
    async fn take_options(&self, base: &BaseStepParams) -> Result<(), StepError> {
        if let Some(own) = given(&base.workdir) {
            // Set once per step, here only.
            let _ = self.0.workdir.set(own);
        }
        if let Some(encoding) = &base.log_encoding {
            let _ = self.0.encoding.set(encoding.clone());
        }
        Ok(())
    }
}

/// What does the work: a step of ours, or one of a class of the configuration.
enum Acting {
    Plain(Box<dyn Step>),
    Scripted(Arc<Scripted>),
}

impl Acting {
    async fn begin(cx: &StepContext, step: &Arc<PlannedStep>, with: &Prepared) -> Result<Self, StepError> {
        match Scripted::begin(cx, step, &with.rendered, &with.params).await? {
            Some(script) => Ok(Acting::Scripted(script)),
            None => made(cx, step, &with.rendered).map(Acting::Plain),
        }
    }

    fn current_summary(&self) -> Option<String> {
        match self {
            Acting::Plain(step) => step.current_summary(),
            Acting::Scripted(script) => script.base_words_before(),
        }
    }

    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        match self {
            Acting::Plain(step) => step.run(cx).await,
            Acting::Scripted(script) => script.run(cx).await,
        }
    }

    async fn tell(&mut self, results: Results, texts: &mut Texts) {
        let (own, tells, done) = match self {
            Acting::Plain(step) => {
                let own = step.result_summary(results);
                (own, step.tells_its_result(), step.description_done(texts.done()))
            }
            Acting::Scripted(script) => script.base_words(results, texts.done()).await,
        };
        texts.tells_its_result = tells && own.is_some();
        texts.own_result = own;
        texts.found(done);
    }
}

/// Items 4 to 8.
async fn work(
    cx: &StepContext,
    step: &Arc<PlannedStep>,
    prepared: &Prepared,
) -> Result<(Texts, Results), StepError> {
    let base = &prepared.base;
    let mut acting = unless_interrupted(cx, Acting::begin(cx, step, prepared)).await?;
    let mut texts = Texts::of(base, &step.kind.defaults);
    texts.own_current = acting.current_summary();
    show(cx, &texts).await?;
    let results = match unless_interrupted(cx, starts(cx, step, prepared)).await {
        Ok(true) => locked(cx, base, &mut acting, &texts).await,
        Ok(false) => Ok(Results::Skipped),
        Err(error) => Err(error),
    };
    let results = match results {
        Ok(results) => results,
        Err(error) => fail(cx, &error).await,
    };
    if let Some(script) = cx.0.script.get() {
        texts.renew(&script.base_options(), &step.kind.defaults);
    }
    acting.tell(results, &mut texts).await;
    Ok((texts, results))
}

/// Items 6 and 8: with its locks, if it has any.
async fn locked(
    cx: &StepContext,
    base: &BaseStepParams,
    acting: &mut Acting,
    texts: &Texts,
) -> Result<Results, StepError> {
    super::locks::acquire(cx, base).await?;
    if base.locks.is_some() {
        cx.0.build.progress.set_out(cx.name());
        show(cx, texts).await?;
    }
    attended(cx, acting, texts).await
}

/// Runs the step's own code, attending to interruptions and to its texts meanwhile.
async fn attended(cx: &StepContext, acting: &mut Acting, texts: &Texts) -> Result<Results, StepError> {
    let clock = cx.0.build.services.clock.clone();
    let lost = cx.0.build.worker.lost.clone();
    let mut run = pin!(acting.run(cx));
    let mut noted = false;
    let mut shown = clock.mono();
    let mut due: Option<Mono> = None;
    let mut doomed: Option<Mono> = None;
    let ended = loop {
        let wake = async {
            match due.into_iter().chain(doomed).min() {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = &mut run => break ended,
            () = cx.interrupted(), if !noted => {
                noted = true;
                note_interruption(cx, "cancelled").await?;
                interrupt(cx);
            }
            () = lost.cancelled(), if doomed.is_none() => doomed = Some(clock.mono() + LOST_GRACE),
            () = cx.0.summary_changed.notified() => {
                due.get_or_insert((shown + SUMMARY_INTERVAL).max(clock.mono()));
            }
            () = wake => {
                if doomed.is_some_and(|at| at <= clock.mono()) {
                    return Err(StepError::Lost);
                }
                due = None;
                shown = clock.mono();
                tokio::select! {
                    biased;
                    ended = &mut run => break ended,
                    shown = show(cx, texts) => shown?,
                }
            }
        }
    };
    // One that sees by itself that it is to stop may end before that is told above.
    let well = matches!(ended, Ok(Results::Success | Results::Warnings | Results::Skipped));
    if !noted && !well && cx.0.stopped.borrow().is_some() {
        note_interruption(cx, "cancelled").await?;
    }
    ended
}

/// Tells a class of the configuration, beside the step's work.
fn interrupt(cx: &StepContext) {
    let Some(script) = cx.0.script.get().cloned() else { return };
    let (cx, reason) = (cx.clone(), cx.0.stopped.borrow().clone());
    tokio::spawn(async move {
        let reason = reason.unwrap_or_else(|| "lost connection to the worker".into());
        script.interrupt(&cx, &reason).await;
    });
}

/// 05.027.
pub(super) async fn note_interruption(cx: &StepContext, log: &str) -> Result<(), StepError> {
    let reason = cx.0.stopped.borrow().clone();
    let text = reason.as_deref().unwrap_or("lost connection to the worker").to_string();
    cx.add_complete_log(log, &text).await
}

/// The text of a running step (05.022).
async fn show(cx: &StepContext, texts: &Texts) -> Result<(), StepError> {
    if let Some(script) = cx.0.script.get()
        && let Some(text) = script.current_summary(cx).await
    {
        return say(cx, &text).await;
    }
    let chosen = cx.0.summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = match (chosen, cx.0.script.get()) {
        (Some(chosen), _) => chosen,
        (None, Some(script)) => script.base_current_summary(cx),
        (None, None) => texts.current(),
    };
    say(cx, &text).await
}

/// Sets the step's text.
pub(super) async fn say(cx: &StepContext, text: &str) -> Result<(), StepError> {
    let text = cx.masks().mask(text).into_owned();
    cx.0.build.services.data.set_step_state(cx.step_id(), &text).await?.detach();
    Ok(())
}

/// Item 5.
async fn starts(cx: &StepContext, step: &PlannedStep, with: &Prepared) -> Result<bool, StepError> {
    let Some(switch) = &with.base.do_step_if else { return Ok(true) };
    decide(cx, step, with, switch, "doStepIf", Vec::new()).await
}

/// Item 10.
async fn hides(
    cx: &StepContext,
    step: &PlannedStep,
    with: &Prepared,
    results: Results,
) -> Result<bool, StepError> {
    let Some(switch) = &with.base.hide_step_if else { return Ok(false) };
    cx.set_results(results);
    decide(cx, step, with, switch, "hideStepIf", vec![Arg::Value(results.code().into())]).await
}

async fn decide(
    cx: &StepContext,
    step: &PlannedStep,
    with: &Prepared,
    switch: &Switch,
    option: &str,
    mut args: Vec<Arg>,
) -> Result<bool, StepError> {
    let Some(callback) = switch.callback() else {
        return Ok(lunabot_model::render::truthy(switch.source()));
    };
    args.push(cx.script_arg(|| step.readable(&with.rendered)));
    match cx.call(&callback, option, args).await? {
        Json::Bool(truth) => Ok(truth),
        Json::Null => Ok(false),
        other => {
            let text = format!("{option} returned {}; return true, false or nil", cx.shown(&other));
            Err(cx.nonsense(&callback, option, text))
        }
    }
}

/// What an error makes of the step: its result, and for exceptions the logs that tell (05c, after item 8).
pub(super) async fn fail(cx: &StepContext, error: &StepError) -> Results {
    let told = match error {
        StepError::Exception(text) => tell(cx, text).await,
        StepError::Failed(text) => match cx.log_for_commands("stdio").await {
            Ok(log) => log.add_header(&format!("{text}\n")).await,
            Err(error) => Err(error),
        },
        StepError::Lost => {
            cx.0.lost.store(true, Ordering::Relaxed);
            Ok(())
        }
        StepError::Cancelled => Ok(()),
    };
    if let Err(error) = told {
        tracing::error!(step = cx.step_id(), "could not store why the step failed: {error}");
    }
    error.results()
}

async fn tell(cx: &StepContext, text: &str) -> Result<(), StepError> {
    cx.add_complete_log("err.text", text).await?;
    cx.add_html_log("err.html", &summary::preformatted(text)).await
}

fn flags_of(base: &BaseStepParams, class: ResultFlags) -> ResultFlags {
    let flag = |option: &Option<Renderable<bool>>, class| {
        let rendered = option.as_ref().map(|o| lunabot_model::render::truthy(o.source()));
        rendered.unwrap_or(class)
    };
    ResultFlags {
        halt_on_failure: flag(&base.halt_on_failure, class.halt_on_failure),
        flunk_on_failure: flag(&base.flunk_on_failure, class.flunk_on_failure),
        flunk_on_warnings: flag(&base.flunk_on_warnings, class.flunk_on_warnings),
        warn_on_failure: flag(&base.warn_on_failure, class.warn_on_failure),
        warn_on_warnings: flag(&base.warn_on_warnings, class.warn_on_warnings),
    }
}

/// Items 11, 12 and 15.
async fn finish(
    cx: &StepContext,
    step: &PlannedStep,
    mut results: Results,
    flags: ResultFlags,
    texts: Texts,
    hidden: bool,
    number: i64,
) -> StepEnd {
    if let Err(error) = cx.finish_logs().await {
        tracing::error!(step = cx.step_id(), "could not finish the logs of the step: {error}");
    }
    // 13.025.
    for fault in cx.take_faults() {
        results = fail(cx, &StepError::Exception(format!("log observer: {fault}"))).await;
    }
    if let Some(best) = *cx.0.at_best.lock().unwrap_or_else(PoisonError::into_inner)
        && results != Results::Skipped
    {
        results = results.worst(best);
    }
    if let Err(error) = cx.finish_sub_steps(results).await {
        results = fail(cx, &error).await;
    }
    let own = match own_summary(cx, results).await {
        Ok(own) => own,
        Err(error) => {
            results = fail(cx, &error).await;
            None
        }
    };
    let mask = |text: String| cx.masks().mask(&text).into_owned();
    let text = match own.as_ref().and_then(|own| own.step.clone()) {
        Some(text) => mask(text),
        None => mask(texts.result(results, &cx.0)),
    };
    // Set here only.
    let _ = cx.0.result.set(results);
    if let Err(error) = store_end(cx, results, &text, hidden).await {
        tracing::error!(step = cx.step_id(), "could not store the end of the step: {error}");
    }
    cx.0.build.progress.end(cx.name(), results);
    let facts = crate::scripts::facts_of(cx, number, &text);
    let policy = step.base.update_build_summary_policy.as_ref();
    let counts = summary::counts_for_build(policy, flags, results);
    let of_class = own.and_then(|own| own.build).map(mask);
    StepEnd {
        name: cx.name().to_string(),
        results,
        flags,
        summary: of_class.or(counts.then_some(text)),
        finish: cx.0.build.remaining().finish,
        lost: cx.0.lost.load(Ordering::Relaxed) || cx.0.build.worker.lost.is_cancelled(),
        facts,
    }
}

/// What a class of the configuration says of its end (05.025).
async fn own_summary(cx: &StepContext, results: Results) -> Result<Option<OwnSummary>, StepError> {
    let Some(script) = cx.0.script.get() else { return Ok(None) };
    cx.set_results(results);
    script.result_summary(cx).await
}

pub(super) async fn store_end(
    cx: &StepContext,
    results: Results,
    text: &str,
    hidden: bool,
) -> Result<(), StepError> {
    // Also what telling of a fault left open.
    cx.finish_logs().await?;
    cx.forget_observers();
    cx.finish_test_results().await?;
    let data = &cx.0.build.services.data;
    data.set_step_state(cx.step_id(), text).await?.detach();
    data.finish_step(cx.step_id(), results, text, hidden).await?.detach();
    Ok(())
}
