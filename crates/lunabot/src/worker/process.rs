//! The process of a worker: signals, systemd, and the end.

use super::config::{AllowShutdown, Config};
use crate::clock::SystemClock;
use crate::lifecycle::Lifecycle;
use crate::supervisor;
use anyhow::{Context as _, Result};
use lunabot_model::Clock;
use lunabot_worker::remote::{End, Stops};
use nix::sys::stat::{Mode, umask};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};

/// The file whose touch asks for a graceful end (16.021).
const STAMP: &str = "shutdown.stamp";
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Threads that wait for the disk at a time.
const THREADS: usize = 64;
/// How long they may take to end.
const THREADS_END: Duration = Duration::from_secs(1);

/// Runs a worker until it is told to end.
///
/// # Errors
/// It cannot be set up, or it gave up.
pub fn run(config: Config) -> Result<()> {
    if let Some(mask) = config.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    // One thread is enough: commands are other processes.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build();
    let runtime = runtime.context("cannot start threads")?;
    let outcome = runtime.block_on(life(config));
    runtime.shutdown_timeout(THREADS_END);
    outcome
}

async fn life(config: Config) -> Result<()> {
    let Config { remote, allow_shutdown, umask: _ } = config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stops = Stops::default();
    listen(&stops, allow_shutdown)?;
    if allow_shutdown == AllowShutdown::File {
        let stamp = remote.worker.basedir.join(STAMP);
        tokio::spawn(watch(stamp, stops.clone(), Arc::clone(&clock)));
    }
    let lifecycle = Lifecycle::new();
    supervisor::start_watchdog(&lifecycle, clock);
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!("worker {} {version} starts in {}", remote.name, remote.worker.basedir.display());
    supervisor::ready(&format!("worker {} of {}", remote.name, remote.address));
    crate::text::give_back();
    let ended = lunabot_worker::remote::run(remote, stops).await;
    supervisor::stopping();
    match ended? {
        End::Stopped => tracing::info!("stopped"),
        End::Graceful => tracing::info!("stopped, with nothing to do"),
        End::ByMaster => tracing::info!("stopped by the master"),
    }
    Ok(())
}

/// From now on signals end the worker in order. A second SIGTERM or SIGINT adds nothing: the first is as fast as it can be.
fn listen(stops: &Stops, allow_shutdown: AllowShutdown) -> Result<()> {
    let on = |kind| signal(kind).context("cannot listen to signals");
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let mut hangup = on(SignalKind::hangup())?;
    let stops = stops.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => stops.now.cancel(),
                _ = interrupt.recv() => stops.now.cancel(),
                _ = hangup.recv() => match allow_shutdown {
                    AllowShutdown::Signal => stops.graceful.cancel(),
                    AllowShutdown::File | AllowShutdown::None => stops.now.cancel(),
                },
            }
        }
    });
    Ok(())
}

/// Looks for a touch of the stamp; one from before the start counts for nothing.
async fn watch(stamp: PathBuf, stops: Stops, clock: Arc<dyn Clock>) {
    let before = touched(&stamp).await;
    loop {
        clock.sleep(LOOK).await;
        let now = touched(&stamp).await;
        if now.is_some() && now != before {
            stops.graceful.cancel();
            return;
        }
    }
}

async fn touched(stamp: &Path) -> Option<SystemTime> {
    tokio::fs::metadata(stamp).await.ok()?.modified().ok()
}
