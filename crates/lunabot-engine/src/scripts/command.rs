//! Remote commands that functions make and run (reference 05.037, 05.038, lua-api § 3).

use super::args::{Args, Method, NOTHING, Reply, call, methods, names, value};
use super::bare::{arguments, numbers, value_to_json};
use super::log::ScriptLog;
use crate::command::{FinishedCommand, LogTarget, LogUse, RemoteCommand, RemoteCommandParams};
use crate::step::{LogHandle, StepContext, StepError};
use lunabot_model::script::{LiveKind, LiveObject};
use lunabot_model::{Arg, BoxFuture, CallError, Callback, FromLua, Json, Results, ScriptObject};
use lunabot_proto::names as commands;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// The log of a command's own output.
const STDIO: &str = "stdio";

/// What a command has once it has run.
const OUTCOME: &[&str] = &["rc", "stdout", "stderr", "updates"];

const NOT_RUN: &str =
    "the command has not run yet: in a step self:runCommand(cmd), elsewhere worker:run(cmd)";

/// `util.RemoteCommand{…}` inside functions.
pub static REMOTE_COMMANDS: &[LiveKind] = &[LiveKind { path: "util.RemoteCommand", make }];

/// What stands behind a command in Lua.
pub(crate) struct ScriptCommand(Mutex<State>);

struct State {
    name: String,
    todo: Todo,
    /// Logs that it was told to use, by the name the worker knows.
    logs: Vec<(String, LogHandle, bool)>,
    /// Whether those that are made at their first content are closed, by the same name.
    delayed: BTreeMap<String, bool>,
    finished: Option<FinishedCommand>,
}

impl State {
    fn new(name: String, todo: Todo) -> Self {
        State { name, todo, logs: Vec::new(), delayed: BTreeMap::new(), finished: None }
    }
}

enum Todo {
    /// As `util.RemoteCommand` was told.
    Params(RemoteCommandParams),
    /// By `makeRemoteShellCommand`.
    Made(Box<RemoteCommand>),
    /// It ran, or runs.
    Nothing,
}

static METHODS: &[Method<ScriptCommand>] = methods! {
    "didFail"() => did_fail,
    "results"() => results,
    "useLog"("log", "closeWhenFinished", "name") => use_log,
    "useLogDelayed"("logfileName", "activateCallBack", "closeWhenFinished") => use_log_delayed,
};
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(&[METHODS]));

fn make(args: &Json) -> Result<ScriptObject, String> {
    let params: RemoteCommandParams = FromLua(args).read().map_err(|error| error.to_string())?;
    Ok(object(params.remote_command.clone(), Todo::Params(params)))
}

/// A command that is ready to run.
pub(crate) fn made(command: RemoteCommand) -> ScriptObject {
    object(command.name.clone(), Todo::Made(Box::new(command)))
}

/// One that has run.
pub(crate) fn ended(finished: FinishedCommand) -> ScriptObject {
    let state = State { finished: Some(finished), ..State::new(String::new(), Todo::Nothing) };
    of(state)
}

fn object(name: String, todo: Todo) -> ScriptObject {
    of(State::new(name, todo))
}

fn of(state: State) -> ScriptObject {
    let handle = Arc::new(ScriptCommand(Mutex::new(state)));
    ScriptObject::new("command", "command", Json::Null, handle).with_methods(&NAMES)
}

impl ScriptCommand {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker has run it without a build.
    pub fn end(&self, finished: FinishedCommand) {
        self.state().finished = Some(finished);
    }

    /// As it was declared, for a worker without a build.
    pub fn params(&self) -> Option<RemoteCommandParams> {
        match &self.state().todo {
            Todo::Params(params) => Some(params.clone()),
            Todo::Made(_) | Todo::Nothing => None,
        }
    }

    /// Runs it for the step. `makers`: what `useLogDelayed` was given, by name.
    pub async fn run(&self, cx: &StepContext, makers: BTreeMap<String, Callback>) -> Result<(), CallError> {
        let (todo, logs, delayed, name) = {
            let mut state = self.state();
            let todo = std::mem::replace(&mut state.todo, Todo::Nothing);
            let (logs, delayed) = (std::mem::take(&mut state.logs), std::mem::take(&mut state.delayed));
            (todo, logs, delayed, state.name.clone())
        };
        let mut command = match todo {
            Todo::Made(command) => *command,
            Todo::Params(params) => declared(cx, &params, logs.iter().all(|(log, ..)| log != STDIO)).await?,
            Todo::Nothing => return Err("the command has run; make another for another run".into()),
        };
        let known = &cx.worker_info().worker_commands;
        if !known.is_empty() && known.iter().all(|(known, _)| *known != name) {
            cx.check_worker_has_command(&name)?;
        }
        for (name, log, close_when_finished) in logs {
            let used = LogUse { log, close_when_finished };
            if name == STDIO {
                command.stdio_log = Some(used);
            } else {
                command.logs.insert(name, LogTarget::Ready(used));
            }
        }
        for (name, activate) in makers {
            let close_when_finished = delayed.get(&name).copied().unwrap_or(false);
            command.logs.insert(name, LogTarget::Asked { activate, close_when_finished });
        }
        let finished = cx.run_command(command).await?;
        self.state().finished = Some(finished);
        Ok(())
    }
}

/// The command that `util.RemoteCommand` describes.
async fn declared(
    cx: &StepContext,
    params: &RemoteCommandParams,
    own_log: bool,
) -> Result<RemoteCommand, CallError> {
    let args = cx.render(&serde_json::to_value(&params.args).unwrap_or_default()).await?;
    let mut dict = arguments(&params.remote_command, &args)?;
    if params.remote_command == commands::SHELL {
        for (name, given) in [("workdir", args.get("workdir")), ("timeout", args.get("timeout"))] {
            match (name, given) {
                ("workdir", None) => dict.insert(name, cx.workdir()),
                ("timeout", None) => dict.insert(name, crate::step::DEFAULT_TIMEOUT),
                _ => {}
            }
        }
    }
    let mut command = RemoteCommand::new(params.remote_command.as_str(), dict);
    command.ignore_updates.clone_from(&params.ignore_updates);
    command.collect_stdout = params.collect_stdout;
    command.collect_stderr = params.collect_stderr;
    command.decode_rc = params.decoded();
    if own_log {
        let log = cx.log_for_commands(params.stdio_log_name.as_deref().unwrap_or(STDIO)).await?;
        command = command.use_log(log, false);
    }
    Ok(command)
}

impl LiveObject for ScriptCommand {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], self, method, args).await })
    }

    fn field(&self, name: &str) -> Option<Json> {
        let state = self.state();
        let finished = state.finished.as_ref();
        Some(match name {
            "remote_command" => state.name.as_str().into(),
            "rc" => finished.map(|finished| json!(finished.rc))?,
            "stdout" => finished.map(|finished| finished.stdout.as_str())?.into(),
            "stderr" => finished.map(|finished| finished.stderr.as_str())?.into(),
            "updates" => finished.map(updates)?,
            _ => return None,
        })
    }

    fn absent(&self, name: &str) -> Option<&'static str> {
        OUTCOME.contains(&name).then_some(NOT_RUN)
    }

    fn fields(&self) -> serde_json::Map<String, Json> {
        let all = ["remote_command"].into_iter().chain(OUTCOME.iter().copied());
        all.filter_map(|name| Some((name.to_string(), self.field(name)?))).collect()
    }
}

/// The finished command that a worker has run without a build. What was not collected is nil.
pub(crate) fn outcome_of(finished: &FinishedCommand, params: &RemoteCommandParams) -> Json {
    json!({
        "rc": finished.rc, "updates": updates(finished),
        "stdout": params.collect_stdout.then_some(&finished.stdout),
        "stderr": params.collect_stderr.then_some(&finished.stderr),
        "$answers": {"results": finished.results().code(), "didFail": finished.did_fail()},
    })
}

/// What the worker told, by key.
fn updates(finished: &FinishedCommand) -> Json {
    let mut all = serde_json::Map::new();
    for (key, values) in &finished.updates {
        all.insert(key.clone(), values.iter().map(value_to_json).collect());
    }
    if let Some(rc) = finished.rc {
        all.insert("rc".into(), json!([rc]));
    }
    if !finished.stats.is_empty() {
        all.insert("stat".into(), finished.stats.iter().map(numbers).collect());
    }
    if !finished.files.is_empty() || finished.listed {
        all.insert("files".into(), json!([finished.files]));
    }
    if let Some(elapsed) = finished.elapsed {
        all.insert("elapsed".into(), json!([elapsed]));
    }
    if let Some(reason) = &finished.failure_reason {
        all.insert("failure_reason".into(), json!([reason.as_str()]));
    }
    all.into()
}

fn outcome(command: &ScriptCommand) -> Result<Results, CallError> {
    let results = command.state().finished.as_ref().map(FinishedCommand::results);
    results.ok_or_else(|| NOT_RUN.into())
}

impl ScriptCommand {
    /// What came of it, once it has run.
    pub fn results(&self) -> Result<Results, CallError> {
        outcome(self)
    }
}

async fn did_fail(command: &ScriptCommand, _: Args) -> Reply {
    value(outcome(command)? == Results::Failure)
}

async fn results(command: &ScriptCommand, _: Args) -> Reply {
    value(outcome(command)?.code())
}

async fn use_log(command: &ScriptCommand, mut args: Args) -> Reply {
    let log = args.object::<ScriptLog>("log", "a log (self:addLog(name))")?;
    let close = args.maybe("closeWhenFinished")?.unwrap_or(false);
    let name = args.maybe::<String>("name")?.unwrap_or_else(|| STDIO.into());
    command.state().logs.push((name, log.log.clone(), close));
    Ok(NOTHING)
}

/// The function itself is kept in Lua, and given along when the command is run.
async fn use_log_delayed(command: &ScriptCommand, mut args: Args) -> Reply {
    let name = args.text("logfileName")?;
    let close = args.maybe("closeWhenFinished")?.unwrap_or(false);
    if name == STDIO {
        return Err(args.wrong("the log of the output is there from the start: cmd:useLog(log)"));
    }
    let mut state = command.state();
    if state.delayed.contains_key(&name) || state.logs.iter().any(|(known, ..)| *known == name) {
        return Err(args.wrong(&format!("{name} has a log already")));
    }
    state.delayed.insert(name, close);
    Ok(NOTHING)
}

/// For steps whose command is the step's.
impl From<CallError> for StepError {
    fn from(error: CallError) -> Self {
        use lunabot_model::ScriptErrorKind as Kind;
        match error.kind {
            Kind::Failed => StepError::Failed(error.message),
            Kind::Cancelled => StepError::Cancelled,
            Kind::Lost => StepError::Lost,
            _ => StepError::Exception(error.message),
        }
    }
}
