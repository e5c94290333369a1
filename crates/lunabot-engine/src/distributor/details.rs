//! The requests that wait, with all that decisions about them need, by id and by builder.

use super::keys::{Keyed, Keys};
use crate::collapse::Group;
use lunabot_data::new::PendingRequest;
use lunabot_model::{BuildRequestId, BuilderId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// See the module.
#[derive(Default)]
pub(crate) struct Details {
    all: HashMap<BuildRequestId, Arc<PendingRequest>>,
    by_builder: HashMap<BuilderId, OfBuilder>,
}

#[derive(Default)]
struct OfBuilder {
    ids: BTreeSet<BuildRequestId>,
    keys: Keys,
}

impl Details {
    pub fn insert(&mut self, request: Arc<PendingRequest>) {
        let (id, builder) = (request.request.buildrequestid, request.request.builderid);
        let of_builder = self.by_builder.entry(builder).or_default();
        of_builder.ids.insert(id);
        of_builder.keys.add(id);
        self.all.insert(id, request);
    }

    /// Whether a request of this builder does not wait for its workers for ever.
    pub fn any_limited(&self, builder: BuilderId) -> bool {
        let ids = self.by_builder.get(&builder).into_iter().flat_map(|of_builder| &of_builder.ids);
        ids.filter_map(|id| self.all.get(id)).any(|request| request.limits.offline_timeout.is_some())
    }

    /// Whether a request of this builder waits.
    pub fn any(&self, builder: BuilderId) -> bool {
        self.by_builder.contains_key(&builder)
    }

    pub fn get(&self, id: BuildRequestId) -> Option<&Arc<PendingRequest>> {
        self.all.get(&id)
    }

    pub fn remove(&mut self, id: BuildRequestId) -> Option<Arc<PendingRequest>> {
        let request = self.all.remove(&id)?;
        let builder = request.request.builderid;
        if let Some(of_builder) = self.by_builder.get_mut(&builder) {
            of_builder.ids.remove(&id);
            of_builder.keys.remove(id);
            if of_builder.ids.is_empty() {
                self.by_builder.remove(&builder);
            }
        }
        Some(request)
    }

    /// Those of one builder, oldest submitted first (07.003).
    pub fn of_builder(&self, builder: BuilderId) -> Vec<Arc<PendingRequest>> {
        let ids = self.by_builder.get(&builder).into_iter().flat_map(|of_builder| &of_builder.ids);
        self.by_age(ids)
    }

    fn by_age<'a>(&self, ids: impl Iterator<Item = &'a BuildRequestId>) -> Vec<Arc<PendingRequest>> {
        let mut all: Vec<_> = ids.filter_map(|id| self.all.get(id).cloned()).collect();
        all.sort_by_key(|request| (request.request.submitted_at, request.request.buildrequestid));
        all
    }

    /// Those of one builder whose keys this configuration has not been asked for; from now on they count as asked.
    pub fn unasked(&mut self, builder: BuilderId, generation: u64) -> Vec<Arc<PendingRequest>> {
        let Some(of_builder) = self.by_builder.get_mut(&builder) else { return Vec::new() };
        let ids = of_builder.keys.ask(generation, &of_builder.ids);
        ids.iter().filter_map(|id| self.all.get(id).cloned()).collect()
    }

    /// Notes keys; gives the group that they were asked for, if there is one.
    pub fn learn(&mut self, keyed: Keyed) -> Option<Group> {
        let of = keyed.of.clone();
        let of_builder = self.by_builder.get_mut(&keyed.builder)?;
        of_builder.keys.learn(keyed);
        let (key, ids) = of_builder.keys.group(&of)?;
        let (key, mut ids) = (key.clone(), ids.clone());
        let newest = self.all.get(&ids.pop_last()?)?.clone();
        let olders = self.by_age(ids.iter());
        Some(Group { key, newest, olders })
    }
}
