//! Schedulers: when does what fire next?

use super::read;
use super::render::{Asked, Page, Shown};
use super::view::Status;
use crate::error::PageError;
use crate::router::App;
use axum::extract::State;
use axum::response::Response;
use lunabot_model::{BuilderId, SchedulerId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// Builders named in one row.
const NAMED: usize = 6;

const ON: Status = Status { class: "success", sign: "✓", word: "enabled" };
const OFF: Status = Status { class: "skipped", sign: "‖", word: "disabled" };

/// A row of `schedules`, which the schedulers keep in memory.
#[derive(Deserialize)]
struct Schedule {
    schedulerid: SchedulerId,
    name: String,
    kind: String,
    enabled: bool,
    trigger: String,
    builder_names: Vec<String>,
    next_at: Option<i64>,
    last_at: Option<i64>,
}

#[derive(Serialize)]
struct Row {
    id: SchedulerId,
    name: String,
    kind: String,
    status: Status,
    enabled: bool,
    trigger: String,
    builders: Vec<Named>,
    more: usize,
    next_at: Option<i64>,
    last_at: Option<i64>,
}

#[derive(Serialize)]
struct Named {
    name: String,
    /// None: no such builder is configured.
    id: Option<BuilderId>,
}

pub async fn schedulers(State(app): State<Arc<App>>, asked: Asked) -> Response {
    read_schedulers(&app, &asked).await.shown(&app, &asked)
}

async fn read_schedulers(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let mut all: Vec<Schedule> = read::optional(data, "schedules", "order=name").await?;
    // What comes next stands first; the others follow by name.
    all.sort_by_key(|schedule| schedule.next_at.unwrap_or(i64::MAX));
    let builders = read::builders(data).await?;
    let ids: HashMap<&str, BuilderId> = builders.iter().map(|b| (b.name.as_str(), b.builderid)).collect();
    let rows: Vec<Row> = all.into_iter().map(|schedule| row(schedule, &ids)).collect();
    let page = view! { rows };
    let live = vec!["schedulers/*/*".into(), "buildsets/*/new".into(), "changes/*/new".into()];
    app.page(
        asked,
        Page { template: "schedulers.html", title: "Schedulers".into(), nav: "schedulers", live, data: page },
    )
}

fn row(schedule: Schedule, ids: &HashMap<&str, BuilderId>) -> Row {
    let named = schedule.builder_names.iter().take(NAMED);
    let builders = named.map(|name| Named { name: name.clone(), id: ids.get(name.as_str()).copied() });
    Row {
        id: schedule.schedulerid,
        kind: schedule.kind.rsplit('.').next().unwrap_or_default().to_string(),
        status: if schedule.enabled { ON } else { OFF },
        enabled: schedule.enabled,
        trigger: schedule.trigger,
        more: schedule.builder_names.len().saturating_sub(NAMED),
        builders: builders.collect(),
        next_at: schedule.next_at,
        last_at: schedule.last_at,
        name: schedule.name,
    }
}
