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
        let _ = (builders, each);
        todo!()
    }

    /// Unclaimed, incomplete requests by builder; builders without any are absent.
    pub async fn pending_counts(&self) -> Result<HashMap<BuilderId, PendingCount>, DataError> {
        todo!()
    }
}
