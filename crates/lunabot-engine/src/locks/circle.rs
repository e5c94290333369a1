//! Circles: builds that hold what others wait for, and wait for what those hold. None of them goes on until one is stopped.

use super::table::{Locks, News};
use super::{Claim, Holder};
use lunabot_model::locks::LockMode;
use std::collections::BTreeSet;

impl Locks {
    /// Tells those who wait in a circle that they do, after `holder` has begun to wait. Only who has locks already, beside
    /// those it waits for, can close one.
    pub(super) fn look_for_circle(&mut self, holder: Holder) {
        if !self.waits_holding(holder) {
            return;
        }
        let stuck = self.stuck();
        for one in stuck.iter().filter(|_| stuck.contains(&holder)) {
            let others = stuck.iter().filter(|other| *other != one);
            let builds = others.filter_map(|other| self.beside(*other).first().copied()).collect();
            let lacking = self.lacking(*one);
            self.tell(*one, News::Stuck(lacking, builds));
        }
    }

    /// Those who would wait still if everybody else gave back all they have.
    fn stuck(&self) -> BTreeSet<Holder> {
        let mut stuck: BTreeSet<Holder> = self.waiters().filter(|one| self.waits_holding(*one)).collect();
        loop {
            let kept: Vec<&Claim> = stuck.iter().flat_map(|one| self.held_beside(*one)).collect();
            let before = stuck.len();
            let still = stuck.iter().copied().filter(|one| !self.fits_beside(*one, &kept)).collect();
            stuck = still;
            if stuck.len() == before {
                return stuck;
            }
        }
    }

    fn waits_holding(&self, holder: Holder) -> bool {
        !self.lacking(holder).is_empty() && self.held_beside(holder).next().is_some()
    }

    /// Whether there is enough for what a request wants beside these.
    fn fits_beside(&self, holder: Holder, kept: &[&Claim]) -> bool {
        self.wanted(holder).iter().all(|claim| {
            let same: Vec<&&Claim> = kept.iter().filter(|other| other.key == claim.key).collect();
            let alone =
                claim.mode == LockMode::Exclusive || same.iter().any(|c| c.mode == LockMode::Exclusive);
            let sum: u64 = same.iter().map(|c| u64::from(c.count)).sum::<u64>() + u64::from(claim.count);
            same.is_empty() || (!alone && sum <= u64::from(self.max(&claim.key)))
        })
    }
}
