//! A builder: what is its history, can I start it?

use super::declared::Configured;
use super::home::{failing_of, running_rows};
use super::pending::{self, Waiting};
use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{BuildRow, Pager, Status, Strip, trend};
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::response::Response;
use lunabot_model::resources::{Build, BuildRequest, Builder, ForceScheduler, Worker};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Builds of one page.
const LIMIT: i64 = 25;
/// Builds of the chart.
const CHART: i64 = 50;
/// The chart is as wide as so many bars at least.
const FEWEST_BARS: usize = 20;
const MAX_WAITING: i64 = 20;

/// A bar of the chart of durations, in a box of 600 × 80.
#[derive(Serialize)]
struct Bar {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    number: i64,
    status: Status,
    seconds: i64,
}

pub async fn builder(State(app): State<Arc<App>>, Path(builder): Path<String>, asked: Asked) -> Response {
    read_builder(&app, &builder, &asked).await.shown(&app, &asked)
}

async fn read_builder(app: &App, builder: &str, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let builder: Builder = read::one(data, &format!("builders/{}", read::part(builder)), "").await?;
    let id = builder.builderid;
    let names = HashMap::from([(id, builder.name.clone())]);
    let newest = data.newest_builds(&[id], CHART).await?.remove(&id).unwrap_or_default();
    let offset = asked.number("offset").unwrap_or(0);
    let query =
        format!("builderid={id}&order=-number&limit={LIMIT}&offset={offset}&{}", read::ROW_PROPERTIES);
    let (builds, total) = read::list::<Build>(data, "builds", &query).await?;
    let done: Vec<&Build> = newest.iter().filter(|b| b.complete).collect();
    let (going, ended): (Vec<Build>, Vec<Build>) = builds.into_iter().partition(|b| !b.complete);
    let shown = going.len() + ended.len();
    let forcers: Vec<ForceScheduler> =
        read::optional(data, &format!("builders/{id}/forceschedulers"), "order=name").await?;
    let forcers: Vec<_> = forcers.into_iter().filter(|f| f.enabled).collect();
    let (workers, _) = read::list::<Worker>(data, &format!("builders/{id}/workers"), "order=name").await?;
    let (waiting, waiting_total) = waiting(app, &builder).await?;
    let page = view! {
        failing => failing_of(app, &done, &names).await?,
        running => running_rows(app, &going, &names).await?,
        ended => ended.iter().map(|b| BuildRow::new(b, &names)).collect::<Vec<_>>(),
        pager => Pager::new(asked, offset, shown, LIMIT, total),
        strip => Strip::new(&newest[..newest.len().min(10)]),
        trend => trend(&newest, 60, 16), bars => bars(&newest),
        old => builder.masterids.is_empty(),
        declared => app.www.site.load().builders.find(&builder.name).as_ref().map(Configured::new),
        builder, forcers, workers, waiting, waiting_total,
    };
    let live = vec![
        format!("builders/{id}/builds/*/*"),
        format!("builders/{id}/buildrequests/*/*"),
        format!("builders/{id}/*"),
        "workers/*/*".into(),
    ];
    let title = names.get(&id).cloned().unwrap_or_default();
    app.page(asked, Page { template: "builder.html", title, nav: "builders", live, data: page })
}

/// Its requests that nobody has claimed, with what each waits for.
async fn waiting(app: &App, builder: &Builder) -> Result<(Vec<Waiting>, i64), PageError> {
    let query = format!(
        "builderid={}&complete=false&claimed=false&order=-priority&order=submitted_at&limit={MAX_WAITING}",
        builder.builderid
    );
    let (requests, total) = read::list::<BuildRequest>(&app.www.data, "buildrequests", &query).await?;
    let waiting = pending::explain(app, requests, 0).await?;
    let count = i64::try_from(waiting.len()).unwrap_or(0);
    Ok((waiting, total.unwrap_or(count)))
}

/// Oldest left.
fn bars(newest: &[Build]) -> Vec<Bar> {
    let seconds = |b: &Build| b.complete_at.map(|end| (end - b.started_at).max(0));
    let longest = newest.iter().filter_map(seconds).max().unwrap_or(0).max(1);
    let finished: Vec<&Build> = newest.iter().filter(|b| b.complete).collect();
    let slot = 600.0 / finished.len().max(FEWEST_BARS) as f64;
    let bar = |(i, b): (usize, &&Build)| {
        let seconds = seconds(b).unwrap_or(0);
        let height = (seconds as f64 / longest as f64 * 74.0).max(2.0);
        let x = 600.0 - (i + 1) as f64 * slot;
        Bar {
            x,
            y: 80.0 - height,
            width: slot - 2.0,
            height,
            number: b.number,
            status: Status::of_build(b),
            seconds,
        }
    };
    finished.iter().enumerate().map(bar).collect()
}
