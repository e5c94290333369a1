//! The master: start, life and end of the process that serves.

mod housekeeping;
mod open;
mod reload;
mod rooms;
mod signals;
mod web;

use crate::basedir::BaseDir;
use crate::clock::SystemClock;
use crate::control::server::Server;
use crate::lifecycle::Lifecycle;
use crate::pidfile::PidFile;
use crate::reload::queue::{self, Wish};
use crate::stop::{Cause, Stage, Stop};
use crate::supervisor;
use crate::wiring::local_worker::Links;
use crate::wiring::metrics::Metrics;
use anyhow::{Context as _, Result, bail};
use lunabot_engine::Stop as EngineStop;
use lunabot_model::Clock;
use rooms::{Ground, Rooms};
use signals::{Request, Signals};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Wishes for reloads that wait to be looked at.
const WISHES: usize = 64;
/// How long tasks may take to end, once everything is stopped.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long threads may take that wait for something outside (a dead disk, a name server).
const THREADS_END: Duration = Duration::from_secs(1);

/// Told once the master serves, with the address of its pages.
pub type Serving = Box<dyn FnOnce(Option<&str>) -> Result<()>>;

/// How a master runs.
pub struct Settings {
    /// How long builds may go on after SIGTERM.
    pub grace: Duration,
    pub serving: Serving,
    /// Links that stand for the workers of `worker.LocalWorker`; `None`: real ones.
    pub simulated_workers: Option<Links>,
}

/// Runs a master until it is told to stop.
///
/// # Errors
/// It could not start, or a part of it died.
pub fn run(base: &BaseDir, settings: Settings) -> Result<()> {
    lunabot_www::take_passed_sockets().context("cannot take what systemd handed over")?;
    let _pid = PidFile::take(&base.pid_file(), "master", "lunabot stop")?;
    let metrics = Metrics::install()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(life(base, settings, metrics));
    runtime.shutdown_timeout(THREADS_END);
    outcome
}

async fn life(base: &BaseDir, settings: Settings, metrics: Metrics) -> Result<()> {
    let mut signals = Signals::listen()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let lifecycle = Lifecycle::new();
    tracing::info!("Starting BuildMaster -- lunabot.version: {}", env!("CARGO_PKG_VERSION"));
    let ground = Ground {
        base: base.clone(),
        clock: Arc::clone(&clock),
        lifecycle: lifecycle.clone(),
        metrics,
        simulated_workers: settings.simulated_workers,
    };
    let starting = Rooms::start(&ground);
    let Some(started) = unless_stopped(starting, &mut signals).await else {
        tracing::info!("told to stop before it served");
        return Ok(());
    };
    let rooms = started.inspect_err(|_| tracing::error!("BuildMaster startup failed"))?;
    let wishes = serve_wishes(base, &rooms, &clock, &lifecycle)?;
    supervisor::start_watchdog(&lifecycle, Arc::clone(&clock));
    tracing::info!("BuildMaster is running");
    supervisor::ready(&rooms.summary());
    crate::text::give_back();
    (settings.serving)(rooms.url().as_deref())?;
    supervise(&rooms, &mut signals, &lifecycle, &clock, Stop::new(settings.grace), &wishes).await;
    end(&rooms, &mut signals, &lifecycle, &clock).await;
    tracing::info!("BuildMaster is stopped");
    lifecycle.death().map_or(Ok(()), |death| bail!("{death}"))
}

/// Waits for the start, but not when told to stop meanwhile.
async fn unless_stopped<T>(starting: impl Future<Output = T>, signals: &mut Signals) -> Option<T> {
    tokio::pin!(starting);
    loop {
        tokio::select! {
            started = &mut starting => return Some(started),
            request = signals.next() => match request {
                Request::Stop(_) => return None,
                // It is just being loaded.
                Request::Reload => {}
            }
        }
    }
}

/// Starts what reloads the configuration: the queue, the socket and the watch that feed it.
fn serve_wishes(
    base: &BaseDir,
    rooms: &Arc<Rooms>,
    clock: &Arc<dyn Clock>,
    lifecycle: &Lifecycle,
) -> Result<mpsc::Sender<Wish>> {
    let (wishes, queued) = mpsc::channel(WISHES);
    let soft = lifecycle.soft();
    let reloader = Arc::clone(rooms) as Arc<dyn queue::Reloader>;
    let keeping = housekeeping::run(Arc::clone(rooms), Arc::clone(clock), soft.clone());
    lifecycle.spawn("housekeeping", async move {
        keeping.await;
        Ok(())
    });
    lifecycle.spawn("reload queue", queue::run(reloader, Arc::clone(clock), queued, soft.clone()));
    let server = Server::bind(&base.socket())?;
    let (asked, clock_of_server) = (wishes.clone(), Arc::clone(clock));
    let stop = soft.clone();
    lifecycle.spawn("control socket", async move {
        stop.run_until_cancelled(server.run(clock_of_server, asked)).await.unwrap_or(Ok(()))
    });
    lifecycle.spawn("file watch", rooms.watch().run(Arc::clone(clock), wishes.clone(), soft));
    Ok(wishes)
}

/// What the master is woken by.
enum Wake {
    Request(Request),
    GraceOver,
    Fault,
    /// No build runs any more.
    Idle,
}

/// Serves until builds have ended or may not go on.
async fn supervise(
    rooms: &Rooms,
    signals: &mut Signals,
    lifecycle: &Lifecycle,
    clock: &Arc<dyn Clock>,
    mut stop: Stop,
    wishes: &mpsc::Sender<Wish>,
) {
    let hard = lifecycle.hard();
    let mut idle: futures::future::OptionFuture<_> = None.into();
    let mut grace: futures::future::OptionFuture<_> = None.into();
    loop {
        let wake = tokio::select! {
            request = signals.next() => Wake::Request(request),
            Some(()) = &mut idle => Wake::Idle,
            Some(()) = &mut grace => Wake::GraceOver,
            () = hard.cancelled() => Wake::Fault,
        };
        let cause = match wake {
            Wake::Idle => return,
            Wake::Request(Request::Reload) => {
                reload(wishes, stop.stage());
                continue;
            }
            Wake::Request(Request::Stop(cause)) => cause,
            Wake::GraceOver => Cause::GraceOver,
            Wake::Fault => Cause::Fault,
        };
        let Some(stage) = stop.handle(cause) else {
            tracing::info!("already stopping");
            continue;
        };
        supervisor::stopping();
        match stage {
            Stage::Running => {}
            Stage::Clean => tracing::info!("waiting for running builds to finish"),
            Stage::Soft => {
                tracing::info!("stopping; running builds have {} s left", stop.grace().as_secs());
                grace = Some(clock.sleep(stop.grace())).into();
            }
            Stage::Now | Stage::AtOnce => return,
        }
        if !rooms.stopping() {
            idle = Some(rooms.drain()).into();
        }
    }
}

fn reload(wishes: &mpsc::Sender<Wish>, stage: Stage) {
    if stage != Stage::Running {
        tracing::info!("stopping; the configuration is not loaded again");
    } else if wishes.try_send(Wish::Reload).is_err() {
        tracing::warn!("too many reloads are waiting; this one adds nothing");
    }
}

/// Ends what still runs and writes everything. One more signal: leaves at once.
async fn end(rooms: &Rooms, signals: &mut Signals, lifecycle: &Lifecycle, clock: &Arc<dyn Clock>) {
    supervisor::stopping();
    let orderly = async {
        rooms.stop(EngineStop::Fast).await;
        lifecycle.stop_softly();
        tokio::select! {
            () = lifecycle.finished() => {}
            () = clock.sleep(LAST_WORDS) => tracing::warn!("some tasks did not end in time"),
        }
        rooms.close().await;
        lifecycle.stop_now();
    };
    if unless_stopped(orderly, signals).await.is_none() {
        tracing::warn!("told to stop again: leaving at once");
        lifecycle.stop_now();
    }
}
