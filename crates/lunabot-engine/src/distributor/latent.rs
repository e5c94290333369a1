//! The latent workers: what their machines want is done here, where it is known which build is on which worker
//! (reference 8d). An idle one costs nothing: it has no timer and no task.

use super::actor::Actor;
use super::messages::{Message, Plan};
use super::units::{Suits, Unit};
use crate::build::BuildShared;
use crate::engine::{Stop, announce_missing};
use crate::worker::WorkerHandle;
use crate::worker::latent::{self, Effect, Event, Failure, LatentClass, State};
use lunabot_model::{BuildRequestId, StringOrList, WorkerId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long instances may take to be stopped when the master stops, softly and fast. What is left then is on record, and
/// stopped by the next start.
const STOP_WITHIN: Duration = Duration::from_secs(60);
const STOP_FAST_WITHIN: Duration = Duration::from_secs(10);

impl Actor {
    /// The connection that a build on this worker gets: of a latent one it may have yet to come.
    pub fn handle_of(&self, worker: WorkerId) -> Option<&Arc<WorkerHandle>> {
        let latent = self.workers.get(&worker).is_some_and(|plan| plan.latent.is_some());
        match latent {
            true => self.latents.get(worker).map(|unit| &unit.handle),
            false => self.links.get(&worker),
        }
    }

    /// Brings the latent workers in line with a plan. Before the distributor's machine is: it may start builds at once.
    pub fn configure_latents(&mut self, plan: &Plan) {
        let now = self.services.clock.mono();
        for (worker, _) in &plan.workers {
            let Some(spec) = &worker.latent else { continue };
            let made = |current| Arc::new(LatentClass::new(&plan.generation, spec, current));
            if let Some(unit) = self.latents.get_mut(worker.id) {
                let class = made(unit.class.current.clone());
                let outdated = unit.renew(class);
                if outdated && unit.machine.is_wanted() {
                    self.machine.linger(worker.id);
                }
                self.tell_latent(worker.id, Event::Configured { settings: spec.settings(), outdated });
            } else {
                let left = plan.left.get(&worker.id);
                let (unit, effects) = Unit::new(worker.id, made(Arc::default()), left, now);
                self.latents.insert(worker.id, unit);
                self.perform_latent(worker.id, effects);
                // It may have been another kind of worker before.
                self.disconnect_latent(worker.id);
            }
        }
        for (worker, _) in plan.workers.iter().filter(|(worker, _)| worker.latent.is_none()) {
            self.show(worker.id, None);
        }
        for id in self.latents.ids() {
            match self.workers.get(&id) {
                // With a connection: below, as all who have one.
                None if !self.links.contains_key(&id) => self.drop_if_needless(id),
                // Another kind of worker now.
                Some(plan) if plan.latent.is_none() => self.tell_latent(id, Event::Removed),
                None | Some(_) => {}
            }
        }
    }

    pub fn substantiate(
        &mut self,
        worker: WorkerId,
        request: BuildRequestId,
        build: Arc<BuildShared>,
        reply: oneshot::Sender<Result<(), Failure>>,
    ) {
        // One that is gone drops the reply, which says so. So does a build that is over already.
        let Some(unit) = self.latents.get_mut(worker).filter(|_| self.runs.is_running(request)) else {
            return;
        };
        unit.waiters.insert(request, (build, reply));
        self.tell_latent(worker, Event::Wanted(request));
    }

    /// A call has been answered.
    pub fn latent_answered(&mut self, worker: WorkerId, call: u64, event: Event) {
        let Some(unit) = self.latents.get_mut(worker).filter(|unit| unit.is_under_way(call)) else { return };
        if let Event::Stopped(Err(error)) = &event {
            tracing::warn!(worker = unit.name(), "stop_instance failed, and is tried again: {error}");
        }
        unit.call = None;
        let has_started = matches!(event, Event::Started(_));
        self.tell_latent(worker, event);
        if has_started {
            self.event(super::Event::Freed(worker));
        }
    }

    /// Tells a latent worker's machine, and does what it wants. Of other workers there is none.
    pub fn tell_latent(&mut self, worker: WorkerId, event: Event) {
        let now = self.services.clock.mono();
        let Some(unit) = self.latents.get_mut(worker) else { return };
        if let Event::Over(request) = event {
            unit.waiters.remove(&request);
        }
        let effects = unit.machine.handle(now, event);
        self.perform_latent(worker, effects);
    }

    pub fn wake_latents(&mut self) {
        let now = self.services.clock.mono();
        while let Some(worker) = self.latents.due(now) {
            let Some(unit) = self.latents.get_mut(worker) else { continue };
            let effects = unit.machine.wake(now);
            self.perform_latent(worker, effects);
        }
    }

    fn perform_latent(&mut self, worker: WorkerId, effects: Vec<Effect>) {
        self.latents.arm(worker);
        for effect in effects {
            match effect {
                Effect::Start(request) => self.start_instance(worker, request),
                Effect::Check => {
                    self.call_latent(worker, |class, _| async move { latent::check(&class).await });
                }
                Effect::Stop { fast } => self.call_latent(worker, move |class, services| async move {
                    latent::stop(&class, &services.data, &services.latents.passwords, fast).await
                }),
                Effect::Abort { late } => self.latents.abort(worker, late),
                Effect::Ready(request) => self.latents.reply(worker, request, Ok(())),
                Effect::Failed(request, failure) => self.latents.reply(worker, request, Err(failure)),
                Effect::Disconnect => self.disconnect_latent(worker),
                Effect::Missing => self.tell_missing(worker),
                Effect::Insubstantiated => self.insubstantiated(worker),
                Effect::Gone => {
                    self.latents.remove(worker);
                    self.show(worker, None);
                }
            }
        }
        if let Some(state) = self.latents.take_shown(worker) {
            self.show(worker, Some(state));
        }
    }

    fn start_instance(&mut self, worker: WorkerId, request: BuildRequestId) {
        let Some(unit) = self.latents.get_mut(worker) else { return };
        unit.take_next();
        let Some((build, _)) = unit.waiters.get(&request) else {
            let failure = Failure::new("the build that wanted it is over");
            return self.tell_latent(worker, Event::Started(Err(failure)));
        };
        let build = build.clone();
        tracing::info!(worker = unit.name(), request, "starting an instance");
        self.call_latent(worker, move |class, services| async move {
            latent::start(&class, &services.data, &services.latents.passwords, build).await
        });
    }

    /// Calls the class, beside the actor.
    fn call_latent<F: Future<Output = Event> + Send + 'static>(
        &mut self,
        worker: WorkerId,
        call: impl FnOnce(Arc<LatentClass>, Arc<crate::build::Services>) -> F,
    ) {
        let number = self.latents.number();
        let Some(unit) = self.latents.get_mut(worker) else { return };
        let work = call(unit.class.clone(), self.services.clone());
        let inbox = self.inbox.clone();
        let task = tokio::spawn(async move {
            let event = work.await;
            // The engine may have stopped meanwhile.
            let _ = inbox.send(Message::Latent { worker, call: number, event }).await;
        });
        unit.call = Some((number, task.abort_handle()));
    }

    /// The connection, if there is one, is closed; builds that come get the next one.
    fn disconnect_latent(&mut self, worker: WorkerId) {
        let Some(unit) = self.latents.get_mut(worker) else { return };
        // Builds that wait have the one that is yet to be used.
        if unit.handle.has_connected() {
            unit.renew_handle(worker);
        }
        if let Some(handle) = self.links.get(&worker).cloned() {
            self.spawn(async move {
                handle.link.disconnect().await;
                None
            });
        }
    }

    /// The connection is lost. As long as builds end that had it, there are no new ones.
    pub fn latent_lost(&mut self, handle: &Arc<WorkerHandle>) {
        let Some(unit) = self.latents.get_mut(handle.id) else { return };
        if !Arc::ptr_eq(&unit.handle, handle) {
            return;
        }
        unit.renew_handle(handle.id);
        if unit.machine.state() == State::Substantiated {
            self.machine.linger(handle.id);
        }
        self.tell_latent(handle.id, Event::Detached);
    }

    fn insubstantiated(&mut self, worker: WorkerId) {
        let Some(unit) = self.latents.get_mut(worker) else { return };
        tracing::info!(worker = unit.name(), "the instance is stopped");
        unit.take_next();
        let graceful = self.machine.worker(worker).is_some_and(|worker| worker.graceful);
        self.event(super::Event::Insubstantiated(worker));
        if !graceful {
            return;
        }
        let data = self.services.data.clone();
        self.spawn(async move {
            if let Err(error) = data.set_worker_graceful(worker, false).await.map(lunabot_data::Ack::detach) {
                tracing::error!(worker, "could not store that the worker is stopped: {error}");
            }
            None
        });
    }

    /// The worker was told to stop (08.009): one without an instance has.
    pub fn latent_told_to_stop(&mut self, worker: WorkerId) {
        let idle = |unit: &Unit| unit.machine.state() == State::NotSubstantiated;
        if self.latents.get(worker).is_some_and(idle) {
            self.insubstantiated(worker);
        }
    }

    /// 08.042.
    fn tell_missing(&self, worker: WorkerId) {
        let Some(unit) = self.latents.get(worker) else { return };
        let (name, params) = (unit.name().to_owned(), &unit.class.spec.params);
        let notify = params.notify_on_missing.clone().unwrap_or(StringOrList(Vec::new())).0;
        let since = unit.class.spec.settings().missing;
        let (data, clock) = (self.services.data.clone(), self.services.clock.clone());
        self.spawn(async move {
            if let Err(error) = announce_missing(&data, &*clock, &name, since, notify).await {
                tracing::error!(worker = name, "could not announce that the worker is missing: {error}");
            }
            None
        });
    }

    /// Its state, for the API and the pages; of one that is not latent there is none.
    fn show(&self, worker: WorkerId, state: Option<State>) {
        if let Err(error) = self.services.data.set_latent_state(worker, state.map(State::name)) {
            tracing::error!(worker, "could not store the state of the worker: {error}");
        }
    }

    /// Stops all instances, once the master stops and no build runs. Whether none is left, or none can be waited for.
    pub fn latents_are_down(&mut self, how: Stop) -> bool {
        let fast = how == Stop::Fast;
        let now = self.services.clock.mono();
        if self.latents.begin_stop(fast, now + if fast { STOP_FAST_WITHIN } else { STOP_WITHIN }) {
            for worker in self.latents.ids() {
                self.tell_latent(worker, Event::ShutDown { fast });
            }
        }
        self.latents.are_down() || self.latents.give_up(now)
    }

    /// Whether a latent worker may take a build that it was not started for (08.048).
    pub fn suits(&self, worker: WorkerId) -> Suits {
        let Some(unit) = self.latents.get(worker) else { return Suits::Yes };
        let free = || self.machine.worker(worker).is_none_or(|worker| worker.running == 0);
        match unit.machine.state() {
            _ if unit.machine.has_instance() => Suits::Ask(unit.class.clone()),
            // The next instance is made for it, unless it is made for another.
            State::NotSubstantiated | State::Insubstantiating if free() => Suits::Yes,
            State::NotSubstantiated
            | State::Substantiating
            | State::Substantiated
            | State::Insubstantiating
            | State::InsubstantiatingSubstantiating
            | State::ShutDown => Suits::No,
        }
    }
}
