//! What callers give to updates: rows to be, without ids.

use lunabot_model::{
    BuildId, BuildRequestId, BuilderId, ChangeId, Duration, Id, Json, Properties, SchedulerId, SourceStampId,
    StepId, WorkerId,
};

/// A change as a source or hook reports it (02.001, 02.002).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewChange {
    pub author: String,
    pub committer: Option<String>,
    pub files: Vec<String>,
    pub comments: String,
    pub revision: Option<String>,
    /// Seconds since 1970; absent: now.
    pub when_timestamp: Option<i64>,
    /// Absent: the trunk.
    pub branch: Option<String>,
    pub category: Option<String>,
    pub revlink: Option<String>,
    pub properties: Properties,
    pub repository: String,
    pub project: String,
    pub codebase: String,
}

pub use lunabot_db::rare::NewTestResult;
pub use lunabot_db::resources::TestResultSet;

/// A set of test results of a step (05.033).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTestResultSet {
    pub builderid: BuilderId,
    pub buildid: BuildId,
    pub stepid: StepId,
    pub description: Option<String>,
    /// `pass_fail`, `pass_only`, `fail_only`: passed and failed are counted; any other word.
    pub category: String,
    /// What the values are: `boolean`, `message`, `second` …
    pub value_unit: String,
}

/// A source stamp to find or make (14.012).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NewSourceStamp {
    pub revision: Option<String>,
    pub branch: Option<String>,
    pub repository: String,
    pub project: String,
    pub codebase: String,
    pub patch: Option<NewPatch>,
}

/// See [`NewSourceStamp`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NewPatch {
    pub body: Vec<u8>,
    pub level: i64,
    pub subdir: String,
    pub author: String,
    pub comment: String,
}

/// A source stamp of a buildset: an existing row, or one to find or make.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are a few at a time")]
pub enum StampRef {
    Id(SourceStampId),
    New(NewSourceStamp),
}

/// A buildset with one request per builder (07.001).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewBuildset {
    /// Name of the scheduler; only in the event `buildsets/N/new` (09.087).
    pub scheduler: String,
    pub reason: String,
    pub external_idstring: Option<String>,
    pub sourcestamps: Vec<StampRef>,
    pub properties: Properties,
    pub builderids: Vec<BuilderId>,
    pub priority: i64,
    pub waited_for: bool,
    pub parent_buildid: Option<BuildId>,
    pub parent_relationship: Option<String>,
    pub rebuilt_buildid: Option<BuildId>,
    /// How long its requests may wait from now on.
    pub patience: Patience,
    /// What the scheduler need not remember any more once the buildset is stored.
    pub settled: Option<Settled>,
}

/// How long requests may wait, in seconds from when they are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// For anything: then they are cancelled.
    pub request: Option<i64>,
    /// Without any connected worker of the builder: then they are skipped.
    pub offline_workers: Option<i64>,
}

impl Patience {
    /// From options in a configuration; parts of seconds are rounded up.
    pub fn of(request: Option<Duration>, offline_workers: Option<Duration>) -> Self {
        let whole = |duration: Duration| duration.secs().max(0.0).ceil() as i64;
        Patience { request: request.map(whole), offline_workers: offline_workers.map(whole) }
    }
}

/// How long one request may wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestLimits {
    /// Seconds since 1970: it is cancelled then, unless it has started.
    pub expires_at: Option<i64>,
    /// Seconds without any connected worker of its builder after which it is skipped.
    pub offline_timeout: Option<i64>,
}

impl RequestLimits {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Bookkeeping of a scheduler that is written in the same transaction as its buildset, so that a master killed at any
/// moment neither forgets a change nor builds it twice (03.012).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settled {
    pub schedulerid: SchedulerId,
    /// Classifications that are deleted.
    pub changes: Vec<ChangeId>,
    /// States that are set.
    pub state: Vec<(StateKey, StateValue)>,
}

/// A build that starts (05 life cycle 1).
#[derive(Debug, Clone, PartialEq)]
pub struct NewBuild {
    pub builderid: BuilderId,
    pub buildrequestid: BuildRequestId,
    pub workerid: Option<WorkerId>,
    pub state_string: String,
    /// The content hash of its configuration.
    pub generation: Option<String>,
}

/// A configured builder (01.052–01.066).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuilderDecl {
    pub name: String,
    pub description: Option<String>,
    pub description_format: Option<String>,
    pub description_html: Option<String>,
    pub project: Option<String>,
    pub tags: Vec<String>,
}

/// A configured worker and the builders it may run (14.014).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerDecl {
    pub name: String,
    pub builders: Vec<String>,
}

/// A configured project (01.068).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProjectDecl {
    pub name: String,
    pub slug: String,
    pub description: Option<String>,
    pub description_format: Option<String>,
    pub description_html: Option<String>,
}

/// A configured codebase (01.070).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CodebaseDecl {
    pub name: String,
    pub slug: String,
    /// The name of its project.
    pub project: String,
}

/// A commit as a change source sees it (09.017).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewCommit {
    pub author: String,
    pub committer: Option<String>,
    pub comments: String,
    pub when_timestamp: i64,
    pub revision: String,
    /// The revision of its first parent.
    pub parent: Option<String>,
}

/// A request that waits to be built, with all that decisions about it need; read in one go (07.015).
#[derive(Debug, Clone, PartialEq)]
pub struct PendingRequest {
    pub request: lunabot_model::resources::BuildRequest,
    pub buildset: lunabot_model::resources::Buildset,
    /// Of its buildset, and its own, which win.
    pub properties: Properties,
    pub limits: RequestLimits,
}

/// Content to append to a log: whole lines, each ending in a newline; for type `s` each begins with its channel's
/// letter (13.002, 13.003).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogText(pub String);

/// A row of object state (14.028): `object` is the name and class of its owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateKey {
    pub object: String,
    pub class: String,
    pub name: String,
}

/// A change classified by a scheduler that waits for its tree to be stable (03.012).
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    pub changeid: Id,
    pub important: bool,
}

/// Free JSON kept under a [`StateKey`].
pub type StateValue = Json;
