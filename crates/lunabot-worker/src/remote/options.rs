//! What an owner decides about a worker that connects to a master.

use super::Address;
use crate::WorkerOptions;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Settings of a worker and its connection.
#[derive(Clone)]
pub struct RemoteOptions {
    /// The worker itself. How output is cut is what the master says.
    pub worker: WorkerOptions,
    pub address: Address,
    /// The worker's name in the master's configuration.
    pub name: String,
    /// The file that holds the password; read before each login.
    pub password_file: PathBuf,
    /// The certificates to trust, PEM; `None`: those of the machine.
    pub ca_file: Option<PathBuf>,
    /// How long the connection may be silent before the master is asked whether it is there; `None`: it is not asked.
    pub keepalive: Option<Duration>,
    /// Longest wait between two tries to connect.
    pub max_delay: Duration,
    /// Failed tries in a row after which the worker gives up; `None`: never.
    pub max_retries: Option<u32>,
    /// The Unix time, in seconds: when lines were printed.
    pub now: fn() -> f64,
    /// A number from 0 to 1, another one each time: many workers are not to come back at the same moment.
    pub chance: fn() -> f64,
}

/// How an owner ends a worker.
#[derive(Debug, Clone, Default)]
pub struct Stops {
    /// Commands are killed, the worker ends.
    pub now: CancellationToken,
    /// The worker ends when its builds have (16.021).
    pub graceful: CancellationToken,
}
