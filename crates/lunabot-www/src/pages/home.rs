//! Home: is anything wrong, what runs now?

use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{BuildRow, Estimate, is_broken, person};
use super::workers::is_there;
use crate::error::PageError;
use crate::router::App;
use axum::extract::State;
use axum::response::Response;
use lunabot_model::BuilderId;
use lunabot_model::resources::{Build, Worker};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Failing builders shown in full; the others are counted.
const MAX_FAILING: usize = 12;
/// How far back "failing since" is looked for.
const STREAK: i64 = 30;
const MAX_RUNNING: usize = 30;
const RECENT: i64 = 20;

#[derive(Serialize)]
struct Home {
    failing: Vec<Failing>,
    failing_count: usize,
    running: Vec<BuildRow>,
    running_count: i64,
    waiting: i64,
    oldest_wait: Option<i64>,
    workers: usize,
    missing: Vec<String>,
    recent: Vec<BuildRow>,
    builders: usize,
}

/// A builder whose newest finished build is broken.
#[derive(Serialize)]
pub struct Failing {
    pub row: BuildRow,
    /// The first broken build after the last good one.
    pub since: BuildRow,
    /// No good build was found as far back as was looked.
    pub at_least: bool,
    pub count: usize,
    /// Whose changes came with the first broken build.
    pub blame: Vec<String>,
}

pub async fn home(State(app): State<Arc<App>>, asked: Asked) -> Response {
    read_home(&app, &asked).await.shown(&app, &asked)
}

async fn read_home(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let builders = read::builders(data).await?;
    let names = read::names(&builders);
    let active: Vec<BuilderId> =
        builders.iter().filter(|b| !b.masterids.is_empty()).map(|b| b.builderid).collect();
    let newest = data.newest_builds(&active, 3).await?;
    let broken = broken_builders(&active, &newest);
    let failing_count = broken.len();
    let failing = failing(app, &broken[..failing_count.min(MAX_FAILING)], &names).await?;
    let (running_builds, total) = read::running(data, MAX_RUNNING).await?;
    let running_count = total.unwrap_or(i64::try_from(running_builds.len()).unwrap_or(0));
    let running = running_rows(app, &running_builds, &names).await?;
    let query = format!("complete=true&order=-buildid&limit={RECENT}&{}", read::ROW_PROPERTIES);
    let (recent, _) = read::list::<Build>(data, "builds", &query).await?;
    let pending = data.pending_counts().await?;
    let (workers, missing) = workers(app).await?;
    let page = Home {
        failing,
        failing_count,
        running,
        running_count,
        waiting: pending.values().map(|p| p.count).sum(),
        oldest_wait: pending.values().map(|p| p.oldest).min(),
        workers,
        missing,
        recent: recent.iter().map(|b| BuildRow::new(b, &names)).collect(),
        builders: active.len(),
    };
    let live = ["builds/*/*", "buildrequests/*/*", "workers/*/*"].map(String::from).to_vec();
    app.page(asked, Page { template: "home.html", title: "Home".into(), nav: "home", live, data: page })
}

/// Builders whose newest finished build is broken; the newest failure first.
fn broken_builders(active: &[BuilderId], newest: &HashMap<BuilderId, Vec<Build>>) -> Vec<BuilderId> {
    let last_done = |id: &BuilderId| newest.get(id)?.iter().find(|b| b.complete);
    let broken = active.iter().filter_map(|id| last_done(id).filter(|b| is_broken(b.results)));
    let mut broken: Vec<&Build> = broken.collect();
    broken.sort_by_key(|b| std::cmp::Reverse(b.complete_at));
    broken.into_iter().map(|b| b.builderid).collect()
}

async fn failing(
    app: &App,
    broken: &[BuilderId],
    names: &HashMap<BuilderId, String>,
) -> Result<Vec<Failing>, PageError> {
    let histories = app.www.data.newest_builds(broken, STREAK).await?;
    let mut all = Vec::new();
    for id in broken {
        let done: Vec<&Build> = histories.get(id).into_iter().flatten().filter(|b| b.complete).collect();
        all.extend(failing_of(app, &done, names).await?);
    }
    Ok(all)
}

/// The streak at the head of a builder's finished builds, newest first.
pub async fn failing_of(
    app: &App,
    done: &[&Build],
    names: &HashMap<BuilderId, String>,
) -> Result<Option<Failing>, PageError> {
    let streak: Vec<&Build> = done.iter().take_while(|b| !is_good(b)).copied().collect();
    let broken: Vec<&Build> = streak.iter().filter(|b| is_broken(b.results)).copied().collect();
    let (Some(newest), Some(first)) = (broken.first(), broken.last()) else { return Ok(None) };
    let changes = read::blame(&app.www.data, first, 5).await?;
    let mut blame: Vec<String> = changes.iter().map(|c| person(&c.author)).collect();
    blame.sort();
    blame.dedup();
    Ok(Some(Failing {
        row: BuildRow::new(newest, names),
        since: BuildRow::new(first, names),
        at_least: streak.len() == done.len() && first.number > 1,
        count: broken.len(),
        blame,
    }))
}

/// Ends a streak; what was skipped, cancelled or retried says nothing.
fn is_good(build: &Build) -> bool {
    use lunabot_model::Results::{Success, Warnings};
    matches!(build.results, Some(Success | Warnings))
}

/// Rows of running builds with their expected ends.
pub async fn running_rows(
    app: &App,
    builds: &[Build],
    names: &HashMap<BuilderId, String>,
) -> Result<Vec<BuildRow>, PageError> {
    let mut ids: Vec<BuilderId> = builds.iter().map(|b| b.builderid).collect();
    ids.sort_unstable();
    ids.dedup();
    let earlier = app.www.data.newest_builds(&ids, 12).await?;
    let now = app.www.clock.now().secs();
    let rows = builds.iter().map(|build| BuildRow {
        estimate: Estimate::new(
            &app.www.data,
            build,
            earlier.get(&build.builderid).map_or(&[][..], Vec::as_slice),
            now,
        ),
        ..BuildRow::new(build, names)
    });
    Ok(rows.collect())
}

/// How many workers are configured, and which of them are not connected.
async fn workers(app: &App) -> Result<(usize, Vec<String>), PageError> {
    let (workers, _) = read::list::<Worker>(&app.www.data, "workers", "order=name").await?;
    let configured: Vec<Worker> = workers.into_iter().filter(|w| !w.configured_on.is_empty()).collect();
    let missing = configured.iter().filter(|w| !is_there(w)).map(|w| w.name.clone());
    Ok((configured.len(), missing.collect()))
}
