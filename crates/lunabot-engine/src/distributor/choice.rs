//! How one builder finds a request and a worker for it (reference 07c).
//!
//! While a function of the configuration is asked, the workers in question are held, so that a builder further down the
//! order does not get them first; not for long, so that a function that takes its time holds up nobody else.

use super::builder::Waiting;
use super::explain::Computed;
use super::machine::{Answer, Effect, Machine, Question, Stopping};
use crate::locks::Claim;
use lunabot_model::locks::LockUse;
use lunabot_model::{BuildRequestId, BuilderId, Mono, WorkerId};
use rand::RngExt;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long all workers of a builder are held for `nextBuild` and `nextWorker`.
const HOLD_FOR_CHOICE: Duration = Duration::from_millis(250);

/// How long one worker is held for `canStartBuild`, which may run commands on it.
const HOLD_FOR_CHECK: Duration = Duration::from_secs(10);

/// One builder's search; it ends when no pair is left.
#[derive(Debug)]
pub struct Choice {
    stage: Stage,
    /// Requests that were tried: each once (07c item 5).
    tried: BTreeSet<BuildRequestId>,
    /// Workers put aside for an earlier request: first for the next (07c item 6).
    preferred: Vec<WorkerId>,
    held: Vec<WorkerId>,
    until: Mono,
    /// Something happened to the builder meanwhile: it is looked at once more.
    again: bool,
    /// When the last question was put.
    asked_at: Mono,
}

/// A question that is open.
pub struct Open {
    /// The option whose function is asked.
    pub rule: &'static str,
    pub request: Option<BuildRequestId>,
    pub worker: Option<WorkerId>,
    pub since: Mono,
}

/// Where a search is.
#[derive(Debug, Clone)]
enum Stage {
    Request,
    AskedRequest,
    Worker(Pair),
    AskedWorker(Pair),
    Check(Pair, WorkerId),
    AskedCompatible(Pair, WorkerId),
    /// Its instance, if it is a latent one, suits.
    Compatible(Pair, WorkerId),
    AskedLocks(Pair, WorkerId),
    /// The builder's locks are available.
    Locked(Pair, WorkerId),
    AskedStart(Pair, WorkerId),
    Over,
}

/// A request and the workers left for it.
#[derive(Debug, Clone)]
struct Pair {
    request: BuildRequestId,
    pool: Vec<WorkerId>,
    /// Workers that may not take it.
    aside: Vec<WorkerId>,
    /// The builder's locks, where they were computed.
    locks: Option<Vec<Claim>>,
}

impl Pair {
    fn set_aside(mut self, worker: WorkerId) -> Stage {
        self.pool.retain(|other| *other != worker);
        self.aside.push(worker);
        Stage::Worker(self)
    }
}

impl Choice {
    /// When the held workers are given free, if any are.
    pub fn held_until(&self) -> Option<Mono> {
        (!self.held.is_empty()).then_some(self.until)
    }

    /// What is being asked.
    pub fn open_question(&self) -> Option<Open> {
        let (rule, request, worker) = match &self.stage {
            Stage::AskedRequest => ("nextBuild", None, None),
            Stage::AskedWorker(pair) => ("nextWorker", Some(pair.request), None),
            Stage::AskedCompatible(pair, worker) => {
                ("isCompatibleWithBuild", Some(pair.request), Some(*worker))
            }
            Stage::AskedLocks(pair, worker) => ("locks", Some(pair.request), Some(*worker)),
            Stage::AskedStart(pair, worker) => ("canStartBuild", Some(pair.request), Some(*worker)),
            Stage::Request
            | Stage::Worker(_)
            | Stage::Check(..)
            | Stage::Compatible(..)
            | Stage::Locked(..)
            | Stage::Over => return None,
        };
        Some(Open { rule, request, worker, since: self.asked_at })
    }
}

impl Machine {
    /// Begins a search, or notes that the present one is to be repeated.
    pub(super) fn offer(&mut self, now: Mono, builder: BuilderId, effects: &mut Vec<Effect>) {
        if let Some(choice) = self.choices.get_mut(&builder) {
            choice.again = true;
            return;
        }
        if !self.can_look(now, builder) {
            return;
        }
        let choice = Choice {
            stage: Stage::Request,
            tried: BTreeSet::new(),
            preferred: Vec::new(),
            held: Vec::new(),
            until: now,
            again: false,
            asked_at: now,
        };
        self.drive(now, builder, choice, effects);
    }

    /// Goes on after an answer.
    pub(super) fn resume(
        &mut self,
        now: Mono,
        builder: BuilderId,
        answer: Answer,
        effects: &mut Vec<Effect>,
    ) {
        self.release(builder);
        let Some(mut choice) = self.choices.remove(&builder) else { return };
        choice.stage = match (choice.stage, answer) {
            (Stage::AskedRequest, Answer::Request(Some(request))) => {
                self.chosen(builder, request, &choice.tried)
            }
            (Stage::AskedWorker(pair), Answer::Worker(Some(worker))) if pair.pool.contains(&worker) => {
                Stage::Check(pair, worker)
            }
            (Stage::AskedStart(pair, worker), Answer::Start(true)) => {
                self.start(now, builder, pair, worker, effects)
            }
            (Stage::AskedCompatible(pair, worker), Answer::Start(true)) => Stage::Compatible(pair, worker),
            (Stage::AskedLocks(pair, worker), Answer::Locks(uses)) => {
                self.locked(now, builder, pair, worker, &uses)
            }
            (
                Stage::AskedStart(pair, worker) | Stage::AskedCompatible(pair, worker),
                Answer::Start(false),
            ) => pair.set_aside(worker),
            // None now, or nothing that could be chosen: this builder waits for the next event.
            (
                Stage::AskedRequest
                | Stage::AskedWorker(_)
                | Stage::AskedCompatible(..)
                | Stage::Compatible(..)
                | Stage::AskedLocks(..)
                | Stage::Locked(..)
                | Stage::AskedStart(..)
                | Stage::Request
                | Stage::Worker(_)
                | Stage::Check(..)
                | Stage::Over,
                Answer::Order(_)
                | Answer::Request(_)
                | Answer::Worker(_)
                | Answer::Locks(_)
                | Answer::Start(_),
            ) => Stage::Over,
        };
        self.drive(now, builder, choice, effects);
    }

    /// Advances a search until it has to ask or is over.
    fn drive(&mut self, now: Mono, builder: BuilderId, mut choice: Choice, effects: &mut Vec<Effect>) {
        loop {
            if self.stopping == Stopping::Quick {
                choice.stage = Stage::Over;
            }
            choice.stage = match std::mem::replace(&mut choice.stage, Stage::Over) {
                Stage::Request => self.pick_request(now, builder, &mut choice, effects),
                Stage::Worker(pair) => self.pick_worker(now, builder, pair, &mut choice, effects),
                Stage::Check(pair, worker) => self.check(now, builder, pair, worker, &mut choice, effects),
                Stage::Compatible(pair, worker) => {
                    self.check_locks(now, builder, pair, worker, &mut choice, effects)
                }
                Stage::Locked(pair, worker) => {
                    self.may_start(now, builder, pair, worker, &mut choice, effects)
                }
                Stage::Over => {
                    if choice.again {
                        self.look_again(builder);
                    } else {
                        self.wait_for_locks(now, builder);
                    }
                    return;
                }
                asked @ (Stage::AskedRequest
                | Stage::AskedWorker(_)
                | Stage::AskedCompatible(..)
                | Stage::AskedLocks(..)
                | Stage::AskedStart(..)) => {
                    choice.stage = asked;
                    choice.asked_at = now;
                    self.choices.insert(builder, choice);
                    return;
                }
            };
        }
    }

    fn pick_request(
        &mut self,
        now: Mono,
        id: BuilderId,
        choice: &mut Choice,
        effects: &mut Vec<Effect>,
    ) -> Stage {
        let pool = self.available(id);
        let Some(builder) = self.builders.get(&id).filter(|_| !pool.is_empty()) else {
            return Stage::Over;
        };
        if !builder.setup.asks.next_build {
            let open = |next: &&Waiting| !choice.tried.contains(&next.id) && self.may_offer(next.parent);
            let next = builder.queue.by_priority().find(open).map(|next| next.id);
            return next.map_or(Stage::Over, |next| self.chosen(id, next, &choice.tried));
        }
        let open = |next: &&Waiting| !choice.tried.contains(&next.id) && self.may_offer(next.parent);
        let requests: Vec<_> = builder.queue.all().filter(open).map(|next| next.id).collect();
        if requests.is_empty() {
            return Stage::Over;
        }
        self.hold(choice, id, &pool, now + HOLD_FOR_CHOICE);
        self.ask(id, Question::NextBuild { builder: id, requests }, effects);
        Stage::AskedRequest
    }

    /// A request that is still there, with the workers there are now.
    fn chosen(&mut self, id: BuilderId, request: BuildRequestId, tried: &BTreeSet<BuildRequestId>) -> Stage {
        let waits = self.builders.get(&id).is_some_and(|builder| builder.queue.contains(request));
        if !waits || tried.contains(&request) {
            return Stage::Over;
        }
        Stage::Worker(Pair { request, pool: self.available(id), aside: Vec::new(), locks: None })
    }

    fn pick_worker(
        &mut self,
        now: Mono,
        id: BuilderId,
        mut pair: Pair,
        choice: &mut Choice,
        effects: &mut Vec<Effect>,
    ) -> Stage {
        let free = self.available(id);
        pair.pool.retain(|worker| free.contains(worker));
        if pair.pool.is_empty() {
            choice.tried.insert(pair.request);
            pair.aside.append(&mut choice.preferred);
            choice.preferred = pair.aside;
            return Stage::Request;
        }
        if let Some(at) = choice.preferred.iter().position(|worker| pair.pool.contains(worker)) {
            let worker = choice.preferred.remove(at);
            return Stage::Check(pair, worker);
        }
        if !self.asks(id).next_worker {
            let worker = pair.pool[self.rng.random_range(0..pair.pool.len())];
            return Stage::Check(pair, worker);
        }
        self.hold(choice, id, &pair.pool, now + HOLD_FOR_CHOICE);
        let question =
            Question::NextWorker { builder: id, request: pair.request, workers: pair.pool.clone() };
        self.ask(id, question, effects);
        Stage::AskedWorker(pair)
    }

    /// 07.017, first.
    fn check(
        &mut self,
        now: Mono,
        id: BuilderId,
        pair: Pair,
        worker: WorkerId,
        choice: &mut Choice,
        effects: &mut Vec<Effect>,
    ) -> Stage {
        if !self.workers.get(&worker).is_some_and(|worker| worker.setup.asks_compatible) {
            return Stage::Compatible(pair, worker);
        }
        self.hold(choice, id, &[worker], now + HOLD_FOR_CHECK);
        self.ask(id, Question::Compatible { builder: id, request: pair.request, worker }, effects);
        Stage::AskedCompatible(pair, worker)
    }

    fn check_locks(
        &mut self,
        now: Mono,
        id: BuilderId,
        pair: Pair,
        worker: WorkerId,
        choice: &mut Choice,
        effects: &mut Vec<Effect>,
    ) -> Stage {
        if !self.desk.is_computed(id) {
            return Stage::Locked(pair, worker);
        }
        self.hold(choice, id, &[worker], now + HOLD_FOR_CHOICE);
        self.ask(id, Question::Locks { builder: id, request: pair.request, worker }, effects);
        Stage::AskedLocks(pair, worker)
    }

    /// 07.017: the builder's computed locks, each available.
    fn locked(
        &mut self,
        now: Mono,
        id: BuilderId,
        mut pair: Pair,
        worker: WorkerId,
        uses: &[LockUse],
    ) -> Stage {
        let claims = self.desk.rendered(uses, worker);
        let lacking = self.desk.lacking(&claims);
        if let Some(builder) = self.builders.get_mut(&id) {
            let found = Computed { worker, lacking: lacking.clone().into() };
            builder
                .computed
                .entry(pair.request)
                .or_default()
                .note(now, found, |other| other.worker == worker);
        }
        if !lacking.is_empty() {
            self.desk.wait(id, lacking);
            return pair.set_aside(worker);
        }
        pair.locks = Some(claims);
        Stage::Locked(pair, worker)
    }

    fn may_start(
        &mut self,
        now: Mono,
        id: BuilderId,
        pair: Pair,
        worker: WorkerId,
        choice: &mut Choice,
        effects: &mut Vec<Effect>,
    ) -> Stage {
        if !self.asks(id).can_start_build {
            return self.start(now, id, pair, worker, effects);
        }
        self.hold(choice, id, &[worker], now + HOLD_FOR_CHECK);
        self.ask(id, Question::CanStart { builder: id, request: pair.request, worker }, effects);
        Stage::AskedStart(pair, worker)
    }

    /// Takes the pair, if both are still there.
    fn start(
        &mut self,
        now: Mono,
        id: BuilderId,
        mut pair: Pair,
        worker: WorkerId,
        effects: &mut Vec<Effect>,
    ) -> Stage {
        let waiting = self.builders.get(&id).and_then(|builder| builder.queue.get(pair.request));
        if !waiting.is_some_and(|waiting| self.may_offer(waiting.parent)) {
            return Stage::Request;
        }
        // `canStartBuild` may have put the worker into quarantine and said yes: the yes counts.
        let computed = pair.locks.take();
        let lacking = computed.as_deref().map(|claims| self.desk.lacking(claims)).unwrap_or_default();
        if !lacking.is_empty() || !self.is_free(id, worker, true) {
            self.desk.wait(id, lacking);
            pair.pool.retain(|other| *other != worker);
            return Stage::Worker(pair);
        }
        let locks = computed.unwrap_or_else(|| self.desk.claims(id, worker));
        self.take(now, id, pair.request, worker, locks, effects);
        Stage::Request
    }

    fn asks(&self, id: BuilderId) -> super::builder::Asks {
        self.builders.get(&id).map(|builder| builder.setup.asks).unwrap_or_default()
    }

    /// The workers that could take a build of this builder now (07.016), by the order of its configuration.
    fn available(&self, id: BuilderId) -> Vec<WorkerId> {
        let Some(builder) = self.builders.get(&id).filter(|builder| builder.configured) else {
            return Vec::new();
        };
        if !self.kept(id).is_empty() {
            return Vec::new();
        }
        builder.setup.workers.iter().copied().filter(|worker| self.is_free(id, *worker, false)).collect()
    }

    fn is_free(&self, builder: BuilderId, id: WorkerId, even_quarantined: bool) -> bool {
        let Some(worker) = self.workers.get(&id) else { return false };
        let open = worker.is_open() || even_quarantined && worker.would_be_open();
        let busy = self.builders.get(&builder).is_some_and(|builder| builder.busy.contains(&id));
        open && !busy && worker.has_room(builder) && self.desk.lacking_on(builder, id).is_empty()
    }

    fn hold(&mut self, choice: &mut Choice, builder: BuilderId, workers: &[WorkerId], until: Mono) {
        for id in workers {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.asked_by.insert(builder);
            }
        }
        choice.held = workers.to_vec();
        choice.until = until;
    }

    /// Gives the held workers free; builders that were passed over for them are looked at.
    pub(super) fn release(&mut self, builder: BuilderId) {
        let Some(choice) = self.choices.get_mut(&builder) else { return };
        for id in std::mem::take(&mut choice.held) {
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            worker.asked_by.remove(&builder);
            for passed in std::mem::take(&mut worker.passed_over) {
                self.look_again(passed);
            }
        }
    }
}
