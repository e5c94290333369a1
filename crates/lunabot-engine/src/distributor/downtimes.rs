//! Downtimes of workers: times of the week at which no build is started on them.

use super::Event;
use super::actor::Actor;
use lunabot_model::WorkerId;
use std::time::Duration;

/// The wall clock may be set: it is looked at this often where any worker has downtimes.
const LOOK: Duration = Duration::from_secs(60);

impl Actor {
    /// Begins and ends those that are due, and says when to look again.
    pub(super) fn turn_downtimes(&mut self) {
        let now = self.services.clock.now().secs();
        let plans = self.workers.iter().filter_map(|(id, worker)| Some((*id, worker.downtime.as_ref()?)));
        let (mut next, mut turned) = (None, Vec::new());
        for (id, downtime) in plans {
            let change = downtime.next_change(now);
            next = Some(next.map_or(change, |next: i64| next.min(change)));
            turned.push((id, downtime.until(now)));
        }
        let clock = &self.services.clock;
        let left = |at: i64| Duration::from_secs(u64::try_from(at.saturating_sub(now)).unwrap_or(0));
        self.downtime_look = next.map(|at| clock.mono() + left(at).min(LOOK));
        let known = |id: WorkerId| self.machine.worker(id).and_then(|worker| worker.setup.downtime);
        turned.retain(|(id, until)| known(*id) != *until);
        for (worker, until) in turned {
            self.event(Event::Downtime { worker, until });
        }
    }
}
