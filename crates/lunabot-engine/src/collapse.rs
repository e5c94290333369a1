//! Collapsing: whether a new request makes an older one needless (reference 07.002–07.008).

use crate::distributor::Message;
use crate::scripts::{BuilderView, master_object, request_object};
use lunabot_data::new::PendingRequest;
use lunabot_data::{Collapser, Data, DataError};
use lunabot_model::config::Collapse;
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, BoxFuture, BuildRequestId, Callback, Json, Property, Results, SourceStampId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// The rule that the store asks for new requests.
pub(crate) struct EngineCollapser {
    data: Data,
    inbox: mpsc::Sender<Message>,
}

/// A new request, those that wait for the same builder (oldest first), and the builder if it is configured.
pub(crate) struct Candidate {
    pub new: Arc<PendingRequest>,
    pub olders: Vec<Arc<PendingRequest>>,
    pub builder: Option<BuilderView>,
}

impl Collapser for EngineCollapser {
    fn collapse<'a>(&'a self, new: &'a [BuildRequestId]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.look_at(new).await {
                tracing::error!("could not collapse requests: {error}");
            }
        })
    }
}

impl EngineCollapser {
    pub fn new(data: Data, inbox: mpsc::Sender<Message>) -> Self {
        EngineCollapser { data, inbox }
    }

    async fn look_at(&self, new: &[BuildRequestId]) -> Result<(), DataError> {
        let new = self.data.pending_requests(Some(new)).await?;
        let (reply, candidates) = oneshot::channel();
        // A stopping engine collapses nothing; the requests are looked at no more.
        if self.inbox.send(Message::Collapse { new, reply }).await.is_err() {
            return Ok(());
        }
        for candidate in candidates.await.unwrap_or_default() {
            self.collapse_one(candidate).await?;
        }
        Ok(())
    }

    /// 07.002, 07.003, 07.006.
    async fn collapse_one(&self, candidate: Candidate) -> Result<(), DataError> {
        let Candidate { new, olders, builder: Some(builder) } = candidate else { return Ok(()) };
        let own = builder.plan.config.collapse_requests.as_ref();
        let global = builder.plan.generation.config.collapse_requests.as_ref();
        let doomed = match own.or(global) {
            Some(Collapse::Switch(false)) => return Ok(()),
            Some(Collapse::Switch(true)) | None => self.by_default(&new, &olders).await?,
            Some(Collapse::Callback(callback)) => self.by_callback(&builder, callback, &new, &olders).await?,
        };
        for old in doomed {
            let id = [old.request.buildrequestid];
            if self.data.claim(&id).await? {
                self.data.complete_requests(&id, Results::Skipped).await?.detach();
            }
        }
        Ok(())
    }

    async fn by_default(
        &self,
        new: &PendingRequest,
        olders: &[Arc<PendingRequest>],
    ) -> Result<Vec<Arc<PendingRequest>>, DataError> {
        let alike: Vec<_> = olders.iter().filter(|old| agree(new, old)).cloned().collect();
        if alike.is_empty() {
            return Ok(alike);
        }
        let stamps =
            alike.iter().flat_map(|old| &old.buildset.sourcestamps).chain(&new.buildset.sourcestamps);
        let ids: BTreeSet<SourceStampId> = stamps.map(|stamp| stamp.ssid).collect();
        let changes = self.changes(ids).await?;
        let changed: BTreeSet<_> = changes.iter().map(|change| change.sourcestamp.ssid).collect();
        Ok(alike.into_iter().filter(|old| same_point(new, old, &changed)).collect())
    }

    async fn changes(&self, stamps: BTreeSet<SourceStampId>) -> Result<Vec<Change>, DataError> {
        let ids: Vec<_> = stamps.into_iter().collect();
        self.data.changes_of_stamps(&ids).await
    }

    /// 07.004, 07.005.
    async fn by_callback(
        &self,
        builder: &BuilderView,
        callback: &Callback,
        new: &PendingRequest,
        olders: &[Arc<PendingRequest>],
    ) -> Result<Vec<Arc<PendingRequest>>, DataError> {
        let mut doomed = Vec::new();
        for old in olders {
            let stamps = |request: &PendingRequest| -> BTreeSet<_> {
                request.buildset.sourcestamps.iter().map(|stamp| stamp.ssid).collect()
            };
            let (of_new, of_old) = (self.changes(stamps(new)).await?, self.changes(stamps(old)).await?);
            let args = vec![
                Arg::Object(master_object()),
                Arg::Object(crate::scripts::builder_object(builder)),
                Arg::Object(request_object(builder, new, &of_new)),
                Arg::Object(request_object(builder, old, &of_old)),
            ];
            let host = &builder.plan.generation.host;
            let site = CallSite::new("collapseRequests", format!("builder {}", builder.plan.config.name));
            match host.call(callback, site.clone(), args).await {
                Ok(Json::Bool(true)) => doomed.push(old.clone()),
                Ok(Json::Bool(false)) | Err(_) => {}
                Ok(Json::Array(_)) => {
                    host.nonsense(callback, site, "a second result (set_properties) is not supported yet");
                }
                Ok(other) => {
                    let text = format!("collapseRequests returned {other:.200}; return true or false");
                    host.nonsense(callback, site, &text);
                }
            }
        }
        Ok(doomed)
    }
}

/// The default rule (07.007): whether `new` makes `old` needless. `changed`: stamps that have changes.
pub fn can_be_collapsed(
    new: &PendingRequest,
    old: &PendingRequest,
    changed: &BTreeSet<SourceStampId>,
) -> bool {
    agree(new, old) && same_point(new, old, changed)
}

/// The parts of the rule that need no look at changes.
fn agree(new: &PendingRequest, old: &PendingRequest) -> bool {
    if new.buildset.bsid == old.buildset.bsid {
        return true;
    }
    if new.request.buildrequestid < old.request.buildrequestid {
        return false;
    }
    let (a, b) = (by_codebase(new), by_codebase(old));
    let stamps_agree = |(codebase, a): (&&str, &&SourceStamp)| {
        b.get(codebase).is_some_and(|b| {
            a.repository == b.repository
                && a.branch == b.branch
                && a.project == b.project
                && a.patch.is_none()
                && b.patch.is_none()
        })
    };
    a.len() == b.len() && a.iter().all(stamps_agree) && scheduled(new).eq(scheduled(old))
}

/// Per codebase: both have changes, or neither has and the revisions are equal.
fn same_point(new: &PendingRequest, old: &PendingRequest, changed: &BTreeSet<SourceStampId>) -> bool {
    if new.buildset.bsid == old.buildset.bsid {
        return true;
    }
    let b = by_codebase(old);
    by_codebase(new).iter().all(|(codebase, a)| {
        b.get(codebase).is_some_and(|b| match (changed.contains(&a.ssid), changed.contains(&b.ssid)) {
            (true, true) => true,
            (true, false) | (false, true) => false,
            (false, false) => a.revision == b.revision,
        })
    })
}

fn by_codebase(request: &PendingRequest) -> BTreeMap<&str, &SourceStamp> {
    request.buildset.sourcestamps.iter().map(|stamp| (stamp.codebase.as_str(), stamp)).collect()
}

/// Properties that a scheduler set, by name.
fn scheduled(request: &PendingRequest) -> impl Iterator<Item = (&str, &Json)> {
    let own = |(name, property): &(&str, &Property)| property.source == "Scheduler" && *name != "scheduler";
    request.properties.iter().filter(own).map(|(name, property)| (name, &property.value))
}

#[cfg(test)]
#[path = "collapse_tests.rs"]
mod tests;
