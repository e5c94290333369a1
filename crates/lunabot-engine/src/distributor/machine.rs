//! The distributor's decisions (reference 07b, 07c). How one builder's pair is found is in [`super::choice`].

use super::builder::{Builder, BuilderSetup, Waiting};
use super::choice::Choice;
use super::explain::Past;
use super::locks::{Desk, LockSetup};
use super::worker::{Why, Worker, WorkerSetup};
use crate::build::Outcome;
use crate::locks::client::Ask;
use crate::locks::{Claim, Holder, News};
use lunabot_model::locks::LockUse;
use lunabot_model::{BuildId, BuildRequestId, BuilderId, Mono, WorkerId};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// What happens around the distributor.
#[derive(Debug, Clone)]
pub enum Event {
    /// The configuration, whole. `bool` of a worker: paused, as stored; counts for workers that are new.
    Configured {
        builders: Vec<BuilderSetup>,
        workers: Vec<(WorkerSetup, bool)>,
        /// Whether `prioritizeBuilders` is a function.
        prioritize: bool,
        locks: LockSetup,
    },
    /// Requests that wait: new, given back, or with a new priority.
    Waiting(Vec<Waiting>),
    /// Requests that wait no longer: cancelled, collapsed, claimed by someone else.
    Gone(Vec<BuildRequestId>),
    Attached(WorkerId),
    /// Nothing of a latent worker's instance is left.
    Insubstantiated(WorkerId),
    /// A worker may suit builds that it did not.
    Freed(WorkerId),
    /// What its functions answered may be otherwise now.
    Again(BuilderId),
    Detached(WorkerId),
    Paused {
        worker: WorkerId,
        paused: bool,
    },
    /// It takes no more builds and is shut down when idle (08.009).
    Graceful(WorkerId),
    Quarantine {
        worker: WorkerId,
        once: Option<Duration>,
    },
    ResetQuarantine(WorkerId),
    ExitQuarantine(WorkerId),
    /// A downtime begins, or has another end (seconds since 1970), or is over.
    Downtime {
        worker: WorkerId,
        until: Option<i64>,
    },
    QuarantineTimeout {
        worker: WorkerId,
        timeout: Duration,
    },
    Answered {
        question: u64,
        answer: Answer,
    },
    Claimed {
        request: BuildRequestId,
        ours: bool,
    },
    Ended {
        builder: BuilderId,
        worker: WorkerId,
        outcome: Outcome,
        /// Why, where that is known: told of a quarantine.
        why: Option<Box<str>>,
    },
    /// A build or a step asks for locks; answered by [`Effect::Lock`].
    AskLocks(Ask),
    GiveUpLocks(Holder),
    /// A build has its row.
    Began(BuildId),
    /// A build is over.
    Over(BuildId),
    /// From now on only what running builds wait for is built, or, `quick`, nothing at all (07.029).
    Stopping {
        quick: bool,
    },
}

/// What only a function of the configuration can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    Order(Vec<BuilderId>),
    NextBuild {
        builder: BuilderId,
        requests: Vec<BuildRequestId>,
    },
    NextWorker {
        builder: BuilderId,
        request: BuildRequestId,
        workers: Vec<WorkerId>,
    },
    /// Whether a latent worker's instance suits (08.048).
    Compatible {
        builder: BuilderId,
        request: BuildRequestId,
        worker: WorkerId,
    },
    /// The builder's locks are computed (05.062).
    Locks {
        builder: BuilderId,
        request: BuildRequestId,
        worker: WorkerId,
    },
    CanStart {
        builder: BuilderId,
        request: BuildRequestId,
        worker: WorkerId,
    },
}

/// An answer. A function that failed gives its documented outcome: no order, none, false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `None`: the default order.
    Order(Option<Vec<BuilderId>>),
    Request(Option<BuildRequestId>),
    Worker(Option<WorkerId>),
    /// Those that could not be computed are none: the build starts, and tells what is wrong.
    Locks(Vec<LockUse>),
    Start(bool),
}

/// What is to be done. `Ask` is answered by [`Event::Answered`], `Claim` by [`Event::Claimed`], `Start` by [`Event::Ended`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Ask {
        id: u64,
        question: Question,
    },
    Claim(BuildRequestId),
    Start {
        request: BuildRequestId,
        builder: BuilderId,
        worker: WorkerId,
    },
    /// The claim came too late to be of use.
    Unclaim(BuildRequestId),
    /// A worker that was asked to stop is idle now.
    ShutDown(WorkerId),
    /// What became of a request for locks.
    Lock {
        holder: Holder,
        news: News,
    },
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    ForOrder,
    For(BuilderId),
}

/// The distributor of one master.
pub struct Machine {
    pub(super) builders: HashMap<BuilderId, Builder>,
    pub(super) workers: HashMap<WorkerId, Worker>,
    /// Builders with requests in their queues.
    pub(super) waiting: BTreeSet<BuilderId>,
    /// Where each waiting request is.
    places: HashMap<BuildRequestId, BuilderId>,
    /// Builders to look at.
    pub(super) dirty: BTreeSet<BuilderId>,
    /// Builders that `prioritizeBuilders` left out: they wait for the next occasion.
    pub(super) left_out: BTreeSet<BuilderId>,
    /// The newest order that `prioritizeBuilders` gave.
    pub(super) last_order: Vec<BuilderId>,
    pub(super) prioritize: bool,
    /// The builders that are being put in order.
    pub(super) ordering: Option<BTreeSet<BuilderId>>,
    /// Since when.
    pub(super) ordering_since: Mono,
    /// The order is being asked for once more, because others came while it was.
    pub(super) reordering: bool,
    pub(super) choices: HashMap<BuilderId, Choice>,
    questions: BTreeMap<u64, Asked>,
    next_question: u64,
    claims: HashMap<BuildRequestId, Taking>,
    /// Of requests that have waited, and whose builds run or are tried again.
    past: HashMap<BuildRequestId, Past>,
    /// Builds that run: while the master stops, requests that they wait for are still offered (07.029).
    running: HashSet<BuildId>,
    pub(super) quarantined: BTreeSet<WorkerId>,
    pub(super) desk: Desk,
    pub(super) rng: SmallRng,
    pub(super) stopping: Stopping,
    /// Since when.
    pub(super) stopping_since: Mono,
}

/// Whether the master stops, and how (07.029).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    /// Only what running builds wait for is built.
    Soft,
    /// Nothing is built.
    Quick,
}

/// A request that is being claimed.
#[derive(Debug, Clone, Copy)]
struct Taking {
    builder: BuilderId,
    worker: WorkerId,
    parent: Option<BuildId>,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        Machine {
            builders: HashMap::new(),
            workers: HashMap::new(),
            waiting: BTreeSet::new(),
            places: HashMap::new(),
            dirty: BTreeSet::new(),
            left_out: BTreeSet::new(),
            last_order: Vec::new(),
            prioritize: false,
            ordering: None,
            ordering_since: Mono(Duration::ZERO),
            reordering: false,
            choices: HashMap::new(),
            questions: BTreeMap::new(),
            next_question: 0,
            claims: HashMap::new(),
            past: HashMap::new(),
            running: HashSet::new(),
            quarantined: BTreeSet::new(),
            desk: Desk::default(),
            rng: SmallRng::seed_from_u64(seed),
            stopping: Stopping::No,
            stopping_since: Mono(Duration::ZERO),
        }
    }

    pub fn handle(&mut self, now: Mono, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.desk.clock(now);
        match event {
            Event::Configured { builders, workers, prioritize, locks } => {
                self.desk.configure(locks);
                self.configure(now, builders, workers, prioritize);
            }
            Event::Waiting(requests) => requests.into_iter().for_each(|request| self.enqueue(request)),
            Event::Gone(requests) => requests.into_iter().for_each(|request| self.dequeue(request)),
            Event::Attached(worker) => self.attach(now, worker),
            Event::Insubstantiated(worker) => {
                // It was told to stop, and has: the next instance is another one.
                self.with(worker, |worker| worker.graceful = false);
                self.freed(worker);
            }
            Event::Freed(worker) => self.freed(worker),
            Event::Again(builder) => self.dirty.extend(self.waiting.get(&builder)),
            Event::Detached(worker) => self.detach(now, worker),
            Event::Paused { worker, paused } => self.pause(now, worker, paused),
            Event::Graceful(worker) => self.grace(now, worker, &mut effects),
            Event::Quarantine { worker, once } => self.quarantine(now, worker, Why::Function, once),
            Event::ResetQuarantine(worker) => self.with(worker, |worker| worker.quarantine.reset()),
            Event::ExitQuarantine(worker) => self.exit_quarantine(worker),
            Event::Downtime { worker, until } => self.downtime(now, worker, until),
            Event::QuarantineTimeout { worker, timeout } => {
                self.with(worker, |worker| worker.quarantine.timeout = timeout);
            }
            Event::Answered { question, answer } => self.answered(now, question, answer, &mut effects),
            Event::Claimed { request, ours } => self.claimed(request, ours, &mut effects),
            Event::Ended { builder, worker, outcome, why } => {
                self.rate(now, worker, outcome, why);
                self.vacate(builder, worker, &mut effects);
            }
            Event::AskLocks(ask) => self.ask_locks(&ask),
            Event::GiveUpLocks(holder) => self.give_up_locks(holder),
            Event::Began(build) => drop(self.running.insert(build)),
            Event::Over(build) => drop(self.running.remove(&build)),
            Event::Stopping { quick } => self.stop(now, quick),
        }
        self.tell_locks(&mut effects);
        self.settle(now, &mut effects);
        effects
    }

    /// When [`Machine::wake`] is to be called at the latest.
    pub fn next_wake(&self) -> Option<Mono> {
        let quarantines = self.quarantined.iter().filter_map(|id| self.workers.get(id)?.quarantine.until);
        quarantines.chain(self.choices.values().filter_map(Choice::held_until)).min()
    }

    /// Ends what time ends: quarantines, and the holding of workers for questions that take long.
    pub fn wake(&mut self, now: Mono) -> Vec<Effect> {
        self.desk.clock(now);
        let quarantined: Vec<WorkerId> = self.quarantined.iter().copied().collect();
        for id in quarantined {
            let over = self.workers.get_mut(&id).is_none_or(|worker| worker.quarantine.expire(now));
            if over {
                self.quarantined.remove(&id);
                self.freed(id);
            }
        }
        let late = |choice: &Choice| choice.held_until().is_some_and(|until| until <= now);
        let held: Vec<BuilderId> = self.choices.iter().filter(|(_, c)| late(c)).map(|(id, _)| *id).collect();
        for builder in held {
            self.release(builder);
        }
        let mut effects = Vec::new();
        self.settle(now, &mut effects);
        effects
    }

    pub fn builder(&self, id: BuilderId) -> Option<&Builder> {
        self.builders.get(&id)
    }

    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// Whether a request is in a queue.
    pub fn waits(&self, request: BuildRequestId) -> bool {
        self.places.contains_key(&request)
    }

    /// Whether a request is being claimed for a build.
    pub fn takes(&self, request: BuildRequestId) -> bool {
        self.claims.contains_key(&request)
    }

    /// What kept a request waiting before its last build began.
    pub fn past(&self, request: BuildRequestId) -> Option<&Past> {
        self.past.get(&request)
    }

    /// The request is over.
    pub fn forget_past(&mut self, request: BuildRequestId) {
        self.past.remove(&request);
    }

    /// Requests in the queues.
    pub fn pending(&self) -> usize {
        self.places.len()
    }

    pub(super) fn with(&mut self, worker: WorkerId, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            change(worker);
        }
    }

    fn enqueue(&mut self, request: Waiting) {
        if self.claims.contains_key(&request.id) {
            return;
        }
        self.places.insert(request.id, request.builder);
        self.waiting.insert(request.builder);
        self.dirty.insert(request.builder);
        self.known(request.builder).queue.add(request);
    }

    pub(super) fn dequeue(&mut self, request: BuildRequestId) {
        let Some(id) = self.places.remove(&request) else { return };
        let Some(builder) = self.builders.get_mut(&id) else { return };
        builder.queue.remove(request);
        builder.computed.remove(&request);
        if builder.queue.is_empty() {
            builder.looks.clear();
            self.waiting.remove(&id);
        }
    }

    fn stop(&mut self, now: Mono, quick: bool) {
        if self.stopping == Stopping::No {
            self.stopping_since = now;
        }
        if quick || self.stopping == Stopping::No {
            self.stopping = if quick { Stopping::Quick } else { Stopping::Soft };
        }
    }

    /// Whether a request may be built while the master stops; `parent`: the build that waits for it.
    pub(super) fn may_offer(&self, parent: Option<BuildId>) -> bool {
        match self.stopping {
            Stopping::No => true,
            Stopping::Soft => parent.is_some_and(|parent| self.running.contains(&parent)),
            Stopping::Quick => false,
        }
    }

    /// A latent worker whose instance is of no more use takes no builds while it still has some.
    pub fn linger(&mut self, worker: WorkerId) {
        self.with(worker, |worker| worker.lingering = worker.running > 0);
    }

    /// The builders that wait for this worker are looked at again; found from the smaller side.
    pub(super) fn freed(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let (few, many) = if worker.builders.len() < self.waiting.len() {
            (&*worker.builders, &self.waiting)
        } else {
            (&self.waiting, &*worker.builders)
        };
        self.dirty.extend(few.iter().filter(|builder| many.contains(builder)));
    }

    fn claimed(&mut self, request: BuildRequestId, ours: bool, effects: &mut Vec<Effect>) {
        let Some(Taking { builder, worker, parent }) = self.claims.remove(&request) else { return };
        let there = self.workers.get(&worker).is_some_and(Worker::is_there);
        if ours && there && self.may_offer(parent) {
            effects.push(Effect::Start { request, builder, worker });
            return;
        }
        if ours {
            effects.push(Effect::Unclaim(request));
        }
        self.vacate(builder, worker, effects);
    }

    /// What the end of a build means for its worker.
    fn rate(&mut self, now: Mono, id: WorkerId, outcome: Outcome, reason: Option<Box<str>>) {
        let Some(why) = Why::of(outcome) else {
            if outcome.resets_quarantine() {
                self.with(id, |worker| worker.quarantine.reset());
            }
            return;
        };
        let first = self.workers.get(&id).is_some_and(|worker| worker.quarantine.until.is_none());
        self.quarantine(now, id, why, None);
        if first {
            self.with(id, |worker| worker.quarantine.reason = reason);
        }
    }

    /// Gives back the place of a build.
    fn vacate(&mut self, builder: BuilderId, id: WorkerId, effects: &mut Vec<Effect>) {
        self.desk.vacate(builder, id);
        if let Some(builder) = self.builders.get_mut(&builder) {
            builder.busy.remove(&id);
        }
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.running = worker.running.saturating_sub(1);
        worker.lingering &= worker.running > 0;
        if worker.graceful && worker.running == 0 && worker.connected {
            effects.push(Effect::ShutDown(id));
        }
        self.freed(id);
    }

    pub(super) fn look_again(&mut self, builder: BuilderId) {
        self.dirty.insert(builder);
    }

    /// Takes a place for a build and asks for its request (07c item 7).
    pub(super) fn take(
        &mut self,
        now: Mono,
        builder: BuilderId,
        request: BuildRequestId,
        worker: WorkerId,
        locks: Vec<Claim>,
        effects: &mut Vec<Effect>,
    ) {
        let parent = self.builders.get(&builder).and_then(|builder| builder.queue.get(request)?.parent);
        let past = self.past.remove(&request).unwrap_or_default();
        let known = self.builders.get(&builder);
        let past = known.map(|known| past.and(&known.looks, known.computed.get(&request)).ended(now));
        if let Some(past) = past.filter(|past| !past.is_empty()) {
            self.past.insert(request, past);
        }
        self.dequeue(request);
        self.desk.take(builder, worker, locks);
        if let Some(builder) = self.builders.get_mut(&builder) {
            builder.busy.insert(worker);
        }
        self.with(worker, |worker| worker.running += 1);
        self.claims.insert(request, Taking { builder, worker, parent });
        effects.push(Effect::Claim(request));
    }

    pub(super) fn ask(&mut self, builder: BuilderId, question: Question, effects: &mut Vec<Effect>) {
        self.put(Asked::For(builder), question, effects);
    }

    pub(super) fn put(&mut self, asked: Asked, question: Question, effects: &mut Vec<Effect>) {
        self.next_question += 1;
        self.questions.insert(self.next_question, asked);
        effects.push(Effect::Ask { id: self.next_question, question });
    }

    /// Answers to what was asked so far come too late.
    pub(super) fn forget_questions(&mut self) {
        self.questions.clear();
    }

    fn answered(&mut self, now: Mono, question: u64, answer: Answer, effects: &mut Vec<Effect>) {
        match (self.questions.remove(&question), answer) {
            (Some(Asked::ForOrder), Answer::Order(order)) => self.ordered(now, order, effects),
            (Some(Asked::For(builder)), answer) => self.resume(now, builder, answer, effects),
            (Some(Asked::ForOrder), answer) => {
                tracing::error!("prioritizeBuilders was answered with {answer:?}");
                self.ordered(now, None, effects);
            }
            (None, late) => tracing::debug!("an answer that nobody waits for: {late:?}"),
        }
    }
}
