//! A build: did it pass, and where did it break?

use super::lines::{self, Line};
use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{BuildRow, Estimate, Status, is_broken, owner, person};
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_data::Data;
use lunabot_model::resources::{Build, BuildRequest, Builder, Buildset, Change, Log, Step, Worker};
use lunabot_model::{Id, Json, Results};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Last lines of the opened step's log.
const TAIL: i64 = 30;
const MAX_CHANGES: usize = 50;
/// Steps whose logs are listed.
const MAX_STEPS: usize = 200;

#[derive(Serialize)]
struct StepView {
    status: Status,
    seconds: Option<i64>,
    /// Seconds it waited for locks.
    waited: i64,
    logs: Vec<Log>,
    tail: Option<Tail>,
    span: Option<Span>,
    step: Step,
}

#[derive(Serialize)]
struct Tail {
    log: Log,
    lines: Vec<Line>,
    first: i64,
}

/// A step on the timeline, in thousandths of the build.
#[derive(Serialize)]
struct Span {
    start: i64,
    locked: i64,
    width: i64,
}

pub async fn by_id(State(app): State<Arc<App>>, Path(id): Path<Id>, asked: Asked) -> Response {
    let build = read::one::<Build>(&app.www.data, &format!("builds/{id}"), "").await;
    let to = build.map(|b| format!("{}builders/{}/builds/{}", asked.root, b.builderid, b.number));
    to.map(|to| (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()).shown(&app, &asked)
}

pub async fn build(
    State(app): State<Arc<App>>,
    Path((builder, number)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    read_build(&app, &builder, &number, &asked).await.shown(&app, &asked)
}

async fn read_build(app: &App, builder: &str, number: &str, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let build: Build = read::one(
        data,
        &format!("builders/{}/builds/{}", read::part(builder), read::part(number)),
        "property=*",
    )
    .await?;
    let builder: Builder = read::one(data, &format!("builders/{}", build.builderid), "").await?;
    let id = build.buildid;
    let now = app.www.clock.now().secs();
    let (steps, _) = read::list::<Step>(data, &format!("builds/{id}/steps"), "order=number").await?;
    let request: Option<BuildRequest> =
        read::maybe(data, &format!("buildrequests/{}", build.buildrequestid)).await?;
    let set: Option<Buildset> = match &request {
        Some(request) => read::maybe(data, &format!("buildsets/{}", request.buildsetid)).await?,
        None => None,
    };
    let worker: Option<Worker> = match build.workerid {
        Some(worker) => read::maybe(data, &format!("workers/{worker}")).await?,
        None => None,
    };
    let changes: Vec<Change> = read::blame(data, &build, MAX_CHANGES).await?;
    let newest =
        data.newest_builds(&[build.builderid], 12).await?.remove(&build.builderid).unwrap_or_default();
    let page = view! {
        status => Status::of_build(&build), owner => owner(&build),
        estimate => (!build.complete).then(|| Estimate::new(data, &build, &newest, now)).flatten(),
        queued => request.as_ref().map(|r| (build.started_at - r.submitted_at).max(0)),
        steps => views(data, &build, steps, now).await?,
        properties => properties(&build), triggered => triggered(data, id).await?,
        parent => parent(data, set.as_ref()).await?,
        load => load_of(data, &build).await?,
        authors => authors(&changes), changes, request, set, worker,
        newer => newest.first().is_some_and(|n| n.number > build.number), build, builder,
    };
    let title =
        format!("{builder_name} #{number}", builder_name = page.get_attr("builder")?.get_attr("name")?);
    let live = vec![
        format!("builds/{id}/*"),
        format!("builds/{id}/steps/*/*"),
        format!("builds/{id}/properties/*"),
        format!("builds/{id}/progress/*"),
        "steps/*/logs/*/new".into(),
    ];
    app.page(asked, Page { template: "build.html", title, nav: "builders", live, data: page })
}

/// The number of the load of the configuration that made a build, where this process has made it.
async fn load_of(data: &Data, build: &Build) -> Result<Option<Json>, PageError> {
    let Some(content) = &build.generation else { return Ok(None) };
    let loads: Vec<Json> = read::optional(data, "generations", "").await?;
    let same = loads.iter().rev().find(|load| load["content_hash"] == content.as_str());
    Ok(same.map(|load| load["number"].clone()))
}

fn authors(changes: &[Change]) -> Vec<String> {
    let mut all: Vec<String> = changes.iter().map(|c| person(&c.author)).collect();
    all.sort();
    all.dedup();
    all
}

/// (name, value, source), by name.
fn properties(build: &Build) -> Vec<(String, Json, String)> {
    build.properties.iter().map(|(name, p)| (name.to_string(), p.value.clone(), p.source.clone())).collect()
}

/// Steps with their logs; the first broken one, or the one that runs, is opened.
async fn views(data: &Data, build: &Build, steps: Vec<Step>, now: i64) -> Result<Vec<StepView>, PageError> {
    let opened = steps
        .iter()
        .position(|s| is_broken(s.results))
        .or_else(|| steps.iter().position(|s| s.started_at.is_some() && !s.complete));
    let end = build.complete_at.unwrap_or(now);
    let mut views = Vec::new();
    for (i, step) in steps.into_iter().enumerate() {
        let logs = match step.started_at {
            Some(_) if i < MAX_STEPS => {
                read::list::<Log>(data, &format!("steps/{}/logs", step.stepid), "").await?.0
            }
            _ => Vec::new(),
        };
        let tail = if opened == Some(i) { tail(data, &step, &logs).await? } else { None };
        let ended = step.complete_at.unwrap_or(now);
        views.push(StepView {
            status: Status::of_step(&step),
            seconds: step.started_at.map(|start| (ended - start).max(0)),
            waited: step.started_at.map_or(0, |start| step.locks_acquired_at.unwrap_or(ended) - start).max(0),
            span: span(build, &step, end, now),
            logs,
            tail,
            step,
        });
    }
    Ok(views)
}

/// The end of the log that tells most: of an exception its traceback, else the command's output.
async fn tail(data: &Data, step: &Step, logs: &[Log]) -> Result<Option<Tail>, PageError> {
    let full = || logs.iter().filter(|log| log.num_lines > 0);
    let error = full().find(|log| log.slug.starts_with("err"));
    let error = error.filter(|_| step.results == Some(Results::Exception));
    let Some(log) = error.or_else(|| full().find(|log| log.slug == "stdio")).or_else(|| full().next()) else {
        return Ok(None);
    };
    let first = (log.num_lines - TAIL).max(0);
    let mut lines = lines::read_lines(data, log, first, TAIL).await?;
    let told = preamble(&lines);
    lines.drain(..told);
    Ok(Some(Tail { log: log.clone(), lines, first: first + i64::try_from(told).unwrap_or_default() }))
}

/// How many lines at the beginning only describe the command and its environment: no news to who asks what broke.
fn preamble(lines: &[Line]) -> usize {
    const KEPT: usize = 5;
    let output = lines.iter().position(|line| line.channel != 'h');
    output.unwrap_or_else(|| lines.len().saturating_sub(KEPT))
}

fn span(build: &Build, step: &Step, end: i64, now: i64) -> Option<Span> {
    let all = (end - build.started_at).max(1);
    let scale = |secs: i64| (secs.clamp(0, all) * 1000) / all;
    let start = step.started_at?;
    let stop = step.complete_at.unwrap_or(now);
    let work = step.locks_acquired_at.unwrap_or(stop);
    let (start, work, stop) =
        (scale(start - build.started_at), scale(work - build.started_at), scale(stop - build.started_at));
    Some(Span { start, locked: (work - start).max(0), width: (stop - work).max(6) })
}

/// Builds that this one started.
async fn triggered(data: &Data, id: Id) -> Result<Vec<BuildRow>, PageError> {
    let query = format!("order=buildid&limit=100&{}", read::ROW_PROPERTIES);
    let builds: Vec<Build> = read::optional(data, &format!("builds/{id}/triggered_builds"), &query).await?;
    if builds.is_empty() {
        return Ok(Vec::new());
    }
    let names = read::names(&read::builders(data).await?);
    Ok(builds.iter().map(|b| BuildRow::new(b, &names)).collect())
}

/// The build that started this one.
async fn parent(data: &Data, set: Option<&Buildset>) -> Result<Option<BuildRow>, PageError> {
    let Some(id) = set.and_then(|s| s.parent_buildid) else { return Ok(None) };
    let Some(build) = read::maybe::<Build>(data, &format!("builds/{id}")).await? else { return Ok(None) };
    let builder: Option<Builder> = read::maybe(data, &format!("builders/{}", build.builderid)).await?;
    let names: HashMap<_, _> = builder.into_iter().map(|b| (b.builderid, b.name)).collect();
    Ok(Some(BuildRow::new(&build, &names)))
}
