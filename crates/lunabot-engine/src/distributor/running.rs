//! The builds that run, found by request or by build.

use crate::build::Orders;
use lunabot_model::{BuildId, BuildRequestId, BuilderId, Mono, Results, WorkerId};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// One running build.
pub(crate) struct Run {
    pub builder: BuilderId,
    pub worker: WorkerId,
    /// A parent build waits for it (07.029).
    pub waited_for: bool,
    pub since: Mono,
    /// Once it has a row.
    pub build: Option<BuildId>,
    pub orders: watch::Sender<Orders>,
}

/// All running builds; a request has at most one.
#[derive(Default)]
pub(crate) struct Runs {
    by_request: HashMap<BuildRequestId, Run>,
    by_build: HashMap<BuildId, BuildRequestId>,
}

impl Runs {
    pub fn insert(&mut self, request: BuildRequestId, run: Run) {
        self.by_request.insert(request, run);
    }

    pub fn added(&mut self, request: BuildRequestId, build: BuildId) {
        if let Some(run) = self.by_request.get_mut(&request) {
            run.build = Some(build);
            self.by_build.insert(build, request);
        }
    }

    pub fn remove(&mut self, request: BuildRequestId) -> Option<Run> {
        let run = self.by_request.remove(&request)?;
        if let Some(build) = run.build {
            self.by_build.remove(&build);
        }
        Some(run)
    }

    pub fn is_running(&self, request: BuildRequestId) -> bool {
        self.by_request.contains_key(&request)
    }

    pub fn is_empty(&self) -> bool {
        self.by_request.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_request.len()
    }

    /// The builds of a builder.
    pub fn of_builder(&self, builder: BuilderId) -> impl Iterator<Item = &Run> {
        self.by_request.values().filter(move |run| run.builder == builder)
    }

    /// The builds on a worker.
    pub fn on_worker(&self, worker: WorkerId) -> impl Iterator<Item = &Run> {
        self.by_request.values().filter(move |run| run.worker == worker)
    }

    /// 05.013; no effect on a build that has ended.
    pub fn stop_build(&self, build: BuildId, reason: &Arc<str>, results: Results) {
        if let Some(request) = self.by_build.get(&build) {
            self.stop_request(*request, reason, results);
        }
    }

    pub fn stop_request(&self, request: BuildRequestId, reason: &Arc<str>, results: Results) {
        if let Some(run) = self.by_request.get(&request) {
            order_stop(&run.orders, reason, results);
        }
    }

    /// 07.029: all are tried again after the next start, but for those that a parent waits for.
    pub fn stop_all(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        for run in self.by_request.values() {
            let results = if run.waited_for { Results::Cancelled } else { Results::Retry };
            order_stop(&run.orders, &reason, results);
        }
    }
}

fn order_stop(orders: &watch::Sender<Orders>, reason: &Arc<str>, results: Results) {
    orders.send_modify(|orders| {
        orders.count += 1;
        orders.stop = Some((reason.clone(), results));
    });
}
