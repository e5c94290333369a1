//! Workers, and one worker: is mine well, what does it do?

use super::pending::{Waiting, explain};
use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{BuildRow, Status};
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::response::Response;
use lunabot_model::resources::{Build, BuildRequest, Worker};
use lunabot_model::{Json, WorkerId};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Running builds looked at to tell who does what.
const MAX_RUNNING: usize = 1000;
/// Names of running builds in one row of the list.
const NAMED: usize = 3;
const BUILDS: i64 = 25;

/// Requests that wait for a worker, as many as are shown on its page.
const WAITING: i64 = 10;
/// Facts that the master adds to what a worker says of itself.
const CONNECTED_AT: &str = "connected_at";
const DISCONNECTED_AT: &str = "disconnected_at";
const LATENT_STATE: &str = "latent_state";

/// Signs as for results, other words.
pub const fn worker_status(worker: &WorkerState) -> Status {
    match worker {
        WorkerState::Paused => Status { class: "retry", sign: "‖", word: "paused" },
        WorkerState::Stopping => Status { class: "warnings", sign: "◍", word: "stopping" },
        WorkerState::Missing => Status { class: "failure", sign: "✕", word: "not connected" },
        WorkerState::Downtime => Status { class: "skipped", sign: "◷", word: "in its downtime" },
        WorkerState::Quarantined => Status { class: "exception", sign: "◌", word: "in quarantine" },
        WorkerState::Starting => Status { class: "running", sign: "◔", word: "being started" },
        WorkerState::Ending => Status { class: "skipped", sign: "◕", word: "being stopped" },
        WorkerState::Resting => Status { class: "skipped", sign: "○", word: "started when needed" },
        WorkerState::Old => Status { class: "skipped", sign: "–", word: "not configured" },
        WorkerState::Busy => Status { class: "running", sign: "▸", word: "building" },
        WorkerState::Idle => Status { class: "success", sign: "✓", word: "idle" },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkerState {
    Missing,
    Paused,
    Stopping,
    Downtime,
    Quarantined,
    Busy,
    Idle,
    /// Latent workers without a connection (08.040).
    Starting,
    Ending,
    Resting,
    Old,
}

/// What becomes of the instance of a latent worker (08.040); `None`: the worker is not latent.
pub fn latent_state(worker: &Worker) -> Option<&str> {
    worker.workerinfo.get(LATENT_STATE).and_then(Json::as_str)
}

/// Whether a worker is connected, or is started when it is needed.
pub fn is_there(worker: &Worker) -> bool {
    !worker.connected_to.is_empty() || latent_state(worker).is_some()
}

impl WorkerState {
    /// `resting`: it gets no builds for a while, in a downtime or, after preparations of builds that failed, in quarantine
    /// (07.021).
    pub fn of(worker: &Worker, builds: usize, resting: Option<WorkerState>) -> WorkerState {
        let own = match () {
            () if worker.configured_on.is_empty() => Some(WorkerState::Old),
            () if !is_there(worker) => Some(WorkerState::Missing),
            () if worker.paused => Some(WorkerState::Paused),
            () if worker.graceful => Some(WorkerState::Stopping),
            () => resting,
        };
        let usual = || match () {
            () if worker.connected_to.is_empty() => match latent_state(worker) {
                Some("not substantiated" | "shut down") => WorkerState::Resting,
                Some("insubstantiating") => WorkerState::Ending,
                Some(_) | None => WorkerState::Starting,
            },
            () if builds > 0 => WorkerState::Busy,
            () => WorkerState::Idle,
        };
        own.unwrap_or_else(usual)
    }
}

#[derive(Serialize)]
struct Row {
    id: WorkerId,
    name: String,
    status: Status,
    reason: String,
    builds: Vec<BuildRow>,
    count: usize,
    builders: usize,
    version: String,
    system: String,
}

pub async fn workers(State(app): State<Arc<App>>, asked: Asked) -> Response {
    read_workers(&app, &asked).await.shown(&app, &asked)
}

async fn read_workers(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let (workers, _) = read::list::<Worker>(data, "workers", "order=name").await?;
    let names = read::names(&read::builders(data).await?);
    let (running, _) = read::running(data, MAX_RUNNING).await?;
    let mut by_worker: HashMap<WorkerId, Vec<&Build>> = HashMap::new();
    for build in &running {
        if let Some(id) = build.workerid {
            by_worker.entry(id).or_default().push(build);
        }
    }
    let (quarantines, downtimes) = (data.quarantines().await, data.downtimes().await);
    let show_old = asked.get("old").is_some();
    let old_count = workers.iter().filter(|w| w.configured_on.is_empty()).count();
    let mut rows: Vec<(WorkerState, Row)> = Vec::new();
    for worker in workers.iter().filter(|w| show_old || !w.configured_on.is_empty()) {
        let builds = by_worker.get(&worker.workerid).map_or(&[][..], Vec::as_slice);
        let id = &worker.workerid;
        let resting = resting(downtimes.contains_key(id), quarantines.contains_key(id));
        let state = WorkerState::of(worker, builds.len(), resting);
        let named = builds.iter().take(NAMED).map(|b| BuildRow::new(b, &names)).collect();
        rows.push((state, row(worker, state, named, builds.len())));
    }
    rows.sort_by_key(|(state, _)| *state);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let page = view! {
        rows, old_count, old => show_old, old_href => asked.with("old", (!show_old).then_some("1")),
    };
    let live = vec!["workers/*/*".into(), "builds/*/*".into()];
    app.page(
        asked,
        Page { template: "workers.html", title: "Workers".into(), nav: "workers", live, data: page },
    )
}

fn resting(downtime: bool, quarantine: bool) -> Option<WorkerState> {
    let quarantine = quarantine.then_some(WorkerState::Quarantined);
    downtime.then_some(WorkerState::Downtime).or(quarantine)
}

fn row(worker: &Worker, state: WorkerState, builds: Vec<BuildRow>, count: usize) -> Row {
    Row {
        id: worker.workerid,
        name: worker.name.clone(),
        status: worker_status(&state),
        reason: worker.pause_reason.clone().filter(|_| worker.paused).unwrap_or_default(),
        builds,
        count,
        builders: worker.configured_on.len(),
        version: info(worker, &["version"]),
        system: info(worker, &["os_name", "system", "worker_system"]),
    }
}

/// The first of these that the worker reported.
fn info(worker: &Worker, names: &[&str]) -> String {
    let found = names.iter().find_map(|name| worker.workerinfo.get(name).and_then(Json::as_str));
    found.unwrap_or_default().to_string()
}

pub async fn worker(State(app): State<Arc<App>>, Path(worker): Path<String>, asked: Asked) -> Response {
    read_worker(&app, &worker, &asked).await.shown(&app, &asked)
}

async fn read_worker(app: &App, worker: &str, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let worker: Worker = read::one(data, &format!("workers/{}", read::part(worker)), "").await?;
    let id = worker.workerid;
    let names = read::names(&read::builders(data).await?);
    let query = format!("workerid={id}&order=-buildid&limit={BUILDS}&{}", read::ROW_PROPERTIES);
    let (builds, _) = read::list::<Build>(data, "builds", &query).await?;
    let running = builds.iter().filter(|b| !b.complete).count();
    let mut builders: Vec<(i64, String)> = worker
        .configured_on
        .iter()
        .filter_map(|on| Some((on.builderid, names.get(&on.builderid)?.clone())))
        .collect();
    builders.sort_by(|a, b| a.1.cmp(&b.1));
    let facts = facts(&worker);
    let since = |name: &str| worker.workerinfo.get(name).and_then(Json::as_i64);
    let (connected_at, disconnected_at) = (since(CONNECTED_AT), since(DISCONNECTED_AT));
    let quarantine = data.quarantines().await.get(&id).map(|left| left.as_secs() + 1);
    let downtime = data.downtimes().await.get(&id).copied();
    let resting = resting(downtime.is_some(), quarantine.is_some());
    let status = worker_status(&WorkerState::of(&worker, running, resting));
    let waiting = waiting(app, &builders).await?;
    let title = worker.name.clone();
    let page = view! {
        rows => builds.iter().map(|b| BuildRow::new(b, &names)).collect::<Vec<_>>(),
        worker, status, builders, facts, running, connected_at, disconnected_at, quarantine, downtime, waiting,
    };
    let live =
        vec![format!("workers/{id}/*"), format!("workers/{id}/builds/*/*"), "buildrequests/*/*".into()];
    app.page(asked, Page { template: "worker.html", title, nav: "workers", live, data: page })
}

/// What a worker says of itself, but for its environment; what it can do in one line.
fn facts(worker: &Worker) -> Vec<(String, String)> {
    let own = |name: &str| ![CONNECTED_AT, DISCONNECTED_AT, LATENT_STATE, "environ"].contains(&name);
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Object(map) => {
            let versions = map.iter().map(|(name, version)| match version.as_str() {
                Some(version) => format!("{name} {version}"),
                None => format!("{name} {version}"),
            });
            versions.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let all = worker.workerinfo.as_object().into_iter().flatten();
    all.filter(|(name, _)| own(name)).map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The first requests that its builders have waiting, each with the reason.
async fn waiting(app: &App, builders: &[(i64, String)]) -> Result<Vec<Waiting>, PageError> {
    if builders.is_empty() {
        return Ok(Vec::new());
    }
    let of = read::any_of("builderid", builders.iter().map(|(id, _)| *id));
    let query = format!(
        "{of}&complete=false&claimed=false&order=-priority&order=submitted_at&order=buildrequestid&limit={WAITING}"
    );
    let (requests, _) = read::list::<BuildRequest>(&app.www.data, "buildrequests", &query).await?;
    explain(app, requests, 0).await
}
