//! One connected worker, protocol-neutral.

use async_trait::async_trait;
use bytes::Bytes;
use lunabot_proto::{Command, Transfer, Update, WorkerInfo};
use std::sync::Arc;

/// A connection to a worker. In process it wraps the worker itself, else a protocol session.
///
/// Whoever owns the connection calls [`crate::Engine::worker_attached`] once it is up and
/// [`crate::Engine::worker_detached`] when it is gone; from then on the engine ends what ran there with RETRY, and no
/// method of the link is expected to do anything.
#[async_trait]
pub trait WorkerLink: Send + Sync + 'static {
    /// What the worker said of itself when it connected.
    fn info(&self) -> &WorkerInfo;

    /// Tells the worker its builders: (name, folder below its base directory). Called after the attachment and whenever
    /// the configuration changes them.
    async fn set_builders(&self, builders: &[(String, String)]) -> Result<(), LinkError>;

    /// Whether it answers (05 life cycle 9).
    async fn ping(&self) -> Result<(), LinkError>;

    /// A build of this builder begins (05 life cycle 11).
    async fn start_build(&self, builder: &str) -> Result<(), LinkError>;

    /// Starts a command; returns once the worker has taken it. Its news then goes to `sink`, in order, `complete` last.
    /// `command.builddir` is set. A refused command reports nothing.
    async fn start_command(
        &self,
        builder: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError>;

    /// Asks the worker to end a command. It still completes. Unknown ids are ignored.
    async fn interrupt_command(&self, builder: &str, command_id: &str, why: &str) -> Result<(), LinkError>;

    /// Asks the worker to end its process (08.009, 08.010). An in-process worker ends its commands and detaches.
    async fn shutdown(&self) -> Result<(), LinkError>;

    /// Drops the connection; `worker_detached` follows from its owner.
    async fn disconnect(&self);
}

/// Why a link could not do what was asked.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    /// The connection is gone.
    #[error("lost connection to the worker")]
    Lost,
    /// The worker answered with an error, e.g. for an unknown command.
    #[error("{0}")]
    Refused(String),
}

/// Where the news of one command goes. Calls come one at a time, except that `transfer` may overlap an `update`.
#[async_trait]
pub trait CommandSink: Send + Sync + 'static {
    /// Takes news; returns when it is stored or queued within bounds. The link reads no more of this command from the
    /// worker until then: that is how a flood is slowed down at its source.
    async fn update(&self, updates: Vec<Update>);

    /// The last call. `failure` says that the command broke in itself (05.040).
    async fn complete(&self, failure: Option<String>);

    /// Answers a request of a transfer: data for [`Transfer::Read`], nothing for the others.
    async fn transfer(&self, request: Transfer) -> Result<Bytes, String>;
}
