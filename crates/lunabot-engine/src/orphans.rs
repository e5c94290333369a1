//! Requests whose parent does not wait for them any more.
//!
//! A build that triggers others and waits for them (06.046) may be interrupted by the end of the process, however that
//! came. It is built again and triggers again; what it had triggered before would be built for nobody.

use lunabot_data::{Data, DataError};
use lunabot_model::{BuildRequestId, Results};
use std::collections::HashMap;

/// Cancels them. To be called before anything is built, when nothing of them is claimed, and by when it is known who
/// wants to hear of it.
pub(crate) async fn cancel(data: &Data) -> Result<(), DataError> {
    let orphans = find(data).await?;
    if orphans.is_empty() || !data.claim(&orphans).await? {
        return Ok(());
    }
    tracing::warn!(requests = ?orphans, "cancelled what interrupted builds had triggered and waited for");
    let mut last = None;
    for request in orphans {
        last = Some(data.retire_request(request, Results::Cancelled).await?);
    }
    match last {
        Some(stored) => stored.await,
        None => Ok(()),
    }
}

async fn find(data: &Data) -> Result<Vec<BuildRequestId>, DataError> {
    let mut running = HashMap::new();
    let mut orphans = Vec::new();
    for pending in data.pending_requests(None).await?.into_iter().filter(|p| p.request.waited_for) {
        let Some(parent) = pending.buildset.parent_buildid else { continue };
        let runs = match running.get(&parent) {
            Some(runs) => *runs,
            None => data.build(parent).await?.is_some_and(|build| !build.complete),
        };
        running.insert(parent, runs);
        if !runs {
            orphans.push(pending.request.buildrequestid);
        }
    }
    Ok(orphans)
}
