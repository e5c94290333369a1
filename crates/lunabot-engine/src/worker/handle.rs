//! A connected worker as builds hold it.

use super::{LinkError, WorkerLink};
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
    /// The builders it was told last.
    told: tokio::sync::Mutex<Vec<(String, String)>>,
}

impl WorkerHandle {
    pub fn new(id: WorkerId, name: &str, link: Arc<dyn WorkerLink>) -> Self {
        WorkerHandle { id, name: name.into(), link, lost: CancellationToken::new(), told: Default::default() }
    }

    /// Tells it its builders, if they are not those it knows.
    pub async fn tell_builders(&self, builders: Vec<(String, String)>) -> Result<(), LinkError> {
        let mut told = self.told.lock().await;
        if *told != builders {
            self.link.set_builders(&builders).await?;
            *told = builders;
        }
        Ok(())
    }
}
