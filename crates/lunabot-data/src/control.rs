//! Control actions (reference 09.075–09.084): requests from REST, pages and Lua to whoever owns the thing.
//!
//! The engine registers a handler per resource; www never knows the engine.

use lunabot_model::explanation::Explanation;
use lunabot_model::progress::BuildProgress;
use lunabot_model::{BoxFuture, BuildId, BuildRequestId, Json, WorkerId};
use std::collections::HashMap;
use std::time::Duration;

/// Why a control action was refused. The variants map to JSONRPC codes (09.077).
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum ControlError {
    /// No such path (404, -32600).
    #[error("Invalid path: {0}")]
    InvalidPath(String),
    /// The resource does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// The resource has no such action (501, -32601).
    #[error("action: {0} is not supported")]
    Unsupported(String),
    /// Bad parameters (400, -32602); the value is a text, or an object field → text (03.032).
    #[error("{0}")]
    InvalidParams(Json),
    /// Anything else (500, -32603).
    #[error("{0}")]
    Internal(String),
}

/// Knows why requests wait.
pub trait Explainer: Send + Sync {
    /// Of those of `requests` that wait, or are about to start.
    fn explain(&self, requests: Vec<BuildRequestId>) -> BoxFuture<'_, HashMap<BuildRequestId, Explanation>>;

    /// Workers in quarantine, and how long they stay there (07.021).
    fn quarantines(&self) -> BoxFuture<'_, HashMap<WorkerId, Duration>>;

    /// Workers in a downtime, and until when, in seconds since 1970.
    fn downtimes(&self) -> BoxFuture<'_, HashMap<WorkerId, i64>>;
}

/// Knows how far builds are that run.
pub trait Progresses: Send + Sync {
    /// `None`: it does not run.
    fn progress(&self, build: BuildId) -> Option<BuildProgress>;
}

/// Handles the actions of one resource type.
pub trait ControlHandler: Send + Sync {
    /// `id` is the row's id (or the name, for force schedulers); `action` e.g. `stop`, `force`.
    fn control<'a>(
        &'a self,
        id: &'a str,
        action: &'a str,
        params: Json,
    ) -> BoxFuture<'a, Result<Json, ControlError>>;
}
