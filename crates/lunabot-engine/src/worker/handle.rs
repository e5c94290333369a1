//! A connected worker as builds hold it.

use super::latent::LatentLink;
use super::{LinkError, WorkerLink};
use lunabot_model::WorkerId;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One connection; a worker that reconnects gets a new one. That of a latent worker may have yet to come.
pub(crate) struct WorkerHandle {
    pub id: WorkerId,
    pub name: String,
    pub link: Arc<dyn WorkerLink>,
    /// Cancelled when the connection is gone.
    pub lost: CancellationToken,
    /// The builders it was told last.
    told: tokio::sync::Mutex<Vec<(String, String)>>,
    /// `link`, where it is that of a latent worker.
    latent: Option<Arc<LatentLink>>,
}

impl WorkerHandle {
    pub fn new(id: WorkerId, name: &str, link: Arc<dyn WorkerLink>) -> Self {
        WorkerHandle {
            id,
            name: name.into(),
            link,
            lost: CancellationToken::new(),
            told: Default::default(),
            latent: None,
        }
    }

    /// Of a worker that has yet to connect.
    pub fn latent(id: WorkerId, name: &str) -> Self {
        let link = Arc::new(LatentLink::default());
        WorkerHandle { latent: Some(link.clone()), ..WorkerHandle::new(id, name, link) }
    }

    /// The latent worker has connected. False: it had before.
    pub fn connect(&self, link: Arc<dyn WorkerLink>) -> bool {
        self.latent.as_ref().is_some_and(|latent| latent.connect(link))
    }

    /// Whether the latent worker has connected, be it that it has left since.
    pub fn has_connected(&self) -> bool {
        self.latent.as_ref().is_none_or(|latent| latent.is_connected())
    }

    /// Whether it is this connection.
    pub fn is(&self, link: &Arc<dyn WorkerLink>) -> bool {
        Arc::ptr_eq(&self.link, link) || self.latent.as_ref().is_some_and(|latent| latent.is(link))
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
