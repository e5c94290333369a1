//! The rooms of a running master, and how a generation of the configuration is taken up by all of them.

use super::open;
use super::web::{Bound, Place, Web};
use crate::basedir::BaseDir;
use crate::lifecycle::Lifecycle;
use crate::reload::generation::{Generation, Loader};
use crate::reload::history::History;
use crate::reload::watch::FileWatch;
use crate::wiring::health::Health;
use crate::wiring::local_worker::{Links, LocalWorkers};
use crate::wiring::metrics::Metrics;
use anyhow::{Context as _, Result, anyhow};
use lunabot_data::Data;
use lunabot_engine::worker::{Prepared, RemoteError, RemoteWorkers};
use lunabot_engine::{Engine, Stop};
use lunabot_integrations::{ChangeSources, Environment, Reporters};
use lunabot_lua::Records;
use lunabot_model::{BoxFuture, Clock, Endpoint};
use lunabot_www::{Declared, SharedSite, Site};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the last writes may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(15);

/// What is there before any room.
pub struct Ground {
    pub base: BaseDir,
    pub clock: Arc<dyn Clock>,
    pub lifecycle: Lifecycle,
    pub metrics: Metrics,
    pub simulated_workers: Option<Links>,
}

/// Everything that runs.
pub struct Rooms {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) loader: Loader,
    pub(super) history: Arc<History>,
    pub(super) records: Arc<Records>,
    pub(super) watch: Arc<FileWatch>,
    data: Data,
    engine: Engine,
    pub(super) workers: LocalWorkers,
    remote: RemoteWorkers,
    pub(super) sources: Arc<ChangeSources>,
    pub(super) reporters: Arc<Reporters>,
    site: SharedSite,
    pub(super) web: Web,
    stopping: CancellationToken,
    current: Mutex<Arc<Generation>>,
}

impl Rooms {
    /// Loads the configuration, opens the store and takes up the first generation.
    ///
    /// # Errors
    /// All mistakes of the configuration, or what keeps it from being served.
    pub async fn start(ground: &Ground) -> Result<Arc<Rooms>> {
        let Ground { base, clock, lifecycle, metrics, .. } = ground;
        let records = Arc::new(Records::hiding(Arc::new(lunabot_engine::Masks::default())));
        let loader = Loader::new(base.clone(), Arc::clone(clock), Arc::clone(&records));
        tracing::info!("Loading configuration from {}", base.config().display());
        let (record, loaded) = loader.load().await;
        let generation = loaded.map_err(|failure| anyhow!("Configuration Errors:\n{failure}"))?;
        let missing = loader.placed(generation.missing_secrets().await);
        if !missing.is_empty() {
            let lines: Vec<String> = missing.iter().map(|error| format!("  {error}")).collect();
            return Err(anyhow!("Configuration Errors:\n{}", lines.join("\n")));
        }
        // Before the store is opened: a port in use is found at once and nothing has happened.
        let place =
            Bound::bind(&generation.config().www, &loader.config_folder()).await.context("www.port")?;
        let data = open::store(base, generation.config(), clock).await?;
        let history = Arc::new(History::default());
        open::serve_lists(&data, &history, Arc::clone(&records));
        lifecycle.spawn("metrics", metrics.clone().upkeep(Arc::clone(clock), lifecycle.soft()));
        let rooms = Self::furnish(ground, loader, data, (history, records), Arc::new(generation)).await?;
        let current = rooms.current();
        let workers = rooms.prepare_workers(&current).await?;
        rooms.take_up(&current, Place::Moves(place), workers).await?;
        rooms.history.add(record);
        Ok(Arc::new(rooms))
    }

    /// Puts every room in its place; none works yet.
    async fn furnish(
        ground: &Ground,
        loader: Loader,
        data: Data,
        (history, records): (Arc<History>, Arc<Records>),
        generation: Arc<Generation>,
    ) -> Result<Rooms> {
        let Ground { base, clock, .. } = ground;
        let engine = open::engine(&data, clock).await?;
        let sources = Arc::new(ChangeSources::new(Environment {
            data: data.clone(),
            clock: Arc::clone(clock),
            chance: Arc::new(rand::random::<f64>),
            basedir: base.dir().to_owned(),
        }));
        let reporters = Arc::new(Reporters::new(data.clone(), Arc::clone(clock)));
        let stopping = CancellationToken::new();
        let site = SharedSite::new(site_of(&generation, &data));
        let health = Health {
            started_at: clock.now(),
            history: Arc::clone(&history),
            stopping: stopping.clone(),
            db_url: generation.config().db_url.clone(),
            basedir: base.dir().to_owned(),
            sources: Arc::clone(&sources),
            reporters: Arc::clone(&reporters),
            engine: engine.clone(),
        };
        Ok(Rooms {
            clock: Arc::clone(clock),
            history,
            records,
            watch: Arc::new(FileWatch::new()),
            web: open::web(&data, &site, health, ground),
            workers: LocalWorkers::new(engine.clone(), base.dir(), ground.simulated_workers.clone()),
            remote: RemoteWorkers::new(engine.clone(), Arc::clone(clock), &loader.config_folder()),
            loader,
            data,
            engine,
            sources,
            reporters,
            site,
            stopping,
            current: Mutex::new(generation),
        })
    }

    /// Makes every room work by `generation`. What can be refused was checked before.
    pub(super) async fn take_up(
        &self,
        generation: &Arc<Generation>,
        place: Place,
        workers: Prepared,
    ) -> Result<()> {
        generation.connect(&self.data);
        // Before anything happens that is to be reported.
        self.reporters.apply(&generation.reporters()).await?;
        self.engine.apply(Arc::clone(&generation.inner)).await?;
        // First, so that one that becomes a local worker has left.
        self.remote.take_up(workers).await;
        self.workers.apply(generation.config()).await?;
        self.sources.apply(&generation.sources()).await?;
        self.site.store(site_of(generation, &self.data));
        self.web.take_up(place);
        self.watch.set(generation.watched(), generation.loaded_at);
        let old = std::mem::replace(&mut *self.lock(), Arc::clone(generation));
        if !Arc::ptr_eq(&old, generation) {
            old.inner.host.superseded();
        }
        Ok(())
    }

    /// No new builds; completes when the running ones have ended.
    pub fn drain(&self) -> BoxFuture<'static, ()> {
        self.stopping.cancel();
        let engine = self.engine.clone();
        Box::pin(async move { engine.stop(Stop::Soft).await })
    }

    pub fn stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Ends builds, workers, change sources and reporters.
    pub async fn stop(&self, how: Stop) {
        self.stopping.cancel();
        self.sources.stop().await;
        self.engine.stop(how).await;
        self.workers.stop().await;
        self.remote.stop().await;
        // What they do not tell any more, they tell after the next start.
        self.reporters.stop().await;
        self.web.stop();
    }

    /// Waits until everything is written, but not for ever: a full disk must not keep the process.
    pub async fn close(&self) {
        let closed = tokio::select! {
            closed = self.data.close() => closed.map_err(|error| error.to_string()),
            () = self.clock.sleep(CLOSE_WITHIN) => Err("the database takes no writes".to_string()),
        };
        if let Err(error) = closed {
            tracing::error!("the newest events could not be written: {error}; what was acknowledged is safe");
        }
    }

    /// Takes the ports that a generation's workers need.
    pub(super) async fn prepare_workers(&self, generation: &Generation) -> Result<Prepared, RemoteError> {
        self.remote.prepare(&generation.inner).await
    }

    /// Where this master listens now, and the options that say so.
    pub(super) fn held(&self) -> Vec<(String, Endpoint)> {
        let pages = self.web.held().map(|place| ("www.port".to_string(), place));
        pages.into_iter().chain(self.remote.held()).collect()
    }

    pub fn url(&self) -> Option<String> {
        self.web.url()
    }

    pub fn watch(&self) -> Arc<FileWatch> {
        Arc::clone(&self.watch)
    }

    /// A line for `systemctl status`.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// How many changes the configuration in force wants kept (14.024).
    pub fn change_horizon(&self) -> Option<i64> {
        self.lock().config().change_horizon
    }

    pub fn summary(&self) -> String {
        let number = self.history.current().map_or(0, |load| load.number);
        match self.url() {
            Some(url) => format!("generation {number} serves at {url}"),
            None => format!("generation {number} serves"),
        }
    }

    pub(super) fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Generation>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the web takes from a generation.
fn site_of(generation: &Arc<Generation>, data: &Data) -> Site {
    let inner = Arc::clone(&generation.inner);
    let find =
        move |name: &str| inner.config.builders.iter().find(|builder| builder.config.name == name).cloned();
    let (client, access) = (generation.client.clone(), Arc::clone(&generation.access));
    let dashboards = generation.dashboards.clone();
    Site::of(generation.config(), Declared::new(find), generation.means(data), client, access, dashboards)
}
