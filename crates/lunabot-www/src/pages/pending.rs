//! Pending: what waits and why?
//!
//! The reasons are what stored facts tell: workers missing, paused or busy, requests ahead; and the locks that the engine
//! says a builder waits for.

use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{Pager, Status};
use super::workers::is_there;
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::resources::{Build, BuildRequest, Builder, Buildset, Worker};
use lunabot_model::{BuilderId, Id, WorkerId};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const LIMIT: i64 = 50;
const MAX_RUNNING: usize = 1000;

/// A request that waits.
#[derive(Debug, Serialize)]
pub struct Waiting {
    pub id: Id,
    pub builderid: BuilderId,
    pub builder: String,
    pub priority: i64,
    pub submitted_at: i64,
    pub reason: String,
    pub branch: String,
    pub revision: String,
    /// In the whole queue, from 1.
    pub position: i64,
    pub why: String,
}

pub async fn pending(State(app): State<Arc<App>>, asked: Asked) -> Response {
    read_pending(&app, &asked).await.shown(&app, &asked)
}

async fn read_pending(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let offset = asked.number("offset").unwrap_or(0);
    let query = format!(
        "complete=false&claimed=false&order=-priority&order=submitted_at&order=buildrequestid&limit={LIMIT}&offset={offset}"
    );
    let (requests, total) = read::list::<BuildRequest>(&app.www.data, "buildrequests", &query).await?;
    let pager = Pager::new(asked, offset, requests.len(), LIMIT, total);
    let waiting = explain(app, requests, offset).await?;
    let page = view! { waiting, pager };
    let live = vec!["buildrequests/*/*".into(), "workers/*/*".into()];
    app.page(
        asked,
        Page { template: "pending.html", title: "Pending".into(), nav: "pending", live, data: page },
    )
}

/// Requests in the order of the queue, with what is known of why they wait.
pub async fn explain(app: &App, requests: Vec<BuildRequest>, offset: i64) -> Result<Vec<Waiting>, PageError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let data = &app.www.data;
    let sets: HashSet<Id> = requests.iter().map(|r| r.buildsetid).collect();
    let (sets, _) = read::list::<Buildset>(data, "buildsets", &read::any_of("bsid", sets)).await?;
    let sets: HashMap<Id, Buildset> = sets.into_iter().map(|s| (s.bsid, s)).collect();
    let asked: HashSet<BuilderId> = requests.iter().map(|r| r.builderid).collect();
    let queue = Facts::read(app, asked).await?;
    let mut ahead: HashMap<BuilderId, usize> = HashMap::new();
    let mut all = Vec::new();
    for (position, request) in (offset + 1..).zip(requests) {
        let before = ahead.entry(request.builderid).or_default();
        let why = queue.why(request.builderid, *before);
        *before += 1;
        let set = sets.get(&request.buildsetid);
        let stamp = set.and_then(|s| s.sourcestamps.first());
        all.push(Waiting {
            id: request.buildrequestid,
            builderid: request.builderid,
            builder: queue.builders.get(&request.builderid).map(|b| b.name.clone()).unwrap_or_default(),
            priority: request.priority,
            submitted_at: request.submitted_at,
            reason: set.map(|s| s.reason.clone()).unwrap_or_default(),
            branch: stamp.and_then(|s| s.branch.clone()).unwrap_or_default(),
            revision: stamp.and_then(|s| s.revision.clone()).unwrap_or_default(),
            position,
            why,
        });
    }
    Ok(all)
}

/// What decides whether a request can start, as far as it is stored.
struct Facts {
    builders: HashMap<BuilderId, Builder>,
    workers: Vec<Worker>,
    busy: HashMap<WorkerId, Vec<String>>,
    /// What the engine says of builders that it holds back.
    holdups: HashMap<BuilderId, String>,
}

impl Facts {
    async fn read(app: &App, asked: HashSet<BuilderId>) -> Result<Facts, PageError> {
        let data = &app.www.data;
        let builders: HashMap<_, _> =
            read::builders(data).await?.into_iter().map(|b| (b.builderid, b)).collect();
        let (workers, _) = read::list::<Worker>(data, "workers", "order=name").await?;
        let (running, _) =
            read::list::<Build>(data, "builds", &format!("complete=false&limit={MAX_RUNNING}")).await?;
        let mut busy: HashMap<WorkerId, Vec<String>> = HashMap::new();
        for build in running {
            if let Some(worker) = build.workerid {
                let name = builders.get(&build.builderid).map(|b| b.name.as_str()).unwrap_or_default();
                busy.entry(worker).or_default().push(format!("{name} #{}", build.number));
            }
        }
        let holdups = data.holdups(asked.into_iter().collect()).await;
        Ok(Facts { builders, workers, busy, holdups })
    }

    fn why(&self, builder: BuilderId, ahead: usize) -> String {
        let Some(found) = self.builders.get(&builder) else {
            return "its builder does not exist any more".into();
        };
        if found.masterids.is_empty() {
            return "its builder is not configured any more; cancel it, or configure the builder again"
                .into();
        }
        let own: Vec<&Worker> = self
            .workers
            .iter()
            .filter(|w| w.configured_on.iter().any(|on| on.builderid == builder))
            .collect();
        let connected: Vec<&&Worker> = own.iter().filter(|w| is_there(w)).collect();
        let open: Vec<&&&Worker> = connected.iter().filter(|w| !w.paused && !w.graceful).collect();
        let free = open.iter().filter(|w| !self.busy.contains_key(&w.workerid)).count();
        match (own.as_slice(), connected.len(), open.len(), free) {
            ([], ..) => "the builder has no worker".into(),
            ([only], 0, ..) => format!("worker {} is not connected", only.name),
            (all, 0, ..) => format!("none of its {} workers is connected", all.len()),
            (_, n, 0, _) => format!("{n} connected, but paused or stopping: {}", names(&connected)),
            (_, _, n, 0) if n <= 3 => format!("busy: {}", self.tasks(&open)),
            (_, _, n, 0) => format!("all {n} workers are busy"),
            _ if ahead > 0 => format!("{ahead} of this builder before it"),
            _ => self.holdups.get(&builder).cloned().unwrap_or_else(|| {
                "a worker is free: it starts, or a callback of the configuration holds it back".into()
            }),
        }
    }

    fn tasks(&self, workers: &[&&&Worker]) -> String {
        let task = |w: &&&&Worker| {
            let builds = self.busy.get(&w.workerid).map(|b| b.join(", ")).unwrap_or_default();
            format!("{} builds {builds}", w.name)
        };
        workers.iter().map(task).collect::<Vec<_>>().join("; ")
    }
}

fn names(workers: &[&&Worker]) -> String {
    workers.iter().map(|w| w.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// One request: leads to its build once there is one.
pub async fn request(State(app): State<Arc<App>>, Path(id): Path<Id>, asked: Asked) -> Response {
    read_request(&app, id, &asked).await.shown(&app, &asked)
}

async fn read_request(app: &App, id: Id, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let request: BuildRequest = read::one(data, &format!("buildrequests/{id}"), "").await?;
    let (builds, _) =
        read::list::<Build>(data, "builds", &format!("buildrequestid={id}&order=-buildid&limit=1")).await?;
    if let Some(build) = builds.first() {
        let to = format!("{}builders/{}/builds/{}", asked.root, build.builderid, build.number);
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response());
    }
    let status = request.results.filter(|_| request.complete).map_or(Status::PENDING, Status::of);
    let (complete, complete_at) = (request.complete, request.complete_at);
    let waiting = explain(app, vec![request], 0).await?.pop();
    let title = format!("Request {id}");
    let page = view! { waiting, status, complete, complete_at };
    let live = vec![format!("buildrequests/{id}/*"), "builds/*/new".into(), "workers/*/*".into()];
    app.page(asked, Page { template: "request.html", title, nav: "pending", live, data: page })
}
