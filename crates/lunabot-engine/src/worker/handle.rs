//! A connected worker as builds hold it.

use super::WorkerLink;
use lunabot_model::WorkerId;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One connection; a worker that reconnects gets a new one.
pub(crate) struct WorkerHandle {
    pub id: WorkerId,
    pub name: String,
    pub link: Arc<dyn WorkerLink>,
    /// Cancelled when the connection is gone.
    pub lost: CancellationToken,
}

impl WorkerHandle {
    pub fn new(id: WorkerId, name: &str, link: Arc<dyn WorkerLink>) -> Self {
        WorkerHandle { id, name: name.into(), link, lost: CancellationToken::new() }
    }
}
