//! What everything inside one build shares: facts, properties, secrets to mask, the worker.

use super::actor::Orders;
use super::patience::{Patience, Stop};
use super::scripted::{BuildScript, RemainingSteps};
use crate::locks::client::LockDesk;
use crate::logs::{Masks, SizeLimits};
use crate::plan::{BuilderPlan, WorkerPlan};
use crate::progress::{Desk, Watch};
use crate::scheduler::Schedulers;
use crate::step::{BuildInfo, StepError, StepKind};
use crate::worker::WorkerHandle;
use crate::worker::latent::LatentDesk;
use lunabot_data::Data;
use lunabot_model::locks::LockUse;
use lunabot_model::script::Keep;
use lunabot_model::{Category, Clock, Crosses, Json, Properties, Property};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;

/// Longest name of a property (04.001).
const MAX_PROPERTY_NAME: usize = 256;

/// What every build of an engine uses.
pub struct Services {
    pub data: Data,
    pub clock: Arc<dyn Clock>,
    pub locks: LockDesk,
    pub latents: LatentDesk,
    /// For steps that trigger.
    pub schedulers: Arc<Schedulers>,
    /// All kinds of steps, for those that functions make.
    pub steps: HashMap<&'static str, &'static StepKind>,
    pub progress: Arc<Desk>,
    /// Numbers remote commands (05.037).
    next_command: AtomicU64,
}

impl Services {
    pub fn new(
        data: Data,
        clock: Arc<dyn Clock>,
        locks: LockDesk,
        latents: LatentDesk,
        schedulers: Arc<Schedulers>,
        steps: HashMap<&'static str, &'static StepKind>,
    ) -> Self {
        let progress = Desk::new(data.clone(), clock.clone());
        Services { data, clock, locks, latents, schedulers, steps, progress, next_command: AtomicU64::new(1) }
    }

    pub fn command_id(&self) -> String {
        self.next_command.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

/// Shared by the actor of a build and the step that runs; both belong to the one build.
pub struct BuildShared {
    /// For objects handed to scripts, which must not keep the build alive.
    pub itself: Crosses<Weak<BuildShared>>,
    pub services: Crosses<Arc<Services>>,
    pub builder: Crosses<Arc<BuilderPlan>>,
    pub worker: Crosses<Arc<WorkerHandle>>,
    /// What the configuration says of the worker.
    pub worker_plan: Arc<WorkerPlan>,
    pub info: BuildInfo,
    pub masks: Arc<Masks>,
    pub properties: Mutex<PropertyStore>,
    /// Set once the properties can be rendered: the builder's workdir for steps that name none (05.035).
    pub workdir: std::sync::OnceLock<String>,
    /// The build's own locks, rendered (05.061).
    pub locks: std::sync::OnceLock<Vec<LockUse>>,
    pub statistics: Mutex<Statistics>,
    /// What functions make and hand over is kept for as long as the build, once something asks for it.
    pub kept: std::sync::OnceLock<Keep>,
    /// Steps that were not run yet.
    pub remaining: RemainingSteps,
    /// How far it is.
    pub progress: Crosses<Arc<Watch>>,
    /// Of a build whose class is the configuration's.
    pub script: std::sync::OnceLock<BuildScript>,
    /// What the build was told from outside.
    pub orders: watch::Receiver<Orders>,
}

impl BuildShared {
    /// How long what the build asks for is waited for.
    pub fn patience(&self) -> Patience {
        self.patience_of(Stop::Build(self.orders.clone()))
    }

    pub fn patience_of(&self, stop: Stop) -> Patience {
        Patience { stop, lost: self.worker.lost.clone(), clock: self.services.clock.clone() }
    }

    /// Renders a value, for as long as that is waited for.
    pub async fn rendered(&self, value: &Json, patience: &Patience) -> Result<Json, StepError> {
        patience.or_give_up(async { Ok(lunabot_model::render::render(value, self).await?) }).await
    }

    pub fn properties(&self) -> MutexGuard<'_, PropertyStore> {
        self.properties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`lunabot_model::ScriptObject::scope`].
    pub fn scope(&self) -> u64 {
        self.kept.get_or_init(|| self.builder.generation.host.keep()).id()
    }

    pub fn log_limits(&self) -> SizeLimits {
        let config = &self.builder.generation.config;
        SizeLimits { max: config.log_max_size, tail: config.log_max_tail_size.unwrap_or(0) }
    }

    /// Stores properties that changed since the last time (04.004), rendered (04.005), secrets masked (04.039): the build
    /// itself goes on with what they hold. One whose value is computed, and is not there in time, is left out.
    pub async fn save_properties(&self) -> Result<(), StepError> {
        let changed = self.properties().take_changed();
        if changed.is_empty() {
            return Ok(());
        }
        let mut plain = Properties::new();
        for (name, property) in changed.iter() {
            let patience = self.patience();
            let value = match self.rendered(&property.value, &patience).await {
                Err(error) if patience.gave_up(&error) => continue,
                rendered => rendered?,
            };
            let value = self.masks.mask_json(&value);
            plain.insert(name, Property { value, ..property.clone() });
        }
        self.services.data.set_build_properties(self.info.buildid, plain).await?.detach();
        Ok(())
    }
}

/// The statistics of a build's steps, in the order in which steps first set one (05.016, 05.029).
#[derive(Debug, Default)]
pub struct Statistics(Vec<(String, BTreeMap<String, Json>)>);

impl Statistics {
    pub fn set(&mut self, step: &str, name: &str, value: Json) {
        if let Some((_, own)) = self.0.iter_mut().find(|(known, _)| known == step) {
            own.insert(name.into(), value);
        } else {
            self.0.push((step.into(), BTreeMap::from([(name.into(), value)])));
        }
    }

    pub fn get(&self, step: &str, name: &str) -> Option<&Json> {
        let (_, own) = self.0.iter().find(|(known, _)| known == step)?;
        own.get(name)
    }

    /// All of one step.
    pub fn of(&self, step: &str) -> Json {
        let own = self.0.iter().find(|(known, _)| known == step);
        own.map_or_else(|| serde_json::json!({}), |(_, own)| serde_json::json!(own))
    }

    /// The values of one statistic, step by step.
    pub fn all(&self, name: &str) -> Vec<Json> {
        self.0.iter().filter_map(|(_, own)| own.get(name).cloned()).collect()
    }
}

/// Properties that remember what was not stored yet.
#[derive(Debug, Default)]
pub struct PropertyStore {
    all: Properties,
    changed: BTreeSet<String>,
}

impl PropertyStore {
    pub fn all(&self) -> &Properties {
        &self.all
    }

    /// Sets a property while the build runs (04.003). A value equal to the old one is no change.
    pub fn set(&mut self, name: &str, value: Json, source: &str) -> Result<(), String> {
        if name.is_empty() {
            return Err("a property's name is not empty".into());
        }
        if let Some(object) = object_in(&value) {
            let got = lunabot_model::text::returned(object, &|text| text.into());
            return Err(format!("property {name}: expected a plain value, got {got}"));
        }
        if name.chars().count() > MAX_PROPERTY_NAME {
            return Err(format!("a property's name has at most {MAX_PROPERTY_NAME} characters: {name:.60}…"));
        }
        let property = Property { value, source: source.into(), runtime: true };
        self.insert(name, property);
        Ok(())
    }

    /// Changes many at once, e.g. by the functions of [`super::properties`].
    pub fn edit(&mut self, change: impl FnOnce(&mut Properties)) {
        let mut edited = self.all.clone();
        change(&mut edited);
        for (name, property) in edited.iter() {
            self.insert(name, property.clone());
        }
    }

    fn insert(&mut self, name: &str, property: Property) {
        if self.all.property(name) != Some(&property) {
            self.changed.insert(name.into());
            self.all.insert(name, property);
        }
    }

    fn take_changed(&mut self) -> Properties {
        let mut out = Properties::new();
        for name in std::mem::take(&mut self.changed) {
            if let Some(property) = self.all.property(&name) {
                out.insert(name, property.clone());
            }
        }
        out
    }
}

/// An object of the master or of the configuration in a value, which is no value by itself and yields none.
fn object_in(value: &Json) -> Option<&Json> {
    let yields = |kind: &str| {
        let mut kinds = lunabot_model::kinds::KINDS.iter();
        kinds.any(|known| known.category == Category::Renderable && known.path() == kind)
    };
    // Documents have such names too: a JSON schema refers to others by `$ref`.
    let of_ours = |key: &str| !key.contains(['/', '#', '.']);
    match value {
        Json::Array(items) => items.iter().find_map(object_in),
        Json::Object(map) if map.get("$ref").and_then(Json::as_str).is_some_and(of_ours) => Some(value),
        Json::Object(map) => match map.get("$kind").and_then(Json::as_str) {
            Some(kind) if map.contains_key("$args") => (!yields(kind)).then_some(value),
            _ => map.values().find_map(object_in),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_04_004_only_changed_properties_are_taken() {
        let mut store = PropertyStore::default();
        store.set("a", 1.into(), "x").unwrap();
        assert_eq!(store.take_changed().len(), 1);
        store.set("a", 1.into(), "x").unwrap();
        assert!(store.take_changed().is_empty());
        store.set("a", 1.into(), "y").unwrap();
        assert_eq!(store.take_changed().property("a").unwrap().source, "y");
        assert!(store.set(&"n".repeat(257), 1.into(), "x").is_err());
    }

    #[test]
    fn documents_are_values_and_objects_are_none() {
        use serde_json::json;
        for (value, none) in [
            (json!({"$ref": "build:1"}), true),
            (json!([{"x": {"$kind": "util.BuildFactory", "$args": {}}}]), true),
            (json!({"$kind": "util.Property", "$args": {"key": "x"}}), false),
            (json!({"items": {"$ref": "#/definitions/x"}, "more": {"$ref": "other.json"}}), false),
            (json!({"$kind": "of mine"}), false),
        ] {
            assert_eq!(object_in(&value).is_some(), none, "{value}");
        }
    }
}
