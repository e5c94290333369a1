//! `worker.LocalWorker`: the worker's own code, in this process, behind the engine's link (08.015).

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use lunabot_engine::Engine;
use lunabot_engine::worker::{CommandSink, LinkError, LocalWorkerParams, WorkerLink};
use lunabot_model::Json;
use lunabot_model::config::Config;
use lunabot_proto::{Command, Transfer, Update, WorkerInfo};
use lunabot_worker::{MasterSide, TransferError, WorkerCore, WorkerOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// A line is not cut before it has so many characters: as long as what workers over msgpack are told.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Makes the links of embedded workers by their names, in place of real workers: the load driver's simulated ones.
pub type Links = Arc<dyn Fn(&str) -> Arc<dyn WorkerLink> + Send + Sync>;

/// The embedded workers that run.
pub struct LocalWorkers {
    engine: Engine,
    simulated: Option<Links>,
    /// Where their folders are, unless they say otherwise.
    home: PathBuf,
    running: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    folder: PathBuf,
    /// Absent where the worker is simulated.
    core: Option<WorkerCore>,
    link: Arc<dyn WorkerLink>,
    /// The engine parts with it, or has.
    gone: Arc<AtomicBool>,
}

impl Running {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

/// Where embedded workers have their folders.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// The master's.
    pub home: PathBuf,
    /// Of those that run, by their names: also of those that leave when their builds have ended.
    pub running: BTreeMap<String, PathBuf>,
}

impl Folders {
    /// Where a worker with this option has its folder.
    pub fn of(&self, name: &str, workdir: Option<&str>) -> PathBuf {
        folder(&self.home, name, workdir)
    }
}

fn folder(home: &Path, name: &str, workdir: Option<&str>) -> PathBuf {
    home.join(workdir.map_or_else(|| Path::new("workers").join(name), PathBuf::from))
}

impl LocalWorkers {
    /// `basedir` is the master's folder.
    pub fn new(engine: Engine, basedir: &Path, simulated: Option<Links>) -> Self {
        LocalWorkers { engine, simulated, home: basedir.to_owned(), running: Mutex::default() }
    }

    /// Makes the embedded workers of `config` the running ones. After [`Engine::apply`]: the engine must know them, and
    /// parts with those that are no workers any more when their builds have ended.
    pub async fn apply(&self, config: &Config) -> anyhow::Result<()> {
        let wanted = self.wanted(config)?;
        let mut running = self.running.lock().await;
        let changed = |name: &str, worker: &Running| match wanted.get(name) {
            _ if worker.is_gone() => true,
            Some(folder) => *folder != worker.folder,
            None => worker.core.is_none() || is_configured(config, name),
        };
        let leaving = running.iter().filter(|(name, worker)| changed(name, worker));
        let leaving: Vec<String> = leaving.map(|(name, _)| name.clone()).collect();
        for name in leaving {
            if let Some(worker) = running.remove(&name) {
                self.end(&name, worker).await;
            }
        }
        let new = wanted.into_iter().filter(|(name, _)| !running.contains_key(name));
        for started in join_all(new.map(|(name, folder)| self.start(name, folder))).await {
            let (name, worker) = started?;
            running.insert(name, worker);
        }
        Ok(())
    }

    pub async fn folders(&self) -> Folders {
        let running = self.running.lock().await;
        let staying = running.iter().filter(|(_, worker)| !worker.is_gone());
        let running = staying.map(|(name, worker)| (name.clone(), worker.folder.clone())).collect();
        Folders { home: self.home.clone(), running }
    }

    /// Ends them all and whatever they run.
    pub async fn stop(&self) {
        let all = std::mem::take(&mut *self.running.lock().await);
        join_all(all.into_iter().map(|(name, worker)| async move { self.end(&name, worker).await })).await;
    }

    async fn end(&self, name: &str, worker: Running) {
        self.engine.worker_detached(name, &worker.link).await;
        if let Some(core) = worker.core {
            core.shutdown().await;
        }
    }

    /// Name → folder.
    fn wanted(&self, config: &Config) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let kind = "worker.LocalWorker";
        let mut wanted = BTreeMap::new();
        for object in config.workers.iter().filter(|object| object.kind == kind) {
            let LocalWorkerParams { name, workdir, .. } = object.typed()?.args;
            let folder = folder(&self.home, &name, workdir.as_deref());
            wanted.insert(name, folder);
        }
        Ok(wanted)
    }

    async fn start(&self, name: String, folder: PathBuf) -> anyhow::Result<(String, Running)> {
        if let Some(make) = &self.simulated {
            let link = make(&name);
            self.engine.worker_attached(&name, Arc::clone(&link)).await?;
            return Ok((name, Running { folder, core: None, link, gone: Arc::default() }));
        }
        let mut options = WorkerOptions::new(&folder);
        options.output.max_line_length = LONGEST_LINE;
        let core = WorkerCore::new(options)?;
        let info = core.info().await;
        let (engine, own, gone) = (self.engine.clone(), name.clone(), Arc::<AtomicBool>::default());
        let link = Arc::new_cyclic(|this| LocalLink {
            name: own,
            engine,
            info,
            core: core.clone(),
            gone: gone.clone(),
            this: this.clone(),
        });
        let link: Arc<dyn WorkerLink> = link;
        self.engine.worker_attached(&name, Arc::clone(&link)).await?;
        Ok((name, Running { folder, core: Some(core), link, gone }))
    }
}

fn is_configured(config: &Config, name: &str) -> bool {
    config.workers.iter().any(|object| object.arg("name").and_then(Json::as_str) == Some(name))
}

/// The link to one embedded worker.
struct LocalLink {
    name: String,
    engine: Engine,
    info: WorkerInfo,
    core: WorkerCore,
    gone: Arc<AtomicBool>,
    this: std::sync::Weak<LocalLink>,
}

#[async_trait]
impl WorkerLink for LocalLink {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    /// It needs no list: commands name their folder.
    async fn set_builders(&self, _: &[(String, String)]) -> Result<(), LinkError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn start_build(&self, _: &str) -> Result<(), LinkError> {
        Ok(())
    }

    async fn start_command(
        &self,
        _: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError> {
        let started = self.core.start(command, Arc::new(ToSink(sink)));
        started.map_err(|error| LinkError::Refused(error.to_string()))
    }

    async fn interrupt_command(&self, _: &str, command_id: &str, why: &str) -> Result<(), LinkError> {
        self.core.interrupt(command_id, why);
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), LinkError> {
        self.disconnect().await;
        Ok(())
    }

    async fn disconnect(&self) {
        // First: who comes back meanwhile is started anew.
        self.gone.store(true, Ordering::SeqCst);
        self.core.shutdown().await;
        let Some(this) = self.this.upgrade() else { return };
        let (engine, name) = (self.engine.clone(), self.name.clone());
        // The engine may be waiting for this very call.
        tokio::spawn(async move {
            let link: Arc<dyn WorkerLink> = this;
            engine.worker_detached(&name, &link).await;
        });
    }
}

/// The worker's news, handed to the engine.
struct ToSink(Arc<dyn CommandSink>);

#[async_trait]
impl MasterSide for ToSink {
    async fn update(&self, _: &str, updates: Vec<Update>) {
        self.0.update(updates).await;
    }

    async fn complete(&self, _: &str, failure: Option<String>) {
        self.0.complete(failure).await;
    }

    async fn transfer(&self, _: &str, request: Transfer) -> Result<Bytes, TransferError> {
        self.0.transfer(request).await.map_err(TransferError)
    }
}
