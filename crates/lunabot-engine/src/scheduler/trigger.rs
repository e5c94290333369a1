//! Triggering a scheduler, and following what was triggered.

use super::actor::Order;
use super::stamps::PartialStamp;
use super::triggerable::Triggerable;
use super::{Current, Role, Schedulers};
use lunabot_data::{Answer, Data, DataError, Delivery, Subscription};
use lunabot_model::kind::nearest;
use lunabot_model::resources::{Build, BuildRequest};
use lunabot_model::{BuildId, BuildRequestId, BuilderId, BuildsetId, Pattern, Properties, Results};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// What is asked of a scheduler that can be triggered (03.021).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TriggerOrder {
    /// One per codebase; codebases left out get the scheduler's defaults.
    pub sourcestamps: Vec<PartialStamp>,
    /// The scheduler's own properties win (03.007).
    pub properties: Properties,
    /// Whether the parent waits for the result.
    pub waited_for: bool,
    pub parent_buildid: Option<BuildId>,
    pub parent_relationship: Option<String>,
    /// Counts where the scheduler has no priority of its own (06.049).
    pub priority: Option<i64>,
}

/// Why a scheduler could not be triggered.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    #[error("there is no scheduler '{name}'{hint}")]
    Unknown { name: String, hint: String },
    #[error("scheduler '{0}' cannot be triggered; only a Triggerable or NightlyTriggerable can")]
    NotTriggerable(String),
    #[error("scheduler '{0}' is disabled")]
    Disabled(String),
    #[error("scheduler '{name}': {reason}")]
    Failed { name: String, reason: String },
}

/// What a trigger has made. Waiting for it needs neither the scheduler nor its configuration: a reload changes nothing.
pub struct Triggered {
    /// None where the scheduler builds later (03.020).
    pub bsid: Option<BuildsetId>,
    /// The request of each builder.
    pub requests: BTreeMap<BuilderId, BuildRequestId>,
    open: Vec<BuildRequestId>,
    data: Data,
    events: Subscription,
}

/// A request that is complete.
#[derive(Debug, Clone)]
pub struct Completed {
    pub request: BuildRequestId,
    pub results: Results,
    /// Its builds, oldest first: several where some ended with RETRY, none where it never started.
    pub builds: Vec<TriggeredBuild>,
}

/// A build of a request.
#[derive(Debug, Clone)]
pub struct TriggeredBuild {
    pub builderid: BuilderId,
    pub builder: String,
    pub number: i64,
    pub results: Results,
}

impl Triggered {
    fn new(data: &Data, bsid: Option<BuildsetId>, requests: BTreeMap<BuilderId, BuildRequestId>) -> Self {
        let open: Vec<BuildRequestId> = requests.values().copied().collect();
        let patterns = open.iter().map(|id| Pattern::parse(&format!("buildrequests/{id}/complete")));
        let events = data.bus().subscribe(patterns.collect());
        Triggered { bsid, requests, open, data: data.clone(), events }
    }

    /// The next request that completes; `None` when all have. Nothing is lost when it is dropped while it waits.
    pub async fn next(&mut self) -> Result<Option<Completed>, DataError> {
        // Some may have completed before the subscription.
        let mut looked = false;
        while !self.open.is_empty() {
            if !std::mem::replace(&mut looked, true)
                && let Some(request) = self.complete_one().await?
            {
                return self.completed(request).await.map(Some);
            }
            match self.events.next().await {
                Some(Delivery::Event(_) | Delivery::Lagged(_)) => looked = false,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn complete_one(&self) -> Result<Option<BuildRequest>, DataError> {
        for id in &self.open {
            if let Some(row) = self.data.build_request(*id).await?.filter(|row| row.complete) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    async fn completed(&mut self, row: BuildRequest) -> Result<Completed, DataError> {
        let builds = builds_of(&self.data, row.buildrequestid).await?;
        self.open.retain(|id| *id != row.buildrequestid);
        Ok(Completed {
            request: row.buildrequestid,
            results: row.results.unwrap_or(Results::Success),
            builds,
        })
    }
}

async fn builds_of(data: &Data, request: BuildRequestId) -> Result<Vec<TriggeredBuild>, DataError> {
    data.flush().await?;
    let query = format!("buildrequestid={request}&order=buildid");
    let Answer::List { items, .. } = data.get("builds", &query).await? else {
        return Ok(Vec::new());
    };
    let mut builds = Vec::with_capacity(items.len());
    for item in items {
        let read = serde_json::from_value::<Build>(item);
        let build = read.map_err(|error| DataError::Storage(format!("a build: {error}")))?;
        builds.push(TriggeredBuild {
            builderid: build.builderid,
            builder: builder_name(data, build.builderid).await?,
            number: build.number,
            results: build.results.unwrap_or(Results::Success),
        });
    }
    Ok(builds)
}

async fn builder_name(data: &Data, id: BuilderId) -> Result<String, DataError> {
    match data.get(&format!("builders/{id}"), "").await? {
        Answer::One { item, .. } => Ok(item["name"].as_str().unwrap_or_default().to_string()),
        Answer::List { items, .. } => {
            Ok(items.first().and_then(|b| b["name"].as_str()).unwrap_or_default().to_string())
        }
        Answer::Raw => Ok(String::new()),
    }
}

impl Schedulers {
    /// Whether the scheduler of this name can be triggered.
    pub fn check_triggerable(&self, name: &str) -> Result<(), TriggerError> {
        self.current().triggerable(name).map(|_| ())
    }

    /// Triggers the scheduler of this name, as the newest configuration has it (03.020, 03.021).
    pub async fn trigger(&self, name: &str, order: TriggerOrder) -> Result<Triggered, TriggerError> {
        let current = self.current();
        let (target, data) = current.triggerable(name)?;
        let failed = |reason: String| TriggerError::Failed { name: name.into(), reason };
        match target {
            Target::Now(triggerable) => {
                let added = triggerable.trigger(order).await;
                let (bsid, requests) = added.map_err(|fault| failed(fault.to_string()))?;
                Ok(Triggered::new(data, Some(bsid), requests))
            }
            Target::Later(inbox) => {
                let (stored, waiting) = oneshot::channel();
                let stopping = || failed("the master is stopping".into());
                let order = Order::Trigger { order: Box::new(order), stored };
                inbox.send(order).await.map_err(|_| stopping())?;
                waiting.await.map_err(|_| stopping())?;
                Ok(Triggered::new(data, None, BTreeMap::new()))
            }
        }
    }
}

/// A scheduler that can be triggered.
enum Target<'a> {
    Now(&'a Triggerable),
    /// 03.020.
    Later(&'a mpsc::Sender<Order>),
}

impl Current {
    fn triggerable(&self, name: &str) -> Result<(Target<'_>, &Data), TriggerError> {
        let (Some(entry), Some(data)) = (self.all.get(name), &self.data) else {
            let hint = nearest(name, self.all.keys().map(String::as_str));
            let hint = hint.map(|near| format!(", did you mean '{near}'?")).unwrap_or_default();
            return Err(TriggerError::Unknown { name: name.into(), hint });
        };
        let target = match &entry.role {
            Role::Triggered(triggerable) => Target::Now(triggerable),
            Role::Follows { inbox, .. } if entry.object.kind == "schedulers.NightlyTriggerable" => {
                Target::Later(inbox)
            }
            Role::Forced(_)
            | Role::Follows { .. }
            | Role::Depends { .. }
            | Role::Tried(_)
            | Role::Watches { .. } => {
                return Err(TriggerError::NotTriggerable(name.into()));
            }
        };
        if entry.enabled { Ok((target, data)) } else { Err(TriggerError::Disabled(name.into())) }
    }
}
