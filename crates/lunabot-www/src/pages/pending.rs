//! Pending: what waits and why?

use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{Pager, Status};
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::explanation::Explanation;
use lunabot_model::resources::{Build, BuildRequest, Buildset};
use lunabot_model::{BuilderId, Id};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const LIMIT: i64 = 50;

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
    /// Since when that is so.
    pub since: Option<i64>,
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

/// Requests in the order of the queue, with why they wait.
pub async fn explain(app: &App, requests: Vec<BuildRequest>, offset: i64) -> Result<Vec<Waiting>, PageError> {
    let ids: Vec<Id> = requests.iter().map(|request| request.buildrequestid).collect();
    let told = app.www.data.explain(&ids).await?;
    let told: HashMap<Id, Explanation> = told.into_iter().map(|told| (told.buildrequestid, told)).collect();
    with_reasons(app, requests, told, offset).await
}

async fn with_reasons(
    app: &App,
    requests: Vec<BuildRequest>,
    mut told: HashMap<Id, Explanation>,
    offset: i64,
) -> Result<Vec<Waiting>, PageError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let sets: HashSet<Id> = requests.iter().map(|r| r.buildsetid).collect();
    let (sets, _) = read::list::<Buildset>(&app.www.data, "buildsets", &read::any_of("bsid", sets)).await?;
    let sets: HashMap<Id, Buildset> = sets.into_iter().map(|s| (s.bsid, s)).collect();
    let all = (offset + 1..).zip(requests).filter_map(|(position, request)| {
        let set = sets.get(&request.buildsetid);
        let stamp = set.and_then(|s| s.sourcestamps.first());
        let told = told.remove(&request.buildrequestid)?;
        Some(Waiting {
            id: request.buildrequestid,
            builderid: request.builderid,
            builder: told.builder,
            priority: request.priority,
            submitted_at: request.submitted_at,
            reason: set.map(|s| s.reason.clone()).unwrap_or_default(),
            branch: stamp.and_then(|s| s.branch.clone()).unwrap_or_default(),
            revision: stamp.and_then(|s| s.revision.clone()).unwrap_or_default(),
            position,
            why: told.summary,
            since: told.since,
        })
    });
    Ok(all.collect())
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
    let absent = || PageError::NotFound(format!("request {id} does not exist"));
    let told = data.explain_one(id).await?.ok_or_else(absent)?;
    let reasons = HashMap::from([(id, told.clone())]);
    let waiting = with_reasons(app, vec![request], reasons, 0).await?.pop();
    let title = format!("Request {id}");
    let page = view! { waiting, told, status, complete, complete_at };
    let live = vec![format!("buildrequests/{id}/*"), "builds/*/new".into(), "workers/*/*".into()];
    app.page(asked, Page { template: "request.html", title, nav: "pending", live, data: page })
}
