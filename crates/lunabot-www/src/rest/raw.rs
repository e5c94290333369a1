//! Whole logs as files, streamed (09.035, 13.020).

use super::RestError;
use crate::router::App;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use lunabot_data::{Answer, Data, DataError};
use lunabot_model::resources::{Build, Builder, Log, LogType, Step, Worker};
use serde::de::DeserializeOwned;

/// Lines per read while streaming; with the longest lines some megabytes.
const BATCH: i64 = 256;

/// Answers `<log>/raw` and `<log>/raw_inline`.
pub async fn raw(app: &App, path: &str) -> Result<Response, RestError> {
    let data = &app.www.data;
    let (owner, inline) = match (path.strip_suffix("/raw"), path.strip_suffix("/raw_inline")) {
        (Some(owner), _) => (owner, false),
        (None, Some(owner)) => (owner, true),
        (None, None) => {
            return Err(RestError(StatusCode::NOT_IMPLEMENTED, format!("{path}: not supported yet")));
        }
    };
    let log: Log = one(data, owner).await?;
    let (step, build, builder, worker) = origin_of(data, &log).await?;
    let preamble = match log.log_type {
        LogType::Stdio => format!(
            "Builder: {}\nBuild number: {}\nWorker name: {}\n",
            builder.name,
            build.number,
            worker.map(|w| w.name).unwrap_or_default()
        ),
        LogType::Text | LogType::Html | LogType::Deleted => String::new(),
    };
    let name = format!("{}_build_{}_step_{}_log_{}", builder.name, build.number, step.name, log.slug);
    Ok(with_headers(stream_of(data.clone(), log.clone(), preamble), log.log_type, inline, &name))
}

fn with_headers(body: Body, log_type: LogType, inline: bool, name: &str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let kind = match log_type {
        LogType::Html => "text/html; charset=utf-8",
        LogType::Stdio | LogType::Text | LogType::Deleted => "text/plain; charset=utf-8",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if log_type == LogType::Html {
        // A build's HTML is shown, but may do nothing in our name.
        let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    if !inline && let Ok(value) = HeaderValue::from_str(&attachment(name)) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// A file name that neither header nor file system can misread.
fn attachment(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{name}\"")
}

fn stream_of(data: Data, log: Log, preamble: String) -> Body {
    let batches = stream::try_unfold((0, Some(preamble)), move |(next, preamble)| {
        let (data, log) = (data.clone(), log.clone());
        async move {
            if let Some(text) = preamble {
                return Ok::<_, DataError>(Some((Bytes::from(text), (0, None))));
            }
            if next >= log.num_lines {
                return Ok(None);
            }
            let last = (next + BATCH).min(log.num_lines) - 1;
            let text = data.log_lines(log.logid, next, last).await?;
            let text = if log.log_type == LogType::Stdio { without_channels(&text) } else { text };
            Ok(Some((Bytes::from(text), (last + 1, None))))
        }
    });
    Body::from_stream(batches)
}

/// Takes the channel's letter off each line.
fn without_channels(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        out.push_str(line.get(1..).unwrap_or_default());
    }
    out
}

async fn origin_of(data: &Data, log: &Log) -> Result<(Step, Build, Builder, Option<Worker>), RestError> {
    let step: Step = one(data, &format!("steps/{}", log.stepid)).await?;
    let build: Build = one(data, &format!("builds/{}", step.buildid)).await?;
    let builder = one(data, &format!("builders/{}", build.builderid)).await?;
    let worker = match build.workerid {
        Some(id) => one(data, &format!("workers/{id}")).await.ok(),
        None => None,
    };
    Ok((step, build, builder, worker))
}

async fn one<T: DeserializeOwned>(data: &Data, path: &str) -> Result<T, RestError> {
    let absent = || RestError(StatusCode::NOT_FOUND, format!("{path} does not exist"));
    let item = match data.get(path, "").await? {
        Answer::One { item, .. } => item,
        Answer::List { items, .. } => items.into_iter().next().ok_or_else(absent)?,
        Answer::Raw => return Err(absent()),
    };
    serde_json::from_value(item).map_err(|e| RestError(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_taken_off_13_020() {
        assert_eq!(without_channels("omake\neoh no\nh\nöx\n"), "make\noh no\n\n");
    }

    #[test]
    fn file_names_are_tame() {
        assert_eq!(attachment("a/..\"\r\nb"), "attachment; filename=\"a_..___b\"");
    }
}
