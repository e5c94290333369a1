//! The change sources that run, and how a newly loaded configuration changes them (02.004, lua-api § 5).
//!
//! One small task per source. A reload stops what is gone or differs and starts what is new; a source whose
//! declaration is the same goes on, at its old times, with the new generation's functions.

mod schedule;
mod served;
mod status;
mod task;

pub(crate) use served::Mounts;
pub use served::Served;
pub use status::SourceStatus;
pub use task::Chance;

use crate::kinds::{CHANGE_SOURCES, ChangeSourceKind};
use crate::source::SourceContext;
use lunabot_data::intake::Intake;
use lunabot_data::{Data, DataError};
use lunabot_model::config::ConfigError;
use lunabot_model::object::same;
use lunabot_model::revlink::Revlink;
use lunabot_model::script::Beforehand;
use lunabot_model::{AnyObject, Callback, Clock, Json, ScriptHost, SecretSource};
use status::Board;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use task::{Declared, Skip, SourceTask};
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What stays the same for the life of the process.
#[derive(Clone)]
pub struct Environment {
    pub data: Data,
    pub clock: Arc<dyn Clock>,
    pub chance: Chance,
    /// Base of the sources' folders.
    pub basedir: PathBuf,
}

/// What one loaded configuration says.
#[derive(Clone)]
pub struct Generation {
    pub sources: Vec<AnyObject>,
    /// Names of sources that are served in other rooms; they have rows like these.
    pub elsewhere: Vec<String>,
    pub script: Arc<dyn ScriptHost>,
    pub secrets: Arc<dyn SecretSource>,
    pub codebase_generator: Option<Callback>,
    pub revlink: Option<Revlink>,
}

/// What [`ChangeSources::apply`] did, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    pub started: Vec<String>,
    pub stopped: Vec<String>,
    /// Stopped and started with other options.
    pub changed: Vec<String>,
    pub kept: Vec<String>,
}

/// Why nothing was applied.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApplyError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<ConfigError>),
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The manager.
pub struct ChangeSources {
    env: Environment,
    board: Board,
    served: Served,
    running: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    /// The object as declared, to compare with.
    object: Json,
    declared: watch::Sender<Declared>,
    wanted: Arc<Notify>,
    skips: mpsc::Sender<Skip>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct Planned {
    object: Json,
    kind: String,
    declared: Declared,
}

impl ChangeSources {
    pub fn new(env: Environment) -> Self {
        ChangeSources { env, board: Board::default(), served: Served::default(), running: Mutex::default() }
    }

    /// What is wrong with the sources of a configuration, before anything is touched.
    pub async fn check(&self, generation: &Generation) -> Vec<ConfigError> {
        self.plan(generation).await.err().unwrap_or_default()
    }

    /// Makes the sources of `generation` the running ones. With an error nothing was touched.
    pub async fn apply(&self, generation: &Generation) -> Result<Applied, ApplyError> {
        let mut planned = self.plan(generation).await.map_err(ApplyError::Config)?;
        let mut running = self.running.lock().await;
        let mut applied = Applied::default();
        halt(self.leaving(&mut running, &planned, &mut applied)).await;
        self.env.data.flush().await?;
        let names: Vec<String> = planned.keys().chain(&generation.elsewhere).cloned().collect();
        self.env.data.sync_change_sources(&names).await?;
        for (name, source) in &mut *running {
            if let Some(plan) = planned.remove(name) {
                if let Some(kept) = source.declared.borrow().poller.keep() {
                    plan.declared.poller.resume(kept);
                }
                source.declared.send_replace(plan.declared);
                applied.kept.push(name.clone());
            }
        }
        for (name, plan) in planned {
            if !applied.changed.contains(&name) {
                applied.started.push(name.clone());
            }
            running.insert(name, self.start(plan));
        }
        Ok(applied)
    }

    /// Takes out the sources that are gone or differ.
    fn leaving(
        &self,
        running: &mut BTreeMap<String, Running>,
        planned: &BTreeMap<String, Planned>,
        applied: &mut Applied,
    ) -> Vec<Running> {
        let leaves = |name: &String, source: &mut Running| match planned.get(name) {
            Some(plan) => !same(&plan.object, &source.object),
            None => true,
        };
        let left = running.extract_if(.., leaves).map(|(name, source)| {
            if planned.contains_key(&name) {
                applied.changed.push(name);
            } else {
                self.board.remove(&name);
                applied.stopped.push(name);
            }
            source
        });
        left.collect()
    }

    /// Polls now: the named sources, or all. The error names the first that does not run.
    pub async fn force(&self, names: Option<&[String]>) -> Result<(), String> {
        let running = self.running.lock().await;
        let unknown = names.into_iter().flatten().find(|name| !running.contains_key(*name));
        if let Some(unknown) = unknown {
            return Err(unknown.clone());
        }
        for (_, source) in running.iter().filter(|(name, _)| names.is_none_or(|names| names.contains(name))) {
            source.wanted.notify_one();
        }
        Ok(())
    }

    /// Makes a source go past a revision that it cannot get over, and poll. What it did, in words, or why not. Waits
    /// for a poll that is under way.
    pub async fn skip(&self, name: &str, revision: &str) -> Result<String, String> {
        let skips = {
            let running = self.running.lock().await;
            let names = || running.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            match running.get(name) {
                Some(source) => source.skips.clone(),
                None => return Err(format!("no change source is named {name:?}; there are: {}", names())),
            }
        };
        let (answer, done) = oneshot::channel();
        let gone = || format!("the change source {name:?} was stopped");
        skips.send(Skip { revision: revision.into(), answer }).await.map_err(|_| gone())?;
        done.await.unwrap_or_else(|_| Err(gone()))
    }

    /// What sources of classes of the configuration serve.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// One row per running source, by name.
    pub fn status(&self) -> Vec<SourceStatus> {
        self.board.rows()
    }

    /// Stops all; whatever they had started has ended when this returns.
    pub async fn stop(&self) {
        let all = std::mem::take(&mut *self.running.lock().await);
        all.keys().for_each(|name| self.board.remove(name));
        halt(all.into_values().collect()).await;
    }

    /// Builds and checks every source, collecting all errors.
    async fn plan(&self, generation: &Generation) -> Result<BTreeMap<String, Planned>, Vec<ConfigError>> {
        let (mut planned, mut errors) = (BTreeMap::new(), Vec::new());
        for object in &generation.sources {
            match self.plan_one(object, generation).await {
                Ok((name, plan)) => drop(planned.insert(name, plan)),
                Err(mut found) => errors.append(&mut found),
            }
        }
        errors.extend(taken_names(&generation.sources, &generation.elsewhere));
        if errors.is_empty() { Ok(planned) } else { Err(errors) }
    }

    async fn plan_one(
        &self,
        object: &AnyObject,
        generation: &Generation,
    ) -> Result<(String, Planned), Vec<ConfigError>> {
        let Some(source) = CHANGE_SOURCES.iter().find(|s| s.kind.path() == object.kind) else {
            return Err(vec![error_at(object, "this change source is not supported yet".into())]);
        };
        let poller = (source.build)(object).map_err(|problems| {
            let text = |p: lunabot_model::Problem| match p.path.is_empty() {
                true => p.message,
                false => format!("{}: {}", p.path, p.message),
            };
            problems.into_iter().map(|p| error_at(object, text(p))).collect::<Vec<_>>()
        })?;
        let context = self.context(source, object, generation);
        let secrets = Arc::new(Beforehand(context.secrets.clone()));
        let looking = SourceContext { secrets, ..context.clone() };
        poller.check(&looking).await.map_err(|e| vec![error_at(object, e.to_string())])?;
        let json = serde_json::to_value(object).map_err(|e| vec![error_at(object, e.to_string())])?;
        let (name, kind) = (context.name.clone(), object.kind.clone());
        Ok((name, Planned { object: json, kind, declared: Declared { poller, context } }))
    }

    fn context(
        &self,
        source: &ChangeSourceKind,
        object: &AnyObject,
        generation: &Generation,
    ) -> SourceContext {
        let Generation { script, secrets, codebase_generator, revlink, .. } = generation.clone();
        let data = self.env.data.clone();
        SourceContext {
            name: name_of(source, object),
            class: source.kind.name,
            first: true,
            basedir: self.env.basedir.clone(),
            clock: self.env.clock.clone(),
            intake: Intake { data, script, codebase_generator, revlink },
            secrets,
            served: self.served.clone(),
        }
    }

    fn start(&self, plan: Planned) -> Running {
        let name = plan.declared.context.name.clone();
        let describe = plan.declared.poller.describe();
        self.board.add(SourceStatus { name, kind: plan.kind, describe, ..SourceStatus::default() });
        let (sender, declared) = watch::channel(plan.declared);
        let (wanted, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (skips, wishes) = mpsc::channel(1);
        let task = SourceTask {
            declared,
            wanted: wanted.clone(),
            skips: wishes,
            stop: stop.clone(),
            board: self.board.clone(),
            chance: self.env.chance.clone(),
        };
        Running { object: plan.object, declared: sender, wanted, skips, stop, task: tokio::spawn(task.run()) }
    }
}

/// The name under which a source keeps what it has seen.
fn name_of(source: &ChangeSourceKind, object: &AnyObject) -> String {
    let given = object.arg("name").and_then(Json::as_str).map(String::from);
    given.unwrap_or_else(|| (source.default_name)(object))
}

/// Names that two sources have, given or by default. `elsewhere`: those of sources that are served in other rooms.
pub fn taken_names(sources: &[AnyObject], elsewhere: &[String]) -> Vec<ConfigError> {
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut errors = Vec::new();
    for object in sources {
        let Some(source) = CHANGE_SOURCES.iter().find(|s| s.kind.path() == object.kind) else { continue };
        let name = name_of(source, object);
        let by = match taken.get(&name) {
            Some(at) => format!("the change source at {at}"),
            None if elsewhere.contains(&name) => "another change source".into(),
            None => {
                taken.insert(name, &object.at);
                continue;
            }
        };
        errors.push(error_at(object, format!("the name {name:?} is taken by {by}; give one of them a name")));
    }
    errors
}

async fn halt(sources: Vec<Running>) {
    sources.iter().for_each(|source| source.stop.cancel());
    for source in sources {
        if let Err(error) = source.task.await {
            tracing::error!(%error, "a change source's task crashed");
        }
    }
}

/// An error at the place where `object` was declared.
pub(crate) fn error_at(object: &AnyObject, message: String) -> ConfigError {
    let (file, line) = object.at.rsplit_once(':').unwrap_or((&object.at, ""));
    ConfigError { file: file.into(), line: line.parse().ok(), path: object.kind.clone(), message }
}
