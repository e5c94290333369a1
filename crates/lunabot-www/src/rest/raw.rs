//! Whole logs and build data as files, streamed (09.031, 09.035, 13.020).

use super::RestError;
use super::conditional::{self, Wanted};
use crate::router::App;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use lunabot_data::{DataError, RawLog, RawStream};
use std::ops::RangeInclusive;

/// Answers `<log>/raw`, `<log>/raw_inline` and `…/value`: the whole, or of what is complete a part.
pub async fn raw(app: &App, path: &str, asked: &Parts) -> Result<Response, RestError> {
    let raw = app.www.data.raw(path).await?;
    let mut response = StatusCode::OK.into_response();
    describe(&raw, response.headers_mut());
    let Some(tag) = &raw.tag else {
        *response.body_mut() = Body::from_stream(raw.body);
        return Ok(response);
    };
    if conditional::matches(&asked.headers, header::IF_NONE_MATCH, tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let parted = asked.headers.get(header::RANGE).filter(|_| conditional::still(&asked.headers, tag));
    let Some(parted) = parted.filter(|_| asked.method == Method::GET) else {
        *response.body_mut() = Body::from_stream(raw.body);
        return Ok(response);
    };
    // How long it is shows only when it is unpacked; so it is read twice, a piece at a time.
    let total = length(raw.body).await?;
    match conditional::range(Some(parted), total) {
        Wanted::Whole => *response.body_mut() = Body::from_stream(app.www.data.raw(path).await?.body),
        Wanted::Beyond => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            told(response.headers_mut(), header::CONTENT_RANGE, format!("bytes */{total}"));
        }
        Wanted::Part(part) => {
            let (first, last) = (*part.start(), *part.end());
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            told(response.headers_mut(), header::CONTENT_RANGE, format!("bytes {first}-{last}/{total}"));
            told(response.headers_mut(), header::CONTENT_LENGTH, (last - first + 1).to_string());
            *response.body_mut() = Body::from_stream(cut(app.www.data.raw(path).await?.body, part));
        }
    }
    Ok(response)
}

fn told(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(name, value);
    }
}

/// Everything that does not depend on what of it is wanted.
fn describe(raw: &RawLog, headers: &mut HeaderMap) {
    let kind = match raw.content_type {
        "text/plain" => "text/plain; charset=utf-8",
        "text/html" => "text/html; charset=utf-8",
        other => other,
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if raw.content_type == "text/html" {
        // A build's HTML is shown, but may do nothing in our name.
        let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    if let Some(name) = &raw.filename {
        told(headers, header::CONTENT_DISPOSITION, attachment(name));
    }
    if let Some(tag) = &raw.tag {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        told(headers, header::ETAG, format!("W/\"{tag}\""));
    }
}

async fn length(mut body: RawStream) -> Result<u64, RestError> {
    let mut total = 0;
    while let Some(piece) = body.next().await {
        total += piece?.len() as u64;
    }
    Ok(total)
}

/// The bytes of a part out of the whole; ends where the part does.
fn cut(body: RawStream, part: RangeInclusive<u64>) -> impl Stream<Item = Result<Bytes, DataError>> {
    let (first, end) = (*part.start(), part.end() + 1);
    let mut at = 0;
    let pieces = body.map(move |piece| {
        let begun = at;
        let piece = piece?;
        at += piece.len() as u64;
        let within = |place: u64| usize::try_from(place.clamp(begun, at) - begun).unwrap_or(piece.len());
        Ok((at >= end, piece.slice(within(first)..within(end))))
    });
    let mut over = false;
    pieces
        .take_while(move |piece| {
            let take = !over;
            over = matches!(piece, Ok((true, _)) | Err(_));
            std::future::ready(take)
        })
        .map(|piece| piece.map(|(_, bytes)| bytes))
        .filter(|piece| std::future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty())))
}

/// A file name that neither header nor file system can misread.
fn attachment(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_tame() {
        assert_eq!(attachment("a/..\"\r\nb"), "attachment; filename=\"a_..___b\"");
    }
}
