//! The door of the engine: start, apply a configuration, attach workers, stop, ask how it is.

use crate::build::Services;
use crate::collapse::EngineCollapser;
use crate::distributor::{Actor, Message, Plan, offline_state};
use crate::locks::client::LockDesk;
use crate::plan::{self, BuilderPlan, PlanError, PlannedStep, WorkerPlan};
use crate::scheduler::{Agenda, ApplyError, Schedulers, Surroundings};
use crate::step::StepKind;
use crate::worker::WorkerLink;
use crate::worker::latent::{LatentDesk, Passwords, Record};
use crate::{Generation, control, feed, orphans, services};
use lunabot_data::new::{BuilderDecl, CodebaseDecl, ProjectDecl, WorkerDecl};
use lunabot_data::{Answer, Data, DataError};
use lunabot_model::config::Config;
use lunabot_model::kinds::projects::{CodebaseParams, ProjectParams};
use lunabot_model::object::Object;
use lunabot_model::resources::Worker;
use lunabot_model::{AnyObject, BuilderId, Clock, Event, Id, Topic, WorkerId};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Messages that may wait for the distributor; it takes each at once. Builds and bus wait for room.
const INBOX: usize = 1024;

/// What an engine needs from its surroundings.
pub struct EngineOptions {
    pub data: Data,
    pub clock: Arc<dyn Clock>,
    /// Seed of the random choices (which of several free workers).
    pub seed: u64,
    /// All steps that configurations may name.
    pub steps: Vec<&'static StepKind>,
}

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Data(#[from] DataError),
    /// The configuration names something the engine does not know; the text names the place.
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Schedulers(#[from] ApplyError),
    /// A worker may not connect; the text says why.
    #[error("{0}")]
    Refused(String),
    #[error("the engine has stopped")]
    Stopped,
}

impl From<PlanError> for EngineError {
    fn from(error: PlanError) -> Self {
        EngineError::Config(error.0)
    }
}

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No new builds; returns when the running ones have ended (07.029).
    Soft,
    /// Running builds end with RETRY at once.
    Fast,
}

/// How the engine is doing, for the health page.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct EngineStatus {
    /// Number of the configuration that new builds use; 0 before the first.
    pub generation: u64,
    pub builders: usize,
    pub workers_connected: usize,
    pub workers_configured: usize,
    pub builds_running: usize,
    pub requests_pending: usize,
    pub stopping: bool,
}

/// The engine of one master; cheap to clone. Ends with [`Engine::stop`].
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    inbox: mpsc::Sender<Message>,
    data: Data,
    clock: Arc<dyn Clock>,
    steps: HashMap<&'static str, &'static StepKind>,
    schedulers: Arc<Schedulers>,
    agenda: Arc<Agenda>,
    services: services::Services,
    /// Of instances of latent workers.
    passwords: Arc<Passwords>,
    /// One configuration is applied at a time. Whether one was.
    turn: Mutex<bool>,
}

impl Engine {
    /// Starts with no configuration: nothing is built before the first [`Engine::apply`].
    pub async fn start(options: EngineOptions) -> Result<Engine, EngineError> {
        let EngineOptions { data, clock, seed, steps } = options;
        let (inbox, messages) = mpsc::channel(INBOX);
        let schedulers = Schedulers::new();
        let (locks, latents) = (LockDesk::new(inbox.clone()), LatentDesk::new(inbox.clone()));
        let passwords = latents.passwords.clone();
        let steps: HashMap<_, _> = steps.into_iter().map(|kind| (kind.kind.name, kind)).collect();
        let services = Arc::new(Services::new(
            data.clone(),
            clock.clone(),
            locks,
            latents,
            schedulers.clone(),
            steps.clone(),
        ));
        let newest_complete = data.newest_complete_times().await?;
        let offline_since = data.get_state(&offline_state()).await?.unwrap_or_default();
        feed::start(&data, inbox.clone());
        data.set_collapser(Arc::new(EngineCollapser::new(data.clone(), inbox.clone())));
        control::register(&data, &inbox);
        tokio::spawn(
            Actor::new(services, seed, inbox.clone(), newest_complete, offline_since).live(messages),
        );
        let engine = Inner {
            inbox,
            data,
            clock,
            steps,
            schedulers,
            agenda: Arc::default(),
            services: services::Services::default(),
            passwords,
            turn: Mutex::new(false),
        };
        let engine = Engine(Arc::new(engine));
        // What waits in the store since earlier runs.
        engine.send(Message::Reread).await?;
        Ok(engine)
    }

    /// Makes `generation` the current configuration: builders, workers, schedulers and requests are brought in line with
    /// it. Running builds keep the one they began with (lua-api § 5). On an error of the configuration nothing was
    /// changed.
    pub async fn apply(&self, generation: Arc<Generation>) -> Result<(), EngineError> {
        let mut applied_before = self.0.turn.lock().await;
        if !*applied_before {
            orphans::cancel(&self.0.data).await?;
            *applied_before = true;
        }
        let config = &generation.config;
        let mut steps = Vec::with_capacity(config.builders.len());
        for builder in &config.builders {
            steps.push(plan::steps_of(builder, &self.0.steps)?);
        }
        let workers = config.workers.iter().map(plan::worker_of).collect::<Result<Vec<_>, _>>()?;

        let data = &self.0.data;
        data.set_log_compression(config.log_compression);
        let projects = data.sync_projects(&projects_of(&config.projects)).await?;
        data.sync_codebases(&codebases_of(&config.codebases)).await?;
        let builders = data.sync_builders(&builders_of(&generation)).await?;
        let rows = data.sync_workers(&workers_of(&generation, &workers)).await?;
        let left = left_behind(data, &workers, &rows).await?;
        let plan = make_plan(&generation, steps, workers, left, &projects, &builders, &rows);
        let (reply, applied) = oneshot::channel();
        self.send(Message::Apply { plan: Box::new(plan), reply }).await?;
        applied.await.map_err(|_| EngineError::Stopped)?;

        let around = Surroundings {
            data: data.clone(),
            clock: self.0.clock.clone(),
            host: generation.host.clone(),
            secrets: generation.secrets.clone(),
            builders: Arc::new(builders),
            agenda: self.0.agenda.clone(),
            workers: Arc::new(workers_of_builders(config)),
        };
        let names = around.builders.iter().map(|(name, id)| (*id, name.clone())).collect();
        let watched = services::Around {
            data: data.clone(),
            clock: self.0.clock.clone(),
            generation: generation.clone(),
            builders: Arc::new(names),
        };
        self.0.schedulers.apply(&config.schedulers, around).await?;
        self.0.services.apply(&watched).map_err(EngineError::Config)?;
        Ok(())
    }

    /// A worker has connected. The error says why it is refused; the caller then drops the connection.
    pub async fn worker_attached(&self, name: &str, link: Arc<dyn WorkerLink>) -> Result<(), EngineError> {
        let (reply, attached) = oneshot::channel();
        self.send(Message::Attach { name: name.into(), link, reply }).await?;
        attached.await.map_err(|_| EngineError::Stopped)?
    }

    /// Its connection is gone. `link` tells a connection that was replaced meanwhile from the present one.
    pub async fn worker_detached(&self, name: &str, link: &Arc<dyn WorkerLink>) {
        // A stopped engine holds no workers.
        let _ = self.send(Message::Detach { name: name.into(), link: link.clone() }).await;
    }

    /// A worker's owner wants it to stop: it gets no new builds, and ends when it is idle (08.009).
    pub async fn worker_wants_to_stop(&self, name: &str) {
        // A stopped engine gives no builds anyway.
        let _ = self.send(Message::WantsToStop { name: name.into() }).await;
    }

    /// Event workers/N/missing: a worker is away for `since` (08.007). `notify`: whom it is told to.
    pub(crate) async fn announce_missing_worker(
        &self,
        name: &str,
        since: std::time::Duration,
        notify: Vec<String>,
    ) -> Result<(), DataError> {
        announce_missing(&self.0.data, &*self.0.clock, name, since, notify).await
    }

    /// The password of the instance of a latent worker, if there is one or one is being started.
    pub(crate) fn password_of_instance(&self, worker: &str) -> Option<String> {
        self.0.passwords.get(worker)
    }

    /// Stops; returns when nothing runs any more and everything is handed to the store. A [`Stop::Fast`] hastens a
    /// [`Stop::Soft`] that still waits.
    pub async fn stop(&self, how: Stop) {
        let (reply, stopped) = oneshot::channel();
        if self.send(Message::Stop { how, reply }).await.is_ok() {
            // An actor that is gone has nothing running.
            let _ = stopped.await;
        }
        self.0.schedulers.shut_down().await;
        self.0.services.shut_down().await;
        let _ = self.send(Message::Quit).await;
    }

    pub async fn status(&self) -> EngineStatus {
        let (reply, status) = oneshot::channel();
        let sent = self.send(Message::Status(reply)).await;
        match (sent, status.await) {
            (Ok(()), Ok(status)) => status,
            _ => EngineStatus { stopping: true, ..EngineStatus::default() },
        }
    }

    /// How the services of classes of the configuration are, in words, by name.
    pub fn services(&self) -> Vec<(String, String)> {
        self.0.services.status()
    }

    pub(crate) fn data(&self) -> &Data {
        &self.0.data
    }

    pub(crate) fn schedulers(&self) -> &Arc<Schedulers> {
        &self.0.schedulers
    }

    async fn send(&self, message: Message) -> Result<(), EngineError> {
        self.0.inbox.send(message).await.map_err(|_| EngineError::Stopped)
    }
}

/// See [`Engine::announce_missing_worker`].
pub(crate) async fn announce_missing(
    data: &Data,
    clock: &dyn Clock,
    name: &str,
    since: std::time::Duration,
    notify: Vec<String>,
) -> Result<(), DataError> {
    let Answer::One { item: mut row, .. } = data.get(&format!("workers/{name}"), "").await? else {
        return Ok(());
    };
    let Some(id) = row["workerid"].as_i64() else { return Ok(()) };
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let last = clock.now().secs().saturating_sub(seconds);
    row["last_connection"] = lunabot_model::clock::ctime(last).into();
    row["notify"] = notify.into();
    data.report_missing_worker(id, &row).await?;
    let topic = Topic::new(&[&"workers", &id, &"missing"]);
    data.bus().publish(Event { topic, payload: Arc::new(row.into()) });
    Ok(())
}

/// What is on record of the instances of latent workers.
async fn left_behind(
    data: &Data,
    workers: &[WorkerPlan],
    rows: &HashMap<String, Worker>,
) -> Result<HashMap<WorkerId, Record>, DataError> {
    let mut left = HashMap::new();
    for worker in workers.iter().filter(|worker| worker.latent.is_some()) {
        let record = Record::read(data, &worker.name).await?;
        left.extend(record.and_then(|record| Some((rows.get(&worker.name)?.workerid, record))));
    }
    Ok(left)
}

fn projects_of(objects: &[AnyObject]) -> Vec<ProjectDecl> {
    let read = objects.iter().filter_map(|object| object.typed::<ProjectParams>().ok());
    let decl = |object: Object<ProjectParams>| ProjectDecl {
        slug: object.args.slug().to_owned(),
        name: object.args.name,
        description_html: html(object.args.description.as_deref(), object.args.description_format.as_deref()),
        description: object.args.description,
        description_format: object.args.description_format,
    };
    read.map(decl).collect()
}

/// A description as HTML, where it is written in Markdown (01.063).
fn html(description: Option<&str>, format: Option<&str>) -> Option<String> {
    let text = description.filter(|_| format == Some("markdown"))?;
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(text));
    html.truncate(html.trim_end().len());
    Some(html)
}

fn codebases_of(objects: &[AnyObject]) -> Vec<CodebaseDecl> {
    let read = objects.iter().filter_map(|object| object.typed::<CodebaseParams>().ok());
    let decl = |object: Object<CodebaseParams>| CodebaseDecl {
        slug: object.args.slug().to_owned(),
        name: object.args.name,
        project: object.args.project,
    };
    read.map(decl).collect()
}

fn workers_of_builders(config: &Config) -> HashMap<String, Vec<String>> {
    let builders = config.builders.iter().map(|builder| &builder.config);
    builders.map(|builder| (builder.name.clone(), builder.workers())).collect()
}

fn builders_of(generation: &Generation) -> Vec<BuilderDecl> {
    let decl = |config: &lunabot_model::config::BuilderConfig| BuilderDecl {
        name: config.name.clone(),
        description: config.description.clone(),
        description_format: config.description_format.clone(),
        description_html: html(config.description.as_deref(), config.description_format.as_deref()),
        project: config.project.clone(),
        tags: config.tags.0.clone(),
    };
    generation.config.builders.iter().map(|builder| decl(&builder.config)).collect()
}

fn workers_of(generation: &Generation, workers: &[WorkerPlan]) -> Vec<WorkerDecl> {
    let mut users: HashMap<String, Vec<String>> = HashMap::new();
    for builder in &generation.config.builders {
        for worker in builder.config.workers() {
            users.entry(worker).or_default().push(builder.config.name.clone());
        }
    }
    let decl = |worker: &WorkerPlan| WorkerDecl {
        builders: users.remove(&worker.name).unwrap_or_default(),
        name: worker.name.clone(),
    };
    workers.iter().map(decl).collect()
}

fn make_plan(
    generation: &Arc<Generation>,
    steps: Vec<Vec<Arc<PlannedStep>>>,
    workers: Vec<WorkerPlan>,
    left: HashMap<WorkerId, Record>,
    projects: &HashMap<String, Id>,
    builders: &HashMap<String, BuilderId>,
    rows: &HashMap<String, Worker>,
) -> Plan {
    let with_steps = generation.config.builders.iter().zip(steps);
    let plans = with_steps.filter_map(|(declared, steps)| {
        let config = declared.config.clone();
        let ids = config.workers().into_iter().filter_map(|name| Some(rows.get(&name)?.workerid));
        Some(Arc::new(BuilderPlan {
            generation: generation.clone(),
            id: *builders.get(&config.name)?,
            project_id: config.project.as_ref().and_then(|name| projects.get(name).copied()),
            workdir: declared.factory.workdir.clone(),
            build_class: declared.factory.build_class.clone(),
            use_progress: declared.factory.use_progress.unwrap_or(true),
            steps,
            workers: ids.collect(),
            config,
        }))
    });
    let workers = workers.into_iter().filter_map(|worker| {
        let row = rows.get(&worker.name)?;
        Some((Arc::new(WorkerPlan { id: row.workerid, ..worker }), row.paused))
    });
    Plan { generation: generation.clone(), builders: plans.collect(), workers: workers.collect(), left }
}
