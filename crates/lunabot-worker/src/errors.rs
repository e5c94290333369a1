//! What can go wrong, by who has to know.

use std::path::PathBuf;

/// The worker itself cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The base directory cannot be made or found.
    #[error("worker: cannot use {path} as base directory: {source}")]
    Basedir {
        /// The directory asked for.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A command that was refused before it began; nothing will be reported for its id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// No command of that name.
    #[error("(command {id}): unrecognized WorkerCommand '{name}'")]
    Unknown {
        /// The command's id.
        id: String,
        /// The name asked for.
        name: String,
    },
    /// Required arguments are missing.
    #[error("{command} is missing args: {}", .missing.join(", "))]
    MissingArgs {
        /// The command, by the reference's name for it.
        command: &'static str,
        /// The missing names.
        missing: Vec<&'static str>,
    },
    /// A command of that id is running already.
    #[error("(command {id}): a command with this id is running")]
    Duplicate {
        /// The command's id.
        id: String,
    },
    /// [`crate::WorkerCore::shutdown`] was called.
    #[error("the worker is shutting down")]
    ShuttingDown,
}

/// The master refused a transfer request or cannot be reached.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct TransferError(
    /// Why, for the log.
    pub String,
);

/// A command that broke in itself: becomes the failure of its `complete`.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Self(error.0)
    }
}
