//! What the distributor's actor is told, and the translations between the store's words and the machine's.

use super::builder::Asks;
use super::keys::Keyed;
use super::{BuilderLocks, BuilderSetup, Event, LockSetup, Waiting, WorkerSetup};
use crate::Generation;
use crate::build::{BuildShared, Outcome};
use crate::collapse::{Candidate, Group};
use crate::engine::{EngineError, EngineStatus, Stop};
use crate::locks::Holder;
use crate::locks::client::{Ask, Progress};
use crate::plan::{BuilderPlan, WorkerPlan};
use crate::scripts::Reply;
use crate::worker::{WorkerHandle, WorkerLink, latent};
use lunabot_data::Data;
use lunabot_data::new::PendingRequest;
use lunabot_model::explanation::Explanation;
use lunabot_model::{BuildId, BuildRequestId, BuilderId, Json, Results, WorkerId, locks};
use lunabot_proto::{Value, WorkerInfo};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// A generation ready to be used.
pub(crate) struct Plan {
    pub generation: Arc<Generation>,
    pub builders: Vec<Arc<BuilderPlan>>,
    /// With their stored pauses.
    pub workers: Vec<(Arc<WorkerPlan>, bool)>,
    /// Instances of latent workers that earlier processes have left.
    pub left: HashMap<WorkerId, latent::Record>,
}

/// What a worker is ordered to do.
#[derive(Debug)]
pub(crate) enum WorkerOrder {
    Event(Event),
    /// Shut down at once (08.010).
    Kill,
}

/// See the module.
pub(crate) enum Message {
    Apply {
        plan: Box<Plan>,
        reply: oneshot::Sender<()>,
    },
    Attach {
        name: String,
        link: Arc<dyn WorkerLink>,
        reply: oneshot::Sender<Result<(), EngineError>>,
    },
    /// An attached worker was introduced to the store and knows its builders.
    Ready(Arc<WorkerHandle>),
    Detach {
        name: String,
        link: Arc<dyn WorkerLink>,
    },
    /// A build wants the instance of a latent worker.
    Substantiate {
        worker: WorkerId,
        request: BuildRequestId,
        build: Arc<BuildShared>,
        reply: oneshot::Sender<Result<(), latent::Failure>>,
    },
    /// A call of a latent worker's class has been answered.
    Latent {
        worker: WorkerId,
        call: u64,
        event: latent::Event,
    },
    /// Its owner wants it to stop when it is idle.
    WantsToStop {
        name: String,
    },
    /// Requests are new or given back.
    Announced(Vec<BuildRequestId>),
    Loaded(Vec<PendingRequest>),
    /// Events were missed: all that waits is to be read again.
    Reread,
    Gone(Vec<BuildRequestId>),
    Collapse {
        new: Vec<PendingRequest>,
        reply: oneshot::Sender<Vec<Candidate>>,
    },
    /// Keys that were asked for (`util.collapse_by`); the reply is the group of the request that they were asked for.
    Keyed {
        keyed: Keyed,
        reply: oneshot::Sender<Option<Group>>,
    },
    /// Something about waiting requests is new.
    Changed(Vec<PendingRequest>),
    Answered {
        question: u64,
        reply: Reply,
    },
    /// A function of this builder may be called again.
    Again(BuilderId),
    Claimed {
        request: BuildRequestId,
        ours: bool,
    },
    BuildAdded {
        request: BuildRequestId,
        build: BuildId,
    },
    BuildEnded {
        request: BuildRequestId,
        outcome: Outcome,
        /// What to say of it, should it put its worker into quarantine.
        why: Option<Box<str>>,
    },
    AskLocks {
        ask: Ask,
        reply: watch::Sender<Progress>,
    },
    GiveUpLocks(Holder),
    /// Why do these wait? Those that do not are left out.
    Explain {
        requests: Vec<BuildRequestId>,
        reply: oneshot::Sender<HashMap<BuildRequestId, Explanation>>,
    },
    /// Which workers are in quarantine, and how much longer?
    Quarantines(oneshot::Sender<HashMap<WorkerId, Duration>>),
    /// Which workers are in a downtime, and until when, in seconds since 1970?
    Downtimes(oneshot::Sender<HashMap<WorkerId, i64>>),
    StopBuild {
        build: BuildId,
        reason: Arc<str>,
        results: Results,
    },
    StopRequest {
        request: BuildRequestId,
        reason: Arc<str>,
    },
    /// A request was given back to the queue.
    GivenBack(BuildRequestId),
    Priority {
        request: BuildRequestId,
        priority: i64,
    },
    /// The reply says whether the worker is configured.
    Worker {
        worker: WorkerId,
        order: WorkerOrder,
        reply: Option<oneshot::Sender<bool>>,
    },
    Stop {
        how: Stop,
        reply: oneshot::Sender<()>,
    },
    Status(oneshot::Sender<EngineStatus>),
    /// The actor ends.
    Quit,
}

pub(crate) fn waiting(request: &PendingRequest) -> Waiting {
    let row = &request.request;
    Waiting {
        id: row.buildrequestid,
        builder: row.builderid,
        priority: row.priority,
        submitted_at: row.submitted_at,
        parent: request.buildset.parent_buildid.filter(|_| row.waited_for),
    }
}

pub(crate) fn setup_of(builder: &BuilderPlan) -> BuilderSetup {
    let config = &builder.config;
    let global = &builder.generation.config;
    BuilderSetup {
        id: builder.id,
        name: config.name.clone(),
        workers: builder.workers.clone(),
        asks: Asks {
            next_build: config.next_build.is_some(),
            next_worker: config.next_worker.is_some() || global.select_next_worker.is_some(),
            can_start_build: config.can_start_build.is_some(),
        },
    }
}

/// What a configuration says of locks.
pub(crate) fn lock_setup(plan: &Plan) -> LockSetup {
    let of_builder = |builder: &BuilderPlan| {
        let value = builder.config.locks.as_ref()?;
        // What cannot be read ends the build with its error, as what cannot be rendered does.
        match (locks::is_computed(value), locks::uses(value)) {
            (false, Ok(uses)) if uses.is_empty() => None,
            (false, Ok(uses)) => Some((builder.id, BuilderLocks::Fixed(uses))),
            _ => Some((builder.id, BuilderLocks::Computed)),
        }
    };
    let of_worker = |worker: &WorkerPlan| (worker.id, (worker.name.as_str().into(), worker.locks.clone()));
    LockSetup {
        generation: plan.generation.number,
        all: plan.generation.config.locks().collect(),
        builders: plan.builders.iter().filter_map(|builder| of_builder(builder)).collect(),
        workers: plan.workers.iter().map(|(worker, _)| of_worker(worker)).collect(),
    }
}

/// As it is at `now`, seconds since 1970.
pub(crate) fn worker_setup(worker: &WorkerPlan, now: i64) -> WorkerSetup {
    let latent = worker.latent.as_ref();
    WorkerSetup {
        id: worker.id,
        name: worker.name.clone(),
        max_builds: worker.max_builds,
        latent: latent.is_some(),
        downtime: worker.downtime.as_ref().and_then(|downtime| downtime.until(now)),
        asks_compatible: latent.is_some_and(|latent| latent.params.builds_may_be_incompatible),
    }
}

/// Stores that a worker is here, and tells it its builders (08.004).
pub(crate) async fn introduce(
    data: &Data,
    handle: &WorkerHandle,
    builders: Vec<(String, String)>,
) -> Result<(), EngineError> {
    data.worker_connected(handle.id, info_json(handle.link.info())).await?.detach();
    // A worker that was asked to stop has come back: it takes builds again.
    data.set_worker_graceful(handle.id, false).await?.detach();
    let told = handle.tell_builders(builders).await;
    told.map_err(|error| EngineError::Refused(format!("worker {}: {error}", handle.name)))
}

/// What is shown of a worker: not its environment, which may hold secrets (08.003).
pub(crate) fn info_json(info: &WorkerInfo) -> Json {
    let mut shown = serde_json::Map::new();
    for (key, value) in info.to_dict() {
        let value = match value {
            Value::Str(text) => Json::from(text),
            Value::Bool(truth) => Json::from(truth),
            Value::Int(number) => i64::try_from(number).map_or(Json::Null, Json::from),
            Value::Float(number) => Json::from(number),
            Value::None | Value::Bytes(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) => continue,
        };
        if key != "delete_leftover_dirs" {
            shown.insert(key, value);
        }
    }
    // 08.002: whoever reads these finds them, also of a worker that says nothing.
    for key in ["access_uri", "admin", "host", "version"] {
        shown.entry(key).or_insert(Json::Null);
    }
    Json::Object(shown)
}
