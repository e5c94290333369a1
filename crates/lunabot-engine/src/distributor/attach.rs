//! Workers that come, go and are ordered about (reference 08.004–08.006, 08.008–08.010, 08.013).

use super::Event;
use super::actor::Actor;
use super::messages::{Message, WorkerOrder, introduce};
use crate::engine::EngineError;
use crate::plan::BuilderPlan;
use crate::worker::{WorkerHandle, WorkerLink, latent};
use lunabot_model::WorkerId;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Actor {
    /// 08.013.
    pub fn drop_unconfigured(&mut self) {
        let all: Vec<WorkerId> = self.links.keys().copied().collect();
        all.into_iter().for_each(|id| self.drop_if_needless(id));
    }

    /// Parts with a worker that is no longer configured, once no build runs on it: a reload interrupts none.
    pub fn drop_if_needless(&mut self, id: WorkerId) {
        if self.workers.contains_key(&id) {
            return;
        }
        let builds = self.runs.on_worker(id).count();
        // None has begun where its instance is not there yet: they are built elsewhere.
        let unit = self.latents.get_mut(id);
        let begun = unit.is_none_or(|unit| unit.machine.state() == latent::State::Substantiated);
        if builds > 0 && begun {
            let name = self.machine.worker(id).map_or("", |worker| worker.setup.name.as_str());
            tracing::info!(
                worker = name,
                builds,
                "no longer configured: it leaves when its builds have ended"
            );
            return;
        }
        self.tell_latent(id, latent::Event::Removed);
        if let Some(handle) = self.links.get(&id).cloned() {
            tracing::info!(worker = handle.name, "no longer configured: its connection is closed");
            self.spawn(async move {
                handle.link.disconnect().await;
                None
            });
        }
    }

    pub fn tell_builders(&self) {
        let builders: Arc<[Arc<BuilderPlan>]> = self.builders.values().cloned().collect();
        for handle in self.links.values() {
            self.tell(handle.clone(), builders.clone());
        }
    }

    /// Beside the actor: with many builders and workers the lists are long.
    fn tell(&self, handle: Arc<WorkerHandle>, builders: Arc<[Arc<BuilderPlan>]>) {
        self.spawn(async move {
            if let Err(error) = handle.tell_builders(builders_on(handle.id, &builders)).await {
                tracing::warn!(worker = handle.name, "could not tell the worker its builders: {error}");
            }
            None
        });
    }

    pub fn attach(
        &mut self,
        name: &str,
        link: Arc<dyn WorkerLink>,
        reply: oneshot::Sender<Result<(), EngineError>>,
    ) {
        let handle = match self.handle_for(name, link) {
            Ok(handle) => handle,
            Err(refusal) => {
                let _ = reply.send(Err(EngineError::Refused(refusal)));
                return;
            }
        };
        self.links.insert(handle.id, handle.clone());
        let data = self.services.data.clone();
        let builders: Vec<_> = self.builders.values().cloned().collect();
        self.spawn(async move {
            let attached = introduce(&data, &handle, builders_on(handle.id, &builders)).await;
            let ready = attached.is_ok();
            if !ready {
                handle.lost.cancel();
            }
            let _ = reply.send(attached);
            Some(if ready {
                Message::Ready(handle)
            } else {
                Message::Detach { name: handle.name.clone(), link: handle.link.clone() }
            })
        });
    }

    /// The handle of a worker that comes; the error says why it may not.
    fn handle_for(&self, name: &str, link: Arc<dyn WorkerLink>) -> Result<Arc<WorkerHandle>, String> {
        let known = self.workers.values().find(|worker| worker.name == name);
        let plan = known.ok_or_else(|| format!("no worker named {name} is configured"))?;
        if self.links.contains_key(&plan.id) {
            return Err(format!("a worker named {name} is connected already"));
        }
        if plan.latent.is_none() {
            return Ok(Arc::new(WorkerHandle::new(plan.id, name, link)));
        }
        // 08.043.
        let handle = self.handle_of(plan.id).filter(|_| self.latents.may_attach(plan.id));
        let handle = handle.filter(|handle| handle.connect(link)).cloned();
        handle.ok_or_else(|| format!("worker {name} is latent, and no instance of it is being started"))
    }

    /// Attached and introduced: it may be given builds, if it is still there.
    pub fn ready(&mut self, handle: &Arc<WorkerHandle>) {
        if self.links.get(&handle.id).is_some_and(|present| Arc::ptr_eq(present, handle)) {
            // The configuration may have changed while it was introduced.
            self.tell(handle.clone(), self.builders.values().cloned().collect());
            self.event(Event::Attached(handle.id));
            self.tell_latent(handle.id, latent::Event::Attached);
            self.connection_changed(handle.id);
        }
    }

    pub fn detach(&mut self, name: &str, link: &Arc<dyn WorkerLink>) {
        let found = self.links.values().find(|handle| handle.name == name && handle.is(link));
        let Some(handle) = found.cloned() else { return };
        self.links.remove(&handle.id);
        handle.lost.cancel();
        let data = self.services.data.clone();
        let (id, name) = (handle.id, handle.name.clone());
        self.spawn(async move {
            if let Err(error) = data.worker_disconnected(id).await.map(lunabot_data::Ack::detach) {
                tracing::error!(worker = name, "could not store that the worker is gone: {error}");
            }
            None
        });
        self.latent_lost(&handle);
        self.event(Event::Detached(id));
        self.connection_changed(id);
    }

    /// 08.009, from the worker's side.
    pub fn wants_to_stop(&mut self, name: &str) {
        let Some(id) = self.links.values().find(|handle| handle.name == name).map(|handle| handle.id) else {
            return;
        };
        let data = self.services.data.clone();
        self.spawn(async move {
            if let Err(error) = data.set_worker_graceful(id, true).await.map(lunabot_data::Ack::detach) {
                tracing::error!(worker = id, "could not store that the worker is to stop: {error}");
            }
            None
        });
        self.event(Event::Graceful(id));
    }

    pub fn worker_order(
        &mut self,
        worker: WorkerId,
        order: WorkerOrder,
        reply: Option<oneshot::Sender<bool>>,
    ) {
        let known = self.workers.contains_key(&worker) || self.links.contains_key(&worker);
        if known {
            match order {
                WorkerOrder::Event(event) => {
                    let stop = matches!(event, Event::Graceful(_));
                    self.event(event);
                    if stop {
                        self.latent_told_to_stop(worker);
                    }
                }
                WorkerOrder::Kill => self.shut_down(worker),
            }
        }
        if let Some(reply) = reply {
            let _ = reply.send(known);
        }
    }

    pub fn shut_down(&mut self, worker: WorkerId) {
        let Some(handle) = self.links.get(&worker).cloned() else { return };
        self.tell_latent(worker, latent::Event::Outdated);
        self.spawn(async move {
            if let Err(error) = handle.link.shutdown().await {
                tracing::info!(worker = handle.name, "could not shut the worker down: {error}");
            }
            None
        });
    }
}

/// The builders that may run on a worker: names and folders, in order.
fn builders_on(worker: WorkerId, builders: &[Arc<BuilderPlan>]) -> Vec<(String, String)> {
    let mine = builders.iter().filter(|builder| builder.workers.contains(&worker));
    let mut all: Vec<_> = mine.map(|b| (b.config.name.clone(), b.workerbuilddir())).collect();
    all.sort();
    all
}
