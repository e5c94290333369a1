//! `schedulers.Dependent` (03.015): builds what another scheduler has built well.

use super::buildset::{Common, Wanted};
use super::params::{PRIORITY, scheduler_options, shared_problems};
use super::steady::insist;
use super::{Surroundings, state_key};
use lunabot_data::new::{Settled, StampRef, StateKey, StateValue};
use lunabot_data::{Answer, Data, DataError, Delivery, Subscription};
use lunabot_model::kind::{Category, Kind, Params, Problem, check_as, schema_of};
use lunabot_model::resources::Buildset;
use lunabot_model::{AnyObject, BoxFuture, BuildsetId, Event, Json, Pattern, Results, SchedulerId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

scheduler_options!(
    /// `schedulers.Dependent`.
    DependentParams {
        /// The scheduler whose buildsets are followed, or its name.
        upstream: Upstream,
    }
);

/// A scheduler, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream(pub String);

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        let name = match (&value, AnyObject::from_json(&value)) {
            (Json::String(name), _) => Some(name.clone()),
            (_, Some(object)) if object.kind.starts_with("schedulers.") => {
                object.arg("name").and_then(Json::as_str).map(str::to_string)
            }
            _ => None,
        };
        name.map(Upstream).ok_or_else(|| {
            let got = lunabot_model::text::returned(&value, &|text| text.into());
            serde::de::Error::custom(format!("expected a scheduler or the name of one, got {got}"))
        })
    }
}

impl JsonSchema for Upstream {
    fn schema_name() -> Cow<'static, str> {
        "Upstream".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "object", "x-object": true}]})
    }
}

impl Params for DependentParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = shared_problems(&self.name, None, &[]);
        if self.upstream.0 == self.name {
            problems.push(Problem::new("upstream", "a scheduler cannot depend on itself"));
        }
        problems
    }
}

pub const DEPENDENT: Kind = Kind {
    namespace: "schedulers",
    name: "Dependent",
    aliases: &[],
    category: Category::Scheduler,
    positional: &["name", "upstream", "builderNames"],
    flat: false,
    doc: "Starts builders with the same sources when all builds of another scheduler's buildset went well.",
    schema: schema_of::<DependentParams>,
    check: check_as::<DependentParams>,
    callbacks: &[PRIORITY],
    extensible: false,
};

pub(super) const CLASS: &str = "Dependent";
/// Which buildsets were looked at.
pub(super) const SEEN: &str = "seen_bsids";
/// Buildsets of the upstream that are not complete.
pub(super) const WAITING: &str = "upstream_bsids";
/// Buildsets read at once, and looked at before that is stored.
const PAGE: usize = 100;

/// Buildsets that were looked at: all up to one, and some after it, for they are announced a little out of order.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    pub upto: BuildsetId,
    also: BTreeSet<BuildsetId>,
}

impl Seen {
    pub fn all_upto(bsid: BuildsetId) -> Self {
        Seen { upto: bsid, also: BTreeSet::new() }
    }

    /// False: it was noted before.
    fn note(&mut self, bsid: BuildsetId) -> bool {
        if bsid <= self.upto || !self.also.insert(bsid) {
            return false;
        }
        // An id that was never used must not hold up the others for ever.
        if self.also.len() > PAGE {
            self.upto = self.also.pop_first().unwrap_or(self.upto);
        }
        while self.also.first() == Some(&(self.upto + 1)) {
            self.also.pop_first();
            self.upto += 1;
        }
        true
    }
}

/// A Dependent of one generation.
#[derive(Clone)]
pub(super) struct Definition {
    pub upstream: String,
    pub common: Arc<Common>,
    pub around: Surroundings,
}

impl Definition {
    pub fn read(object: &AnyObject, around: &Surroundings) -> Result<Self, String> {
        let params = DependentParams::deserialize(&object.args).map_err(|error| error.to_string())?;
        Ok(Definition {
            common: Arc::new(params.common()),
            upstream: params.upstream.0,
            around: around.clone(),
        })
    }
}

/// What the actor is told.
pub(super) enum Order {
    Define(Box<Definition>),
    Enable(bool),
}

/// The actor: one task per Dependent.
pub(super) struct Actor {
    pub id: SchedulerId,
    pub definition: Definition,
    pub enabled: bool,
    pub inbox: mpsc::Receiver<Order>,
    pub stop: CancellationToken,
}

impl Actor {
    /// Runs until it is stopped or its inbox is gone.
    pub async fn run(self) {
        let patterns = ["buildsets/*/new", "buildsets/*/complete"].map(Pattern::parse);
        let feed = self.definition.around.data.bus().subscribe(patterns.to_vec());
        let Actor { id, definition, enabled, inbox, stop } = self;
        let (seen, waiting) = (Seen::default(), BTreeSet::new());
        let mut running = Running { id, definition, enabled, stop, seen, unstored: 0, waiting };
        if running.start().await.is_some() {
            running.serve(feed, inbox).await;
        }
    }
}

struct Running {
    id: SchedulerId,
    definition: Definition,
    enabled: bool,
    stop: CancellationToken,
    seen: Seen,
    /// How many were looked at since that was stored.
    unstored: usize,
    waiting: BTreeSet<BuildsetId>,
}

impl Running {
    async fn serve(&mut self, mut feed: Subscription, mut inbox: mpsc::Receiver<Order>) {
        loop {
            let stop = self.stop.clone();
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                order = inbox.recv() => match order {
                    Some(order) => self.order(order).await,
                    None => None,
                },
                delivery = feed.next() => match delivery {
                    Some(Delivery::Event(event)) => self.announced(&event).await,
                    Some(Delivery::Lagged(_)) => self.catch_up().await,
                    None => None,
                },
            };
            if done.is_none() {
                return;
            }
        }
    }

    /// What is stored, then what came while nothing ran. `None`: stopped meanwhile.
    async fn start(&mut self) -> Option<()> {
        self.waiting = serde_json::from_value(self.state(WAITING).await?).unwrap_or_default();
        match serde_json::from_value(self.state(SEEN).await?) {
            Ok(seen) if self.enabled => {
                self.seen = seen;
                self.catch_up().await
            }
            _ => self.skip_to_newest().await,
        }
    }

    async fn order(&mut self, order: Order) -> Option<()> {
        match order {
            Order::Define(definition) => {
                let same = definition.upstream == self.definition.upstream;
                self.definition = *definition;
                if same { Some(()) } else { self.forget().await }
            }
            Order::Enable(true) if !self.enabled => {
                self.enabled = true;
                self.skip_to_newest().await?;
                self.look_at_waiting().await
            }
            Order::Enable(enabled) => {
                self.enabled = enabled;
                Some(())
            }
        }
    }

    async fn announced(&mut self, event: &Event) -> Option<()> {
        let Some(bsid) = event.topic.id(1) else { return Some(()) };
        match event.topic.part(2) {
            Some("new") => {
                let ours = event.payload["scheduler"] == self.definition.upstream.as_str();
                self.look_at_new(bsid, ours).await
            }
            _ if self.enabled && self.waiting.contains(&bsid) => self.look_at(bsid).await,
            _ => Some(()),
        }
    }

    /// A new buildset, of the upstream or not.
    async fn look_at_new(&mut self, bsid: BuildsetId, ours: bool) -> Option<()> {
        if !self.seen.note(bsid) {
            return Some(());
        }
        self.unstored += 1;
        if ours && self.enabled {
            self.waiting.insert(bsid);
            self.store().await?;
            return self.look_at(bsid).await;
        }
        // What is stored need not be exact: what was no concern once is none when it is read again.
        if self.unstored >= PAGE { self.store().await } else { Some(()) }
    }

    /// Buildsets that came while nothing ran, or faster than they were read, and what has become of the others.
    async fn catch_up(&mut self) -> Option<()> {
        let mut from = self.seen.upto;
        loop {
            let page =
                self.insist("read buildsets", move |data| Box::pin(async move { after(&data, from).await }));
            let page = page.await?;
            from = page.last().copied().unwrap_or(from);
            let full = page.len() == PAGE;
            for bsid in page {
                let scheduler = self.insist("read a buildset's scheduler", move |data| {
                    Box::pin(
                        async move { Ok(data.buildset_properties(bsid).await?.get("scheduler").cloned()) },
                    )
                });
                let ours = scheduler.await? == Some(self.definition.upstream.as_str().into());
                self.look_at_new(bsid, ours).await?;
            }
            if !full {
                return self.look_at_waiting().await;
            }
        }
    }

    async fn look_at_waiting(&mut self) -> Option<()> {
        for bsid in self.waiting.clone() {
            self.look_at(bsid).await?;
        }
        Some(())
    }

    /// Whether a buildset of the upstream is complete, and if it is, builds on it or lets it go.
    async fn look_at(&mut self, bsid: BuildsetId) -> Option<()> {
        let set =
            self.insist("read a buildset", move |data| Box::pin(async move { data.buildset(bsid).await }));
        match set.await? {
            Some(set) if !set.complete => Some(()),
            Some(set) if matches!(set.results, Some(Results::Success | Results::Warnings)) => {
                self.follow(set).await
            }
            Some(_) | None => {
                self.waiting.remove(&bsid);
                self.store().await
            }
        }
    }

    /// Adds the buildset that follows another, and forgets the other in the same transaction.
    async fn follow(&mut self, set: Buildset) -> Option<()> {
        self.waiting.remove(&set.bsid);
        let wanted = Wanted {
            reason: "downstream".into(),
            stamps: set.sourcestamps.into_iter().map(|stamp| (StampRef::Id(stamp.ssid), stamp)).collect(),
            settled: Some(Settled { schedulerid: self.id, changes: Vec::new(), state: self.states() }),
            ..Wanted::default()
        };
        let (definition, stop) = (self.definition.clone(), self.stop.clone());
        let buildset = tokio::select! {
            () = stop.cancelled() => return None,
            buildset = definition.common.buildset(&definition.around, wanted) => buildset,
        };
        let buildset = match buildset {
            Ok(buildset) => buildset,
            Err(error) => {
                tracing::error!(scheduler = %self.name(), %error, "no buildset could be made");
                return self.store().await;
            }
        };
        let added = self.insist("add a buildset", move |data| {
            let buildset = buildset.clone();
            Box::pin(async move { data.add_buildset(buildset).await })
        });
        let (bsid, requests) = added.await?;
        tracing::info!(scheduler = %self.name(), bsid, requests = requests.len(), "added a buildset");
        self.unstored = 0;
        let around = &self.definition.around;
        around.agenda.acted(self.name(), around.clock.now().secs());
        Some(())
    }

    async fn skip_to_newest(&mut self) -> Option<()> {
        let newest =
            self.insist("read the newest buildset", |data| Box::pin(async move { newest(&data).await }));
        self.seen = Seen::all_upto(newest.await?);
        self.store().await
    }

    async fn forget(&mut self) -> Option<()> {
        self.waiting.clear();
        self.skip_to_newest().await
    }

    fn name(&self) -> &str {
        &self.definition.common.name
    }

    fn key(&self, name: &str) -> StateKey {
        state_key(self.name(), CLASS, name)
    }

    fn states(&self) -> Vec<(StateKey, StateValue)> {
        let waiting: Vec<BuildsetId> = self.waiting.iter().copied().collect();
        let seen = serde_json::to_value(&self.seen).unwrap_or_default();
        vec![(self.key(SEEN), seen), (self.key(WAITING), waiting.into())]
    }

    async fn store(&mut self) -> Option<()> {
        let states = self.states();
        let written = self.insist("store its state", move |data| {
            let states = states.clone();
            Box::pin(async move {
                for (key, value) in states {
                    data.set_state(&key, value).await?.detach();
                }
                Ok(())
            })
        });
        written.await?;
        self.unstored = 0;
        Some(())
    }

    async fn state(&self, name: &str) -> Option<Json> {
        let key = self.key(name);
        let stored = self.insist("read its state", move |data| {
            let key = key.clone();
            Box::pin(async move { data.get_state(&key).await })
        });
        Some(stored.await?.unwrap_or_default())
    }

    async fn insist<T>(
        &self,
        what: &str,
        attempt: impl Fn(Data) -> BoxFuture<'static, Result<T, DataError>>,
    ) -> Option<T> {
        let around = &self.definition.around;
        insist(self.name(), &*around.clock, &self.stop, what, || attempt(around.data.clone())).await
    }
}

async fn after(data: &Data, cursor: BuildsetId) -> Result<Vec<BuildsetId>, DataError> {
    ids(data, &format!("bsid__gt={cursor}&order=bsid&limit={PAGE}")).await
}

async fn newest(data: &Data) -> Result<BuildsetId, DataError> {
    Ok(ids(data, "order=-bsid&limit=1").await?.first().copied().unwrap_or(0))
}

async fn ids(data: &Data, query: &str) -> Result<Vec<BuildsetId>, DataError> {
    match data.get("buildsets", query).await? {
        Answer::List { items, .. } => Ok(items.iter().filter_map(|set| set["bsid"].as_i64()).collect()),
        Answer::One { .. } | Answer::Raw => Ok(Vec::new()),
    }
}
