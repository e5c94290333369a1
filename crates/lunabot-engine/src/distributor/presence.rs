//! Workers that come, go, are paused, told to stop, or put into quarantine (reference 07.021–07.023, 08.008, 08.009).

use super::machine::{Effect, Machine};
use super::worker::Why;
use lunabot_model::{Mono, WorkerId};
use std::collections::HashMap;
use std::time::Duration;

impl Machine {
    pub(super) fn attach(&mut self, now: Mono, worker: WorkerId) {
        self.with(worker, |worker| {
            worker.connected = true;
            worker.graceful = false;
            worker.connection_since = now;
        });
        self.freed(worker);
    }

    pub(super) fn detach(&mut self, now: Mono, worker: WorkerId) {
        self.with(worker, |worker| {
            worker.connected = false;
            worker.connection_since = now;
        });
    }

    pub(super) fn pause(&mut self, now: Mono, worker: WorkerId, paused: bool) {
        self.with(worker, |worker| {
            worker.since = if worker.paused == paused { worker.since } else { now };
            worker.paused = paused;
        });
        if !paused {
            // 07.023: unpausing ends a quarantine at once.
            self.exit_quarantine(worker);
        }
    }

    pub(super) fn grace(&mut self, now: Mono, id: WorkerId, effects: &mut Vec<Effect>) {
        self.with(id, |worker| {
            worker.graceful = true;
            worker.since = now;
        });
        if self.workers.get(&id).is_some_and(|worker| worker.connected && worker.running == 0) {
            effects.push(Effect::ShutDown(id));
        }
    }

    pub(super) fn downtime(&mut self, now: Mono, id: WorkerId, until: Option<i64>) {
        self.with(id, |worker| {
            worker.since = if worker.setup.downtime.is_some() { worker.since } else { now };
            worker.setup.downtime = until;
        });
        if until.is_none() {
            self.freed(id);
        }
    }

    /// Workers in a downtime, and when that ends.
    pub fn downtimes(&self) -> HashMap<WorkerId, i64> {
        self.workers.iter().filter_map(|(id, worker)| Some((*id, worker.setup.downtime?))).collect()
    }

    /// Workers in quarantine, and how long they stay there.
    pub fn quarantines(&self, now: Mono) -> HashMap<WorkerId, Duration> {
        let until = |id: &WorkerId| self.workers.get(id)?.quarantine.until;
        self.quarantined.iter().filter_map(|id| Some((*id, until(id)? - now))).collect()
    }

    pub(super) fn quarantine(&mut self, now: Mono, id: WorkerId, why: Why, once: Option<Duration>) {
        self.with(id, |worker| {
            worker.since = if worker.quarantine.until.is_some() { worker.since } else { now };
            worker.quarantine.enter(now, why, once);
        });
        self.quarantined.insert(id);
    }

    pub(super) fn exit_quarantine(&mut self, id: WorkerId) {
        self.with(id, |worker| worker.quarantine.until = None);
        self.quarantined.remove(&id);
        self.freed(id);
    }
}
