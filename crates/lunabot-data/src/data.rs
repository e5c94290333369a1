//! [`Data`]: opening, closing, what is registered.

use crate::ack::Ack;
use crate::bus::Bus;
use crate::control::{ControlError, ControlHandler, Explainer, Progresses};
use crate::error::Result;
use crate::live::{Live, LiveSet};
use crate::merge;
use crate::new::RequestLimits;
use crate::shared::{Refresh, Shared};
use crate::updates::Collapser;
use crate::writer;
use lunabot_db::{OpenStore, PropertyOwners, Store};
use lunabot_model::config::LogCompression;
use lunabot_model::progress::BuildProgress;
use lunabot_model::resources::*;
use lunabot_model::{BuildId, Clock, Crosses, Event, Json, MasterId, Results, Topic, WorkerId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The data API of one master; cheap to clone.
#[derive(Clone)]
pub struct Data {
    pub(crate) shared: Crosses<Arc<Shared>>,
    basedir: Arc<Path>,
    _closer: Crosses<Arc<Closer>>,
}

/// Ends the writer, after what is queued, when the last [`Data`] is gone.
struct Closer(Arc<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }
}

/// How to open the store.
pub struct OpenOptions {
    /// `sqlite:///relative`, `sqlite:////absolute`, `postgresql://…` (14.020).
    pub url: String,
    /// The master's base directory: base for relative paths; backups of an SQLite file are laid beside it.
    pub basedir: PathBuf,
    /// `hostname:basedir` (09.011).
    pub master_name: String,
    pub clock: Arc<dyn Clock>,
}

impl Data {
    /// Opens the store, migrates it (after a backup of an SQLite file), and marks this master as started: builds
    /// that an earlier process left running end with RETRY, their requests are unclaimed (14.033, 15.004).
    pub async fn open(options: OpenOptions) -> Result<Data> {
        let basedir: Arc<Path> = options.basedir.as_path().into();
        let store = Store::open(&OpenStore { url: options.url, basedir: options.basedir }).await?;
        let now = options.clock.now().secs();
        let mut live = Live { epoch: 1, names: store.names().await?, ..Live::default() };
        let known = live.names.masters.get(&options.master_name).copied();
        let master = known.unwrap_or_else(|| 1 + live.names.masters.values().max().copied().unwrap_or(0));
        let interrupted = store.start_master(master, &options.master_name, now).await?;
        if !interrupted.is_empty() {
            tracing::warn!(builds = ?interrupted, "builds were interrupted by the end of the last process; they end with RETRY");
        }
        live.names.masters.insert(options.master_name, master);
        live.ids = store.next_ids().await?;
        load(&store, &mut live).await?;
        let (merges, to_merge) = tokio::sync::mpsc::channel(merge::QUEUE);
        let shared = Arc::new(Shared::new(store, options.clock, master, live, merges));
        tokio::spawn(merge::run(Arc::downgrade(&shared), to_merge));
        tokio::spawn(writer::run(shared.clone()));
        let closer = Crosses::new(Arc::new(Closer(shared.clone())));
        Ok(Data { _closer: closer, basedir, shared: Crosses::new(shared) })
    }

    /// Waits until everything written so far is durable.
    pub async fn flush(&self) -> Result<()> {
        self.shared.flush().await
    }

    /// How many statements that read are under way. With [`Data::flush`]: whether the store is at rest.
    pub fn reading(&self) -> usize {
        self.shared.store.reading()
    }

    /// Notes that this master is active, or is not any more (15.002). To be called every minute.
    pub fn master_seen(&self, active: bool) -> Ack {
        let (now, master) = (self.shared.now(), self.shared.master_id);
        let ((), epoch) = self.shared.change(|live| live.pending.batch.master_seen(master, active, now));
        self.ack(epoch)
    }

    /// Writes what is queued and ends all connections, so that an SQLite database is one file again. Nothing may be
    /// asked of any clone afterwards.
    pub async fn close(&self) -> Result<()> {
        self.master_seen(false).detach();
        let flushed = self.flush().await;
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        self.shared.store.close().await;
        flushed
    }

    pub fn bus(&self) -> &Bus {
        &self.shared.bus
    }

    /// The master's base directory.
    pub fn basedir(&self) -> &Path {
        &self.basedir
    }

    pub fn master_id(&self) -> MasterId {
        self.shared.master_id
    }

    /// Force schedulers are not stored; this list is what their endpoints answer (09.014, 09.041).
    pub fn set_force_schedulers(&self, all: Vec<ForceScheduler>) {
        self.registered_mut().force_schedulers = Arc::new(all);
    }

    /// How texts of logs are packed from now on (13.011).
    pub fn set_log_compression(&self, method: LogCompression) {
        self.registered_mut().log_compression = method;
    }

    /// Registers what brings that list, or one of it, up to date; it is waited for before it is read.
    pub fn before_force_schedulers(&self, refresh: Refresh) {
        self.registered_mut().refresh_force_schedulers = Some(refresh);
    }

    /// Registers the rows of a resource that is declared, but not stored: `generations`, `schedules` and their like. They
    /// are asked for at each request and go through the same query language; without them the list is empty.
    pub fn set_virtual(&self, plural: &'static str, rows: Arc<dyn Fn() -> Vec<Json> + Send + Sync>) {
        self.registered_mut().virtuals.insert(plural, rows);
    }

    /// The rule asked for new requests between their storing and their announcement (07.002–07.007). It completes
    /// older requests itself through [`Data::complete_free`].
    pub fn set_collapser(&self, collapser: Arc<dyn Collapser>) {
        self.registered_mut().collapser = Some(collapser);
    }

    /// Registers who knows how far builds are.
    pub fn set_progresses(&self, progresses: Arc<dyn Progresses>) {
        self.registered_mut().progresses = Some(progresses);
    }

    /// How far a build is that runs.
    pub fn progress(&self, build: BuildId) -> Option<BuildProgress> {
        let known = self.registered().progresses.clone();
        known?.progress(build)
    }

    /// Announces that the expected end of a build has moved: `builds/N/progress/updated`.
    pub fn announce_progress(&self, progress: &BuildProgress) {
        let topic = Topic::new(&[&"builds", &progress.buildid, &"progress", &"updated"]);
        let progress = progress.clone();
        self.shared.bus.publish_lazily(vec![topic], PROGRESS, move || serde_json::json!(progress));
    }

    /// Registers who knows why requests wait.
    pub fn set_explainer(&self, explainer: Arc<dyn Explainer>) {
        self.registered_mut().explainer = Some(explainer);
    }

    /// Workers in quarantine, and how long they stay there.
    pub async fn quarantines(&self) -> HashMap<WorkerId, Duration> {
        let known = self.registered().explainer.clone();
        match known {
            Some(known) => known.quarantines().await,
            None => HashMap::new(),
        }
    }

    /// Workers in a downtime, and until when, in seconds since 1970.
    pub async fn downtimes(&self) -> HashMap<WorkerId, i64> {
        let known = self.registered().explainer.clone();
        match known {
            Some(known) => known.downtimes().await,
            None => HashMap::new(),
        }
    }

    /// Registers who handles control actions of a resource type (`builds`, `buildrequests`, `forceschedulers`,
    /// `schedulers`, `workers`). A later one replaces an earlier one.
    pub fn on_control(&self, plural: &'static str, handler: Arc<dyn ControlHandler>) {
        self.registered_mut().handlers.insert(plural, handler);
    }

    /// Carries out an action on what `path` names (09e).
    pub async fn control(
        &self,
        path: &str,
        action: &str,
        params: Json,
    ) -> std::result::Result<Json, ControlError> {
        let (plural, id) = self.controlled(path).await?;
        let handler = self.registered().handlers.get(plural).cloned();
        let handler = handler.ok_or_else(|| ControlError::Unsupported(action.to_owned()))?;
        let reason = params.get("reason").cloned().unwrap_or_else(|| "no reason".into());
        let answer = handler.control(&id, action, params).await?;
        if let Some(word) = announced_as(plural, action) {
            let topic = Topic::new(&[&"control", &word, &id, &action]);
            let payload = Arc::new(serde_json::json!({"reason": reason}).into());
            self.shared.bus.publish(Event { topic, payload });
        }
        Ok(answer)
    }

    pub(crate) fn registered(&self) -> std::sync::RwLockReadGuard<'_, crate::shared::Registered> {
        self.shared.registered.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn registered_mut(&self) -> std::sync::RwLockWriteGuard<'_, crate::shared::Registered> {
        self.shared.registered.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the payload of an event of progress keeps in memory.
const PROGRESS: usize = 512;

/// The word for a resource in the topic of an action that is announced as such (09.096).
fn announced_as(plural: &str, action: &str) -> Option<&'static str> {
    match (plural, action) {
        ("builds", "stop") => Some("builds"),
        ("buildrequests", "cancel") => Some("buildrequests"),
        ("workers", _) => Some("worker"),
        _ => None,
    }
}

/// Reads what lives in memory: what is configured, and what is not complete.
async fn load(store: &Store, live: &mut Live) -> Result<()> {
    live.builders = store.all::<Builder>("", vec![]).await?.into_iter().map(|b| (b.builderid, b)).collect();
    live.workers = store.all::<Worker>("", vec![]).await?.into_iter().map(|w| (w.workerid, w)).collect();
    live.schedulers =
        store.all::<Scheduler>("", vec![]).await?.into_iter().map(|s| (s.schedulerid, s)).collect();
    live.projects = store.all::<Project>("", vec![]).await?.into_iter().map(|p| (p.projectid, p)).collect();
    live.codebases =
        store.all::<Codebase>("", vec![]).await?.into_iter().map(|c| (c.codebaseid, c)).collect();
    let sets = store.open_sets().await?;
    let mut properties =
        store.properties_of_many(PropertyOwners::Buildsets, sets.iter().map(|s| s.bsid).collect()).await?;
    for row in sets {
        let properties = Arc::new(properties.remove(&row.bsid).unwrap_or_default());
        let set = LiveSet { properties, remaining: 0, worst: Results::Success, row };
        live.buildsets.insert(set.row.bsid, set);
    }
    for request in store.requests_of_open_sets().await? {
        let Some(set) = live.buildsets.get_mut(&request.buildsetid) else { continue };
        if request.complete {
            set.worst = set.worst.worst(request.results.unwrap_or(Results::Success));
        } else {
            set.remaining += 1;
            live.requests.insert(request.buildrequestid, request);
        }
    }
    load_extras(store, live).await
}

/// What few requests have.
async fn load_extras(store: &Store, live: &mut Live) -> Result<()> {
    let ids = live.requests.keys().copied().collect();
    for (id, properties) in store.properties_of_many(PropertyOwners::Requests, ids).await? {
        live.extras.entry(id).or_default().properties = properties;
    }
    for row in store.limits_of_open_requests().await? {
        let limits = RequestLimits { expires_at: row.expires_at, offline_timeout: row.offline_timeout };
        live.extras.entry(row.buildrequestid).or_default().limits = limits;
    }
    Ok(())
}
