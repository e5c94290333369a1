//! What pages ask about many builders at once; each answered from an index, whatever the size of the tables.

use crate::{Data, DataError};
use lunabot_model::BuilderId;
use lunabot_model::resources::Build;
use std::collections::HashMap;

/// How many requests of a builder nobody has claimed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingCount {
    pub count: i64,
    /// When the oldest of them was submitted, seconds since 1970.
    pub oldest: i64,
}

impl Data {
    /// The newest `each` builds of each of these builders, newest first, without properties. From the index on
    /// (builder, number): its cost does not grow with the history of a builder.
    pub async fn newest_builds(
        &self,
        builders: &[BuilderId],
        each: i64,
    ) -> Result<HashMap<BuilderId, Vec<Build>>, DataError> {
        Ok(self.shared.store.newest_builds(builders, each).await?)
    }

    /// Unclaimed, incomplete requests by builder; builders without any are absent.
    pub async fn pending_counts(&self) -> Result<HashMap<BuilderId, PendingCount>, DataError> {
        let mut counts: HashMap<BuilderId, PendingCount> = HashMap::new();
        for request in self.shared.live().requests.values().filter(|r| !r.claimed && !r.complete) {
            let none = PendingCount { count: 0, oldest: request.submitted_at };
            let own = counts.entry(request.builderid).or_insert(none);
            own.count += 1;
            own.oldest = own.oldest.min(request.submitted_at);
        }
        Ok(counts)
    }
}
