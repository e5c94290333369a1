//! What has happened in a simulated master: for tests to look at, and for people when one fails.

use super::master::Simulation;
use super::shared::{Ran, Shared};
use lunabot_model::explanation::{Explanation, RuleAnswer};
use lunabot_model::kind::nearest;
use lunabot_model::{BuildId, Json, Results};
use serde_json::json;
use std::collections::HashMap;

/// What every build begins with: of interest only where it fails.
const PREPARATION: &str = "worker_preparation";
/// The log with the error that ended a step.
const ERROR: &str = "err.text";
/// Lines of it at most.
const MAX_ERROR: i64 = 20;
/// Lines of a story at most: the end matters.
const MAX_LINES: usize = 60;

/// All builds, in the order in which they began.
pub async fn builds(shared: &Shared) -> Vec<Json> {
    let names = names(shared).await;
    let ran = shared.all_ran();
    let mut all = Vec::new();
    for row in shared.list("builds").await {
        all.push(build(shared, row, &names, &ran).await);
    }
    all.sort_by_key(|build| build["buildid"].as_i64());
    all
}

/// Names of workers by their ids.
async fn names(shared: &Shared) -> HashMap<i64, String> {
    let rows = shared.list("workers").await;
    rows.iter()
        .filter_map(|row| Some((row["workerid"].as_i64()?, row["name"].as_str()?.to_owned())))
        .collect()
}

async fn build(shared: &Shared, mut build: Json, workers: &HashMap<i64, String>, ran: &[Ran]) -> Json {
    let id = build["buildid"].as_i64().unwrap_or_default();
    build["builder"] = builder_of(shared, &build["builderid"]).into();
    build["worker"] = build["workerid"].as_i64().and_then(|id| workers.get(&id).cloned()).into();
    build["request"] = build["buildrequestid"].clone();
    build["result"] = word(&build["results"]);
    build["properties"] = properties(shared, id).await;
    build["steps"] = steps(shared, id, ran).await;
    let own = ran.iter().filter(|ran| ran.build == Some(id));
    build["commands"] = own.map(|ran| ran.line.clone()).collect();
    row("the build", build)
}

/// A row of which a test can ask only for what there is. What is nil in Lua counts as there.
pub fn row(of: &str, fields: Json) -> Json {
    let Json::Object(mut fields) = fields else { return fields };
    let absent: Vec<String> =
        fields.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name.clone()).collect();
    fields.retain(|_, value| !value.is_null());
    fields.insert("$row".into(), json!({"of": of, "absent": absent}));
    Json::Object(fields)
}

/// The word for a result: `success`.
pub fn word(results: &Json) -> Json {
    let known = results.as_i64().and_then(Results::from_code);
    known.map_or(Json::Null, |results| results.name().into())
}

pub fn builder_of(shared: &Shared, id: &Json) -> String {
    let known = shared.builders.iter().find(|(_, known)| Some(**known) == id.as_i64());
    known.map(|(name, _)| name.clone()).unwrap_or_default()
}

async fn properties(shared: &Shared, build: BuildId) -> Json {
    match shared.data.build_properties(build).await {
        Ok(properties) => Json::Object(properties.as_dict()),
        Err(_) => json!({}),
    }
}

async fn steps(shared: &Shared, build: BuildId, ran: &[Ran]) -> Json {
    let mut all = Vec::new();
    for mut step in shared.list(&format!("builds/{build}/steps")).await {
        let id = step["stepid"].as_i64();
        if step["name"] == PREPARATION && step["results"] == Results::Success.code() {
            continue;
        }
        step["result"] = word(&step["results"]);
        let own = ran.iter().filter(|ran| ran.step.is_some() && ran.step == id);
        step["commands"] = own.map(|ran| ran.line.clone()).collect();
        let logs = shared.list(&format!("steps/{}/logs", id.unwrap_or_default())).await;
        step["logs"] = logs.iter().map(|log| log["name"].clone()).collect();
        all.push(row("the step", step));
    }
    all.sort_by_key(|step| step["number"].as_i64());
    Json::Array(all)
}

/// Fields of a step that are nil until they are known.
const LATER: [&str; 5] = ["complete_at", "locks_acquired_at", "result", "results", "started_at"];

/// A step that a test has handed back: what it has not is a mistake again.
pub fn step_row(step: &Json) -> Json {
    let mut step = step.clone();
    for name in LATER.into_iter().filter(|name| step.get(name).is_none()).collect::<Vec<_>>() {
        step[name] = Json::Null;
    }
    row("the step", step)
}

/// Requests that nobody has claimed, with why they wait.
pub async fn pending(shared: &Shared) -> Vec<Json> {
    let mut all = Vec::new();
    for mut request in shared.list("buildrequests").await {
        if request["complete"] != false || request["claimed"] != false {
            continue;
        }
        let id = request["buildrequestid"].as_i64().unwrap_or_default();
        let explained = shared.list(&format!("buildrequests/{id}/explanation")).await.pop();
        let explained: Option<Explanation> = explained.and_then(|told| serde_json::from_value(told).ok());
        let why: Vec<String> = explained.iter().flat_map(blocking).map(RuleAnswer::told).collect();
        request["request"] = id.into();
        request["builder"] = builder_of(shared, &request["builderid"]).into();
        request["summary"] = explained.map(|told| told.summary).into();
        request["why"] = why.into();
        all.push(row("the request", request));
    }
    all.sort_by_key(|request| request["request"].as_i64());
    all
}

fn blocking(told: &Explanation) -> impl Iterator<Item = &RuleAnswer> {
    told.answers.iter().filter(|answer| answer.blocks)
}

/// All requests.
pub async fn requests(shared: &Shared) -> Vec<Json> {
    let mut all = shared.list("buildrequests").await;
    for request in &mut all {
        request["request"] = request["buildrequestid"].clone();
        request["builder"] = builder_of(shared, &request["builderid"]).into();
        *request = row("the request", request.take());
    }
    all
}

/// All changes.
pub async fn changes(shared: &Shared) -> Vec<Json> {
    shared.list("changes").await.into_iter().map(|change| row("the change", change)).collect()
}

/// The builds that run, in words.
pub async fn running(shared: &Shared) -> Vec<String> {
    let builds = builds(shared).await;
    builds.iter().filter(|build| build["complete"] == false).map(head).collect()
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

/// `build linux/1 on w1: failure, failed 'make test'`.
fn head(build: &Json) -> String {
    let result = if build["complete"] == true { text(&build["result"]) } else { "runs" };
    let on = build["worker"].as_str().map(|worker| format!(" on {worker}")).unwrap_or_default();
    format!(
        "build {}/{}{on}: {result}, {}",
        text(&build["builder"]),
        build["number"],
        text(&build["state_string"])
    )
}

/// A command line of several lines, as its first.
fn one_line(line: &str) -> String {
    match line.trim_end().split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => line.trim_end().to_owned(),
    }
}

/// The error that ended a step.
async fn error(shared: &Shared, step: &Json) -> Vec<String> {
    let logs = shared.list(&format!("steps/{}/logs", step["stepid"])).await;
    let log = logs.iter().find(|log| log["name"] == ERROR).and_then(|log| log["logid"].as_i64());
    let Some(log) = log else { return Vec::new() };
    let text = shared.data.log_lines(log, 0, MAX_ERROR).await.unwrap_or_default();
    text.lines().map(|line| format!("    {line}")).collect()
}

/// Answers that a test has given to commands that nobody ran: likely they are misspelt.
pub fn unfit(simulation: &Simulation) -> Vec<String> {
    let (shared, ran) = (&simulation.shared, simulation.shared.all_ran());
    let common = shared.common().unfit().to_vec();
    let common = common.into_iter().map(|pattern| (None, pattern));
    let own = simulation
        .workers
        .values()
        .flat_map(|worker| worker.unfit().into_iter().map(|pattern| (Some(worker.name.as_str()), pattern)));
    own.chain(common).map(|(worker, pattern)| unfit_answer(worker, &pattern, &ran)).collect()
}

fn unfit_answer(worker: Option<&str>, pattern: &str, ran: &[Ran]) -> String {
    let own = || ran.iter().filter(|ran| worker.is_none_or(|worker| worker == ran.worker));
    let near = nearest(pattern, own().map(|ran| ran.line.as_str()));
    let hint = match (near, own().count()) {
        (Some(near), _) => format!(", did you mean {}?", one_line(near)),
        (None, 0) => "; none was run".into(),
        (None, _) => String::new(),
    };
    let whose = worker.map(|worker| format!(" of {worker}")).unwrap_or_default();
    format!("answers: {}: no command{whose} was like this{hint}", one_line(pattern))
}

/// What has happened, for who reads that a test failed.
pub async fn told(shared: &Shared) -> Vec<String> {
    let mut lines = Vec::new();
    for change in shared.list("changes").await {
        let on = change["branch"].as_str().map(|branch| format!(" on {branch}")).unwrap_or_default();
        let files = change["files"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(" ");
        lines.push(format!("change {}{on} by {}: {files}", change["changeid"], text(&change["author"])));
    }
    for build in builds(shared).await {
        lines.push(head(&build));
        for step in build["steps"].as_array().into_iter().flatten() {
            let result = step["result"].as_str().unwrap_or("runs");
            lines.push(format!("  {}: {result}, {}", text(&step["name"]), text(&step["state_string"])));
            let commands = step["commands"].as_array().into_iter().flatten();
            lines.extend(commands.map(|line| format!("    $ {}", one_line(text(line)))));
            if step["logs"].as_array().is_some_and(|logs| logs.iter().any(|name| name == ERROR)) {
                lines.extend(error(shared, step).await);
            }
        }
    }
    for request in pending(shared).await {
        let why = request["why"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join("; ");
        let why = if why.is_empty() { text(&request["summary"]).to_owned() } else { why };
        lines.push(format!("request {} of {} waits: {why}", request["request"], text(&request["builder"])));
    }
    if lines.is_empty() {
        lines.push("nothing: there was no change, no request and no build".into());
    }
    let left_out = lines.len().saturating_sub(MAX_LINES);
    if left_out > 0 {
        lines.drain(..left_out);
        lines.insert(0, format!("… {left_out} lines before"));
    }
    lines
}
