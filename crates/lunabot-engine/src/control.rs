//! Control actions on builds, requests and workers (reference 09e, 07.024, 07.026, 07.027, 08.008–08.010).

use crate::distributor::{Event, Message, WorkerOrder, retire};
use lunabot_data::new::{NewBuildset, StampRef};
use lunabot_data::{ControlError, ControlHandler, Data, DataError, Explainer};
use lunabot_model::explanation::Explanation;
use lunabot_model::{BoxFuture, BuildId, BuildRequestId, Id, Json, Results, WorkerId};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// 05.013.
pub(crate) const NO_REASON: &str = "<no reason given>";

/// Registers the engine's actions.
pub(crate) fn register(data: &Data, inbox: &mpsc::Sender<Message>) {
    let door = |resource| Arc::new(Door { resource, data: data.clone(), inbox: inbox.clone() });
    data.set_explainer(Arc::new(Asker(inbox.clone())));
    data.on_control("builds", door(Resource::Build));
    data.on_control("buildrequests", door(Resource::Request));
    data.on_control("workers", door(Resource::Worker));
}

/// Asks the distributor why requests wait.
struct Asker(mpsc::Sender<Message>);

impl Explainer for Asker {
    fn explain(&self, requests: Vec<BuildRequestId>) -> BoxFuture<'_, HashMap<BuildRequestId, Explanation>> {
        Box::pin(async move {
            let (reply, told) = oneshot::channel();
            // A distributor that is gone knows of nothing that waits.
            let _ = self.0.send(Message::Explain { requests, reply }).await;
            told.await.unwrap_or_default()
        })
    }

    fn quarantines(&self) -> BoxFuture<'_, HashMap<WorkerId, Duration>> {
        Box::pin(async move {
            let (reply, told) = oneshot::channel();
            let _ = self.0.send(Message::Quarantines(reply)).await;
            told.await.unwrap_or_default()
        })
    }

    fn downtimes(&self) -> BoxFuture<'_, HashMap<WorkerId, i64>> {
        Box::pin(async move {
            let (reply, told) = oneshot::channel();
            let _ = self.0.send(Message::Downtimes(reply)).await;
            told.await.unwrap_or_default()
        })
    }
}

#[derive(Clone, Copy)]
enum Resource {
    Build,
    Request,
    Worker,
}

struct Door {
    resource: Resource,
    data: Data,
    inbox: mpsc::Sender<Message>,
}

impl ControlHandler for Door {
    fn control<'a>(
        &'a self,
        id: &'a str,
        action: &'a str,
        params: Json,
    ) -> BoxFuture<'a, Result<Json, ControlError>> {
        Box::pin(async move {
            let id: Id = id.parse().map_err(|_| ControlError::NotFound(format!("{id} is not an id")))?;
            let reason: Arc<str> = params.get("reason").and_then(Json::as_str).unwrap_or(NO_REASON).into();
            match (self.resource, action) {
                (Resource::Build, "stop") => self.stop_build(id, reason).await,
                (Resource::Build, "rebuild") => self.rebuild(id).await,
                (Resource::Request, "cancel") => self.cancel(id, reason).await,
                (Resource::Request, "set_priority") => self.set_priority(id, &params).await,
                (Resource::Worker, "pause") => self.pause(id, true, Some(&reason)).await,
                (Resource::Worker, "unpause") => self.pause(id, false, None).await,
                (Resource::Worker, "stop") => self.grace(id).await,
                (Resource::Worker, "kill") => self.order(id, WorkerOrder::Kill).await,
                (Resource::Build | Resource::Request | Resource::Worker, other) => {
                    Err(ControlError::Unsupported(other.into()))
                }
            }
        })
    }
}

fn internal(error: DataError) -> ControlError {
    ControlError::Internal(error.to_string())
}

impl Door {
    async fn send(&self, message: Message) -> Result<(), ControlError> {
        let sent = self.inbox.send(message).await;
        sent.map_err(|_| ControlError::Internal("the master is stopping".into()))
    }

    async fn stop_build(&self, build: BuildId, reason: Arc<str>) -> Result<Json, ControlError> {
        let known = self.data.build(build).await.map_err(internal)?;
        known.ok_or_else(|| ControlError::NotFound("Build not found".into()))?;
        self.send(Message::StopBuild { build, reason, results: Results::Cancelled }).await?;
        Ok(Json::Null)
    }

    /// 07.027.
    async fn rebuild(&self, build: BuildId) -> Result<Json, ControlError> {
        let missing = || ControlError::NotFound("Build not found".into());
        let row = self.data.build(build).await.map_err(internal)?.ok_or_else(missing)?;
        let request =
            self.data.build_request(row.buildrequestid).await.map_err(internal)?.ok_or_else(missing)?;
        let old = self.data.buildset(request.buildsetid).await.map_err(internal)?.ok_or_else(missing)?;
        let mut properties = self.data.buildset_properties(request.buildsetid).await.map_err(internal)?;
        properties.update(&self.data.request_properties(row.buildrequestid).await.map_err(internal)?);
        let new = NewBuildset {
            scheduler: "rebuild".into(),
            reason: "rebuild".into(),
            external_idstring: old.external_idstring,
            sourcestamps: old.sourcestamps.iter().map(|stamp| StampRef::Id(stamp.ssid)).collect(),
            properties,
            builderids: vec![row.builderid],
            priority: request.priority,
            parent_buildid: old.parent_buildid,
            parent_relationship: old.parent_relationship,
            rebuilt_buildid: old.rebuilt_buildid.or(Some(build)),
            ..NewBuildset::default()
        };
        let (bsid, requests) = self.data.add_buildset(new).await.map_err(internal)?;
        Ok(json!([bsid, requests]))
    }

    /// 07.024.
    async fn cancel(&self, request: BuildRequestId, reason: Arc<str>) -> Result<Json, ControlError> {
        let known = self.data.build_request(request).await.map_err(internal)?;
        known.ok_or_else(|| ControlError::NotFound("Build request not found".into()))?;
        if retire::retire(&self.data, request, Results::Cancelled, &reason).await.map_err(internal)? {
            // It must not be offered any more, whenever the bus says so.
            self.send(Message::Gone(vec![request])).await?;
        } else {
            self.send(Message::StopRequest { request, reason }).await?;
        }
        Ok(Json::Null)
    }

    /// 07.026.
    async fn set_priority(&self, request: BuildRequestId, params: &Json) -> Result<Json, ControlError> {
        let priority = params.get("priority").and_then(Json::as_i64);
        let priority =
            priority.ok_or_else(|| ControlError::InvalidParams("priority must be a whole number".into()))?;
        let known = self.data.build_request(request).await.map_err(internal)?;
        known.ok_or_else(|| ControlError::NotFound("Build request not found".into()))?;
        let stored = self.data.set_request_priority(request, priority).await.map_err(internal)?;
        self.send(Message::Priority { request, priority }).await?;
        stored.await.map_err(internal)?;
        Ok(Json::Null)
    }

    /// 08.008.
    async fn pause(
        &self,
        worker: WorkerId,
        paused: bool,
        reason: Option<&str>,
    ) -> Result<Json, ControlError> {
        let reason = reason.filter(|reason| *reason != NO_REASON);
        self.order(worker, WorkerOrder::Event(Event::Paused { worker, paused })).await?;
        self.data
            .set_worker_paused(worker, paused, reason)
            .await
            .map_err(internal)?
            .await
            .map_err(internal)?;
        Ok(Json::Null)
    }

    /// 08.009.
    async fn grace(&self, worker: WorkerId) -> Result<Json, ControlError> {
        self.data.set_worker_graceful(worker, true).await.map_err(internal)?.detach();
        self.order(worker, WorkerOrder::Event(Event::Graceful(worker))).await
    }

    async fn order(&self, worker: WorkerId, order: WorkerOrder) -> Result<Json, ControlError> {
        let (reply, known) = oneshot::channel();
        self.send(Message::Worker { worker, order, reply: Some(reply) }).await?;
        match known.await {
            Ok(true) => Ok(Json::Null),
            Ok(false) => Err(ControlError::NotFound("Worker not found".into())),
            Err(_) => Err(ControlError::Internal("the master is stopping".into())),
        }
    }
}
