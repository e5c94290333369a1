//! The page of a log: what does it say?
//!
//! The server renders a window of lines, the end by default; `static/log.js` makes it a view of all lines.

use super::lines::{self, Line, LogPath, MAX_LINES};
use super::read;
use super::render::{Asked, Page, Shown};
use super::view::Status;
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::response::Response;
use lunabot_data::Data;
use lunabot_model::resources::{Build, Builder, Log, LogType, Step};
use std::sync::Arc;

/// Lines in the page as it is served.
const WINDOW: i64 = 200;
/// A header at the top is looked for within so many lines.
const HEADER: i64 = 200;
/// A shorter one is not folded.
const MIN_FOLD: i64 = 4;

pub async fn log(State(app): State<Arc<App>>, Path(path): Path<LogPath>, asked: Asked) -> Response {
    read_log(&app, &path, &asked).await.shown(&app, &asked)
}

async fn read_log(app: &App, path: &LogPath, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let log = lines::find(data, path).await?;
    let step: Step = read::one(data, &format!("steps/{}", log.stepid), "").await?;
    let build: Build = read::one(data, &format!("builds/{}", step.buildid), "").await?;
    let builder: Builder = read::one(data, &format!("builders/{}", build.builderid), "").await?;
    let end = (log.num_lines - WINDOW).max(0);
    let first = asked.number("from").map_or(end, |line| (line - 1).clamp(0, log.num_lines));
    let shown: Vec<Line> = lines::read_lines(data, &log, first, WINDOW).await?;
    let found = match asked.get("q") {
        Some(text) => {
            Some(lines::search_log(data, &log, text, asked.number("search_from").unwrap_or(0)).await?)
        }
        None => None,
    };
    let more = found.as_ref().and_then(|f| f.next).map(|n| asked.with("search_from", Some(&n.to_string())));
    let last = first + WINDOW;
    let page = view! {
        header => header_lines(data, &log).await?,
        earlier => (first > 0).then(|| asked.with("from", Some(&((first - WINDOW).max(0) + 1).to_string()))),
        later => (last < log.num_lines).then(|| asked.with("from", Some(&(last + 1).to_string()))),
        siblings => read::list::<Log>(data, &format!("steps/{}/logs", step.stepid), "").await?.0,
        status => Status::of_step(&step), max_lines => MAX_LINES, html => log.log_type == LogType::Html,
        deleted => log.log_type == LogType::Deleted, lines => shown, first, found, more,
        log, step, build, builder,
    };
    let title = format!("{} of {} #{}", path.3, path.0, path.1);
    // The page renews itself line by line (log.js), not as a whole.
    app.page(asked, Page { template: "log.html", title, nav: "builders", live: Vec::new(), data: page })
}

/// Length of the header that a command's log begins with; 0 if it is not worth folding.
async fn header_lines(data: &Data, log: &Log) -> Result<i64, PageError> {
    if log.log_type != LogType::Stdio || log.num_lines == 0 {
        return Ok(0);
    }
    let text = data.log_lines(log.logid, 0, HEADER.min(log.num_lines) - 1).await?;
    let length = text.lines().take_while(|line| line.starts_with('h')).count();
    Ok(i64::try_from(length).ok().filter(|n| *n >= MIN_FOLD).unwrap_or(0))
}
