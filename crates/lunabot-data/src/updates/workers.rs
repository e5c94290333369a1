//! Workers: connected, paused, told to stop.

use crate::ack::Ack;
use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use lunabot_model::resources::{ConnectedTo, Worker};
use lunabot_model::{Json, WorkerId};

/// In `workerinfo`: since when the worker is connected, in epoch seconds; since its last connection, if it is not.
const CONNECTED_AT: &str = "connected_at";
/// In `workerinfo` of a worker that is away: since when.
const DISCONNECTED_AT: &str = "disconnected_at";

/// In `workerinfo` of a latent worker: what becomes of its instance, in words (08.040).
const LATENT_STATE: &str = "latent_state";

fn note(row: &mut Worker, name: &str, at: i64) {
    if let Some(info) = row.workerinfo.as_object_mut() {
        info.insert(name.into(), at.into());
    }
}

impl Data {
    async fn change_worker(
        &self,
        id: WorkerId,
        what: &'static str,
        change: impl FnOnce(&mut Worker) + Send,
    ) -> Result<Ack> {
        self.shared.room().await;
        self.change_worker_now(id, what, change)
    }

    fn change_worker_now(
        &self,
        id: WorkerId,
        what: &'static str,
        change: impl FnOnce(&mut Worker),
    ) -> Result<Ack> {
        let master = self.shared.master_id;
        let (result, epoch) = self.shared.change(|live| {
            let worker = live.workers.get_mut(&id);
            let worker = worker.ok_or_else(|| DataError::NotFound(format!("there is no worker {id}")))?;
            let was = worker.connected_to.clone();
            change(worker);
            let row = worker.clone();
            let connected = row.connected_to.iter().any(|c| c.masterid == master);
            if was != row.connected_to {
                live.pending.batch.connection(id, master, connected);
            }
            live.pending.announcements.push(Announcement::Worker(Box::new(row.clone()), what));
            live.pending.batch.workers.put(row);
            Ok(())
        });
        result.map(|()| self.ack(epoch))
    }

    /// Event workers/N/connected. `info` is what the worker reported; since when it is here is added to it.
    pub async fn worker_connected(&self, worker: WorkerId, info: Json) -> Result<Ack> {
        let (masterid, now) = (self.shared.master_id, self.shared.now());
        self.change_worker(worker, "connected", |row| {
            let latent = row.workerinfo.get(LATENT_STATE).cloned();
            row.workerinfo = info;
            if let (Some(state), Some(info)) = (latent, row.workerinfo.as_object_mut()) {
                info.insert(LATENT_STATE.into(), state);
            }
            note(row, CONNECTED_AT, now);
            if !row.connected_to.iter().any(|c| c.masterid == masterid) {
                row.connected_to.push(ConnectedTo { masterid });
            }
        })
        .await
    }

    /// Event workers/N/disconnected.
    pub async fn worker_disconnected(&self, worker: WorkerId) -> Result<Ack> {
        let (masterid, now) = (self.shared.master_id, self.shared.now());
        self.change_worker(worker, "disconnected", |row| {
            row.connected_to.retain(|c| c.masterid != masterid);
            note(row, DISCONNECTED_AT, now);
        })
        .await
    }

    /// Event workers/N/state_updated, where it is another than before. `None`: the worker is not latent.
    ///
    /// It does not wait for room in the queue of writes: states are told in the order of the calls, and are no more than
    /// starts and stops of instances.
    pub fn set_latent_state(&self, worker: WorkerId, state: Option<&str>) -> Result<()> {
        let shown = |row: &Worker| row.workerinfo.get(LATENT_STATE).and_then(Json::as_str).map(str::to_owned);
        let known = self.shared.live().workers.get(&worker).and_then(shown);
        if known.as_deref() == state {
            return Ok(());
        }
        let change = |row: &mut Worker| {
            let Some(info) = row.workerinfo.as_object_mut() else { return };
            match state {
                Some(state) => drop(info.insert(LATENT_STATE.into(), state.into())),
                None => drop(info.remove(LATENT_STATE)),
            }
        };
        self.change_worker_now(worker, "state_updated", change).map(Ack::detach)
    }

    /// Survives restarts (08.008). Event workers/N/state_updated.
    pub async fn set_worker_paused(
        &self,
        worker: WorkerId,
        paused: bool,
        reason: Option<&str>,
    ) -> Result<Ack> {
        self.change_worker(worker, "state_updated", |row| {
            row.paused = paused;
            row.pause_reason = reason.map(str::to_owned);
        })
        .await
    }

    /// Event workers/N/state_updated.
    pub async fn set_worker_graceful(&self, worker: WorkerId, graceful: bool) -> Result<Ack> {
        self.change_worker(worker, "state_updated", |row| row.graceful = graceful).await
    }
}
