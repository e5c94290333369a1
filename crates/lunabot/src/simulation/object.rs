//! The simulated master as a test sees it: `m` in `t.test("…", function(m) … end)`.

use super::master::Simulation;
use super::shared::Shared;
use super::story;
use super::worker_object::worker_object;
use lunabot_model::kind::nearest;
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, Duration, Json, ScriptErrorKind, ScriptObject};
use serde_json::{Map, json};
use std::sync::{Arc, Weak};

/// `lunabot_lua` offers these; `docs/testing.md` and the definitions for editors name them.
pub const METHODS: &[&str] = &[
    "advance",
    "answers",
    "build",
    "builds",
    "change",
    "changes",
    "control",
    "force",
    "get",
    "log",
    "now",
    "pending",
    "reports",
    "request",
    "requests",
    "run_until_idle",
    "secret",
    "step",
    "worker",
];
/// Builds may run for so long in `run_until_idle`, where the test does not say.
const A_DAY: Duration = Duration(86_400.0);

/// The object.
pub fn master_object(simulation: &Arc<Simulation>) -> ScriptObject {
    let handle = Arc::new(Handle(Arc::downgrade(simulation)));
    let object = ScriptObject::new("simulated master", "simulated master", json!({}), handle);
    ScriptObject { scope: simulation.scope.id(), ..object.with_methods(METHODS) }
}

/// Weak: the interpreter holds this, and the master holds the interpreter.
struct Handle(Weak<Simulation>);

/// What is told where a test goes on after its end.
pub const OVER: &str = "the test is over, and its master with it";

impl LiveObject for Handle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let simulation = self.0.upgrade().ok_or(OVER)?;
            let args = args.into_iter().map(Arg::into_json).collect::<Result<Vec<Json>, String>>()?;
            let method = method.to_owned();
            run(&simulation.clone(), async move { op(&simulation, &method, args).await }).await
        })
    }
}

/// Moves a master on, on its own thread, and lets it come to rest. Only one at a time may.
pub async fn run(
    simulation: &Arc<Simulation>,
    work: impl Future<Output = Result<Arg, String>> + Send + 'static,
) -> Result<Arg, CallError> {
    let simulation = simulation.clone();
    let moved = tokio::spawn(async move {
        let Ok(_turn) = simulation.turn.try_lock() else {
            let text = "the simulated master is being moved on already; an answer, or a function beside the test, cannot do so";
            return Err(text.to_string());
        };
        let done = work.await;
        simulation.settle().await?;
        let problems = simulation.shared.problems();
        if problems.is_empty() { done } else { Err(problems.join("\n")) }
    });
    let gone = |_| CallError::new(ScriptErrorKind::Raise, "the simulated master broke down");
    moved.await.map_err(gone)?.map_err(CallError::from)
}

async fn op(simulation: &Arc<Simulation>, method: &str, args: Vec<Json>) -> Result<Arg, String> {
    let mut args = args.into_iter();
    let first = args.next().unwrap_or(Json::Null);
    let shared = &simulation.shared;
    let list = |rows: Vec<Json>| Ok(Arg::Value(Json::Array(rows)));
    match method {
        "advance" => {
            simulation.advance(duration("advance", &first)?.std()).await?;
            Ok(Arg::Value(Json::Null))
        }
        "run_until_idle" => {
            let at_most = if first.is_null() { A_DAY } else { duration("run_until_idle", &first)? };
            simulation.run_until_idle(at_most.std()).await?;
            Ok(Arg::Value(Json::Null))
        }
        "now" => Ok(Arg::Value(simulation.now().secs_f64().into())),
        "change" => change(simulation, first).await.map(Arg::Value),
        "force" => force(simulation, first).await.map(Arg::Value),
        "request" => request(simulation, first).await.map(Arg::Value),
        "builds" => list(builds(simulation, &first).await?),
        "build" => {
            let found = builds(simulation, &first).await?.pop();
            found.map(Arg::Value).ok_or_else(|| {
                format!("there was no build of {}", text("build", &first).unwrap_or("any builder"))
            })
        }
        "reports" => {
            let of = if first.is_null() { None } else { Some(text("reports", &first)?) };
            list(simulation.reports(of)?)
        }
        "requests" => list(story::requests(shared).await),
        "changes" => list(story::changes(shared).await),
        "pending" => list(story::pending(shared).await),
        "worker" => worker_object(simulation, text("worker", &first)?).map(Arg::Object),
        "answers" => {
            shared.common().add(&first)?;
            Ok(Arg::Value(Json::Null))
        }
        "secret" => {
            let value = match args.next() {
                Some(Json::String(value)) => Some(value),
                Some(Json::Bool(false)) => None,
                _ => return Err("secret takes a name and a text; false: nobody knows it".into()),
            };
            simulation.secrets.set(text("secret", &first)?, value);
            Ok(Arg::Value(Json::Null))
        }
        "step" => step(&first, args.next()).map(Arg::Value),
        "log" => log(simulation, &first, args.next(), args.next()).await.map(|text| Arg::Value(text.into())),
        "get" => {
            simulation.port("data.get", std::iter::once(first).chain(args).collect()).await.map(Arg::Value)
        }
        "control" => simulation
            .port("data.control", std::iter::once(first).chain(args).collect())
            .await
            .map(Arg::Value),
        other => Err(format!("no method {other}")),
    }
}

fn duration(method: &str, value: &Json) -> Result<Duration, String> {
    let length: Result<Duration, _> = serde_json::from_value(value.clone());
    let length = length.map_err(|error| format!("{method}: {error}"))?;
    if length.secs() < 0.0 { Err(format!("{method}: time goes forward only")) } else { Ok(length) }
}

fn text<'a>(method: &str, value: &'a Json) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{method}: expected a name, got {value}"))
}

/// A table of named arguments; others than `known` are mistakes.
fn named(method: &str, value: Json, known: &[&str]) -> Result<Map<String, Json>, String> {
    let mut table = match value {
        Json::Object(table) => table,
        Json::Null => Map::new(),
        other => return Err(format!("{method} takes a table of names and values, got {other}")),
    };
    table.retain(|_, value| !value.is_null());
    match table.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(table),
        Some(odd) => {
            let near = nearest(odd, known.iter().copied());
            let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
            Err(format!("{method}: {odd}: unknown option{hint}"))
        }
    }
}

/// An empty table of Lua is an empty object.
fn fields(value: Option<Json>) -> Map<String, Json> {
    match value {
        Some(Json::Object(fields)) => fields,
        _ => Map::new(),
    }
}

async fn change(simulation: &Simulation, value: Json) -> Result<Json, String> {
    let Json::Object(mut change) = value else {
        return Err("change takes a table: {branch = \"main\"}".into());
    };
    change.entry("author").or_insert_with(|| "somebody".into());
    let added = simulation.port("data.updates.addChange", vec![Json::Object(change)]).await;
    added.map_err(|error| error.replacen("addChange", "change", 1))
}

/// Fills in the form of a ForceScheduler and sends it.
async fn force(simulation: &Simulation, value: Json) -> Result<Json, String> {
    const PLAIN: &[&str] = &["reason", "branch", "revision", "repository", "project", "priority"];
    let known: Vec<&str> = ["scheduler", "builder", "builders", "owner", "properties", "params"]
        .iter()
        .chain(PLAIN)
        .copied()
        .collect();
    let mut args = named("force", value, &known)?;
    let name = match (args.remove("scheduler"), simulation.force_schedulers.as_slice()) {
        (Some(name), _) => text("force: scheduler", &name)?.to_owned(),
        (None, [one]) => one.clone(),
        (None, []) => {
            return Err(
                "force: the configuration has no ForceScheduler; m:request{builder = …} needs none".into()
            );
        }
        (None, all) => return Err(format!("force: name the scheduler; there are {}", all.join(", "))),
    };
    if !simulation.force_schedulers.contains(&name) {
        let all = &simulation.force_schedulers;
        let hint = match nearest(&name, all.iter().map(String::as_str)) {
            Some(near) => format!(", did you mean {near}?"),
            None => format!("; there are {}", all.join(", ")),
        };
        return Err(format!("force: there is no ForceScheduler {name}{hint}"));
    }
    let mut form = fields(args.remove("params"));
    form.extend(fields(args.remove("properties")));
    if let Some(builders) = args.remove("builders").or_else(|| args.remove("builder")) {
        let named = builders.as_array().map_or(std::slice::from_ref(&builders), Vec::as_slice);
        for name in named {
            builder_id(simulation, text("force: builder", name)?)
                .map_err(|error| format!("force: {error}"))?;
        }
        form.insert("builderNames".into(), builders);
    }
    form.insert("owner".into(), args.remove("owner").unwrap_or_else(|| "somebody".into()));
    form.extend(args);
    known_fields(&simulation.shared, &name, &form).await?;
    let answer =
        simulation.shared.data.control(&format!("forceschedulers/{name}"), "force", form.into()).await;
    answer.map_err(|error| format!("force: {error}"))
}

/// A form has only the fields that it was given in the configuration; what is said for others would not be looked at.
async fn known_fields(shared: &Shared, scheduler: &str, form: &Map<String, Json>) -> Result<(), String> {
    let rows = shared.list("forceschedulers").await;
    let mut known = vec!["builderNames", "owner"];
    rows.iter()
        .filter(|row| row["name"] == scheduler)
        .for_each(|row| fields_of(&row["all_fields"], &mut known));
    let Some(odd) = form.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let fields = || known.iter().copied().filter(|name| *name != "builderNames");
    let near = nearest(odd, fields()).map_or(String::new(), |near| format!(", did you mean {near}?"));
    let all = fields().collect::<Vec<_>>().join(", ");
    Err(format!("force: the form of {scheduler} has no field {odd}{near}; it has {all}"))
}

/// The full names of the fields in a list of fields and groups of them.
fn fields_of<'a>(list: &'a Json, names: &mut Vec<&'a str>) {
    for field in list.as_array().into_iter().flatten() {
        match &field["fields"] {
            Json::Null => names.extend(field["fullName"].as_str()),
            inner => fields_of(inner, names),
        }
    }
}

async fn request(simulation: &Simulation, value: Json) -> Result<Json, String> {
    const STAMP: &[&str] = &["branch", "revision", "repository", "project", "codebase"];
    let known: Vec<&str> =
        ["builder", "properties", "priority", "reason"].iter().chain(STAMP).copied().collect();
    let mut args = named("request", value, &known)?;
    let name = args.remove("builder").ok_or("request: builder is missing")?;
    let id = builder_id(simulation, text("request: builder", &name)?)?;
    let stamp: Map<String, Json> =
        STAMP.iter().filter_map(|name| Some(((*name).to_owned(), args.remove(*name)?))).collect();
    args.insert("sourcestamps".into(), json!([stamp]));
    args.insert("builderids".into(), json!([id]));
    args.entry("scheduler").or_insert_with(|| "test".into());
    args.entry("reason").or_insert_with(|| "test".into());
    args.insert("properties".into(), Json::Object(fields(args.get("properties").cloned())));
    let made = simulation.port("data.updates.addBuildset", vec![Json::Object(args)]).await?;
    Ok(made[1][id.to_string()].clone())
}

fn builder_id(simulation: &Simulation, name: &str) -> Result<i64, String> {
    let builders = &simulation.shared.builders;
    builders.get(name).copied().ok_or_else(|| {
        let near = nearest(name, builders.keys().map(String::as_str));
        let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
        format!("there is no builder {name}{hint}")
    })
}

/// All builds, or those of a builder.
async fn builds(simulation: &Simulation, of: &Json) -> Result<Vec<Json>, String> {
    let mut builds = story::builds(&simulation.shared).await;
    if !of.is_null() {
        let name = text("builds", of)?;
        builder_id(simulation, name)?;
        builds.retain(|build| build["builder"] == name);
    }
    Ok(builds)
}

/// A step of a build, by its name.
fn step(build: &Json, name: Option<Json>) -> Result<Json, String> {
    let wanted = "step takes a build and the name of a step: m:step(m:build(\"linux\"), \"test\")";
    let (steps, name) = (build["steps"].as_array().ok_or(wanted)?, name.ok_or(wanted)?);
    let found = steps.iter().find(|step| step["name"] == name).map(story::step_row);
    found.ok_or_else(|| {
        let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
        format!("the build has no step {}; it has {}", name.as_str().unwrap_or_default(), names.join(", "))
    })
}

/// The text of a log of a step of a build.
async fn log(
    simulation: &Simulation,
    build: &Json,
    step: Option<Json>,
    name: Option<Json>,
) -> Result<String, String> {
    let wanted =
        "log takes a build, the name of a step, and the name of a log: m:log(build, \"shell\", \"stdio\")";
    let build = build["buildid"].as_i64().ok_or(wanted)?;
    let step = step.as_ref().and_then(Json::as_str).ok_or(wanted)?;
    let name = name.as_ref().and_then(Json::as_str).unwrap_or("stdio");
    let shared = &simulation.shared;
    let steps = shared.list(&format!("builds/{build}/steps")).await;
    let found = steps
        .iter()
        .find(|row| row["name"] == step)
        .ok_or_else(|| format!("the build has no step {step}"))?;
    let logs = shared.list(&format!("steps/{}/logs", found["stepid"])).await;
    let found = logs
        .iter()
        .find(|row| row["name"] == name)
        .ok_or_else(|| format!("step {step} has no log {name}"))?;
    let id = found["logid"].as_i64().unwrap_or_default();
    let lines = shared.data.log_lines(id, 0, i64::from(i32::MAX)).await.map_err(|error| error.to_string())?;
    if found["type"] != "s" {
        return Ok(lines);
    }
    // Each line begins with the letter of its channel.
    Ok(lines.split_inclusive('\n').map(|line| line.get(1..).unwrap_or_default()).collect())
}
