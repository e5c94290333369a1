//! Workers as functions of the configuration see them: what they may do to an idle one (reference 07.018).

use super::bare::{self, Bare};
use super::command::{ScriptCommand, outcome_of};
use crate::build::Services;
use crate::command::RemoteCommandParams;
use crate::distributor::{Actor, Event, Message, Run, WorkerOrder};
use crate::plan::{BuilderPlan, WorkerPlan};
use crate::worker::WorkerHandle;
use lunabot_model::kind::nearest;
use lunabot_model::script::{Inert, LiveObject};
use lunabot_model::{
    AnyObject, Arg, BoxFuture, BuilderId, CallError, Duration, Json, Properties, ScriptObject, WorkerId,
};
use lunabot_proto::names;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A worker at one moment, offered to one builder.
#[derive(Clone)]
pub(crate) struct WorkerView {
    pub plan: Arc<WorkerPlan>,
    builder: Arc<BuilderPlan>,
    /// All builders, those that may run on it, and those that do.
    builders: Arc<HashMap<BuilderId, Arc<BuilderPlan>>>,
    users: Arc<BTreeSet<BuilderId>>,
    busy: BTreeSet<BuilderId>,
    pub handle: Arc<WorkerHandle>,
    services: Arc<Services>,
    inbox: mpsc::Sender<Message>,
    quarantine_timeout: f64,
    paused: bool,
    running: Vec<Json>,
}

impl WorkerView {
    pub fn of(actor: &Actor, id: WorkerId, builder: &Arc<BuilderPlan>) -> Option<Self> {
        let worker = actor.machine.worker(id)?;
        let runs: Vec<&Run> = actor.runs.on_worker(id).collect();
        Some(WorkerView {
            plan: actor.workers.get(&id)?.clone(),
            builder: builder.clone(),
            builders: actor.builders.clone(),
            users: worker.builders.clone(),
            busy: runs.iter().map(|run| run.builder).collect(),
            handle: actor.handle_of(id)?.clone(),
            services: actor.services.clone(),
            inbox: actor.inbox.clone(),
            quarantine_timeout: worker.quarantine.timeout.as_secs_f64(),
            paused: worker.paused,
            running: runs.iter().map(|run| running(actor, run)).collect(),
        })
    }

    fn order(&self, event: Event) -> Message {
        Message::Worker { worker: self.plan.id, order: WorkerOrder::Event(event), reply: None }
    }

    async fn tell(&self, event: Event) -> Result<Json, String> {
        let sent = self.inbox.send(self.order(event)).await;
        sent.map(|()| Json::Null).map_err(|_| "the master is stopping".into())
    }

    async fn run(&self, name: &str, args: &Json) -> Result<Bare, String> {
        bare::run(&self.services, &self.handle, &self.builder, name, args, &[]).await
    }

    /// Runs a command that a function has made, or that was declared before.
    async fn command(&self, command: Option<&Arg>) -> Result<Json, String> {
        let mut made = None;
        let params = match command {
            Some(Arg::Object(object)) => {
                let handle: Arc<dyn std::any::Any + Send + Sync> = object.handle.clone();
                made = handle.downcast::<ScriptCommand>().ok();
                made.as_ref().and_then(|command| command.params())
            }
            Some(Arg::Value(json)) => AnyObject::from_json(json)
                .filter(|object| object.kind == "util.RemoteCommand")
                .map(|object| object.typed::<RemoteCommandParams>().map(|object| object.args))
                .transpose()
                .map_err(|error| error.to_string())?,
            _ => None,
        };
        let params = params.ok_or("run takes a util.RemoteCommand{name, {…}}")?;
        let args = serde_json::to_value(&params.args).unwrap_or_default();
        let (name, ignored) = (&params.remote_command, &params.ignore_updates);
        let ran = bare::run(&self.services, &self.handle, &self.builder, name, &args, ignored).await?;
        let finished = ran.command(&params);
        let told = outcome_of(&finished, &params);
        if let Some(made) = made {
            made.end(finished);
        }
        Ok(told)
    }

    async fn pause(&self, paused: bool, reason: Option<&str>) -> Result<Json, String> {
        let stored = self.services.data.set_worker_paused(self.plan.id, paused, reason).await;
        stored.map_err(|error| error.to_string())?.detach();
        self.tell(Event::Paused { worker: self.plan.id, paused }).await
    }

    async fn method(&self, method: &str, args: &[Json]) -> Result<Json, String> {
        let worker = self.plan.id;
        let first = args.first().unwrap_or(&Json::Null);
        match method {
            "putInQuarantine" => {
                let once = first.as_f64().map(|seconds| Duration(seconds).std());
                self.tell(Event::Quarantine { worker, once }).await
            }
            "resetQuarantine" => self.tell(Event::ResetQuarantine(worker)).await,
            "exitQuarantine" => self.tell(Event::ExitQuarantine(worker)).await,
            "pause" => self.pause(true, first.as_str()).await,
            "unpause" => self.pause(false, None).await,
            "isBusy" => Ok((!self.running.is_empty()).into()),
            "workerforbuilders" => {
                let mut all: Vec<_> = self.users.iter().filter_map(|id| self.builders.get(id)).collect();
                all.sort_by(|a, b| a.config.name.cmp(&b.config.name));
                Ok(all.into_iter().map(|builder| shared(builder, self.busy.contains(&builder.id))).collect())
            }
            "shell" => Ok(self.run(names::SHELL, checked(method, first, SHELL)?).await?.shell()),
            "stat" => Ok(self.run(names::STAT, checked(method, first, &["file", "workdir"])?).await?.stat()),
            "glob" => Ok(self.run(names::GLOB, checked(method, first, &["path"])?).await?.files()),
            "listdir" => Ok(self.run(names::LISTDIR, checked(method, first, &["dir"])?).await?.files()),
            _ => Err(format!("a worker has no method {method}")),
        }
    }
}

/// What `worker:shell` takes: what it runs first, then the options of the remote command.
const SHELL: &[&str] = &[
    "command",
    "workdir",
    "env",
    "timeout",
    "maxTime",
    "max_lines",
    "sigtermTime",
    "initial_stdin",
    "interruptSignal",
    "logEnviron",
    "logfiles",
    "usePTY",
    "want_stdout",
    "want_stderr",
];

/// The options of a method, if it knows them all and has the first.
fn checked<'a>(method: &str, options: &'a Json, known: &[&str]) -> Result<&'a Json, String> {
    let wanted = known.first().unwrap_or(&"");
    let Json::Object(given) = options else {
        return Err(format!("takes a table: worker:{method}{{{wanted} = …}}"));
    };
    if let Some(odd) = given.keys().find(|name| !known.contains(&name.as_str())) {
        let near = nearest(odd, known.iter().copied());
        let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
        return Err(format!("{method}: {odd}: unknown option{hint}"));
    }
    match given.get(*wanted) {
        None | Some(Json::Null) => Err(format!("{method}: {wanted} is missing")),
        Some(_) => Ok(options),
    }
}

/// A build that runs on a worker.
fn running(actor: &Actor, run: &Run) -> Json {
    let builder = actor.builders.get(&run.builder).map(|plan| plan.config.name.as_str());
    json!({"buildid": run.build, "builderid": run.builder, "buildername": builder})
}

/// A builder that shares a worker with others.
fn shared(builder: &BuilderPlan, busy: bool) -> Json {
    let config = &builder.config;
    json!({
        "builder_name": config.name,
        "builder": {
            "name": config.name, "builderid": builder.id, "tags": config.tags, "description": config.description,
            "project": config.project,
        },
        "$answers": {"isBusy": busy},
    })
}

const METHODS: &[&str] = &[
    "putInQuarantine",
    "resetQuarantine",
    "exitQuarantine",
    "pause",
    "unpause",
    "isBusy",
    "workerforbuilders",
    "shell",
    "stat",
    "glob",
    "listdir",
    "run",
];

impl LiveObject for WorkerView {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            if method == "run" {
                return Ok(Arg::Value(self.command(args.first()).await?));
            }
            let args = args.into_iter().map(Arg::into_json).collect::<Result<_, _>>()?;
            Ok(Arg::Value(self.call(method, args).await?))
        })
    }

    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move { self.method(method, &args).await })
    }

    fn set(&self, field: &str, value: Json) -> Result<(), String> {
        if field != "quarantine_timeout" {
            return Err(format!("{field} of a worker cannot be assigned; quarantine_timeout can"));
        }
        let seconds: Duration = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let event = Event::QuarantineTimeout { worker: self.plan.id, timeout: seconds.std() };
        self.inbox.try_send(self.order(event)).map_err(|_| "the master is too busy, or stopping".into())
    }
}

fn worker_object(view: &WorkerView) -> ScriptObject {
    let info = crate::distributor::info_json(view.handle.link.info());
    let properties = Properties::from_plain(&view.plan.properties, "Worker");
    let fields = json!({
        "name": view.plan.name, "workername": view.plan.name, "workerid": view.plan.id,
        "properties": {"$properties": properties}, "quarantine_timeout": view.quarantine_timeout,
        "paused": view.paused, "builds": view.running,
        "worker_basedir": info.get("basedir"), "worker_system": info.get("system"), "info": info,
    });
    ScriptObject {
        class: "worker",
        key: format!("worker:{}", view.plan.id),
        fields,
        children: Vec::new(),
        methods: METHODS,
        assignable: &["quarantine_timeout"],
        handle: Arc::new(view.clone()),
        scope: 0,
    }
}

/// A worker offered to a builder, with the properties a build there would begin with.
pub(crate) fn wfb_object(view: &WorkerView, properties: &Properties) -> ScriptObject {
    let fields = json!({
        "builder_name": view.builder.config.name, "properties": {"$properties": properties},
    });
    ScriptObject {
        children: vec![("worker", Arg::Object(worker_object(view)))],
        ..ScriptObject::new("workerforbuilder", format!("wfb:{}", view.plan.id), fields, Arc::new(Inert))
    }
}
