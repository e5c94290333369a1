//! How builds ask the distributor for the instance of a latent worker (reference 08.041).

use super::{Failure, Passwords};
use crate::build::BuildShared;
use crate::distributor::Message;
use lunabot_model::{BuildRequestId, WorkerId};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// One for all builds of a master.
pub(crate) struct LatentDesk {
    inbox: mpsc::Sender<Message>,
    pub passwords: Arc<Passwords>,
}

impl LatentDesk {
    pub fn new(inbox: mpsc::Sender<Message>) -> Self {
        LatentDesk { inbox, passwords: Arc::default() }
    }

    /// Completes when the worker is there, for the build of this request; `build` is what `start_instance` gets.
    pub async fn substantiate(
        &self,
        worker: WorkerId,
        request: BuildRequestId,
        build: Arc<BuildShared>,
    ) -> Result<(), Failure> {
        let (reply, ready) = oneshot::channel();
        // A distributor that is gone starts nothing.
        let _ = self.inbox.send(Message::Substantiate { worker, request, build, reply }).await;
        ready.await.unwrap_or_else(|_| Err(Failure::new("nobody waits for the worker any more")))
    }
}
