//! Schedulers: what turns changes and force requests into buildsets (reference area 03).
//!
//! [`Schedulers::apply`] takes each loaded configuration and touches only what differs. Each scheduler that follows
//! changes is a timing machine ([`timing`]) with an actor around it; force schedulers act when they are asked. What must
//! never enter: workers, builds, and the choice of what runs when.

mod absolute;
mod actor;
mod agenda;
mod buildset;
mod changes;
mod clocks;
mod control;
pub mod cron;
mod definition;
mod dependent;
pub mod force;
mod intake;
mod listing;
mod own;
pub mod params;
mod stamps;
mod steady;
mod ticking;
pub mod timed;
pub mod timing;
mod tries;
mod trigger;
mod triggerable;

pub use stamps::PartialStamp;
pub(crate) use tries::{TryError, TryUserpassParams, port_problem};
pub use trigger::{Completed, TriggerError, TriggerOrder, Triggered, TriggeredBuild};

use actor::{Actor, Order};
pub use agenda::Agenda;
use definition::Definition;
use lunabot_data::new::StateKey;
use lunabot_data::{Data, DataError};
use lunabot_model::object::same;
use lunabot_model::resources::Scheduler;
use lunabot_model::{AnyObject, BuilderId, Clock, Json, Kind, SchedulerId, ScriptHost, SecretSource};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The kinds of this module: schedulers and the parameters of force schedulers.
pub static KINDS: &[Kind] = &[
    params::SINGLE_BRANCH,
    params::ANY_BRANCH,
    params::BASE_BASIC,
    triggerable::TRIGGERABLE,
    dependent::DEPENDENT,
    clocks::PERIODIC,
    clocks::NIGHTLY,
    clocks::NIGHTLY_TRIGGERABLE,
    tries::TRY_USERPASS,
    tries::TRY_JOBDIR,
    force::kinds::FORCE_SCHEDULER,
    force::kinds::BASE,
    force::kinds::STRING,
    force::kinds::TEXT,
    force::kinds::INT,
    force::kinds::BOOLEAN,
    force::kinds::FIXED,
    force::kinds::USER_NAME,
    force::kinds::CHOICE,
    force::kinds::INHERIT,
    force::kinds::WORKER_CHOICE,
    force::kinds::FILE,
    force::kinds::NESTED,
    force::kinds::ANY_PROPERTY,
    force::kinds::CODEBASE,
    force::kinds::PATCH,
];

/// Orders that an actor may have waiting; they come from reloads and people.
const INBOX: usize = 16;

/// What schedulers of one generation work with.
#[derive(Clone)]
pub struct Surroundings {
    pub data: Data,
    pub clock: Arc<dyn Clock>,
    /// Calls functions of this generation.
    pub host: Arc<dyn ScriptHost>,
    pub secrets: Arc<dyn SecretSource>,
    /// The configured builders.
    pub builders: Arc<HashMap<String, BuilderId>>,
    /// The same in every generation.
    pub agenda: Arc<Agenda>,
    /// Builder → the workers that may run it.
    pub workers: Arc<HashMap<String, Vec<String>>>,
}

impl Surroundings {
    /// The workers of the named builders.
    fn workers_of(&self, builders: &[String]) -> BTreeSet<String> {
        builders.iter().filter_map(|name| self.workers.get(name)).flatten().cloned().collect()
    }

    /// Ids of the named builders; unknown names are left out (03.007).
    fn builder_ids(&self, names: &[String]) -> Vec<BuilderId> {
        names.iter().filter_map(|name| self.builders.get(name).copied()).collect()
    }
}

/// Why a configuration's schedulers could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Data(#[from] DataError),
    /// Loading should have refused it.
    #[error("{at}: {message}")]
    Config { at: String, message: String },
}

/// What a new configuration changed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    pub started: Vec<String>,
    pub stopped: Vec<String>,
    pub changed: Vec<String>,
}

/// All schedulers of a master.
pub struct Schedulers {
    current: RwLock<Arc<Current>>,
    /// Held while `current` is worked out anew: one change of it at a time.
    turn: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The schedulers of the configuration that is in force.
#[derive(Default)]
struct Current {
    data: Option<Data>,
    all: BTreeMap<String, Entry>,
}

/// One scheduler.
#[derive(Clone)]
struct Entry {
    id: SchedulerId,
    enabled: bool,
    object: AnyObject,
    role: Role,
}

#[derive(Clone)]
enum Role {
    Follows { inbox: mpsc::Sender<Order>, stop: CancellationToken },
    Depends { inbox: mpsc::Sender<dependent::Order>, stop: CancellationToken },
    Forced(Arc<force::Force>),
    Triggered(Arc<triggerable::Triggerable>),
    Tried(Arc<tries::Try>),
    Watches { inbox: mpsc::Sender<tries::Order>, stop: CancellationToken },
}

impl Schedulers {
    /// No schedulers yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Schedulers {
            current: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Makes `declared` the schedulers of this master. Those that differ from the running ones in nothing but
    /// identities keep their timers; the others start, change or stop. Also registers the control actions of
    /// `schedulers` and `forceschedulers`.
    pub async fn apply(
        self: &Arc<Self>,
        declared: &[AnyObject],
        around: Surroundings,
    ) -> Result<Applied, ApplyError> {
        let mut read = Vec::with_capacity(declared.len());
        for object in declared {
            read.push((object.clone(), Declared::read(object, &around)?));
        }
        let _turn = self.turn.lock().await;
        let names: Vec<String> = read.iter().map(|(_, declared)| declared.name().to_string()).collect();
        let rows = around.data.sync_schedulers(&names).await?;
        reset_cursors_of_new(&around.data, &read).await?;
        let old = self.current();
        let mut applied = Applied::default();
        let mut all = BTreeMap::new();
        for (object, declared) in read {
            let name = declared.name().to_string();
            let Some(row) = rows.get(&name) else { continue };
            let entry = self.place(row, object, declared, old.all.get(&name), &mut applied).await;
            all.insert(name, entry);
        }
        for (name, entry) in old.all.iter().filter(|(name, _)| !all.contains_key(*name)) {
            entry.role.end();
            applied.stopped.push(name.clone());
        }
        listing::remember_times(&around, all.keys()).await?;
        self.replace(Current { data: Some(around.data.clone()), all });
        control::register(self, &around.data);
        listing::register(self, &around);
        listing::register_forms(self, &around);
        Ok(applied)
    }

    /// Ends all actors and waits for them. What they had begun is continued at the next start.
    pub async fn shut_down(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Puts one declared scheduler in the place of the one of the same name, if there is one.
    async fn place(
        &self,
        row: &Scheduler,
        object: AnyObject,
        declared: Declared,
        old: Option<&Entry>,
        applied: &mut Applied,
    ) -> Entry {
        let unchanged = old.is_some_and(|old| same_scheduler(&old.object, &object));
        match old {
            None => applied.started.push(row.name.clone()),
            Some(_) if !unchanged => applied.changed.push(row.name.clone()),
            Some(_) => {}
        }
        let role = match (declared, old.map(|old| &old.role)) {
            (Declared::Force(force), old) => {
                old.inspect(|old| old.end());
                Role::Forced(Arc::from(force))
            }
            (Declared::Triggered(triggerable), old) => {
                old.inspect(|old| old.end());
                Role::Triggered(Arc::from(triggerable))
            }
            (Declared::Tried(tried), old) => {
                old.inspect(|old| old.end());
                Role::Tried(Arc::from(tried))
            }
            (Declared::Watches(definition), Some(Role::Watches { inbox, stop })) => {
                drop(inbox.send(tries::Order::Define(definition)).await);
                Role::Watches { inbox: inbox.clone(), stop: stop.clone() }
            }
            (Declared::Watches(definition), old) => {
                old.inspect(|old| old.end());
                self.spawn_jobdir(row, *definition)
            }
            (Declared::Follows(definition), Some(Role::Follows { inbox, stop })) => {
                let same = unchanged;
                // An actor that is gone was shut down; nothing has to be told then.
                drop(inbox.send(Order::Define { definition: Box::new(definition), same }).await);
                Role::Follows { inbox: inbox.clone(), stop: stop.clone() }
            }
            (Declared::Follows(definition), old) => {
                old.inspect(|old| old.end());
                self.spawn(row, definition)
            }
            (Declared::Depends(definition), Some(Role::Depends { inbox, stop })) => {
                drop(inbox.send(dependent::Order::Define(Box::new(definition))).await);
                Role::Depends { inbox: inbox.clone(), stop: stop.clone() }
            }
            (Declared::Depends(definition), old) => {
                old.inspect(|old| old.end());
                self.spawn_dependent(row, definition)
            }
        };
        Entry { id: row.schedulerid, enabled: row.enabled, object, role }
    }

    fn spawn(&self, row: &Scheduler, definition: Definition) -> Role {
        let (sender, inbox) = mpsc::channel(INBOX);
        let stop = self.stop.child_token();
        if row.enabled && !matches!(definition.plan, definition::Plan::Changes { .. }) {
            definition.around.agenda.starting(&row.name);
        }
        let actor =
            Actor { id: row.schedulerid, definition, enabled: row.enabled, inbox, stop: stop.clone() };
        self.tasks.spawn(actor.run());
        Role::Follows { inbox: sender, stop }
    }

    fn spawn_dependent(&self, row: &Scheduler, definition: dependent::Definition) -> Role {
        let (sender, inbox) = mpsc::channel(INBOX);
        let stop = self.stop.child_token();
        let actor = dependent::Actor {
            id: row.schedulerid,
            definition,
            enabled: row.enabled,
            inbox,
            stop: stop.clone(),
        };
        self.tasks.spawn(actor.run());
        Role::Depends { inbox: sender, stop }
    }

    fn spawn_jobdir(&self, row: &Scheduler, definition: tries::Definition) -> Role {
        let (sender, inbox) = mpsc::channel(INBOX);
        let stop = self.stop.child_token();
        let (id, enabled) = (row.schedulerid, row.enabled);
        self.tasks.spawn(tries::Actor { id, definition, enabled, inbox, stop: stop.clone() }.run());
        Role::Watches { inbox: sender, stop }
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn replace(&self, new: Current) {
        new.list_forms();
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(new);
    }
}

impl Current {
    /// Makes the forms available (09.014).
    fn list_forms(&self) {
        if let Some(data) = &self.data {
            let forced = self.all.values().filter_map(|entry| match &entry.role {
                Role::Forced(force) => Some(force.resource(entry.enabled)),
                Role::Follows { .. }
                | Role::Depends { .. }
                | Role::Triggered(_)
                | Role::Tried(_)
                | Role::Watches { .. } => None,
            });
            data.set_force_schedulers(forced.collect());
        }
    }
}

impl Role {
    /// Ends its actor, if it has one.
    fn end(&self) {
        match self {
            Role::Follows { stop, .. } | Role::Depends { stop, .. } | Role::Watches { stop, .. } => {
                stop.cancel();
            }
            Role::Forced(_) | Role::Triggered(_) | Role::Tried(_) => {}
        }
    }
}

/// A declared object, read.
enum Declared {
    Follows(Definition),
    Depends(dependent::Definition),
    Force(Box<force::Force>),
    Triggered(Box<triggerable::Triggerable>),
    Tried(Box<tries::Try>),
    Watches(Box<tries::Definition>),
}

impl Declared {
    fn read(object: &AnyObject, around: &Surroundings) -> Result<Self, ApplyError> {
        let wrong = |message: String| ApplyError::Config { at: object.at.clone(), message };
        let classname = object.kind.strip_prefix("schedulers.").unwrap_or(&object.kind);
        match classname {
            "SingleBranchScheduler" | "AnyBranchScheduler" | "BaseBasicScheduler" => {
                let params =
                    object.typed::<params::BranchSchedulerParams>().map_err(|e| wrong(e.to_string()))?.args;
                let own = own::read(object, around).map_err(wrong)?;
                let definition = Definition::of_branches(classname, params, own, around).map_err(wrong)?;
                Ok(Declared::Follows(definition))
            }
            "Dependent" => dependent::Definition::read(object, around).map(Declared::Depends).map_err(wrong),
            "Triggerable" => {
                let params =
                    object.typed::<triggerable::TriggerableParams>().map_err(|e| wrong(e.to_string()))?.args;
                let common = params.common();
                let triggerable = triggerable::Triggerable { common, params, around: around.clone() };
                Ok(Declared::Triggered(Box::new(triggerable)))
            }
            "Try_Userpass" => {
                let params = object.typed::<tries::TryUserpassParams>();
                let params = params.map_err(|e| wrong(e.to_string()))?.args;
                Ok(Declared::Tried(Box::new(tries::Try::of_userpass(&params, around))))
            }
            tries::CLASS => tries::Definition::read(object, around)
                .map(|definition| Declared::Watches(Box::new(definition)))
                .map_err(wrong),
            "ForceScheduler" => force::Force::read(object, around)
                .map(|force| Declared::Force(Box::new(force)))
                .map_err(wrong),
            other => match clocks::read(other, object, around) {
                Some(read) => read.map(Declared::Follows).map_err(wrong),
                None => Err(wrong(format!("scheduler {other} is not supported yet"))),
            },
        }
    }

    fn name(&self) -> &str {
        match self {
            Declared::Follows(definition) => definition.name(),
            Declared::Depends(definition) => &definition.common.name,
            Declared::Force(force) => &force.common.name,
            Declared::Triggered(triggerable) => &triggerable.common.name,
            Declared::Tried(tried) => &tried.common.name,
            Declared::Watches(definition) => definition.name(),
        }
    }
}

/// Whether two declare the same scheduler: kind, options and class.
fn same_scheduler(a: &AnyObject, b: &AnyObject) -> bool {
    let class = |object: &AnyObject| object.class.clone().unwrap_or_default();
    a.kind == b.kind && same(&a.args, &b.args) && same(&class(a), &class(b))
}

fn state_key(object: &str, class: &str, name: &str) -> StateKey {
    StateKey { object: object.into(), class: class.into(), name: name.into() }
}

/// Schedulers that were not there before begin with the next change, buildset or time; those that were continue where they
/// stopped, also after a restart. Which ones were there is a state of the master.
async fn reset_cursors_of_new(data: &Data, read: &[(AnyObject, Declared)]) -> Result<(), DataError> {
    let active = state_key("schedulers", "Schedulers", "active");
    let following: BTreeMap<&str, &str> = read
        .iter()
        .filter_map(|(_, declared)| match declared {
            Declared::Follows(definition) => Some((declared.name(), definition.classname.as_str())),
            Declared::Depends(_) => Some((declared.name(), dependent::CLASS)),
            Declared::Force(_) | Declared::Triggered(_) | Declared::Tried(_) | Declared::Watches(_) => None,
        })
        .collect();
    let stored = data.get_state(&active).await?.unwrap_or_default();
    let known: BTreeMap<String, String> = serde_json::from_value(stored).unwrap_or_default();
    let known: BTreeMap<&str, &str> =
        known.iter().map(|(name, class)| (name.as_str(), class.as_str())).collect();
    if known == following {
        return Ok(());
    }
    let newest = changes::newest(data).await?;
    for (name, class) in following.iter().filter(|(name, class)| known.get(**name) != Some(class)) {
        // What is missing begins now.
        let states: &[(&str, Json)] = match *class {
            dependent::CLASS => &[(dependent::SEEN, Json::Null), (dependent::WAITING, Json::Null)],
            _ => &[(actor::CURSOR, newest.into()), (ticking::COUNTED, Json::Null)],
        };
        for (state, value) in states {
            data.set_state(&state_key(name, class, state), value.clone()).await?.detach();
        }
    }
    let value = serde_json::to_value(&following).unwrap_or(Json::Null);
    data.set_state(&active, value).await?.await
}
