//! Locks among the distributor's decisions: a build starts only where its worker's and its builder's locks are
//! available (07.016, 07.017); what is released brings back exactly the builders that wait for it (05.064).

use super::machine::{Effect, Machine};
use crate::locks::client::Ask;
use crate::locks::{Claim, Holder, Key, Locks, Users};
use lunabot_model::locks::{LockMode, LockScope, LockUse};
use lunabot_model::{BuilderId, Mono, WorkerId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a configuration says of locks.
#[derive(Debug, Clone, Default)]
pub struct LockSetup {
    pub generation: u64,
    /// Every lock that can be seen without rendering anything, for its counts.
    pub all: Vec<LockUse>,
    /// Builders that have locks.
    pub builders: HashMap<BuilderId, BuilderLocks>,
    /// Names and locks of all workers.
    pub workers: HashMap<WorkerId, (Arc<str>, Vec<LockUse>)>,
}

/// The option `locks` of a builder.
#[derive(Debug, Clone)]
pub enum BuilderLocks {
    Fixed(Vec<LockUse>),
    /// Rendered for each request (05.062).
    Computed,
}

/// The locks of the master, and who is not started for want of them.
#[derive(Debug, Default)]
pub(super) struct Desk {
    locks: Locks,
    setup: LockSetup,
    waits: HashMap<Key, BTreeSet<BuilderId>>,
    /// Builders that have a master's lock, where that is known without rendering.
    users: HashMap<Key, Vec<BuilderId>>,
}

impl Desk {
    /// All builders that wait are looked at after this anyway.
    pub fn configure(&mut self, setup: LockSetup) {
        for lock in &setup.all {
            self.locks.learn(setup.generation, lock);
        }
        self.locks.forget_before(setup.generation);
        self.waits.clear();
        self.setup = setup;
        self.users.clear();
        let mut builders: Vec<BuilderId> = self.setup.builders.keys().copied().collect();
        builders.sort_unstable();
        for builder in builders {
            for claim in self.masters(builder) {
                self.users.entry(claim.key).or_default().push(builder);
            }
        }
    }

    pub fn is_computed(&self, builder: BuilderId) -> bool {
        matches!(self.setup.builders.get(&builder), Some(BuilderLocks::Computed))
    }

    fn fixed(&self, builder: BuilderId) -> &[LockUse] {
        match self.setup.builders.get(&builder) {
            Some(BuilderLocks::Fixed(uses)) => uses,
            Some(BuilderLocks::Computed) | None => &[],
        }
    }

    /// What a build on this worker claims for its builder, where that is known without rendering.
    pub fn claims(&self, builder: BuilderId, worker: WorkerId) -> Vec<Claim> {
        self.claims_of(self.fixed(builder), worker)
    }

    fn claims_of(&self, uses: &[LockUse], worker: WorkerId) -> Vec<Claim> {
        match self.setup.workers.get(&worker) {
            Some((name, _)) if !uses.is_empty() => Claim::of_uses(uses, name),
            Some(_) | None => Vec::new(),
        }
    }

    fn slot_claims(&self, worker: WorkerId) -> Vec<Claim> {
        match self.setup.workers.get(&worker) {
            Some((name, uses)) if !uses.is_empty() => Claim::of_uses(uses, name),
            Some(_) | None => Vec::new(),
        }
    }

    /// Rendered locks of a builder as claims.
    pub fn rendered(&mut self, uses: &[LockUse], worker: WorkerId) -> Vec<Claim> {
        for lock in uses {
            self.locks.learn(self.setup.generation, lock);
        }
        self.claims_of(uses, worker)
    }

    /// Those of `claims` that a build to be started would not get.
    pub fn lacking(&self, claims: &[Claim]) -> Vec<Key> {
        claims.iter().filter(|claim| !self.locks.is_free(claim)).map(|claim| claim.key.clone()).collect()
    }

    /// What keeps every worker from a builder: asked before its workers are looked at.
    pub fn lacking_everywhere(&self, builder: BuilderId) -> Vec<Key> {
        self.lacking(&self.masters(builder))
    }

    /// A builder's claims that are the same on every worker.
    fn masters(&self, builder: BuilderId) -> Vec<Claim> {
        let fixed = self.fixed(builder);
        if fixed.is_empty() {
            return Vec::new();
        }
        let masters = fixed.iter().filter(|one| one.lock.scope == LockScope::Master).cloned();
        Claim::of_uses(&masters.collect::<Vec<_>>(), &"".into())
    }

    /// What keeps a builder from this worker: the worker's locks or its own.
    pub fn lacking_on(&self, builder: BuilderId, worker: WorkerId) -> Vec<Key> {
        let mut lacking = self.lacking(&self.slot_claims(worker));
        lacking.extend(self.lacking(&self.claims(builder, worker)));
        lacking
    }

    /// What time it is, for how long locks are held.
    pub fn clock(&mut self, now: Mono) {
        self.locks.clock(now);
    }

    /// Who has a lock or is about to take it, and how many wait for it in builds.
    pub fn users(&self, key: &Key) -> Users {
        self.locks.users(key)
    }

    /// How much of a lock a build of this builder wants, where that is known without rendering.
    pub fn wanted(&self, builder: BuilderId, key: &Key) -> Option<u32> {
        let counting = |one: &&LockUse| one.lock == key.lock && one.mode == LockMode::Counting;
        self.fixed(builder).iter().find(counting).map(|one| one.count)
    }

    /// The builder is looked at again when one of these is released.
    pub fn wait(&mut self, builder: BuilderId, keys: Vec<Key>) {
        for key in keys {
            self.waits.entry(key).or_default().insert(builder);
        }
    }

    /// A build gets this place: the worker's locks are claimed (05.061), its own promised until it asks.
    pub fn take(&mut self, builder: BuilderId, worker: WorkerId, claims: Vec<Claim>) {
        let slot = self.slot_claims(worker);
        if !slot.is_empty() {
            self.locks.ask(Holder::Slot { builder, worker }, slot, &[]);
        }
        self.locks.promise(Holder::Build { builder, worker }, claims);
    }

    pub fn vacate(&mut self, builder: BuilderId, worker: WorkerId) {
        self.locks.give_up(Holder::Build { builder, worker });
        self.locks.give_up(Holder::Slot { builder, worker });
    }
}

impl Machine {
    /// Master locks of which there is enough for a builder, but not for one that goes before it and needs nothing else: what
    /// is left is kept for that one, or it would wait for as long as others come (05.059). Somebody holds such a lock, whose
    /// release brings the builder back.
    pub(super) fn kept(&self, id: BuilderId) -> Vec<(Key, BuilderId)> {
        let claims = self.desk.masters(id);
        // Who is next may be a function's decision.
        let Some(builder) = self.builders.get(&id).filter(|_| !claims.is_empty() && !self.prioritize) else {
            return Vec::new();
        };
        let first = |key: &Key| {
            let users = self.desk.users.get(key).into_iter().flatten().copied();
            users.filter(|other| *other != id).find(|other| {
                let before = self.builders.get(other).is_some_and(|other| other.rank() < builder.rank());
                before && self.lacks_only(*other, key)
            })
        };
        claims.into_iter().filter_map(|claim| first(&claim.key).map(|other| (claim.key, other))).collect()
    }

    /// Whether a builder would begin a build if it had this lock.
    fn lacks_only(&self, id: BuilderId, key: &Key) -> bool {
        let Some(builder) = self.builders.get(&id) else { return false };
        let asks = builder.setup.asks;
        if !builder.configured
            || builder.queue.is_empty()
            || asks.next_build
            || asks.next_worker
            || asks.can_start_build
        {
            return false;
        }
        let open = |worker: &WorkerId| {
            let slot = self.desk.lacking(&self.desk.slot_claims(*worker)).is_empty();
            let building = builder.busy.contains(worker);
            slot && self.workers.get(worker).is_some_and(|worker| worker.cause(id, building).is_none())
        };
        self.desk.lacking_everywhere(id) == [key.clone()] && builder.setup.workers.iter().any(open)
    }

    pub(super) fn ask_locks(&mut self, ask: &Ask) {
        let Ask { holder, builder, worker, .. } = *ask;
        let locks = &mut self.desk.locks;
        for lock in &ask.uses {
            locks.learn(ask.generation, lock);
        }
        let (slot, build) = (Holder::Slot { builder, worker }, Holder::Build { builder, worker });
        let beside: &[Holder] = match holder {
            Holder::Step(_) => &[slot, build],
            Holder::Build { .. } => &[slot],
            Holder::Slot { .. } => &[],
        };
        locks.ask(holder, Claim::of_uses(&ask.uses, &ask.worker_name), beside);
    }

    pub(super) fn give_up_locks(&mut self, holder: Holder) {
        self.desk.locks.give_up(holder);
    }

    /// Tells what became of requests for locks, and brings back the builders that wait for what was released.
    pub(super) fn tell_locks(&mut self, effects: &mut Vec<Effect>) {
        for (holder, news) in self.desk.locks.take_news() {
            if !matches!(holder, Holder::Slot { .. }) {
                effects.push(Effect::Lock { holder, news });
            }
        }
        for key in self.desk.locks.take_freed() {
            self.dirty.extend(self.desk.waits.remove(&key).unwrap_or_default());
        }
    }
}
