//! [`Data`]: the signatures of the data API. Their bodies live beside the tables they touch.

use crate::bus::Bus;
use crate::control::{ControlError, ControlHandler};
use crate::new::*;
use lunabot_model::resources::*;
use lunabot_model::{
    BoxFuture, BuildId, BuildRequestId, BuilderId, BuildsetId, ChangeId, ChangeSourceId, Clock, Id, Json,
    LogId, MasterId, Properties, Results, SchedulerId, SourceStampId, StepId, WorkerId,
};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// The data API of one master; cheap to clone.
#[derive(Clone)]
pub struct Data {}

/// How to open the store.
pub struct OpenOptions {
    /// `sqlite:///relative`, `sqlite:////absolute`, `postgresql://…` (14.020).
    pub url: String,
    /// Base for relative paths; backups of an SQLite file are laid beside it.
    pub basedir: PathBuf,
    /// `hostname:basedir` (09.011).
    pub master_name: String,
    pub clock: Arc<dyn Clock>,
}

/// Why the store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DataError {
    /// `Invalid path: a/b` (09.050).
    #[error("Invalid path: {0}")]
    InvalidPath(String),
    #[error("{0}")]
    NotFound(String),
    /// A bad query (09.051), with the reference's texts.
    #[error("{0}")]
    BadQuery(String),
    /// The database failed; details are in the log, the text says what an operator can do.
    #[error("{0}")]
    Storage(String),
}

/// Resolves when an update is durable; may be dropped.
#[must_use = "await it before answering the outside, or drop it with `.detach()`"]
pub struct Ack(pub(crate) BoxFuture<'static, Result<(), DataError>>);

impl Ack {
    /// Not waiting: the row will be written in its order all the same.
    pub fn detach(self) {}
}

impl std::future::IntoFuture for Ack {
    type Output = Result<(), DataError>;
    type IntoFuture = BoxFuture<'static, Result<(), DataError>>;
    fn into_future(self) -> Self::IntoFuture {
        self.0
    }
}

/// What a path holds.
#[derive(Debug, Clone)]
pub enum Answer {
    /// `total` where it is known (09.045, 09.068).
    List {
        plural: &'static str,
        items: Vec<Json>,
        total: Option<i64>,
    },
    One {
        plural: &'static str,
        item: Json,
    },
    /// `/raw`, `/raw_inline`, `/value`: streamed by [`Data::raw`].
    Raw,
}

type Result<T, E = DataError> = std::result::Result<T, E>;

/// Opening, reading.
impl Data {
    /// Opens the store, migrates it (after a backup of an SQLite file), and marks this master as started: builds
    /// that an earlier process left running end with RETRY, their requests are unclaimed (14.033, 15.004).
    pub async fn open(options: OpenOptions) -> Result<Data> {
        let _ = options;
        todo!()
    }

    pub fn bus(&self) -> &Bus {
        todo!()
    }

    pub fn master_id(&self) -> MasterId {
        todo!()
    }

    /// Answers a path of `/api/v2` (09b) with a raw query string (09d): filters, fields, order, limit, offset, property.
    pub async fn get(&self, path: &str, query: &str) -> Result<Answer> {
        let _ = (path, query);
        todo!()
    }

    pub async fn build(&self, id: BuildId) -> Result<Option<Build>> {
        let _ = id;
        todo!()
    }

    pub async fn build_properties(&self, id: BuildId) -> Result<Properties> {
        let _ = id;
        todo!()
    }

    pub async fn build_request(&self, id: BuildRequestId) -> Result<Option<BuildRequest>> {
        let _ = id;
        todo!()
    }

    pub async fn buildset(&self, id: BuildsetId) -> Result<Option<Buildset>> {
        let _ = id;
        todo!()
    }

    pub async fn buildset_properties(&self, id: BuildsetId) -> Result<Properties> {
        let _ = id;
        todo!()
    }

    pub async fn change(&self, id: ChangeId) -> Result<Option<Change>> {
        let _ = id;
        todo!()
    }

    /// The newest change attached to each of these source stamps, and all changes of each, by id.
    pub async fn changes_of_stamps(&self, stamps: &[SourceStampId]) -> Result<Vec<Change>> {
        let _ = stamps;
        todo!()
    }

    /// Unclaimed, incomplete requests, by id; all, or those named.
    pub async fn pending_requests(&self, only: Option<&[BuildRequestId]>) -> Result<Vec<PendingRequest>> {
        let _ = only;
        todo!()
    }

    /// Completion time of each builder's newest build, for `getNewestCompleteTime` (07.012).
    pub async fn newest_complete_times(&self) -> Result<HashMap<BuilderId, i64>> {
        todo!()
    }

    /// Waits until everything written so far is durable.
    pub async fn flush(&self) -> Result<()> {
        todo!()
    }
}

/// What is configured.
impl Data {
    /// Makes the configured builders the active ones of this master; others lose it (01.066). Events builders/N/….
    pub async fn sync_builders(&self, builders: &[BuilderDecl]) -> Result<HashMap<String, BuilderId>> {
        let _ = builders;
        todo!()
    }

    pub async fn sync_projects(&self, projects: &[ProjectDecl]) -> Result<HashMap<String, Id>> {
        let _ = projects;
        todo!()
    }

    /// After [`Data::sync_builders`].
    pub async fn sync_workers(&self, workers: &[WorkerDecl]) -> Result<HashMap<String, Worker>> {
        let _ = workers;
        todo!()
    }

    pub async fn sync_schedulers(&self, names: &[String]) -> Result<HashMap<String, Scheduler>> {
        let _ = names;
        todo!()
    }

    pub async fn sync_change_sources(&self, names: &[String]) -> Result<HashMap<String, ChangeSourceId>> {
        let _ = names;
        todo!()
    }

    /// Force schedulers are not stored; this list is what their endpoints answer (09.014, 09.041).
    pub fn set_force_schedulers(&self, all: Vec<ForceScheduler>) {
        let _ = all;
        todo!()
    }

    /// Registers a resource that is not stored, e.g. `generations` and `script_errors`: its rows are asked for at each
    /// request and go through the same query language.
    pub fn set_virtual(&self, plural: &'static str, rows: Arc<dyn Fn() -> Vec<Json> + Send + Sync>) {
        let _ = (plural, rows);
        todo!()
    }

    pub async fn set_scheduler_enabled(&self, id: SchedulerId, enabled: bool) -> Result<()> {
        let _ = (id, enabled);
        todo!()
    }
}

/// Changes, source stamps, buildsets, requests.
impl Data {
    /// Stores a change with its source stamp; durable when it returns (02.002). Event changes/N/new.
    pub async fn add_change(&self, change: NewChange) -> Result<Change> {
        let _ = change;
        todo!()
    }

    /// Stores a buildset, its properties, stamps and requests in one transaction, lets the collapser look at the new
    /// requests, then announces buildset and requests (07.001). Durable when it returns. No builders: completes
    /// at once with SUCCESS. `settled` is written in the same transaction.
    pub async fn add_buildset(
        &self,
        buildset: NewBuildset,
    ) -> Result<(BuildsetId, BTreeMap<BuilderId, BuildRequestId>)> {
        let _ = buildset;
        todo!()
    }

    /// The rule asked for new requests between their storing and their announcement (07.002–07.007). It completes
    /// older requests itself through [`Data::claim`] and [`Data::complete_requests`].
    pub fn set_collapser(&self, collapser: Arc<dyn Collapser>) {
        let _ = collapser;
        todo!()
    }

    /// Claims requests for this master; false: one of them is not claimable any more (07.024). Event …/claimed.
    pub async fn claim(&self, requests: &[BuildRequestId]) -> Result<bool> {
        let _ = requests;
        todo!()
    }

    /// Gives requests back to the queue (RETRY, 07.025). Event …/unclaimed.
    pub async fn unclaim(&self, requests: &[BuildRequestId]) -> Result<Ack> {
        let _ = requests;
        todo!()
    }

    /// Completes requests, and buildsets that have no incomplete request left, with the worst of their results
    /// (05.006). Events …/complete.
    pub async fn complete_requests(&self, requests: &[BuildRequestId], results: Results) -> Result<Ack> {
        let _ = (requests, results);
        todo!()
    }

    pub async fn set_request_priority(&self, request: BuildRequestId, priority: i64) -> Result<Ack> {
        let _ = (request, priority);
        todo!()
    }
}

/// Looks at new requests before they are announced.
pub trait Collapser: Send + Sync {
    fn collapse<'a>(&'a self, new: &'a [BuildRequestId]) -> BoxFuture<'a, ()>;
}

/// Builds and steps. These return as soon as the row has its place in the queue; the id is final.
impl Data {
    /// Adds a build with the builder's next number. No event yet (05 life cycle 1; [`Data::announce_build`]).
    pub async fn add_build(&self, build: NewBuild) -> Result<(Build, Ack)> {
        let _ = build;
        todo!()
    }

    /// Event builds/N/new in its three forms (05 life cycle 6).
    pub async fn announce_build(&self, build: BuildId) -> Result<Ack> {
        let _ = build;
        todo!()
    }

    /// Event builds/N/update.
    pub async fn set_build_state(&self, build: BuildId, state: &str) -> Result<Ack> {
        let _ = (build, state);
        todo!()
    }

    pub async fn add_build_locks_duration(&self, build: BuildId, seconds: i64) -> Result<Ack> {
        let _ = (build, seconds);
        todo!()
    }

    /// Writes only properties that changed (04.004). Event builds/N/properties/update with those.
    pub async fn set_build_properties(&self, build: BuildId, changed: Properties) -> Result<Ack> {
        let _ = (build, changed);
        todo!()
    }

    pub async fn set_build_data(
        &self,
        build: BuildId,
        name: &str,
        value: Vec<u8>,
        source: &str,
    ) -> Result<Ack> {
        let _ = (build, name, value, source);
        todo!()
    }

    /// Event builds/N/finished.
    pub async fn finish_build(&self, build: BuildId, results: Results, state: &str) -> Result<Ack> {
        let _ = (build, results, state);
        todo!()
    }

    /// Adds a step with the build's next number and a unique name (05.009). Event …/new.
    pub async fn add_step(&self, build: BuildId, name: &str, state: &str) -> Result<(Step, Ack)> {
        let _ = (build, name, state);
        todo!()
    }

    /// Event …/started. `locks_acquired_at` now too, where the step takes no locks.
    pub async fn start_step(&self, step: StepId, locks_acquired: bool) -> Result<Ack> {
        let _ = (step, locks_acquired);
        todo!()
    }

    pub async fn set_step_locks_acquired(&self, step: StepId) -> Result<Ack> {
        let _ = step;
        todo!()
    }

    /// Event …/updated.
    pub async fn set_step_state(&self, step: StepId, state: &str) -> Result<Ack> {
        let _ = (step, state);
        todo!()
    }

    /// Duplicates are dropped (05.030). Event …/updated.
    pub async fn add_step_url(&self, step: StepId, name: &str, url: &str) -> Result<Ack> {
        let _ = (step, name, url);
        todo!()
    }

    /// Event …/finished.
    pub async fn finish_step(
        &self,
        step: StepId,
        results: Results,
        state: &str,
        hidden: bool,
    ) -> Result<Ack> {
        let _ = (step, results, state, hidden);
        todo!()
    }
}

/// Logs.
impl Data {
    /// Adds a log with a unique slug (13.006). Event …/new.
    pub async fn add_log(&self, step: StepId, name: &str, log_type: LogType) -> Result<(Log, Ack)> {
        let _ = (step, name, log_type);
        todo!()
    }

    /// Appends whole lines; waits while too much is queued (bounded memory). Event …/append, several appends of one
    /// commit as one.
    pub async fn append_log(&self, log: LogId, text: LogText) -> Result<Ack> {
        let _ = (log, text);
        todo!()
    }

    /// Event …/finished.
    pub async fn finish_log(&self, log: LogId) -> Result<Ack> {
        let _ = log;
        todo!()
    }

    /// Lines `first ..= last` of a log, prefixed as stored.
    pub async fn log_lines(&self, log: LogId, first: i64, last: i64) -> Result<String> {
        let _ = (log, first, last);
        todo!()
    }
}

/// Workers, state, scheduler classifications.
impl Data {
    /// Event workers/N/connected. `info` is what the worker reported.
    pub async fn worker_connected(&self, worker: WorkerId, info: Json) -> Result<Ack> {
        let _ = (worker, info);
        todo!()
    }

    /// Event workers/N/disconnected.
    pub async fn worker_disconnected(&self, worker: WorkerId) -> Result<Ack> {
        let _ = worker;
        todo!()
    }

    /// Survives restarts (08.008). Event workers/N/state_updated.
    pub async fn set_worker_paused(
        &self,
        worker: WorkerId,
        paused: bool,
        reason: Option<&str>,
    ) -> Result<Ack> {
        let _ = (worker, paused, reason);
        todo!()
    }

    pub async fn set_worker_graceful(&self, worker: WorkerId, graceful: bool) -> Result<Ack> {
        let _ = (worker, graceful);
        todo!()
    }

    pub async fn get_state(&self, key: &StateKey) -> Result<Option<StateValue>> {
        let _ = key;
        todo!()
    }

    /// Durable when the ack resolves.
    pub async fn set_state(&self, key: &StateKey, value: StateValue) -> Result<Ack> {
        let _ = (key, value);
        todo!()
    }

    /// Remembers a scheduler's verdict on a change until its timer fires (03.012).
    pub async fn classify_change(&self, scheduler: SchedulerId, verdict: Classified) -> Result<Ack> {
        let _ = (scheduler, verdict);
        todo!()
    }

    pub async fn classified_changes(&self, scheduler: SchedulerId) -> Result<Vec<Classified>> {
        let _ = scheduler;
        todo!()
    }

    /// Forgets verdicts up to and including `last`; all, if absent.
    pub async fn flush_classifications(&self, scheduler: SchedulerId, last: Option<ChangeId>) -> Result<Ack> {
        let _ = (scheduler, last);
        todo!()
    }
}

/// Control.
impl Data {
    /// Registers who handles control actions of a resource type (`builds`, `buildrequests`, `forceschedulers`,
    /// `schedulers`, `workers`). A later one replaces an earlier one.
    pub fn on_control(&self, plural: &'static str, handler: Arc<dyn ControlHandler>) {
        let _ = (plural, handler);
        todo!()
    }

    /// Carries out an action on what `path` names (09e).
    pub async fn control(
        &self,
        path: &str,
        action: &str,
        params: Json,
    ) -> std::result::Result<Json, ControlError> {
        let _ = (path, action, params);
        todo!()
    }
}
