//! What the distributor keeps of its latent workers.

use crate::build::BuildShared;
use crate::worker::WorkerHandle;
use crate::worker::latent::{Call, Effect, Failure, LatentClass, Machine, Record, State};
use lunabot_model::{BuildRequestId, Mono, WorkerId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// A build that waits, and how it is told.
pub(super) type Waiter = (Arc<BuildShared>, oneshot::Sender<Result<(), Failure>>);

/// What is to be done about a build that a latent worker might take.
pub(crate) enum Suits {
    Yes,
    No,
    /// The class knows.
    Ask(Arc<LatentClass>),
}

/// One latent worker.
pub(super) struct Unit {
    pub machine: Machine,
    /// What the present instance was made by; with none, what the next one is made by.
    pub class: Arc<LatentClass>,
    /// What the next instance is made by, where that differs.
    next: Option<Arc<LatentClass>>,
    /// The connection of the present instance, or of the next one.
    pub handle: Arc<WorkerHandle>,
    pub waiters: HashMap<BuildRequestId, Waiter>,
    /// The call that is under way, by its number.
    pub call: Option<(u64, AbortHandle)>,
    timer: Option<Mono>,
    shown: Option<State>,
}

impl Unit {
    /// `left`: what an earlier process has started is stopped first.
    pub fn new(
        worker: WorkerId,
        class: Arc<LatentClass>,
        left: Option<&Record>,
        now: Mono,
    ) -> (Self, Vec<Effect>) {
        let settings = class.spec.settings();
        let (machine, effects) = match left {
            Some(record) => {
                tracing::info!(
                    worker = class.spec.params.name,
                    "an instance may be left of an earlier run: it is stopped"
                );
                class.current.set_instance(record.instance.clone());
                Machine::left_behind(settings, now)
            }
            None => (Machine::new(settings), Vec::new()),
        };
        let handle = Arc::new(WorkerHandle::latent(worker, &class.spec.params.name));
        let waiters = HashMap::new();
        let unit = Unit { machine, class, next: None, handle, waiters, call: None, timer: None, shown: None };
        (unit, effects)
    }

    pub fn name(&self) -> &str {
        &self.class.spec.params.name
    }

    /// Goes over to the class of a new configuration, at once or after the present instance. Whether that is outdated.
    pub fn renew(&mut self, class: Arc<LatentClass>) -> bool {
        let outdated = !self.class.spec.makes_the_same(&class.spec);
        if outdated && self.machine.state() != State::NotSubstantiated {
            self.next = Some(class);
        } else {
            (self.class, self.next) = (class, None);
        }
        outdated
    }

    /// There is no instance: the next one is made by the newest class.
    pub fn take_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.class = next;
        }
    }

    pub fn renew_handle(&mut self, worker: WorkerId) {
        self.handle = Arc::new(WorkerHandle::latent(worker, self.name()));
    }

    pub fn is_under_way(&self, call: u64) -> bool {
        self.call.as_ref().is_some_and(|(number, _)| *number == call)
    }
}

/// All latent workers, also those whose instance still is to be stopped.
#[derive(Default)]
pub(crate) struct Latents {
    units: HashMap<WorkerId, Unit>,
    timers: BTreeSet<(Mono, WorkerId)>,
    /// Calls so far.
    calls: u64,
    /// The master stops: whether fast.
    stopping: Option<bool>,
    /// Until when it waits for them.
    until: Option<Mono>,
}

impl Latents {
    pub fn get(&self, worker: WorkerId) -> Option<&Unit> {
        self.units.get(&worker)
    }

    pub fn get_mut(&mut self, worker: WorkerId) -> Option<&mut Unit> {
        self.units.get_mut(&worker)
    }

    pub fn insert(&mut self, worker: WorkerId, unit: Unit) {
        self.units.insert(worker, unit);
    }

    pub fn ids(&self) -> Vec<WorkerId> {
        self.units.keys().copied().collect()
    }

    /// Whether a worker that comes may stay (08.043).
    pub fn may_attach(&self, worker: WorkerId) -> bool {
        self.units.get(&worker).is_some_and(|unit| unit.machine.may_attach())
    }

    pub fn number(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// Drops the call of a worker; `late`: because it took its time.
    pub fn abort(&mut self, worker: WorkerId, late: Option<Call>) {
        let Some(unit) = self.units.get_mut(&worker) else { return };
        if let Some((_, task)) = unit.call.take() {
            task.abort();
        }
        if let Some(call) = late {
            unit.class.was_late(call);
        }
    }

    pub fn reply(&mut self, worker: WorkerId, request: BuildRequestId, answer: Result<(), Failure>) {
        let unit = self.units.get_mut(&worker);
        if let Some((_, reply)) = unit.and_then(|unit| unit.waiters.remove(&request)) {
            // The build may be over.
            let _ = reply.send(answer);
        }
    }

    pub fn remove(&mut self, worker: WorkerId) {
        if let Some(at) = self.units.remove(&worker).and_then(|unit| unit.timer) {
            self.timers.remove(&(at, worker));
        }
    }

    /// Takes note of when a worker's machine is to be woken.
    pub fn arm(&mut self, worker: WorkerId) {
        let Some(unit) = self.units.get_mut(&worker) else { return };
        let wake = unit.machine.next_wake();
        if let Some(old) = unit.timer {
            self.timers.remove(&(old, worker));
        }
        unit.timer = wake;
        self.timers.extend(wake.map(|at| (at, worker)));
    }

    /// A worker whose time has come.
    pub fn due(&mut self, now: Mono) -> Option<WorkerId> {
        let (at, worker) = self.timers.first().copied().filter(|(at, _)| *at <= now)?;
        self.timers.remove(&(at, worker));
        if let Some(unit) = self.units.get_mut(&worker) {
            unit.timer = None;
        }
        Some(worker)
    }

    pub fn next_wake(&self) -> Option<Mono> {
        let first = self.timers.first().map(|(at, _)| *at);
        first.into_iter().chain(self.until).min()
    }

    /// The state, if it was not shown yet.
    pub fn take_shown(&mut self, worker: WorkerId) -> Option<State> {
        let unit = self.units.get_mut(&worker)?;
        let state = unit.machine.state();
        (unit.shown.replace(state) != Some(state)).then_some(state)
    }

    /// Whether all are to be told to stop: for the first time, or to be faster.
    pub fn begin_stop(&mut self, fast: bool, until: Mono) -> bool {
        if self.units.is_empty() || self.stopping.is_some_and(|was_fast| was_fast || !fast) {
            return false;
        }
        self.stopping = Some(fast);
        self.until = Some(until);
        true
    }

    /// Whether no instance is left.
    pub fn are_down(&mut self) -> bool {
        let down = self.units.values().all(|unit| unit.machine.state() == State::ShutDown);
        if down {
            self.until = None;
        }
        down
    }

    /// Whether those that are left took too long: they are let go.
    pub fn give_up(&mut self, now: Mono) -> bool {
        if self.until.is_none_or(|until| until > now) {
            return false;
        }
        for (_, unit) in self.units.drain().filter(|(_, unit)| unit.machine.state() != State::ShutDown) {
            tracing::warn!(
                worker = unit.name(),
                "the instance could not be stopped in time; the next start stops it"
            );
            unit.call.iter().for_each(|(_, task)| task.abort());
        }
        self.timers.clear();
        self.until = None;
        true
    }
}
