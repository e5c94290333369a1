//! Builders: where is mine, how healthy is it?

use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{Pager, Status, Strip, trend};
use super::workers::is_there;
use crate::error::PageError;
use crate::router::App;
use axum::extract::State;
use axum::response::Response;
use lunabot_model::resources::{Build, Builder, Project, Worker};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Rows of one page.
const LIMIT: i64 = 80;

#[derive(Serialize)]
struct Row {
    id: i64,
    name: String,
    tags: Vec<String>,
    old: bool,
    status: Option<Status>,
    state: String,
    number: i64,
    when: Option<i64>,
    strip: Strip,
    trend: Option<String>,
    pending: i64,
    workers: usize,
    connected: usize,
}

pub async fn builders(State(app): State<Arc<App>>, asked: Asked) -> Response {
    read_builders(&app, &asked).await.shown(&app, &asked)
}

async fn read_builders(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let mut all = read::builders(data).await?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let old_count = all.iter().filter(|b| b.masterids.is_empty()).count();
    let tags: BTreeSet<&String> =
        all.iter().filter(|b| !b.masterids.is_empty()).flat_map(|b| &b.tags).collect();
    let projects: Vec<Project> = read::optional(data, "projects", "order=name").await?;
    let found: Vec<&Builder> = all.iter().filter(|b| wanted(b, asked)).collect();
    let offset = asked.number("offset").unwrap_or(0);
    let start = usize::try_from(offset).unwrap_or(0).min(found.len());
    let shown = &found[start..found.len().min(start + LIMIT as usize)];
    let rows = rows(app, shown).await?;
    let total = i64::try_from(found.len()).ok();
    let tag_links: Vec<_> = tags
        .iter()
        .map(|tag| {
            let on = asked.all("tag").any(|t| t == tag.as_str());
            view! { name => tag, on, href => asked.with("tag", (!on).then_some(tag.as_str())) }
        })
        .collect();
    let page = view! {
        pager => Pager::new(asked, offset, rows.len(), LIMIT, total),
        rows, tags => tag_links, projects, project => asked.number("project"), old_count,
        builders => all.len(), old => asked.get("old").is_some(),
        old_href => asked.with("old", asked.get("old").is_none().then_some("1")),
    };
    let live = ["builds/*/*", "buildrequests/*/*", "workers/*/*", "builders/*/*"].map(String::from).to_vec();
    app.page(
        asked,
        Page { template: "builders.html", title: "Builders".into(), nav: "builders", live, data: page },
    )
}

/// All tags asked for, the project, the text in name, tags or description.
fn wanted(builder: &Builder, asked: &Asked) -> bool {
    let text = asked.get("q").unwrap_or_default().to_lowercase();
    let holds = |field: &str| field.to_lowercase().contains(&text);
    (asked.get("old").is_some() || !builder.masterids.is_empty())
        && asked.all("tag").all(|tag| builder.tags.iter().any(|t| t == tag))
        && asked.number("project").is_none_or(|id| builder.projectid == Some(id))
        && (holds(&builder.name)
            || builder.tags.iter().any(|t| holds(t))
            || builder.description.as_deref().is_some_and(holds))
}

async fn rows(app: &App, builders: &[&Builder]) -> Result<Vec<Row>, PageError> {
    let ids: Vec<i64> = builders.iter().map(|b| b.builderid).collect();
    let newest = app.www.data.newest_builds(&ids, 10).await?;
    let pending = app.www.data.pending_counts().await?;
    let (workers, _) = read::list::<Worker>(&app.www.data, "workers", "").await?;
    let mut counts: HashMap<i64, (usize, usize)> = HashMap::new();
    for worker in &workers {
        for on in &worker.configured_on {
            let (all, connected) = counts.entry(on.builderid).or_default();
            *all += 1;
            *connected += usize::from(is_there(worker));
        }
    }
    let row = |b: &&Builder| {
        let builds = newest.get(&b.builderid).map_or(&[][..], Vec::as_slice);
        let (workers, connected) = counts.get(&b.builderid).copied().unwrap_or_default();
        make_row(b, builds, pending.get(&b.builderid).map_or(0, |p| p.count), workers, connected)
    };
    Ok(builders.iter().map(row).collect())
}

fn make_row(b: &Builder, builds: &[Build], pending: i64, workers: usize, connected: usize) -> Row {
    let newest = builds.first();
    Row {
        id: b.builderid,
        name: b.name.clone(),
        tags: b.tags.clone(),
        old: b.masterids.is_empty(),
        status: newest.map(Status::of_build),
        state: newest.map(|n| n.state_string.clone()).unwrap_or_default(),
        number: newest.map_or(0, |n| n.number),
        when: newest.map(|n| n.complete_at.unwrap_or(n.started_at)),
        strip: Strip::new(builds),
        trend: trend(builds, 60, 16),
        pending,
        workers,
        connected,
    }
}
