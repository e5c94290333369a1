//! Requests that do not wait for ever: `requestTimeout`, and `ignoreOfflineWorkersTimeout`.
//!
//! One timer waits for the earliest deadline; a builder that nobody waits for costs nothing.

use super::actor::Actor;
use super::deadlines::{Deadline, Why};
use super::worker::Worker;
use crate::plan::BuilderPlan;
use lunabot_data::new::{PendingRequest, StateKey};
use lunabot_model::{BuildRequestId, BuilderId, Json, Mono, Results, WorkerId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long workers have to come back after the master was started, at least, in seconds.
const GRACE: i64 = 60;

/// Since when no worker of a builder is connected, seconds since 1970.
#[derive(Default)]
pub(super) struct Offline {
    since: HashMap<BuilderId, i64>,
    /// As stored, by the builder's name: of builders where it matters. It outlives a restart.
    stored: BTreeMap<String, i64>,
    started_at: i64,
}

impl Offline {
    pub fn new(stored: Json, now: i64) -> Self {
        Offline {
            since: HashMap::new(),
            stored: serde_json::from_value(stored).unwrap_or_default(),
            started_at: now,
        }
    }
}

/// Where it is stored.
pub(crate) fn offline_state() -> StateKey {
    StateKey {
        object: "distributor".into(),
        class: "lunabot.distributor".into(),
        name: "offline_since".into(),
    }
}

impl Actor {
    /// Knows a request from now on.
    pub(super) fn keep(&mut self, request: Arc<PendingRequest>) {
        let (id, deadline) = (request.request.buildrequestid, self.deadline(&request));
        self.deadlines.set(id, deadline);
        let offline = request.limits.offline_timeout.is_some();
        let builder = request.request.builderid;
        self.details.insert(request);
        if offline && self.offline.since.contains_key(&builder) {
            self.store_offline();
        }
    }

    pub(super) fn forget(&mut self, request: BuildRequestId) -> Option<Arc<PendingRequest>> {
        self.remarks.forget_request(request);
        self.machine.forget_past(request);
        self.let_go(request)
    }

    /// The request waits no longer; why it did is still to be told, should a build of it end with *retry*.
    pub(super) fn let_go(&mut self, request: BuildRequestId) -> Option<Arc<PendingRequest>> {
        self.deadlines.remove(request);
        self.remarks.end_request(self.services.clock.mono(), request);
        let details = self.details.remove(request)?;
        if !self.details.any(details.request.builderid) {
            self.remarks.forget_builder(details.request.builderid);
        }
        Some(details)
    }

    /// Since when a builder has no connected worker, seconds since 1970.
    pub(super) fn offline_since(&self, builder: BuilderId) -> Option<i64> {
        self.offline.since.get(&builder).copied()
    }

    /// When a request ends by itself if it does not start.
    fn deadline(&self, request: &PendingRequest) -> Option<Deadline> {
        let expires = request.limits.expires_at.map(|at| (at, Why::Expired));
        expires.into_iter().chain(self.offline_deadline(request)).min()
    }

    fn offline_deadline(&self, request: &PendingRequest) -> Option<Deadline> {
        let builder = request.request.builderid;
        let since = self.offline.since.get(&builder)?;
        let own = request.limits.offline_timeout;
        let timeout = own.into_iter().chain(timeout_of(self.builders.get(&builder)?)).min()?;
        // A request has the whole time, and workers have time to come back after a restart.
        let at = (*since).max(request.request.submitted_at).saturating_add(timeout);
        Some((at.max(self.offline.started_at + timeout.min(GRACE)), Why::Offline(timeout)))
    }

    /// When the earliest deadline is, at the latest; clocks that are set are noticed at the next occasion.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let clock = &self.services.clock;
        let left = self.deadlines.next()?.saturating_sub(clock.now().secs());
        Some(clock.mono() + Duration::from_secs(u64::try_from(left).unwrap_or(0)))
    }

    /// Ends the requests whose time is over.
    pub(super) fn end_overdue(&mut self) {
        for (request, why) in self.deadlines.due(self.services.clock.now().secs()) {
            let (results, reason) = match why {
                Why::Expired => {
                    (Results::Cancelled, "it expired: it waited longer than its requestTimeout".into())
                }
                Why::Offline(seconds) => (
                    Results::Skipped,
                    format!(
                        "no worker of the builder was connected for {seconds} s (ignoreOfflineWorkersTimeout)"
                    ),
                ),
            };
            self.retire(request, results, reason.into());
        }
    }

    /// A worker came or went: its builders may have none now, or one again.
    pub(super) fn connection_changed(&mut self, worker: WorkerId) {
        let builders = self.machine.worker(worker).map(|worker| worker.builders.clone()).unwrap_or_default();
        self.update_offline(builders.iter().copied());
    }

    /// Builders without a worker, those of past configurations too.
    pub(super) fn offline_builders(&self) -> impl Iterator<Item = &BuilderId> {
        self.offline.since.keys()
    }

    pub(super) fn update_offline(&mut self, builders: impl IntoIterator<Item = BuilderId>) {
        let mut changed = false;
        for builder in builders {
            if self.note_connection(builder) {
                changed = true;
                self.renew_deadlines(builder);
            }
        }
        if changed {
            self.store_offline();
        }
    }

    /// Whether it has changed whether the builder has a connected worker.
    fn note_connection(&mut self, builder: BuilderId) -> bool {
        let Some(plan) = self.builders.get(&builder) else {
            return self.offline.since.remove(&builder).is_some();
        };
        let connected = |id: &WorkerId| self.machine.worker(*id).is_some_and(Worker::is_there);
        match (plan.workers.iter().any(connected), self.offline.since.contains_key(&builder)) {
            (true, true) => self.offline.since.remove(&builder).is_some(),
            (false, false) => {
                let now = self.services.clock.now().secs();
                let since = self.offline.stored.get(&plan.config.name).copied().unwrap_or(now);
                self.offline.since.insert(builder, since);
                true
            }
            (true, false) | (false, true) => false,
        }
    }

    pub(super) fn renew_deadlines(&mut self, builder: BuilderId) {
        for request in self.details.of_builder(builder) {
            let deadline = self.deadline(&request);
            self.deadlines.set(request.request.buildrequestid, deadline);
        }
    }

    /// Stores what has changed, of the builders where it matters.
    fn store_offline(&mut self) {
        let mut wanted = BTreeMap::new();
        for (builder, since) in &self.offline.since {
            let Some(plan) = self.builders.get(builder) else { continue };
            if timeout_of(plan).is_some() || self.details.any_limited(*builder) {
                wanted.insert(plan.config.name.clone(), *since);
            }
        }
        if wanted == self.offline.stored {
            return;
        }
        let value = serde_json::to_value(&wanted).unwrap_or_default();
        self.offline.stored = wanted;
        let data = self.services.data.clone();
        self.spawn(async move {
            match data.set_state(&offline_state(), value).await {
                Ok(stored) => stored.detach(),
                Err(error) => tracing::error!("could not store since when builders have no worker: {error}"),
            }
            None
        });
    }
}

/// Seconds of the builder's `ignoreOfflineWorkersTimeout`.
fn timeout_of(plan: &BuilderPlan) -> Option<i64> {
    plan.config.ignore_offline_workers_timeout.map(|timeout| timeout.secs().ceil() as i64)
}
