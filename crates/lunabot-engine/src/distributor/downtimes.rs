//! Downtimes of workers: times of the week at which no build is started on them.

use super::Event;
use super::actor::Actor;
use lunabot_model::{Mono, WorkerId};
use std::time::Duration;

/// The wall clock may be set: it is looked at this often where any worker has downtimes.
const LOOK: Duration = Duration::from_secs(60);

impl Actor {
    /// When [`Actor::turn_downtimes`] is to be called at the latest.
    pub(super) fn next_downtime(&self) -> Option<Mono> {
        let clock = &self.services.clock;
        let left = self.downtime_changes?.saturating_sub(clock.now().secs());
        Some(clock.mono() + Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(LOOK))
    }

    /// Begins and ends those that are due.
    pub(super) fn turn_downtimes(&mut self) {
        let now = self.services.clock.now().secs();
        let plans = self.workers.iter().filter_map(|(id, worker)| Some((*id, worker.downtime.as_ref()?)));
        let (mut next, mut turned) = (None, Vec::new());
        for (id, downtime) in plans {
            let change = downtime.next_change(now);
            next = Some(next.map_or(change, |next: i64| next.min(change)));
            turned.push((id, downtime.until(now)));
        }
        self.downtime_changes = next;
        let known = |id: WorkerId| self.machine.worker(id).and_then(|worker| worker.setup.downtime);
        turned.retain(|(id, until)| known(*id) != *until);
        for (worker, until) in turned {
            self.event(Event::Downtime { worker, until });
        }
    }
}
