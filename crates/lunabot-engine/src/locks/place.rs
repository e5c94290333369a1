//! One lock in one place: what is held of it, who waits for it, and the rule of availability (05.058).

use super::Claim;
use lunabot_model::locks::LockMode;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// See the module. Waiters stand in the order in which they asked, whenever they joined this queue.
#[derive(Debug, Default)]
pub(super) struct Place {
    held: Held,
    /// Held by nobody yet, but promised to builds that were started for it.
    promised: Held,
    queue: BTreeMap<u64, (LockMode, u32)>,
    exclusive_waiters: BTreeSet<u64>,
}

/// How much is taken.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    owners: usize,
    counting: u64,
    exclusive: usize,
}

impl Held {
    fn add(&mut self, mode: LockMode, count: u32) {
        self.owners += 1;
        match mode {
            LockMode::Counting => self.counting += u64::from(count),
            LockMode::Exclusive => self.exclusive += 1,
        }
    }

    fn remove(&mut self, mode: LockMode, count: u32) {
        self.owners = self.owners.saturating_sub(1);
        match mode {
            LockMode::Counting => self.counting = self.counting.saturating_sub(u64::from(count)),
            LockMode::Exclusive => self.exclusive = self.exclusive.saturating_sub(1),
        }
    }
}

impl Place {
    /// Whether somebody may have `claim` who asked as number `asked`; `max`: how much there is.
    pub fn is_available(&self, claim: &Claim, asked: u64, max: u32) -> bool {
        match claim.mode {
            LockMode::Exclusive => self.held.owners == 0 && self.is_first(asked),
            LockMode::Counting => {
                let exclusive_ahead = self.exclusive_waiters.first().is_some_and(|first| *first < asked);
                if self.held.exclusive > 0 || exclusive_ahead {
                    return false;
                }
                let Some(left) = u64::from(max).checked_sub(self.held.counting + u64::from(claim.count))
                else {
                    return false;
                };
                // Each waiter ahead counts one, however much it wants. No more are counted than matter.
                let ahead = self
                    .queue
                    .range(..asked)
                    .take(usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1));
                ahead.count() as u64 <= left
            }
        }
    }

    fn is_first(&self, asked: u64) -> bool {
        self.queue.first_key_value().is_none_or(|(first, _)| *first >= asked)
    }

    /// Whether a build that is still to be started would get it, promises to others counted as held (07.016, 07.017).
    pub fn is_free(&self, claim: &Claim, max: u32) -> bool {
        match claim.mode {
            LockMode::Exclusive => self.held.owners + self.promised.owners == 0 && self.queue.is_empty(),
            LockMode::Counting => {
                let taken = self.held.counting + self.promised.counting + self.queue.len() as u64;
                self.held.exclusive + self.promised.exclusive + self.exclusive_waiters.len() == 0
                    && taken + u64::from(claim.count) <= u64::from(max)
            }
        }
    }

    /// The first waiter that asked after `asked`.
    pub fn next_waiter(&self, asked: Option<u64>) -> Option<(u64, LockMode)> {
        let from = asked.map_or(Bound::Unbounded, Bound::Excluded);
        self.queue.range((from, Bound::Unbounded)).next().map(|(asked, (mode, _))| (*asked, *mode))
    }

    /// Whether a waiter with so many left ahead of it could get any of it.
    pub fn has_room(&self, mode: LockMode, ahead: u64, max: u32) -> bool {
        match mode {
            LockMode::Exclusive => self.held.owners == 0 && ahead == 0,
            LockMode::Counting => self.held.exclusive == 0 && self.held.counting + ahead < u64::from(max),
        }
    }

    pub fn take(&mut self, claim: &Claim) {
        self.held.add(claim.mode, claim.count);
    }

    pub fn release(&mut self, claim: &Claim) {
        self.held.remove(claim.mode, claim.count);
    }

    pub fn promise(&mut self, claim: &Claim) {
        self.promised.add(claim.mode, claim.count);
    }

    pub fn unpromise(&mut self, claim: &Claim) {
        self.promised.remove(claim.mode, claim.count);
    }

    /// Joins the queue, in the place that its number gives it.
    pub fn join(&mut self, asked: u64, claim: &Claim) {
        self.queue.insert(asked, (claim.mode, claim.count));
        if claim.mode == LockMode::Exclusive {
            self.exclusive_waiters.insert(asked);
        }
    }

    /// Whether it was in the queue.
    pub fn leave(&mut self, asked: u64) -> bool {
        self.exclusive_waiters.remove(&asked);
        self.queue.remove(&asked).is_some()
    }

    /// The numbers of all who wait.
    pub fn waiters(&self) -> impl Iterator<Item = u64> {
        self.queue.keys().copied()
    }

    /// Nobody has it, is promised it or waits for it.
    pub fn is_idle(&self) -> bool {
        self.held.owners + self.promised.owners == 0 && self.queue.is_empty()
    }
}
