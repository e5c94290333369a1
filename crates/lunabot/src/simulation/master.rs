//! A whole master for one test: the real engine, schedulers and store, a clock moved by hand, and workers that are played.

use super::clock::VirtualClock;
use super::host::{CountingHost, Latent};
use super::load::Loaded;
use super::reported::{self, Reported};
use super::secrets::Secrets;
use super::shared::Shared;
use super::steps;
use super::worker::SimWorker;
use crate::clock::SystemClock;
use crate::wiring::master_port::Port;
use lunabot_data::{Data, OpenOptions, Subscription};
use lunabot_engine::{Engine, EngineOptions, Generation, Stop};
use lunabot_integrations::Reporters;
use lunabot_model::config::Config;
use lunabot_model::script::{CallSite, Keep, MasterPort as _};
use lunabot_model::{Callback, Clock as _, Json, Mono, Pattern, ScriptHost, Time};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// A worker that is there only while the engine wants it.
const LATENT: &str = "worker.AbstractLatentWorker";
/// Tasks that look at folders of this machine.
const LOOKS_AT_FILES: &str = "schedulers.Try_Jobdir";
/// How often all parts must have been found at rest in a row.
const CALM: u32 = 3;
/// So many times everybody who is ready gets a turn in one look.
const TURNS: u32 = 32;
/// How long the master must be at rest where builds wait for something that is not seen here (files, locks, others).
const LONG_CALM: Duration = Duration::from_millis(60);
/// Between two looks at such a master.
const PAUSE: Duration = Duration::from_millis(2);
/// How long it may take to come to rest, by the real clock.
const RESTLESS: Duration = Duration::from_secs(30);

/// One simulated master.
pub struct Simulation {
    pub shared: Arc<Shared>,
    pub workers: BTreeMap<String, Arc<SimWorker>>,
    pub secrets: Arc<Secrets>,
    pub port: Arc<Port>,
    pub force_schedulers: Vec<String>,
    /// Their names.
    pub reporters: Vec<String>,
    pub reported: Arc<Reported>,
    running_reporters: Reporters,
    /// What functions that a test hands over are kept for.
    pub scope: Keep,
    /// Held by whoever moves the master on.
    pub turn: tokio::sync::Mutex<()>,
    host: Arc<CountingHost>,
    nothing: Callback,
    /// Functions that compute.
    computing: Arc<AtomicUsize>,
    events: Mutex<(Subscription, u64)>,
    real: SystemClock,
    _dir: TempDir,
}

impl Simulation {
    /// Starts a master with a configuration, and connects its workers. It is at rest then.
    ///
    /// # Errors
    /// What keeps it from starting, in words.
    pub async fn start(loaded: Loaded, dir: TempDir) -> Result<Arc<Self>, String> {
        let Loaded { mut config, host, tests, clock, records, port, file, templates } = loaded;
        config.schedulers.retain(|scheduler| scheduler.kind != LOOKS_AT_FILES);
        let data = Data::open(OpenOptions {
            url: "sqlite:///state.sqlite".into(),
            basedir: dir.path().to_owned(),
            master_name: "simulated".into(),
            clock: Arc::new(clock.clone()),
        });
        let data = data.await.map_err(|error| error.to_string())?;
        let events = data.bus().subscribe(["*/*/*", "*/*/*/*", "*/*/*/*/*"].map(Pattern::parse).to_vec());
        let (host, latents) = CountingHost::new(host);
        let secrets = Arc::new(Secrets::new(records.clone()));
        let (latent, present) = names_of_workers(&config);
        let force_schedulers = force_schedulers(&config);
        let reporters = reported::names(&config);
        let telling = reported::declared(&config, host.clone(), secrets.clone(), templates);
        let running_reporters = Reporters::new(data.clone(), Arc::new(clock.clone()));
        let generation = Arc::new(Generation {
            number: host.generation(),
            content_hash: "simulated".into(),
            config,
            file,
            host: host.clone(),
            secrets: secrets.clone(),
        });
        let engine = Engine::start(EngineOptions {
            data: data.clone(),
            clock: Arc::new(clock.clone()),
            seed: 1,
            steps: steps::all(),
        });
        let engine = engine.await.map_err(|error| error.to_string())?;
        let script = host.clone() as Arc<dyn ScriptHost>;
        port.connect(&data, &script, &generation.secrets, &generation.config);
        running_reporters.apply(&telling).await.map_err(|error| error.to_string())?;
        engine.apply(generation.clone()).await.map_err(|error| error.to_string())?;
        let builders = builders(&data).await?;
        let shared = Shared::new(data, engine, clock, script, records, builders);
        let all = present.iter().chain(&latent);
        let workers: BTreeMap<_, _> = all.map(|name| (name.clone(), SimWorker::new(name, &shared))).collect();
        for name in &present {
            workers[name].connect().await?;
        }
        tokio::spawn(serve_latents(latents, workers.clone()));
        let scope = host.keep();
        let simulation = Arc::new(Simulation {
            shared,
            workers,
            secrets,
            port,
            force_schedulers,
            reporters,
            reported: host.reported().clone(),
            running_reporters,
            scope,
            turn: tokio::sync::Mutex::default(),
            host,
            nothing: tests.nothing,
            computing: tests.computing,
            events: Mutex::new((events, 0)),
            real: SystemClock::new(),
            _dir: dir,
        });
        simulation.settle().await?;
        Ok(simulation)
    }

    /// Ends it; nothing may be asked of it afterwards.
    pub async fn end(&self) {
        for worker in self.workers.values() {
            worker.disconnect().await;
        }
        self.shared.engine.stop(Stop::Fast).await;
        self.end_reporters(&self.running_reporters).await;
        // Its files go at once.
        let _ = self.shared.data.close().await;
    }

    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Lets the clock go on by so much: whatever is due happens at its time, in order, each to its end.
    pub async fn advance(&self, by: Duration) -> Result<(), String> {
        let target = self.shared.clock.mono() + by;
        self.settle().await?;
        while let Some(next) = self.shared.clock.next().filter(|next| *next <= target) {
            self.shared.clock.advance_to(next);
            self.settle().await?;
        }
        self.shared.clock.advance_to(target);
        self.settle().await
    }

    /// Lets the clock go on until no build runs, for so long at most.
    pub async fn run_until_idle(&self, at_most: Duration) -> Result<(), String> {
        let end = self.shared.clock.mono() + at_most;
        self.settle().await?;
        while self.shared.engine.status().await.builds_running > 0 {
            let next = self.shared.clock.next();
            let Some(next) = next.filter(|next: &Mono| *next <= end) else {
                let running = super::story::running(&self.shared).await.join("; ");
                let text =
                    lunabot_model::text::duration(i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX));
                return Err(format!("after {text} builds still run: {running}"));
            };
            self.shared.clock.advance_to(next);
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits until nothing happens any more unless the clock goes on, or the test does something.
    pub async fn settle(&self) -> Result<(), String> {
        let begun = self.real.mono();
        let (mut calm, mut since) = (0, begun);
        loop {
            let before = self.pulse();
            self.look().await;
            let (acting, waiting) = self.shared.commands();
            let busy = self.busy(acting);
            let at_rest = self.pulse() == before && busy.is_none();
            let now = self.real.mono();
            if !at_rest {
                (calm, since) = (0, now);
            } else {
                calm += 1;
            }
            if calm >= CALM {
                let running = self.shared.engine.status().await.builds_running;
                if running <= waiting || now - since >= LONG_CALM {
                    return Ok(());
                }
                self.real.sleep(PAUSE).await;
            }
            if now - begun > RESTLESS {
                let what = busy.unwrap_or("something in it happens again and again");
                return Err(format!("the master does not come to rest: {what}"));
            }
        }
    }

    /// What is under way, in words. `acting`: commands that workers are busy with.
    fn busy(&self, acting: usize) -> Option<&'static str> {
        let kinds = [
            (self.computing.load(Ordering::SeqCst) > 0, "a function computes without end"),
            (acting > 0, "a command of a worker goes on without end"),
            (self.shared.data.reading() > 0, "the database is read without end"),
            (self.running_reporters.working(), "a reporter works without end"),
        ];
        kinds.into_iter().find_map(|(busy, what)| busy.then_some(what))
    }

    /// Another one whenever something was seen to happen.
    pub fn pulse(&self) -> u64 {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        while events.0.ready().is_some() {
            events.1 += 1;
        }
        let counted = events.1 + self.host.calls() + self.shared.done();
        counted.wrapping_add(self.shared.clock.mark())
    }

    /// Gives everybody a turn: the tasks of this thread, the interpreter, the store, the distributor.
    async fn look(&self) {
        turns().await;
        let site = CallSite::new("lunabot test", "the simulated master").endless();
        let _ = self.host.quietly(&self.nothing, site).await;
        let _ = self.shared.data.flush().await;
        let _ = self.shared.engine.status().await;
        // Who was asked lies down to sleep again.
        turns().await;
    }

    /// What `lunabot.master` can do.
    pub async fn port(&self, op: &str, args: Vec<Json>) -> Result<Json, String> {
        self.port.call(op, args).await
    }
}

/// Everybody who is ready gets a turn, many times.
pub async fn turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// Names of latent workers, and of the others.
fn names_of_workers(config: &Config) -> (Vec<String>, Vec<String>) {
    let name =
        |worker: &lunabot_model::AnyObject| worker.arg("name").and_then(Json::as_str).map(str::to_owned);
    let (latent, present): (Vec<_>, Vec<_>) = config.workers.iter().partition(|worker| worker.kind == LATENT);
    let names = |workers: Vec<&lunabot_model::AnyObject>| workers.into_iter().filter_map(name).collect();
    (names(latent), names(present))
}

fn force_schedulers(config: &Config) -> Vec<String> {
    let forced = config.schedulers.iter().filter(|scheduler| scheduler.kind == "schedulers.ForceScheduler");
    forced.filter_map(|scheduler| Some(scheduler.arg("name")?.as_str()?.to_owned())).collect()
}

async fn builders(data: &Data) -> Result<HashMap<String, i64>, String> {
    data.flush().await.map_err(|error| error.to_string())?;
    match data.get("builders", "").await.map_err(|error| error.to_string())? {
        lunabot_data::Answer::List { items, .. } => Ok(items
            .iter()
            .filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["builderid"].as_i64()?)))
            .collect()),
        _ => Err("the list of builders is none".into()),
    }
}

/// The instances of latent workers connect as soon as they are started, and leave when they are stopped.
async fn serve_latents(mut told: mpsc::UnboundedReceiver<Latent>, workers: BTreeMap<String, Arc<SimWorker>>) {
    while let Some(latent) = told.recv().await {
        match latent {
            Latent::Started(name) => {
                if let Some(worker) = workers.get(&name)
                    && let Err(error) = worker.connect().await
                {
                    tracing::info!("a simulated instance could not connect: {error}");
                }
            }
            Latent::Stopped(name) => {
                if let Some(worker) = workers.get(&name) {
                    worker.disconnect().await;
                }
            }
        }
    }
}

/// The clock of a master that starts at a moment.
pub fn clock_at(seconds: f64) -> VirtualClock {
    VirtualClock::new(Time((seconds * 1e6) as i64))
}
