//! The rows that can still change, in memory: running builds with their steps and logs, requests and buildsets that
//! are not complete, and what is configured. A row leaves when its last state is stored.
//!
//! Everything here is guarded by one mutex, held for a few lines at a time and never across an await: the ids, the
//! rows and their place in the next transaction have to change together.

use crate::new::RequestLimits;
use crate::pending::{Forget, Pending};
use lunabot_db::{Names, NextIds};
use lunabot_model::resources::*;
use lunabot_model::{
    BuildId, BuildRequestId, BuilderId, BuildsetId, ChangeId, LogId, Properties, Results, SchedulerId,
    StepId, WorkerId,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A build that runs, or whose end is not stored yet.
pub(crate) struct LiveBuild {
    pub row: Build,
    pub properties: Properties,
    pub next_step: i64,
    pub step_names: HashSet<String>,
    pub steps: Vec<StepId>,
    /// The row of the outbox that tells of its beginning, should this process end before it is announced.
    pub unheard: Option<i64>,
}

/// A step of a running build.
pub(crate) struct LiveStep {
    pub row: Step,
    pub slugs: HashSet<String>,
    pub logs: Vec<LogId>,
}

/// A log of a running build.
pub(crate) struct LiveLog {
    pub row: Log,
    /// In how many transactions it grew: so many chunks it has at least.
    pub pieces: u32,
}

/// A buildset with incomplete requests.
#[derive(Clone)]
pub(crate) struct LiveSet {
    pub row: Buildset,
    pub properties: Arc<Properties>,
    pub remaining: usize,
    /// The worst result of its complete requests.
    pub worst: Results,
}

/// What few requests have.
#[derive(Default)]
pub(crate) struct LiveExtras {
    /// Of its own, without those of its buildset.
    pub properties: Properties,
    pub limits: RequestLimits,
}

/// Branch, repository, codebase, project: the line on which a change has a parent (02.001).
pub(crate) type Line = (Option<String>, String, String, String);

#[derive(Default)]
pub(crate) struct Live {
    pub pending: Pending,
    /// Counts transactions; what is put into `pending` now belongs to this one.
    pub epoch: u64,
    pub ids: NextIds,
    pub names: Names,
    pub builders: HashMap<BuilderId, Builder>,
    pub workers: HashMap<WorkerId, Worker>,
    pub schedulers: HashMap<SchedulerId, Scheduler>,
    pub projects: HashMap<i64, Project>,
    pub codebases: HashMap<i64, Codebase>,
    pub buildsets: HashMap<BuildsetId, LiveSet>,
    pub requests: HashMap<BuildRequestId, BuildRequest>,
    /// Of those that have any.
    pub extras: HashMap<BuildRequestId, LiveExtras>,
    pub builds: HashMap<BuildId, LiveBuild>,
    pub steps: HashMap<StepId, LiveStep>,
    pub logs: HashMap<LogId, LiveLog>,
    /// When the newest build of a builder ended, for those that ended since the start.
    pub complete_times: HashMap<BuilderId, i64>,
    /// Stamps and newest changes that are not stored yet.
    pub stamps: HashMap<String, SourceStamp>,
    pub lines: HashMap<Line, ChangeId>,
    /// Who wants to hear of what.
    pub reporting: Arc<Vec<crate::outbox::Interest>>,
    /// Whether those who report have come; until then what was unheard of by the last process waits for them.
    pub reporters_came: bool,
}

/// The next id of a counter.
pub(crate) fn next(counter: &mut i64) -> i64 {
    *counter += 1;
    *counter
}

impl Live {
    /// Takes what waits, and begins the next transaction.
    pub fn take(&mut self) -> (u64, Pending) {
        let pending = std::mem::take(&mut self.pending);
        self.epoch += 1;
        (self.epoch - 1, pending)
    }

    /// Drops from memory what is stored now.
    pub fn forget(&mut self, after: Vec<Forget>) {
        for what in after {
            match what {
                Forget::Build(id) => self.forget_build(id),
                Forget::Request(id) => {
                    self.requests.remove(&id);
                    self.extras.remove(&id);
                }
                Forget::Buildset(id) => drop(self.buildsets.remove(&id)),
                Forget::Stamp(hash) => drop(self.stamps.remove(&hash)),
                Forget::Line(change) => self.lines.retain(|_, newest| *newest != change),
            }
        }
    }

    fn forget_build(&mut self, id: BuildId) {
        let Some(build) = self.builds.remove(&id) else { return };
        for step in build.steps.iter().filter_map(|step| self.steps.remove(step)) {
            for log in step.logs {
                self.logs.remove(&log);
            }
        }
    }
}
