//! The life of a worker: connect, serve, come back.

use super::connect::connect;
use super::retry::Retry;
use super::session::{Over, Session};
use super::{RemoteOptions, Stops};
use crate::{WorkerCore, WorkerError};
use std::path::Path;
use tokio::time::sleep;

/// Why a worker ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its owner wanted it to.
    Stopped,
    /// Its owner wanted it to when its builds had ended, and they have.
    Graceful,
    /// The master wanted it to.
    ByMaster,
}

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The password cannot be read, and never could.
    #[error("{0}")]
    Password(String),
    #[error("gave up after {tries} tries in a row (maxretries): {why}")]
    GivenUp { tries: u32, why: String },
}

/// Runs a worker until it is told to end. Must be called on a tokio runtime.
///
/// # Errors
/// Its folder or its password cannot be used, or `max_retries` is set and reached.
pub async fn run(options: RemoteOptions, stops: Stops) -> Result<End, RemoteError> {
    let mut password = read_password(&options.password_file).await.map_err(RemoteError::Password)?;
    // Made before the master is there: what an earlier process left running is ended in any case.
    let mut core = Some(make_core(&options).await?);
    let mut retry = Retry::new(options.max_delay, options.max_retries);
    loop {
        let Lost { why, attached } = match connection(&options, &stops, &password, &mut core).await {
            Ok(end) => return Ok(end),
            Err(lost) => lost,
        };
        if attached {
            retry.attached();
        }
        let Some(wait) = retry.failed((options.chance)()) else {
            return Err(RemoteError::GivenUp { tries: retry.failures() + 1, why });
        };
        tracing::warn!("{why}; trying again in {:.1} s", wait.as_secs_f64());
        tokio::select! {
            () = stops.now.cancelled() => return Ok(End::Stopped),
            () = stops.graceful.cancelled() => return Ok(End::Graceful),
            () = sleep(wait) => {}
        }
        refresh(&options, &mut password, &mut core).await;
    }
}

/// Why a connection is over, or did not come about.
struct Lost {
    why: String,
    /// Whether the master had taken this worker in.
    attached: bool,
}

/// One connection, to its end. One that comes about uses up the core.
async fn connection(
    options: &RemoteOptions,
    stops: &Stops,
    password: &str,
    core: &mut Option<WorkerCore>,
) -> Result<End, Lost> {
    let early = |why: String| Lost { why, attached: false };
    let Some(ready) = core.take() else { return Err(early("there is no folder to work in".into())) };
    let connected = tokio::select! {
        biased;
        () = stops.now.cancelled() => return Ok(End::Stopped),
        () = stops.graceful.cancelled() => return Ok(End::Graceful),
        connected = connect(options, password.to_owned()) => connected,
    };
    let socket = match connected {
        Ok(socket) => socket,
        Err(error) => {
            *core = Some(ready);
            return Err(early(error.to_string()));
        }
    };
    tracing::info!("connected to {}", options.address);
    match Session::new(ready, options, stops.clone()).live(socket).await {
        (Over::Stopped, _) => Ok(End::Stopped),
        (Over::Shutdown, _) => Ok(End::ByMaster),
        (Over::Idle, _) => Ok(End::Graceful),
        (Over::Lost(why), attached) => Err(Lost { why, attached }),
    }
}

/// What each connection needs anew. A password that cannot be read now stays what it was; a folder is tried again.
async fn refresh(options: &RemoteOptions, password: &mut String, core: &mut Option<WorkerCore>) {
    match read_password(&options.password_file).await {
        Ok(read) => *password = read,
        Err(why) => tracing::warn!("{why}; the password read before is used"),
    }
    if core.is_none() {
        match make_core(options).await {
            Ok(made) => *core = Some(made),
            Err(error) => tracing::error!("{error}"),
        }
    }
}

async fn make_core(options: &RemoteOptions) -> Result<WorkerCore, WorkerError> {
    let worker = options.worker.clone();
    let basedir = worker.basedir.clone();
    let made = tokio::task::spawn_blocking(move || WorkerCore::new(worker)).await;
    made.unwrap_or_else(|error| {
        Err(WorkerError::Basedir { path: basedir, source: std::io::Error::other(error) })
    })
}

/// The password in a file: its text without the newline at its end.
async fn read_password(path: &Path) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| format!("cannot read the password in {}: {error}", path.display()))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(format!("{} holds no password", path.display()));
    }
    Ok(password.to_owned())
}
