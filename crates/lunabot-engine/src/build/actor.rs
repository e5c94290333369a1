//! The actor around a build's [`Machine`]: receives, sleeps, performs.

use super::locking::LockStep;
use super::machine::{Effect, Event, Machine};
use super::scripted::Remaining;
use super::{BuildShared, Outcome, PropertyStore, Services, properties};
use crate::logs::Masks;
use crate::plan::{BuilderPlan, WorkerPlan};
use crate::step::run::{Facts, StepEnd, always_runs, run_step};
use crate::step::summary::preformatted;
use crate::step::{BuildInfo, StepError, with_traceback};
use crate::worker::WorkerHandle;
use lunabot_data::new::{NewBuild, PendingRequest};
use lunabot_data::{Data, DataError};
use lunabot_model::resources::{Build, Change, LogType};
use lunabot_model::script::CallSite;
use lunabot_model::text::shortened_to;
use lunabot_model::{Arg, BuildId, Callback, Json, Results, StepId, object::is_dynamic};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// Longest reason for a quarantine, in characters.
const LONGEST_WHY: usize = 300;

/// Answers that may wait for the actor; it takes each at once, and at most one is outstanding at a time.
const INBOX: usize = 4;

/// What is asked of a running build from outside. The newest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// How often it was asked to stop, so that asking again is noticed.
    pub count: u64,
    pub stop: Option<(Arc<str>, Results)>,
}

/// All that a build needs.
pub(crate) struct BuildJob {
    pub services: Arc<Services>,
    pub builder: Arc<BuilderPlan>,
    pub worker_plan: Arc<WorkerPlan>,
    pub worker: Arc<WorkerHandle>,
    pub request: Arc<PendingRequest>,
    pub orders: watch::Receiver<Orders>,
    /// Told the build's id once there is one.
    pub added: oneshot::Sender<BuildId>,
}

/// Runs a build from its row to its end, request settled included.
/// With what to say of it, should it put its worker into quarantine.
pub(crate) async fn run(job: BuildJob) -> (Outcome, Option<Box<str>>) {
    let (machine, first) = Machine::new(job.worker_plan.latent.is_some());
    let (inbox, answers) = mpsc::channel(INBOX);
    let (interrupt, _) = watch::channel(None);
    let BuildJob { services, builder, worker_plan, worker, request, orders, added } = job;
    let mut actor = Actor {
        services,
        builder,
        worker_plan,
        worker,
        request,
        added: Some(added),
        orders: orders.clone(),
        inbox,
        interrupt,
        shared: None,
        preparation: None,
        lock_step: None,
        outcome: None,
        why: None,
        undecided: None,
        last: Arc::default(),
    };
    let outcome = actor.live(machine, first, answers, orders).await;
    (outcome, actor.why)
}

pub(super) struct Actor {
    pub(super) services: Arc<Services>,
    pub(super) builder: Arc<BuilderPlan>,
    worker_plan: Arc<WorkerPlan>,
    pub(super) worker: Arc<WorkerHandle>,
    request: Arc<PendingRequest>,
    added: Option<oneshot::Sender<BuildId>>,
    orders: watch::Receiver<Orders>,
    /// Where spawned work reports.
    pub(super) inbox: mpsc::Sender<Event>,
    /// Interrupts the running step; a new one for each step.
    interrupt: watch::Sender<Option<Arc<str>>>,
    /// There once the build has its row.
    pub(super) shared: Option<Arc<BuildShared>>,
    /// The step `worker_preparation`.
    preparation: Option<StepId>,
    /// The step `locks_acquire`, until it has ended.
    pub(super) lock_step: Option<LockStep>,
    outcome: Option<Outcome>,
    /// What keeps its worker from being used, masked and short.
    why: Option<Box<str>>,
    /// Why it is not known whether the build is wanted.
    undecided: Option<StepError>,
    /// How the newest step ended.
    last: Arc<Mutex<Option<StepEnd>>>,
}

impl Actor {
    async fn live(
        &mut self,
        mut machine: Machine,
        first: Vec<Effect>,
        mut answers: mpsc::Receiver<Event>,
        mut orders: watch::Receiver<Orders>,
    ) -> Outcome {
        let clock = self.services.clock.clone();
        let lost = self.worker.lost.clone();
        let mut told_lost = false;
        let mut orders_open = true;
        self.perform(&mut machine, first).await;
        loop {
            if let Some(outcome) = self.outcome {
                return outcome;
            }
            let wake = machine.next_wake();
            let sleep = async {
                match wake {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let effects = tokio::select! {
                biased;
                changed = orders.changed(), if orders_open => {
                    orders_open = changed.is_ok();
                    let stop = orders.borrow_and_update().stop.clone();
                    stop.map(|(reason, results)| machine.handle(clock.mono(), Event::Stop { reason, results }))
                        .unwrap_or_default()
                }
                () = lost.cancelled(), if !told_lost => {
                    told_lost = true;
                    machine.handle(clock.mono(), Event::Lost)
                }
                Some(answer) = answers.recv() => machine.handle(clock.mono(), answer),
                () = sleep => machine.wake(clock.mono()),
            };
            self.perform(&mut machine, effects).await;
        }
    }

    /// Performs effects; those that answer at once feed the machine here.
    async fn perform(&mut self, machine: &mut Machine, effects: Vec<Effect>) {
        let mut left = std::collections::VecDeque::from(effects);
        while let Some(effect) = left.pop_front() {
            let answer = self.effect(effect).await;
            if let Some(event) = answer {
                left.extend(machine.handle(self.services.clock.mono(), event));
            }
        }
    }

    async fn effect(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Add => {
                let begun = self.begin().await;
                self.tell(begun).await
            }
            Effect::SetUp => {
                let ready = match (self.set_up().await, &self.shared) {
                    // The machine is told of the interruption first, and goes by that.
                    (Err(error), Some(shared)) if shared.patience().gave_up(&error) => Ok(false),
                    (ready, _) => ready.map_err(|error| error.to_string()),
                };
                self.tell(Event::SetUp(ready)).await
            }
            Effect::State(text) => self.note("state", self.state(text).await),
            Effect::Substantiate => self.substantiate(),
            Effect::Ping => self.ping(),
            Effect::StartRemote => self.start_remote(),
            Effect::EndPreparation { results, why } => {
                let stored = self.end_preparation(results, why).await;
                self.note("preparation", stored)
            }
            Effect::AcquireLocks => {
                let asked = self.acquire_locks().await;
                self.note("step locks_acquire", asked)
            }
            Effect::EndLocks { results, why } => {
                let stored = self.end_locks(results, why.as_deref()).await;
                self.note("step locks_acquire", stored)
            }
            Effect::RunStep { only_if_always } => self.run_step(only_if_always),
            Effect::Interrupt(reason) => {
                self.interrupt.send_replace(Some(reason));
                None
            }
            Effect::Finish { text, outcome } => self.finish(&text, outcome).await,
        }
    }

    /// Tells the outcome of work that the actor itself waited for, after what was asked of the build meanwhile.
    async fn tell(&self, event: Event) -> Option<Event> {
        // The receiver is the actor's own, and takes more than is ever outstanding.
        let _ = self.inbox.send(event).await;
        None
    }

    pub(super) fn data(&self) -> &Data {
        &self.services.data
    }

    pub(super) fn build_id(&self) -> Option<BuildId> {
        self.shared.as_ref().map(|shared| shared.info.buildid)
    }

    /// A write whose failure must not end the build: it is told to the operator.
    fn note(&self, what: &str, result: Result<(), DataError>) -> Option<Event> {
        if let Err(error) = result {
            tracing::error!(build = self.build_id(), "could not store the {what}: {error}");
        }
        None
    }

    /// Items 1 and 3.
    async fn begin(&mut self) -> Event {
        if let Err(error) = self.add().await {
            return Event::Added(Err(error.to_string()));
        }
        match self.wanted().await {
            Ok(true) => Event::Added(Ok(())),
            Ok(false) => Event::Unwanted,
            // The step that prepares the worker tells it.
            Err(error) => {
                self.undecided = Some(error);
                Event::Added(Ok(()))
            }
        }
    }

    /// What `do_build_if` says. Of a build that is not wanted this is all that is stored.
    async fn wanted(&self) -> Result<bool, StepError> {
        let Some(function) = &self.builder.config.do_build_if else { return Ok(true) };
        let shared = self.shared()?;
        let site = CallSite::new("do_build_if", format!("builder {}", shared.info.builder));
        let host = &self.builder.generation.host;
        let args = vec![Arg::Object(crate::scripts::build_object(&shared))];
        let answer = async {
            let answer = host.call(function, site.clone(), args).await;
            answer.map_err(|error| StepError::Exception(with_traceback(error.message, &error.traceback)))
        };
        match shared.patience().or_give_up(answer).await? {
            Json::Bool(true) => return Ok(true),
            Json::Bool(false) | Json::Null => {}
            other => {
                let text = format!("do_build_if returned {}; return true, false or nil", host.shown(&other));
                host.nonsense(function, site, &text);
                return Err(StepError::Exception(function.placed(&text)));
            }
        }
        shared.save_properties().await?;
        self.data().announce_build(shared.info.buildid).await?.detach();
        Ok(false)
    }

    /// Item 1.
    async fn add(&mut self) -> Result<(), DataError> {
        let stamps = &self.request.buildset.sourcestamps;
        let ids: Vec<_> = stamps.iter().map(|stamp| stamp.ssid).collect();
        let mut changes = self.data().changes_of_stamps(&ids).await?;
        changes.sort_by_key(|change| change.changeid);
        let new = NewBuild {
            builderid: self.builder.id,
            buildrequestid: self.request.request.buildrequestid,
            workerid: Some(self.worker.id),
            state_string: "created".into(),
            generation: Some(self.builder.generation.content_hash.clone()),
        };
        let (build, ack) = self.data().add_build(new).await?;
        ack.detach();
        if let Some(added) = self.added.take() {
            // The distributor may be gone already.
            let _ = added.send(build.buildid);
        }
        self.shared = Some(self.share(&build, changes));
        Ok(())
    }

    fn share(&self, build: &Build, changes: Vec<Change>) -> Arc<BuildShared> {
        let generation = &self.builder.generation;
        let info = BuildInfo {
            buildid: build.buildid,
            number: build.number,
            builderid: self.builder.id,
            builder: self.builder.config.name.clone(),
            worker: self.worker.name.clone(),
            reason: self.request.buildset.reason.clone(),
            priority: self.request.request.priority,
            sourcestamps: self.request.buildset.sourcestamps.clone(),
            url: format!(
                "{}#/builders/{}/builds/{}",
                generation.config.buildbot_url, self.builder.id, build.number
            ),
            builddir: self.builder.workerbuilddir(),
            changes,
        };
        let requests = [&self.request.properties];
        let before =
            properties::before_build(&self.builder, &info.changes, &requests, Some(&self.worker_plan));
        let mut store = PropertyStore::default();
        store.edit(|all| {
            all.update(&before);
            properties::at_start(all, build, &info.sourcestamps);
        });
        Arc::new_cyclic(|itself| BuildShared {
            itself: itself.clone().into(),
            services: self.services.clone().into(),
            builder: self.builder.clone().into(),
            worker: self.worker.clone().into(),
            worker_plan: self.worker_plan.clone(),
            masks: Arc::new(Masks::default()),
            properties: Mutex::new(store),
            workdir: OnceLock::new(),
            locks: OnceLock::new(),
            statistics: Mutex::default(),
            kept: OnceLock::new(),
            remaining: Mutex::new(Remaining::new(&self.builder.steps)),
            progress: self.services.progress.watch(build, self.builder.use_progress).into(),
            script: OnceLock::new(),
            orders: self.orders.clone(),
            info,
        })
    }

    pub(super) fn shared(&self) -> Result<Arc<BuildShared>, StepError> {
        self.shared.clone().ok_or_else(|| StepError::Exception("the build has no row".into()))
    }

    /// Items 4 to 7. Whether the build has locks.
    async fn set_up(&mut self) -> Result<bool, StepError> {
        let shared = self.shared()?;
        let id = shared.info.buildid;
        let (step, ack) = self.data().add_step(id, "worker_preparation", "pending").await?;
        ack.detach();
        self.data().start_step(step.stepid, true).await?.detach();
        self.preparation = Some(step.stepid);
        if let Some(error) = self.undecided.take() {
            self.data().announce_build(id).await?.detach();
            return Err(error);
        }
        let locked = self.set_up_locks().await;
        let saved = shared.save_properties().await;
        self.data().set_build_state(id, "starting").await?.detach();
        self.data().announce_build(id).await?.detach();
        saved?;
        shared.patience().or_give_up(self.set_workdir(&shared)).await?;
        shared.begin_script().await?;
        locked
    }

    /// The factory's workdir: a text, a renderable, or a function of the source stamps (05.035).
    async fn set_workdir(&self, shared: &BuildShared) -> Result<(), StepError> {
        let Some(option) = &self.builder.workdir else { return Ok(()) };
        let host = &self.builder.generation.host;
        let site = CallSite::new("workdir", format!("builder {}", shared.info.builder));
        let value = match Callback::from_json(option.source()) {
            Some(callback) => {
                let stamps = serde_json::to_value(&shared.info.sourcestamps).unwrap_or_default();
                let result = host.call(&callback, site.clone(), vec![Arg::Value(stamps)]).await;
                result.map_err(|error| StepError::Exception(error.message))?
            }
            None if is_dynamic(option.source()) => {
                lunabot_model::render::render(option.source(), shared).await?
            }
            None => option.source().clone(),
        };
        let Json::String(workdir) = value else {
            let mut text = format!("workdir of the factory must be a text, not {}", host.shown(&value));
            if let Some(function) = Callback::first_in(option.source()) {
                host.nonsense(&function, site, &text);
                text = function.placed(&text);
            }
            return Err(StepError::Exception(text));
        };
        // Set here only.
        let _ = shared.workdir.set(workdir);
        Ok(())
    }

    async fn state(&self, text: &str) -> Result<(), DataError> {
        if let Some(id) = self.build_id() {
            self.data().set_build_state(id, text).await?.detach();
        }
        Ok(())
    }

    fn substantiate(&self) -> Option<Event> {
        let (services, inbox) = (self.services.clone(), self.inbox.clone());
        let build = self.shared.clone()?;
        let (worker, request) = (self.worker.id, self.request.request.buildrequestid);
        tokio::spawn(async move {
            let ready = services.latents.substantiate(worker, request, build).await;
            // The build may have ended meanwhile.
            let _ = inbox.send(Event::Substantiated(ready)).await;
        });
        None
    }

    fn ping(&self) -> Option<Event> {
        let (worker, inbox) = (self.worker.clone(), self.inbox.clone());
        tokio::spawn(async move {
            let answered = worker.link.ping().await.is_ok();
            // The build may have ended meanwhile.
            let _ = inbox.send(Event::Pinged(answered)).await;
        });
        None
    }

    fn start_remote(&self) -> Option<Event> {
        let (worker, inbox) = (self.worker.clone(), self.inbox.clone());
        let (shared, request) = (self.shared.clone()?, self.request.clone());
        tokio::spawn(async move {
            let info = &shared.info;
            shared.properties().edit(|all| {
                properties::of_attached_worker(all, worker.link.info(), &info.builddir);
                properties::owners(all, &info.changes, &info.sourcestamps, &[&request.properties]);
            });
            if let Err(error) = shared.save_properties().await {
                tracing::error!(build = info.buildid, "could not store properties: {error}");
            }
            let started = worker.link.start_build(&info.builder).await.is_ok();
            let _ = inbox.send(Event::Started(started)).await;
        });
        None
    }

    /// The first one counts, and the first line of it.
    fn blame(&mut self, why: &str) {
        let masked = self.shared.as_ref().map_or_else(|| why.into(), |shared| shared.masks.mask(why));
        let line = masked.lines().next().unwrap_or_default();
        self.why.get_or_insert_with(|| shortened_to(LONGEST_WHY, line).into());
    }

    async fn end_preparation(&mut self, results: Results, why: Option<String>) -> Result<(), DataError> {
        why.iter().for_each(|why| self.blame(why));
        let Some(step) = self.preparation.take() else { return Ok(()) };
        let data = self.data();
        if let Some(why) = why {
            add_error(data, step, &why).await?;
        }
        let text = match results {
            Results::Success => format!("worker {} ready", self.worker.name),
            _ => format!("worker {} not ready", self.worker.name),
        };
        data.set_step_state(step, &text).await?.detach();
        data.finish_step(step, results, &text, false).await?.detach();
        Ok(())
    }

    /// Finds the next step and runs it, beside the actor: a class may have to be asked.
    fn run_step(&mut self, only_if_always: bool) -> Option<Event> {
        let shared = self.shared.clone()?;
        let (interrupt, stopped) = watch::channel(None);
        self.interrupt = interrupt;
        let (inbox, last) = (self.inbox.clone(), self.last.clone());
        let work = tokio::spawn(async move {
            let before = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (step, made) = match shared.next_step(before.as_ref()).await {
                Ok(Some(next)) => next,
                Ok(None) => return Event::NoStep(shared.remaining().finish),
                Err(error) => {
                    if !shared.patience().gave_up(&error) {
                        tracing::error!(build = shared.info.buildid, "no next step: {error}");
                        if let Err(error) = show_no_step(&shared, &error).await {
                            tracing::error!(build = shared.info.buildid, "could not store this: {error}");
                        }
                    }
                    return Event::Broken;
                }
            };
            if let Some(why) = shared.over(only_if_always)
                && !always_runs(&shared, &step).await
            {
                if made {
                    shared.tell_passed(&step, why);
                }
                return Event::StepPassed;
            }
            let end = run_step(shared.clone(), step, stopped).await;
            // After every step (04.004).
            if let Err(error) = shared.save_properties().await {
                tracing::error!(build = shared.info.buildid, "could not store properties: {error}");
            }
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
            Event::StepEnded(end)
        });
        tokio::spawn(async move {
            let event = work.await.unwrap_or_else(|error| {
                Event::StepEnded(StepEnd {
                    name: String::new(),
                    results: Results::Exception,
                    flags: lunabot_model::results::ResultFlags::default(),
                    summary: Some(format!("internal error: {error}")),
                    finish: None,
                    lost: false,
                    facts: Facts::default(),
                })
            });
            let _ = inbox.send(event).await;
        });
        None
    }

    /// Items 15 and 16: the build's row, then its request. Its locks are free when the distributor hears of its end.
    async fn finish(&mut self, text: &str, outcome: Outcome) -> Option<Event> {
        let unused = self.end_locks(Results::Skipped, None).await;
        self.note("step locks_acquire", unused);
        self.outcome = Some(outcome);
        if outcome.quarantines() {
            self.blame(text);
        }
        let result = self.store_end(text, outcome).await;
        self.note("end", result)
    }

    async fn store_end(&self, text: &str, outcome: Outcome) -> Result<(), DataError> {
        let data = self.data();
        if let Some(shared) = &self.shared {
            let text = shared.masks.mask(text);
            data.set_build_state(shared.info.buildid, &text).await?.detach();
            data.finish_build(shared.info.buildid, outcome.results, &text).await?.detach();
        }
        let request = [self.request.request.buildrequestid];
        if outcome.results == Results::Retry {
            data.unclaim(&request).await?.detach();
        } else {
            data.complete_requests(&request, outcome.results).await?.detach();
        }
        if let Some(shared) = &self.shared {
            shared.progress.finish(outcome.results).await;
        }
        Ok(())
    }
}

/// A step that stands for the failure of finding one, so that the build's page tells it.
async fn show_no_step(build: &BuildShared, error: &StepError) -> Result<(), DataError> {
    let data = &build.services.data;
    let (row, ack) = data.add_step(build.info.buildid, "getNextStep", "pending").await?;
    ack.detach();
    data.start_step(row.stepid, true).await?.detach();
    add_error(data, row.stepid, &build.masks.mask(&error.to_string())).await?;
    let text = "no next step (exception)";
    data.set_step_state(row.stepid, text).await?.detach();
    data.finish_step(row.stepid, Results::Exception, text, false).await?.detach();
    Ok(())
}

/// Why a step failed, in the logs that tell it (05c).
async fn add_error(data: &Data, step: StepId, why: &str) -> Result<(), DataError> {
    add_text(data, step, "err.text", LogType::Text, why).await?;
    add_text(data, step, "err.html", LogType::Html, &preformatted(why)).await
}

pub(super) async fn add_text(
    data: &Data,
    step: StepId,
    name: &str,
    kind: LogType,
    text: &str,
) -> Result<(), DataError> {
    let (log, ack) = data.add_log(step, name, kind).await?;
    ack.detach();
    data.append_log(log.logid, lunabot_data::new::LogText(format!("{text}\n"))).await?.detach();
    data.finish_log(log.logid).await?.detach();
    Ok(())
}
