//! The requests that wait, with all that decisions about them need, by id and by builder.

use lunabot_data::new::PendingRequest;
use lunabot_model::{BuildRequestId, BuilderId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// See the module.
#[derive(Default)]
pub(crate) struct Details {
    all: HashMap<BuildRequestId, Arc<PendingRequest>>,
    by_builder: HashMap<BuilderId, BTreeSet<BuildRequestId>>,
}

impl Details {
    pub fn insert(&mut self, request: Arc<PendingRequest>) {
        let (id, builder) = (request.request.buildrequestid, request.request.builderid);
        self.by_builder.entry(builder).or_default().insert(id);
        self.all.insert(id, request);
    }

    pub fn get(&self, id: BuildRequestId) -> Option<&Arc<PendingRequest>> {
        self.all.get(&id)
    }

    pub fn remove(&mut self, id: BuildRequestId) -> Option<Arc<PendingRequest>> {
        let request = self.all.remove(&id)?;
        let builder = request.request.builderid;
        if let Some(ids) = self.by_builder.get_mut(&builder) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_builder.remove(&builder);
            }
        }
        Some(request)
    }

    /// Those of one builder, oldest submitted first (07.003).
    pub fn of_builder(&self, builder: BuilderId) -> Vec<Arc<PendingRequest>> {
        let ids = self.by_builder.get(&builder).into_iter().flatten();
        let mut all: Vec<_> = ids.filter_map(|id| self.all.get(id).cloned()).collect();
        all.sort_by_key(|request| (request.request.submitted_at, request.request.buildrequestid));
        all
    }
}
