//! The door of the engine: start, apply a configuration, attach workers, stop, ask how it is.

use crate::Generation;
use crate::step::StepKind;
use crate::worker::WorkerLink;
use lunabot_data::{Data, DataError};
use lunabot_model::Clock;
use std::sync::Arc;

/// What an engine needs from its surroundings.
pub struct EngineOptions {
    pub data: Data,
    pub clock: Arc<dyn Clock>,
    /// Seed of the random choices (which of several free workers).
    pub seed: u64,
    /// All steps that configurations may name.
    pub steps: Vec<&'static StepKind>,
}

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Data(#[from] DataError),
    /// The configuration names something the engine does not know; the text names the place.
    #[error("{0}")]
    Config(String),
    #[error("the engine has stopped")]
    Stopped,
}

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No new builds; returns when the running ones have ended (07.029).
    Soft,
    /// Running builds end with RETRY at once.
    Fast,
}

/// How the engine is doing, for the health page.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct EngineStatus {
    /// Number of the configuration that new builds use; 0 before the first.
    pub generation: u64,
    pub builders: usize,
    pub workers_connected: usize,
    pub workers_configured: usize,
    pub builds_running: usize,
    pub requests_pending: usize,
    pub stopping: bool,
}

/// The engine of one master; cheap to clone.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Starts with no configuration: nothing is built before the first [`Engine::apply`].
    pub async fn start(options: EngineOptions) -> Result<Engine, EngineError> {
        let _ = options;
        todo!()
    }

    /// Makes `generation` the current configuration: builders, workers and requests are brought in line with it. Running
    /// builds keep the one they began with (lua-api § 5).
    pub async fn apply(&self, generation: Arc<Generation>) -> Result<(), EngineError> {
        let _ = generation;
        todo!()
    }

    /// A worker has connected. The error says why it is refused; the caller then drops the connection.
    pub async fn worker_attached(&self, name: &str, link: Arc<dyn WorkerLink>) -> Result<(), EngineError> {
        let _ = (name, link);
        todo!()
    }

    /// Its connection is gone. `link` tells a connection that was replaced meanwhile from the present one.
    pub async fn worker_detached(&self, name: &str, link: &Arc<dyn WorkerLink>) {
        let _ = (name, link);
        todo!()
    }

    /// Stops; returns when nothing runs any more and everything is handed to the store. A [`Stop::Fast`] hastens a
    /// [`Stop::Soft`] that still waits.
    pub async fn stop(&self, how: Stop) {
        let _ = how;
        todo!()
    }

    pub async fn status(&self) -> EngineStatus {
        todo!()
    }
}
