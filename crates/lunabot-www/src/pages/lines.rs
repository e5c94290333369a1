//! Ranges of a log as rows, and the search in it; for the page of a log and the opened step of a build.

use super::ansi;
use super::read;
use super::render::{Asked, Shown};
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use lunabot_data::Data;
use lunabot_model::resources::{Log, LogType};
use minijinja::value::Value;
use serde::Serialize;
use std::sync::Arc;

/// Lines of one answer.
pub const MAX_LINES: i64 = 1000;
/// Lines a search looks at before it answers with what it has, and where to go on.
const SEARCH_LINES: i64 = 200_000;
const SEARCH_BATCH: i64 = 2000;
const MAX_FOUND: usize = 200;

/// A line as the template shows it.
#[derive(Debug, Serialize)]
pub struct Line {
    /// From 1.
    pub number: i64,
    /// `o`, `e` or `h`.
    pub channel: char,
    /// `error`, `warning` or nothing.
    pub mark: &'static str,
    pub html: Value,
    pub cut: usize,
}

/// Builder, number of the build, step, slug of the log.
pub type LogPath = (String, String, String, String);

pub async fn find(data: &Data, (builder, number, step, slug): &LogPath) -> Result<Log, PageError> {
    let [builder, number, step, slug] = [builder, number, step, slug].map(|part| read::part(part));
    read::one(data, &format!("builders/{builder}/builds/{number}/steps/{step}/logs/{slug}"), "").await
}

/// Lines `first ..`, at most `count`, fewer at the end; `first` counts from 0.
pub async fn read_lines(data: &Data, log: &Log, first: i64, count: i64) -> Result<Vec<Line>, PageError> {
    let last = (first + count).min(log.num_lines) - 1;
    if first > last || log.log_type == LogType::Deleted {
        return Ok(Vec::new());
    }
    let text = data.log_lines(log.logid, first, last).await?;
    Ok(text.lines().zip(first + 1..).map(|(line, number)| make(line, number, log.log_type)).collect())
}

fn make(line: &str, number: i64, log_type: LogType) -> Line {
    let (channel, text) = split(line, log_type);
    let rendered = ansi::render(text);
    let mark = if channel == 'h' { "" } else { mark(&rendered.text) };
    Line { number, channel, mark, html: Value::from_safe_string(rendered.html), cut: rendered.cut }
}

/// Channel and text of a stored line.
fn split(line: &str, log_type: LogType) -> (char, &str) {
    match (log_type, line.chars().next()) {
        (LogType::Stdio, Some(channel @ ('o' | 'e' | 'h'))) => (channel, &line[1..]),
        _ => ('o', line),
    }
}

/// What compilers and test runners of many languages print; rather too few marks than wrong ones.
fn mark(text: &str) -> &'static str {
    const ERRORS: &[&str] = &[
        "error:",
        "Error:",
        "ERROR",
        "error[",
        "fatal:",
        "FATAL",
        "FAILED",
        "FAIL:",
        "Traceback (most",
        "panicked at",
        "Segmentation fault",
        "undefined reference",
        "not ok ",
    ];
    const WARNINGS: &[&str] = &["warning:", "Warning:", "WARNING", "WARN "];
    match () {
        () if ERRORS.iter().any(|sign| text.contains(sign)) => "error",
        () if WARNINGS.iter().any(|sign| text.contains(sign)) => "warning",
        () => "",
    }
}

/// `…/lines?offset=0&limit=400`: rows; headers tell how many there are, and whether more will come.
pub async fn lines(State(app): State<Arc<App>>, Path(path): Path<LogPath>, asked: Asked) -> Response {
    answer_lines(&app, &path, &asked).await.shown(&app, &asked)
}

async fn answer_lines(app: &App, path: &LogPath, asked: &Asked) -> Result<Response, PageError> {
    let log = find(&app.www.data, path).await?;
    let limit = asked.number("limit").unwrap_or(MAX_LINES).min(MAX_LINES);
    let lines = read_lines(&app.www.data, &log, asked.number("offset").unwrap_or(0), limit).await?;
    let headers = [
        ("x-total", log.num_lines.to_string()),
        ("x-complete", i64::from(log.complete).to_string()),
        ("cache-control", "no-cache".to_string()),
    ];
    Ok((headers, app.fragment("lines.html", view! { lines })?).into_response())
}

/// What a search found so far.
#[derive(Debug, Serialize)]
pub struct Found {
    pub lines: Vec<Line>,
    /// Where to go on, counted from 0; absent at the end.
    pub next: Option<i64>,
    pub looked_at: i64,
}

/// Lines that hold a text, whatever the case, from line `from` on.
pub async fn search_log(data: &Data, log: &Log, text: &str, from: i64) -> Result<Found, PageError> {
    let wanted = text.to_lowercase();
    let mut found = Found { lines: Vec::new(), next: None, looked_at: 0 };
    let end = log.num_lines.min(from.saturating_add(SEARCH_LINES));
    let mut at = from;
    while at < end && !wanted.is_empty() && log.log_type != LogType::Deleted {
        let last = (at + SEARCH_BATCH).min(end) - 1;
        let batch = data.log_lines(log.logid, at, last).await?;
        for (line, number) in batch.lines().zip(at + 1..) {
            let (_, content) = split(line, log.log_type);
            if content.to_lowercase().contains(&wanted) {
                found.lines.push(make(line, number, log.log_type));
            }
            if found.lines.len() >= MAX_FOUND {
                found.looked_at = number - from;
                found.next = Some(number).filter(|n| *n < log.num_lines);
                return Ok(found);
            }
        }
        at = last + 1;
    }
    found.looked_at = at - from;
    found.next = Some(at).filter(|n| *n < log.num_lines && !wanted.is_empty());
    Ok(found)
}

/// `…/search?q=text&from=0`: the rows that hold the text.
pub async fn search(State(app): State<Arc<App>>, Path(path): Path<LogPath>, asked: Asked) -> Response {
    answer_search(&app, &path, &asked).await.shown(&app, &asked)
}

async fn answer_search(app: &App, path: &LogPath, asked: &Asked) -> Result<Response, PageError> {
    let log = find(&app.www.data, path).await?;
    let text = asked.get("q").unwrap_or_default();
    let found = search_log(&app.www.data, &log, text, asked.number("from").unwrap_or(0)).await?;
    let headers = [
        ("x-next", found.next.map(|n| n.to_string()).unwrap_or_default()),
        ("x-found", found.lines.len().to_string()),
        ("cache-control", "no-cache".to_string()),
    ];
    Ok((headers, app.fragment("lines.html", view! { lines => found.lines })?).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_marks() {
        assert_eq!(split("eoops", LogType::Stdio), ('e', "oops"));
        assert_eq!(split("eoops", LogType::Text), ('o', "eoops"));
        assert_eq!(split("", LogType::Stdio), ('o', ""));
        assert_eq!(split("öx", LogType::Stdio), ('o', "öx"));
        assert_eq!(mark("src/a.c:3: error: expected ;"), "error");
        assert_eq!(mark("a.c:3: warning: unused"), "warning");
        assert_eq!(mark("0 errors, no failure, -Werror"), "");
    }
}
