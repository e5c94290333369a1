//! Schedulers of classes of the configuration (lua-api § 3): when their methods are called, and what `self` can do.

use super::absolute::LastRevision;
use super::actor::Running;
use super::buildset::{Added, Wanted, stamps_for_changes};
use super::definition::Definition;
use super::stamps::{PartialStamp, with_defaults};
use crate::scripts::acting::{Acting, FIRST_PAUSE, LONGEST_PAUSE, Own, recalled, remembered};
use crate::scripts::args::{Args, Method, NOTHING, Reply, call, methods, names, value};
use lunabot_data::{DataError, Memory};
use lunabot_model::change_filter::change_object;
use lunabot_model::kind::nearest;
use lunabot_model::resources::Change;
use lunabot_model::script::LiveObject;
use lunabot_model::{
    AnyObject, Arg, BoxFuture, BuilderId, CallError, ChangeId, ClassOf, Json, Mono, Names, Properties,
    ScriptError,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Under which what the functions remember is kept; what the master remembers of a scheduler is kept elsewhere.
const STATE: &str = "OwnScheduler";
const GOT_CHANGE: &str = "gotChange";

/// What a declared object says of its class, if it has one.
pub(super) fn read(object: &AnyObject, around: &super::Surroundings) -> Result<Option<Arc<Own>>, String> {
    let Some(class) = &object.class else { return Ok(None) };
    let name = object.arg("name").and_then(Json::as_str).unwrap_or_default().to_owned();
    let (host, secrets) = (around.host.clone(), around.secrets.clone());
    let class = ClassOf::read(class)?;
    let concerns = format!("scheduler {name}");
    let object = object.clone();
    Ok(Some(Arc::new(Own { what: "scheduler", name, concerns, object, class, host, secrets })))
}

/// A scheduler's object while it acts.
pub(super) struct OwnScheduler {
    acting: Acting,
    desk: Arc<Desk>,
}

/// When to try again what could not be activated.
pub(super) struct Retry {
    at: Option<Mono>,
    pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { at: None, pause: FIRST_PAUSE }
    }
}

/// What its methods act on. They hold it weakly: once it is gone the scheduler acts no more.
struct Desk(Mutex<Inside>);

struct Inside {
    definition: Definition,
    last: BTreeMap<String, LastRevision>,
    /// The change that `gotChange` is asked about, and what it hands to the base.
    asked: Option<(ChangeId, Option<bool>)>,
}

impl Desk {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Whether it may look at changes: it is no class's, or its object acts. One that is disabled looks past them.
    pub(super) fn is_ready(&self) -> bool {
        !self.enabled || self.definition.own.is_none() || self.acting.is_some()
    }

    /// When to call [`Running::activate`] again.
    pub(super) fn retry_at(&self) -> Option<Mono> {
        self.retry.at.filter(|_| !self.is_ready())
    }

    /// Lets its object act, if it has a class; false: that failed, and is tried again.
    pub(super) async fn activate(&mut self) -> Option<bool> {
        let Some(own) = self.definition.own.clone().filter(|_| !self.is_ready()) else { return Some(true) };
        let stop = self.stop.clone();
        let begun = tokio::select! {
            () = stop.cancelled() => return None,
            begun = self.begin(&own) => begun,
        };
        let clock = &self.definition.around.clock;
        match begun {
            Ok(acting) => {
                self.acting = Some(acting);
                self.retry = Retry::default();
                Some(true)
            }
            Err(error) => {
                let Retry { pause, .. } = self.retry;
                tracing::error!(
                    scheduler = %own.name, "could not be activated: {error}; it will be tried again in {} s", pause.as_secs()
                );
                self.retry = Retry { at: Some(clock.mono() + pause), pause: (pause * 2).min(LONGEST_PAUSE) };
                Some(false)
            }
        }
    }

    /// One attempt, with an object of its own.
    async fn begin(&self, own: &Arc<Own>) -> Result<OwnScheduler, ScriptError> {
        let (definition, last) = (self.definition.clone(), self.last.clone());
        let memory = Memory { data: definition.around.data.clone(), object: own.name.clone(), class: STATE };
        let desk = Arc::new(Desk(Mutex::new(Inside { definition, last, asked: None })));
        let handle = Handle { desk: Arc::downgrade(&desk), memory };
        let acting = own.begin(&NAMES, Arc::new(handle)).await?;
        acting.hook("activate", Vec::new()).await?;
        Ok(OwnScheduler { acting, desk })
    }

    /// Its object acts no more.
    pub(super) async fn deactivate(&mut self) {
        self.retry = Retry::default();
        if let Some(OwnScheduler { acting, desk: _desk }) = self.acting.take() {
            acting.farewell("deactivate", &*self.definition.around.clock).await;
        }
    }

    /// A newer configuration. `same`: its object goes on as it is.
    pub(super) async fn redefine(&mut self, definition: Definition, same: bool) -> Option<()> {
        let mut definition = definition;
        if same {
            definition.own = self.definition.own.clone();
            if let Some(acting) = &self.acting {
                acting.desk.inside().definition = definition.clone();
            }
        } else {
            self.deactivate().await;
        }
        self.definition = definition;
        if same || !self.enabled {
            return Some(());
        }
        match self.definition.own {
            Some(_) => self.resume().await,
            None => self.rebuild().await,
        }
    }

    /// Calls `gotChange` of its class, which may hand the change to the base: whether it is important then. Without such a
    /// method all go to the base.
    pub(super) async fn got_change(&mut self, change: &Change, important: bool) -> Option<Option<bool>> {
        let Some(OwnScheduler { acting, desk }) = &self.acting else { return Some(Some(important)) };
        if !acting.has(GOT_CHANGE) {
            return Some(Some(important));
        }
        {
            let mut inside = desk.inside();
            inside.asked = Some((change.changeid, None));
            inside.last = self.last.clone();
        }
        let args = vec![Arg::Object(change_object(change)), Arg::Value(important.into())];
        tokio::select! {
            () = self.stop.cancelled() => return None,
            // The host tells of an error; the change is passed over.
            _ = acting.hook(GOT_CHANGE, args) => {}
        }
        Some(desk.inside().asked.take().and_then(|(_, passed)| passed))
    }
}

/// What the methods act on.
struct Handle {
    desk: Weak<Desk>,
    memory: Memory,
}

static METHODS: &[Method<Handle>] = methods! {
    "getState"("key", "default*") => get_state,
    "setState"("key", "value*") => set_state,
    "activate"() => nothing,
    "deactivate"() => nothing,
    "gotChange"("change", "important") => got_change,
    "addBuildsetForChanges"("options*") => for_changes,
    "addBuildsetForSourceStampsWithDefaults"("options*") => for_stamps,
};
/// `spawn` and `callLater` stay with the script host.
static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| names(&[METHODS]).into_iter().chain(["spawn", "callLater"]).collect());

impl LiveObject for Handle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], self, method, args).await })
    }
}

impl Handle {
    fn desk(&self) -> Result<Arc<Desk>, CallError> {
        let ended = || CallError::from(format!("scheduler {} acts no more", self.memory.object));
        self.desk.upgrade().ok_or_else(ended)
    }
}

async fn get_state(this: &Handle, args: Args) -> Reply {
    recalled(&this.memory, args).await
}

async fn set_state(this: &Handle, args: Args) -> Reply {
    remembered(&this.memory, args).await
}

/// What the base does.
async fn nothing(_: &Handle, _: Args) -> Reply {
    Ok(NOTHING)
}

/// The base's own: it classifies the change, waits for `treeStableTimer`, and builds.
async fn got_change(this: &Handle, mut args: Args) -> Reply {
    let change = match args.take("change") {
        Some(Arg::Object(object)) => object.fields["changeid"].as_i64(),
        _ => None,
    };
    let important: bool = args.need("important")?;
    let desk = this.desk()?;
    match &mut desk.inside().asked {
        Some((asked, passed)) if change == Some(*asked) => *passed = Some(important),
        _ => return Err(args.wrong("change: expected the change that gotChange is being called with")),
    }
    Ok(NOTHING)
}

/// Options of `addBuildsetForChanges`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ForChanges {
    changeids: Vec<ChangeId>,
    reason: Option<String>,
    external_idstring: Option<String>,
    #[serde(rename = "builderNames")]
    builder_names: Option<Names>,
    properties: BTreeMap<String, Json>,
    priority: Option<i64>,
    waited_for: bool,
}

/// Options of `addBuildsetForSourceStampsWithDefaults`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ForStamps {
    sourcestamps: Vec<PartialStamp>,
    reason: Option<String>,
    external_idstring: Option<String>,
    #[serde(rename = "builderNames")]
    builder_names: Option<Names>,
    properties: BTreeMap<String, Json>,
    priority: Option<i64>,
    waited_for: bool,
}

/// 03.005.
async fn for_changes(this: &Handle, mut args: Args) -> Reply {
    let asked: ForChanges = args.maybe("options")?.unwrap_or_default();
    let desk = this.desk()?;
    let (definition, last) = {
        let inside = desk.inside();
        (inside.definition.clone(), inside.last.clone())
    };
    let mut changes = Vec::with_capacity(asked.changeids.len());
    for id in asked.changeids {
        let found = definition.around.data.change(id).await.map_err(|error| error.to_string())?;
        changes.push(found.ok_or_else(|| args.wrong(&format!("changeids: there is no change {id}")))?);
    }
    changes.sort_by_key(|change| change.changeid);
    changes.dedup_by_key(|change| change.changeid);
    let wanted = Wanted {
        reason: asked.reason.unwrap_or_else(|| definition.reason.clone()),
        stamps: stamps_for_changes(&definition.intake.codebases, &changes, &last),
        changes,
        only_builders: only(&definition, asked.builder_names, &args)?,
        properties: Properties::from_plain(&asked.properties, "Scheduler"),
        priority: asked.priority,
        external_idstring: asked.external_idstring,
        waited_for: asked.waited_for,
        ..Wanted::default()
    };
    add(definition, wanted).await
}

/// 03.006.
async fn for_stamps(this: &Handle, mut args: Args) -> Reply {
    let asked: ForStamps = args.maybe("options")?.unwrap_or_default();
    let definition = this.desk()?.inside().definition.clone();
    let stamps = with_defaults(&definition.intake.codebases, &asked.sourcestamps);
    let wanted = Wanted {
        reason: asked.reason.unwrap_or_else(|| definition.reason.clone()),
        stamps: stamps.map_err(|wrong| args.wrong(&format!("sourcestamps: {wrong}")))?,
        only_builders: only(&definition, asked.builder_names, &args)?,
        properties: Properties::from_plain(&asked.properties, "Scheduler"),
        priority: asked.priority,
        external_idstring: asked.external_idstring,
        waited_for: asked.waited_for,
        ..Wanted::default()
    };
    add(definition, wanted).await
}

/// The builders that are named; an unknown one is an error.
fn only(
    definition: &Definition,
    names: Option<Names>,
    args: &Args,
) -> Result<Option<Vec<BuilderId>>, CallError> {
    let Some(names) = names else { return Ok(None) };
    let known = &definition.around.builders;
    let id = |name: &String| {
        let near = || nearest(name, known.keys().map(String::as_str));
        let hint = || near().map_or(String::new(), |near| format!(", did you mean {near}?"));
        let unknown = || args.wrong(&format!("builderNames: there is no builder {name}{}", hint()));
        known.get(name).copied().ok_or_else(unknown)
    };
    names.0.iter().map(id).collect::<Result<_, _>>().map(Some)
}

/// Adds it, also where whoever asked ends meanwhile: what is stored is announced.
async fn add(definition: Definition, wanted: Wanted) -> Reply {
    let adding = tokio::spawn(async move {
        let added = definition.common.add(&definition.around, wanted).await;
        if let Ok((bsid, requests)) = &added {
            tracing::info!(scheduler = %definition.name(), bsid, requests = requests.len(), "added a buildset");
        }
        added
    });
    let stopping = |_| DataError::Storage("the master is stopping".into()).to_string();
    let (bsid, requests): Added = adding.await.map_err(stopping)?.map_err(|error| error.to_string())?;
    let brids: Vec<i64> = requests.into_values().collect();
    value(json!({"bsid": bsid, "brids": brids}))
}
