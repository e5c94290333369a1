//! The actor around [`Timing`] or [`Timed`]: one task per scheduler that follows changes or the clock.
//!
//! It reads changes from the bus, asks filter and importance, carries out the machine's effects, one at a time. How far
//! it has come (the cursor) is stored with what came of it, so that a change is neither missed nor built twice,
//! whenever the process ends (03.004, 03.012).

use super::absolute::{self, LastRevision};
use super::buildset::{Wanted, stamps_for_changes};
use super::definition::{Definition, Plan};
use super::intake::{self, Verdict};
use super::own::{OwnScheduler, Retry};
use super::steady::insist;
use super::ticking::LAST_TRIGGER;
use super::timed::Timed;
use super::timing::{Effect, Event, Timing, Tree};
use super::trigger::TriggerOrder;
use super::{changes, state_key};
use lunabot_data::new::{Classified, Settled, StateValue};
use lunabot_data::{Ack, DataError, Delivery, Subscription};
use lunabot_model::resources::Change;
use lunabot_model::{BoxFuture, ChangeId, Clock, Json, Pattern, SchedulerId};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The state that holds the cursor: the last change that was looked at.
pub(super) const CURSOR: &str = "last_change";

/// What the actor is told.
pub(super) enum Order {
    /// A new generation. `same`: nothing but identities differs, so timers go on (03.010, 01.011).
    Define {
        definition: Box<Definition>,
        same: bool,
    },
    Enable(bool),
    /// Keep this until its time comes (03.020). The answer says that it is stored.
    Trigger {
        order: Box<TriggerOrder>,
        stored: oneshot::Sender<()>,
    },
}

/// The actor.
pub(super) struct Actor {
    pub id: SchedulerId,
    pub definition: Definition,
    pub enabled: bool,
    pub inbox: mpsc::Receiver<Order>,
    pub stop: CancellationToken,
}

/// What decides when it acts.
#[derive(Debug)]
pub(super) enum Machine {
    Changes(Timing),
    Clock(Timed),
}

impl Machine {
    fn handle(&mut self, clock: &dyn Clock, event: Event) -> Vec<Effect> {
        match self {
            Machine::Changes(timing) => timing.handle(clock.mono(), event),
            Machine::Clock(timed) => timed.handle(clock.now(), event),
        }
    }
}

/// Its inside while it runs.
pub(super) struct Running {
    id: SchedulerId,
    pub(super) definition: Definition,
    pub(super) enabled: bool,
    pub(super) stop: CancellationToken,
    pub(super) machine: Machine,
    cursor: ChangeId,
    pub(super) last: BTreeMap<String, LastRevision>,
    /// The object of its class, while it acts.
    pub(super) acting: Option<OwnScheduler>,
    pub(super) retry: Retry,
}

enum Wake {
    Order(Order),
    Change(Option<Delivery>),
    Timer,
    Retry,
    Stop,
}

impl Actor {
    /// Runs until it is stopped or its inbox is gone.
    pub async fn run(mut self) {
        let feed = self.definition.around.data.bus().subscribe(vec![Pattern::parse("changes/*/new")]);
        let mut running = Running {
            id: self.id,
            machine: Machine::Changes(Timing::new(None)),
            definition: self.definition,
            enabled: self.enabled,
            stop: self.stop,
            cursor: 0,
            last: BTreeMap::new(),
            acting: None,
            retry: Retry::default(),
        };
        if running.start().await.is_some() {
            running.serve(feed, &mut self.inbox).await;
        }
        running.deactivate().await;
        running.definition.around.agenda.next(running.name(), None, false);
    }
}

impl Running {
    async fn serve(&mut self, mut feed: Subscription, inbox: &mut mpsc::Receiver<Order>) {
        loop {
            let clock = self.definition.around.clock.clone();
            self.publish();
            let timer = self.next_wake().map(|at| clock.sleep_until(at));
            let retry = self.retry_at().map(|at| clock.sleep_until(at));
            let wake = tokio::select! {
                biased;
                () = self.stop.cancelled() => Wake::Stop,
                order = inbox.recv() => order.map_or(Wake::Stop, Wake::Order),
                () = async { match retry { Some(retry) => retry.await, None => std::future::pending().await } } => Wake::Retry,
                delivery = feed.next(), if self.is_ready() => Wake::Change(delivery),
                () = async { match timer { Some(timer) => timer.await, None => std::future::pending().await } } => Wake::Timer,
            };
            let done = match wake {
                Wake::Stop | Wake::Change(None) => None,
                Wake::Order(order) => self.order(order).await,
                Wake::Change(Some(Delivery::Event(event))) => self.announced(&event.payload).await,
                Wake::Change(Some(Delivery::Lagged(_))) => self.catch_up().await,
                Wake::Timer => self.woke().await,
                Wake::Retry => self.begin_anew().await,
            };
            if done.is_none() {
                return;
            }
        }
    }

    /// Reads what is stored and takes the changes that came while nothing ran. `None`: stopped meanwhile.
    async fn start(&mut self) -> Option<()> {
        let stored = self.state(absolute::STATE).await?;
        self.last = serde_json::from_value(stored).unwrap_or_default();
        self.cursor = self.state(CURSOR).await?.as_i64().unwrap_or(0);
        if self.enabled { self.resume().await } else { self.skip_to_newest().await }
    }

    pub(super) async fn resume(&mut self) -> Option<()> {
        self.rebuild().await?;
        self.begin_anew().await
    }

    async fn begin_anew(&mut self) -> Option<()> {
        if self.activate().await? { self.catch_up().await } else { Some(()) }
    }

    /// Timers from what was classified and not built yet (03.012).
    pub(super) async fn rebuild(&mut self) -> Option<()> {
        self.machine = self.machine().await?;
        let (data, id) = (self.definition.around.data.clone(), self.id);
        let classified = self.insist("read its classified changes", move || {
            let data = data.clone();
            Box::pin(async move { data.classified_changes(id).await })
        });
        let mut waiting = Vec::new();
        for Classified { changeid, important } in classified.await? {
            let tree = if self.definition.per_branch() {
                let Some(change) = self.change(changeid).await? else { continue };
                Tree::of(&change, true)
            } else {
                Tree::default()
            };
            waiting.push((tree, changeid, important));
        }
        self.event(Event::Started { waiting }, None).await
    }

    async fn order(&mut self, order: Order) -> Option<()> {
        match order {
            Order::Define { definition, same } => self.redefine(*definition, same).await,
            Order::Enable(true) if !self.enabled => {
                self.enabled = true;
                self.count_anew().await?;
                self.skip_to_newest().await?;
                self.resume().await
            }
            Order::Enable(false) if self.enabled => {
                self.enabled = false;
                self.deactivate().await;
                self.event(Event::Stopped, None).await
            }
            Order::Enable(_) => Some(()),
            Order::Trigger { order, stored } => {
                self.remember_trigger(&order).await?;
                // Whoever asked may be gone.
                let _ = stored.send(());
                Some(())
            }
        }
    }

    async fn announced(&mut self, payload: &Json) -> Option<()> {
        let id = match payload["changeid"].as_i64() {
            Some(id) if id > self.cursor => id,
            _ => return Some(()),
        };
        if !self.enabled {
            return self.advance(id).await;
        }
        match serde_json::from_value(payload.clone()) {
            Ok(change) => self.take(change).await,
            Err(_) => self.catch_up().await,
        }
    }

    /// Changes after the cursor, read from the store.
    async fn catch_up(&mut self) -> Option<()> {
        loop {
            let (data, cursor) = (self.definition.around.data.clone(), self.cursor);
            let missed = self.insist("read the changes that it missed", move || {
                let data = data.clone();
                Box::pin(async move { changes::after(&data, cursor).await })
            });
            let missed = missed.await?;
            if missed.is_empty() {
                return Some(());
            }
            for change in missed {
                if self.enabled { self.take(change).await? } else { self.advance(change.changeid).await? }
            }
        }
    }

    async fn skip_to_newest(&mut self) -> Option<()> {
        let data = self.definition.around.data.clone();
        let newest = self.insist("read the newest change", move || {
            let data = data.clone();
            Box::pin(async move { changes::newest(&data).await })
        });
        let newest = newest.await?;
        self.advance(newest).await
    }

    /// Intake in the order of 03.004, then the machine.
    async fn take(&mut self, change: Change) -> Option<()> {
        let id = change.changeid;
        let (definition, stop) = (self.definition.clone(), self.stop.clone());
        let verdict = tokio::select! {
            () = stop.cancelled() => return None,
            verdict = intake::judge(&definition, &change) => verdict,
        };
        if let Verdict::Taken { important } = verdict {
            if self.definition.intake.absolute && absolute::remember(&mut self.last, &change) {
                let last = serde_json::to_value(&self.last).unwrap_or_default();
                self.set_state(absolute::STATE, last).await?;
            }
            self.cursor = id;
            let Some(important) = self.got_change(&change, important).await? else {
                return self.advance(id).await;
            };
            let tree = Tree::of(&change, self.definition.per_branch());
            self.event(Event::Changed { tree, change: id, important }, Some(change)).await?;
        }
        self.advance(id).await
    }

    async fn advance(&mut self, id: ChangeId) -> Option<()> {
        self.cursor = id;
        self.set_state(CURSOR, id.into()).await
    }

    /// Gives an event to the machine and carries out its effects. `change` is at hand for an immediate buildset.
    pub(super) async fn event(&mut self, event: Event, change: Option<Change>) -> Option<()> {
        let clock = self.definition.around.clock.clone();
        for effect in self.machine.handle(&*clock, event) {
            match effect {
                Effect::Classify { change, important } => {
                    self.classify(Classified { changeid: change, important }).await?;
                }
                Effect::Fire { tree, changes } => self.fire(tree, changes, change.clone()).await?,
                Effect::Forget => self.forget().await?,
                Effect::Skip => self.skip().await?,
            }
        }
        Some(())
    }

    async fn classify(&self, verdict: Classified) -> Option<()> {
        let (data, id) = (self.definition.around.data.clone(), self.id);
        let written = self.insist("store its verdict on a change", move || {
            let (data, verdict) = (data.clone(), verdict.clone());
            Box::pin(async move { data.classify_change(id, verdict).await })
        });
        written.await?.detach();
        Some(())
    }

    async fn forget(&self) -> Option<()> {
        let (data, id) = (self.definition.around.data.clone(), self.id);
        let written = self.insist("forget its classified changes", move || {
            let data = data.clone();
            Box::pin(async move { data.flush_classifications(id, None).await })
        });
        written.await?.detach();
        Some(())
    }

    /// Adds the buildset of some changes.
    async fn fire(&mut self, tree: Tree, ids: Vec<(ChangeId, bool)>, at_hand: Option<Change>) -> Option<()> {
        let mut changes = Vec::with_capacity(ids.len());
        for (id, _) in &ids {
            match &at_hand {
                Some(change) if change.changeid == *id => changes.push(change.clone()),
                _ => changes.extend(self.change(*id).await?),
            }
        }
        let mut state = self.decided();
        state.push((self.key(CURSOR), self.cursor.into()));
        let wanted = match &self.definition.plan {
            Plan::Stored(_) => match self.stored_wanted().await? {
                Some(wanted) => wanted,
                None => return self.store_decided().await,
            },
            Plan::Changes { .. } | Plan::Clock(_) => Wanted {
                reason: self.definition.reason.clone(),
                stamps: stamps_for_changes(&self.definition.intake.codebases, &changes, &self.last),
                changes,
                ..Wanted::default()
            },
        };
        if matches!(self.definition.plan, Plan::Stored(_)) {
            state.push((self.key(LAST_TRIGGER), Json::Null));
        }
        let changes = ids.iter().map(|(id, _)| *id).collect();
        let settled = Some(Settled { schedulerid: self.id, changes, state });
        let wanted = Wanted { settled, ..wanted };
        let (definition, stop) = (self.definition.clone(), self.stop.clone());
        let buildset = tokio::select! {
            () = stop.cancelled() => return None,
            buildset = definition.common.buildset(&definition.around, wanted) => buildset,
        };
        match buildset {
            Ok(buildset) => {
                let data = self.definition.around.data.clone();
                let added = self.insist("add a buildset", move || {
                    let (data, buildset) = (data.clone(), buildset.clone());
                    Box::pin(async move { data.add_buildset(buildset).await })
                });
                let (bsid, requests) = added.await?;
                let around = &self.definition.around;
                around.agenda.acted(self.name(), around.clock.now().secs());
                tracing::info!(scheduler = %self.name(), bsid, requests = requests.len(), "added a buildset");
                Some(())
            }
            Err(error) => {
                tracing::error!(scheduler = %self.name(), %error, "no buildset could be made for its changes");
                let clock = self.definition.around.clock.clone();
                self.machine.handle(&*clock, Event::PutBack { tree, changes: ids });
                self.store_decided().await
            }
        }
    }

    async fn change(&self, id: ChangeId) -> Option<Option<Change>> {
        let data = self.definition.around.data.clone();
        self.insist("read a change", move || {
            let data = data.clone();
            Box::pin(async move { data.change(id).await })
        })
        .await
    }

    fn name(&self) -> &str {
        self.definition.name()
    }

    pub(super) fn key(&self, name: &str) -> lunabot_data::new::StateKey {
        state_key(self.name(), &self.definition.classname, name)
    }

    pub(super) async fn state(&self, name: &str) -> Option<Json> {
        let (data, key) = (self.definition.around.data.clone(), self.key(name));
        let stored = self.insist("read its state", move || {
            let (data, key) = (data.clone(), key.clone());
            Box::pin(async move { data.get_state(&key).await })
        });
        Some(stored.await?.unwrap_or_default())
    }

    pub(super) async fn set_state(&self, name: &str, value: StateValue) -> Option<()> {
        self.write_state(name, value).await?.detach();
        Some(())
    }

    /// Stored when it returns.
    pub(super) async fn set_state_durably(&self, name: &str, value: StateValue) -> Option<()> {
        loop {
            match self.write_state(name, value.clone()).await?.await {
                Ok(()) => return Some(()),
                Err(error) => tracing::error!(scheduler = %self.name(), %error, "could not store its state"),
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.definition.around.clock.sleep(std::time::Duration::from_secs(1)) => {}
            }
        }
    }

    async fn write_state(&self, name: &str, value: StateValue) -> Option<Ack> {
        let (data, key) = (self.definition.around.data.clone(), self.key(name));
        let written = self.insist("store its state", move || {
            let (data, key, value) = (data.clone(), key.clone(), value.clone());
            Box::pin(async move { data.set_state(&key, value).await })
        });
        written.await
    }

    async fn insist<T>(
        &self,
        what: &str,
        attempt: impl Fn() -> BoxFuture<'static, Result<T, DataError>>,
    ) -> Option<T> {
        insist(self.name(), &*self.definition.around.clock, &self.stop, what, attempt).await
    }
}
