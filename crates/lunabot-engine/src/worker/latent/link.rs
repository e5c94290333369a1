//! The link of a worker that has yet to connect: builds hold it from their beginning.

use crate::worker::{CommandSink, LinkError, WorkerLink};
use async_trait::async_trait;
use lunabot_proto::{Command, WorkerInfo};
use std::sync::{Arc, LazyLock, OnceLock};

/// What is known of a worker that is not there.
static NOTHING: LazyLock<WorkerInfo> = LazyLock::new(WorkerInfo::default);

/// Passes on to the connection, once there is one; until then it is lost.
#[derive(Default)]
pub(crate) struct LatentLink(OnceLock<Arc<dyn WorkerLink>>);

impl LatentLink {
    /// The worker is here. False: another one was before.
    pub fn connect(&self, link: Arc<dyn WorkerLink>) -> bool {
        self.0.set(link).is_ok()
    }

    pub fn is_connected(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether it is this connection.
    pub fn is(&self, link: &Arc<dyn WorkerLink>) -> bool {
        self.0.get().is_some_and(|present| Arc::ptr_eq(present, link))
    }

    fn present(&self) -> Result<&Arc<dyn WorkerLink>, LinkError> {
        self.0.get().ok_or(LinkError::Lost)
    }
}

#[async_trait]
impl WorkerLink for LatentLink {
    fn info(&self) -> &WorkerInfo {
        self.0.get().map_or(&NOTHING, |link| link.info())
    }

    async fn set_builders(&self, builders: &[(String, String)]) -> Result<(), LinkError> {
        self.present()?.set_builders(builders).await
    }

    async fn ping(&self) -> Result<(), LinkError> {
        self.present()?.ping().await
    }

    async fn start_build(&self, builder: &str) -> Result<(), LinkError> {
        self.present()?.start_build(builder).await
    }

    async fn start_command(
        &self,
        builder: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError> {
        self.present()?.start_command(builder, command, sink).await
    }

    async fn interrupt_command(&self, builder: &str, command_id: &str, why: &str) -> Result<(), LinkError> {
        self.present()?.interrupt_command(builder, command_id, why).await
    }

    async fn shutdown(&self) -> Result<(), LinkError> {
        self.present()?.shutdown().await
    }

    async fn disconnect(&self) {
        if let Ok(link) = self.present() {
            link.disconnect().await;
        }
    }
}
