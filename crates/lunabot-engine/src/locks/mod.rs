//! Locks: who holds which, who waits, who is next (reference 05.055–05.064).
//!
//! [`Locks`] decides, without I/O; the distributor owns the one of a master, because a build is only started where its
//! locks are available, and [`client`] is how builds and steps ask it. A lock is known by its kind and name and belongs to
//! the master: configurations only say how much of it there is. What must never enter: what the locks are for.

mod circle;
pub(crate) mod client;
mod place;
pub(crate) mod rendered;
mod table;
#[cfg(test)]
mod tests;

pub use table::{Locks, News, Users};

use lunabot_model::locks::{LockId, LockMode, LockScope, LockUse};
use lunabot_model::{BuilderId, WorkerId};
use std::fmt;
use std::sync::Arc;

/// A lock where it is used: a master lock, or a worker lock on one worker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub lock: LockId,
    /// Of worker locks: the worker's name.
    pub worker: Option<Arc<str>>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

/// A part of a lock that somebody wants or has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub key: Key,
    pub mode: LockMode,
    /// Not 0.
    pub count: u32,
}

impl Claim {
    /// What a build on `worker` claims by these; 0 of a lock is nothing (05.057).
    pub fn of_uses(uses: &[LockUse], worker: &Arc<str>) -> Vec<Claim> {
        let claim = |one: &LockUse| {
            let worker = (one.lock.scope == LockScope::Worker).then(|| worker.clone());
            Claim { key: Key { lock: one.lock.clone(), worker }, mode: one.mode, count: one.count }
        };
        uses.iter().filter(|one| one.count > 0).map(claim).collect()
    }
}

/// Who wants or has locks; each at most one set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A builder's place on a worker, for the worker's own locks.
    Slot { builder: BuilderId, worker: WorkerId },
    /// The build in that place, for the builder's locks.
    Build { builder: BuilderId, worker: WorkerId },
    /// A step, by a number of its own.
    Step(u64),
}

/// Texts of several locks: `lock "a", worker lock "b"`.
pub(crate) fn listed<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    keys.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
