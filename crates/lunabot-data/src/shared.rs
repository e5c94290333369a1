//! What all clones of [`crate::Data`] share, and the signals between callers and the writer.

use crate::bus::Bus;
use crate::control::{ControlHandler, Explainer, Progresses};
use crate::error::{DataError, Result};
use crate::live::Live;
use crate::updates::Collapser;
use lunabot_db::Store;
use lunabot_model::config::LogCompression;
use lunabot_model::resources::ForceScheduler;
use lunabot_model::{BoxFuture, Clock, Json, LogId, MasterId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, watch};

/// What may wait for the disk, in bytes; past it updates wait for a commit.
const MAX_WAITING: usize = 32 * 1024 * 1024;

/// So much, in bytes, waits for company no longer.
pub(crate) const ENOUGH: usize = 1024 * 1024;

/// Asks for the rows of a resource that is not stored.
pub(crate) type VirtualRows = Arc<dyn Fn() -> Vec<Json> + Send + Sync>;
/// Completes when a list, or what has this name in it, is up to date.
pub(crate) type Refresh = Arc<dyn Fn(Option<String>) -> BoxFuture<'static, ()> + Send + Sync>;

/// See the module.
pub(crate) struct Shared {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub bus: Bus,
    pub master_id: MasterId,
    live: Mutex<Live>,
    /// Bytes in `live.pending` and in the transaction that runs.
    pub weight: AtomicUsize,
    /// Somebody waits for the next commit: do not linger.
    pub urgent: AtomicBool,
    /// Something waits to be written, or somebody for its commit.
    pub wake: Notify,
    pub progress: watch::Sender<Progress>,
    pub closing: AtomicBool,
    /// Serialises the finding and making of source stamps and parents of changes.
    pub intake: tokio::sync::Mutex<()>,
    /// Serialises changes of the configuration.
    pub configuring: tokio::sync::Mutex<()>,
    pub registered: RwLock<Registered>,
    /// Complete logs to put together.
    pub merges: tokio::sync::mpsc::Sender<LogId>,
    /// Counts the commits that touched each table: answers made since are still good.
    pub versions: crate::cache::Versions,
    pub answers: crate::cache::Answers,
}

/// What others have registered.
#[derive(Default)]
pub(crate) struct Registered {
    pub collapser: Option<Arc<dyn Collapser>>,
    pub explainer: Option<Arc<dyn Explainer>>,
    pub progresses: Option<Arc<dyn Progresses>>,
    pub handlers: HashMap<&'static str, Arc<dyn ControlHandler>>,
    pub force_schedulers: Arc<Vec<ForceScheduler>>,
    pub refresh_force_schedulers: Option<Refresh>,
    pub log_compression: LogCompression,
    pub virtuals: HashMap<&'static str, VirtualRows>,
}

/// How far the writer is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Transactions below this one are durable.
    pub durable: u64,
    /// Why the writer does not get on, if it does not, for longer than a moment.
    pub stuck: Option<Arc<str>>,
}

impl Shared {
    /// How texts of logs are packed now.
    pub fn log_compression(&self) -> LogCompression {
        self.registered.read().unwrap_or_else(PoisonError::into_inner).log_compression
    }

    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        master_id: MasterId,
        live: Live,
        merges: tokio::sync::mpsc::Sender<LogId>,
    ) -> Self {
        Shared {
            store,
            clock,
            bus: Bus::default(),
            master_id,
            weight: AtomicUsize::new(0),
            urgent: AtomicBool::new(false),
            wake: Notify::new(),
            // Nothing has been queued yet, so there is nothing to wait for.
            progress: watch::Sender::new(Progress { durable: live.epoch, stuck: None }),
            closing: AtomicBool::new(false),
            intake: tokio::sync::Mutex::default(),
            configuring: tokio::sync::Mutex::default(),
            live: Mutex::new(live),
            registered: RwLock::default(),
            merges,
            versions: crate::cache::Versions::default(),
            answers: crate::cache::Answers::default(),
        }
    }

    pub fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> i64 {
        self.clock.now().secs()
    }

    /// Waits until there is room for another update.
    pub async fn room(&self) {
        if self.weight.load(Ordering::Relaxed) < MAX_WAITING {
            return;
        }
        let mut progress = self.progress.subscribe();
        while self.weight.load(Ordering::Relaxed) >= MAX_WAITING {
            self.wake.notify_one();
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Changes live rows and queues what has to be written; gives the transaction that it will be part of.
    pub fn change<T>(&self, change: impl FnOnce(&mut Live) -> T) -> (T, u64) {
        let mut live = self.live();
        let (before, idle) = (live.pending.weight(), live.pending.is_empty());
        let result = change(&mut live);
        let after = live.pending.weight();
        // Where nothing waits, nothing has changed: what came before is all there is to wait for.
        let epoch = if live.pending.is_empty() { live.epoch - 1 } else { live.epoch };
        drop(live);
        self.weight.fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        // The writer is told of the first row that waits, and of the one that is too much; not of each.
        if idle || (before < ENOUGH && after >= ENOUGH) {
            self.wake.notify_one();
        }
        (result, epoch)
    }

    /// Waits until transaction `epoch` is durable. While the database refuses, answers with the reason.
    pub async fn durable(&self, epoch: u64) -> Result<()> {
        let mut progress = self.progress.subscribe();
        self.urgent.store(true, Ordering::Release);
        self.wake.notify_one();
        loop {
            {
                let now = progress.borrow_and_update();
                if now.durable > epoch {
                    return Ok(());
                }
                if let Some(reason) = &now.stuck {
                    return Err(DataError::Storage(reason.to_string()));
                }
            }
            if progress.changed().await.is_err() {
                return Err(DataError::Storage("the store is closed".into()));
            }
        }
    }

    /// Refuses what comes from outside while the database refuses: its sender will try again.
    pub fn refuse_when_stuck(&self) -> Result<()> {
        match &self.progress.borrow().stuck {
            Some(reason) => Err(DataError::Storage(reason.to_string())),
            None => Ok(()),
        }
    }

    /// Waits until everything queued so far is durable.
    pub async fn flush(&self) -> Result<()> {
        let epoch = {
            let live = self.live();
            if live.pending.is_empty() { live.epoch.checked_sub(1) } else { Some(live.epoch) }
        };
        match epoch {
            Some(epoch) => self.durable(epoch).await,
            None => Ok(()),
        }
    }
}
