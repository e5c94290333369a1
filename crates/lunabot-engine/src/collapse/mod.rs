//! Collapsing: whether a new request makes an older one needless (reference 07.002–07.008).

mod ask;
mod rule;

pub use rule::can_be_collapsed;

use crate::distributor::{Keyed, Message, Of};
use crate::scripts::{BuilderView, RequestChanges};
use ask::Doomed;
use lunabot_data::new::PendingRequest;
use lunabot_data::{COLLAPSED_INTO, Collapser, Data, DataError};
use lunabot_model::config::Collapse;
use lunabot_model::kinds::collapse::CollapseByParams;
use lunabot_model::{BoxFuture, BuildRequestId, Properties, Results};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Source of the properties that collapsing sets.
const SOURCE: &str = "collapseRequests";
/// Keys asked for before what they tell is stored.
const PART: usize = 1024;

/// The rule that the store asks for new requests.
pub(crate) struct EngineCollapser {
    data: Data,
    inbox: mpsc::Sender<Message>,
}

/// A new request and what it is held against.
pub(crate) struct Candidate {
    pub new: Arc<PendingRequest>,
    pub builder: BuilderView,
    pub against: Against,
}

/// What decides about a new request.
pub(crate) enum Against {
    /// Each of those that wait for the same builder, oldest first.
    Olders(Vec<Arc<PendingRequest>>),
    /// Keys; these requests have not been asked for theirs yet.
    Keys(Vec<Arc<PendingRequest>>),
}

/// Requests of one key: the newest, and the others, oldest first.
pub(crate) struct Group {
    pub key: Arc<str>,
    pub newest: Arc<PendingRequest>,
    pub olders: Vec<Arc<PendingRequest>>,
}

impl Group {
    /// Of the others those that are also in this list, which is ordered by id.
    fn only(mut self, these: &[Arc<PendingRequest>]) -> Self {
        let id = |request: &Arc<PendingRequest>| request.request.buildrequestid;
        self.olders.retain(|old| these.binary_search_by_key(&id(old), id).is_ok());
        self
    }
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

    /// 07.002, 07.003.
    async fn collapse_one(&self, candidate: Candidate) -> Result<(), DataError> {
        let Candidate { new, builder, against } = candidate;
        match (builder.plan.collapse(), against) {
            (Some(Collapse::By(by)), Against::Keys(unasked)) => {
                self.by_key(&builder, &by.args, &new, &unasked).await
            }
            (Some(Collapse::Callback(callback)), Against::Olders(olders)) if !olders.is_empty() => {
                let all = olders.iter().chain([&new]).cloned().collect();
                let changes = RequestChanges::read(&self.data, all).await?;
                let doomed = ask::pairs(&builder, callback, &new, &olders, &changes).await;
                self.give_up(&new, doomed).await
            }
            (Some(Collapse::Switch(true)) | None, Against::Olders(olders)) => {
                let doomed = self.by_default(&new, &olders).await?;
                self.skip(&new, doomed.iter()).await.map(drop)
            }
            // Switched off, nothing to compare with, or the configuration changed while it was looked at.
            _ => Ok(()),
        }
    }

    /// The equal keys of one builder leave one request, the newest. Where there are many, those found so far are stored
    /// while the next keys are asked.
    async fn by_key(
        &self,
        builder: &BuilderView,
        by: &CollapseByParams,
        new: &Arc<PendingRequest>,
        unasked: &[Arc<PendingRequest>],
    ) -> Result<(), DataError> {
        // The newest part first: what stays is in it.
        let mut parts = unasked.rchunks(PART);
        let mut of = Of::Request(new.request.buildrequestid);
        let mut group = self.group_of(builder, by, of.clone(), parts.next().unwrap_or_default()).await?;
        for part in parts {
            // The new one may be gone meanwhile, in favour of one that is newer still.
            if let Some(group) = &group {
                of = Of::Key(group.key.clone());
            }
            let next = self.group_of(builder, by, of.clone(), part);
            let (settled, next) = futures::join!(self.settle(by, group), next);
            settled?;
            group = next?.map(|group| group.only(part));
        }
        self.settle(by, group).await
    }

    /// Those with this key, once these have been asked for theirs.
    async fn group_of(
        &self,
        builder: &BuilderView,
        by: &CollapseByParams,
        of: Of,
        unasked: &[Arc<PendingRequest>],
    ) -> Result<Option<Group>, DataError> {
        let changes = RequestChanges::read(&self.data, unasked.to_vec()).await?;
        let keyed = Keyed {
            builder: builder.plan.id,
            generation: builder.plan.generation.number,
            keys: ask::keys(builder, &by.function, unasked, &changes).await,
            of,
        };
        let (reply, group) = oneshot::channel();
        // A stopping engine collapses nothing.
        let _ = self.inbox.send(Message::Keyed { keyed, reply }).await;
        Ok(group.await.ok().flatten())
    }

    async fn settle(&self, by: &CollapseByParams, group: Option<Group>) -> Result<(), DataError> {
        let Some(Group { newest, olders, .. }) = group else { return Ok(()) };
        let doomed = if by.compatible { self.by_default(&newest, &olders).await? } else { olders };
        self.skip(&newest, doomed.iter()).await.map(drop)
    }

    async fn by_default(
        &self,
        new: &PendingRequest,
        olders: &[Arc<PendingRequest>],
    ) -> Result<Vec<Arc<PendingRequest>>, DataError> {
        let alike: Vec<_> = olders.iter().filter(|old| rule::agree(new, old)).cloned().collect();
        if alike.is_empty() {
            return Ok(alike);
        }
        let requests = alike.iter().map(Arc::as_ref).chain([new]);
        let stamps = requests.flat_map(|request| &request.buildset.sourcestamps).map(|stamp| stamp.ssid);
        let stamps: Vec<_> = stamps.collect::<BTreeSet<_>>().into_iter().collect();
        let changes = self.data.changes_of_stamps(&stamps).await?;
        let changed: BTreeSet<_> = changes.iter().map(|change| change.sourcestamp.ssid).collect();
        Ok(alike.into_iter().filter(|old| rule::same_point(new, old, &changed)).collect())
    }

    /// Skips those that are still there, and sets what was said about them on the request that stays.
    async fn give_up(&self, new: &PendingRequest, doomed: Doomed) -> Result<(), DataError> {
        let skipped = self.skip(new, doomed.iter().map(|(old, _)| old)).await?;
        let mut properties = Properties::new();
        for (old, more) in &doomed {
            if skipped.contains(&old.request.buildrequestid) {
                properties.update(more);
            }
        }
        if properties.is_empty() {
            return Ok(());
        }
        let id = new.request.buildrequestid;
        self.data.set_request_properties(id, &properties).await?.await?;
        let changed = self.data.pending_requests(Some(&[id])).await?;
        // A stopping engine does not need to know.
        let _ = self.inbox.send(Message::Changed(changed)).await;
        Ok(())
    }

    /// 07.006. The ids of those that nobody took meanwhile.
    async fn skip(
        &self,
        into: &PendingRequest,
        doomed: impl Iterator<Item = &Arc<PendingRequest>>,
    ) -> Result<BTreeSet<BuildRequestId>, DataError> {
        let into = into.request.buildrequestid;
        let ids: Vec<_> = doomed.map(|old| old.request.buildrequestid).collect();
        let mut why = Properties::new();
        why.set(COLLAPSED_INTO, into, SOURCE);
        let (ours, stored) = self.data.complete_free(&ids, into, Results::Skipped, &why).await?;
        if !ours.is_empty() {
            // Stored before anyone hears of the new request.
            stored.await?;
        }
        Ok(ours.into_iter().collect())
    }
}
