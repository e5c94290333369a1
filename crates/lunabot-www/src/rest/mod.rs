//! `/api`: reading (09c) and control (09e).
//!
//! Paths and queries are the data room's; here are envelopes, content types, statuses and origins.

pub mod conditional;
mod control;
mod openapi;
mod raw;

pub use openapi::{docs, document, openapi};

use crate::origin::{Origin, origin};
use crate::router::App;
use crate::site::Site;
use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use lunabot_data::{Contents, ContentsBody, DataError, Serialised};
use lunabot_model::Json;
use serde_json::json;
use std::io::Write as _;
use std::sync::Arc;

const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Shorter answers are sent as they are, in bytes.
const WORTH_PACKING: usize = 512;

/// The only version of the API (09.055).
const VERSION: i64 = 2;

/// A failed read: `{"error": "text"}` as text (09.049).
pub struct RestError(pub StatusCode, pub String);

impl From<DataError> for RestError {
    fn from(e: DataError) -> Self {
        let status = match &e {
            DataError::InvalidPath(_) | DataError::NotFound(_) => StatusCode::NOT_FOUND,
            DataError::BadQuery(_) => StatusCode::BAD_REQUEST,
            DataError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        RestError(status, e.to_string())
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = format!("{{\"error\": {}}}", Json::from(self.1));
        (self.0, [(header::CONTENT_TYPE, TEXT_TYPE)], body).into_response()
    }
}

/// `/api` (09.055).
pub async fn versions(State(app): State<Arc<App>>, request: Request) -> Response {
    let site = app.www.site.of(request.extensions());
    let body = match site.www.rest_minimum_version > VERSION {
        true => json!({"api_versions": {}}),
        false => json!({"api_versions": {"v2": format!("{}api/v2", site.url)}}),
    };
    let json = wants_json(request.headers());
    let text = if json { body.to_string() } else { format!("{body:#}") };
    respond(request.method(), json, text.into())
}

/// `/api/v2` without a path (09.025).
pub async fn root(state: State<Arc<App>>, Path(version): Path<String>, request: Request) -> Response {
    answer(state.0, &version, "", request).await
}

/// `/api/v2/`: a slash too many (09.054).
pub async fn resource_of_nothing() -> Response {
    RestError(StatusCode::NOT_FOUND, "Invalid path: ".into()).into_response()
}

/// `/api/v2/…`.
pub async fn resource(
    state: State<Arc<App>>,
    Path((version, _)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let path = uri.path().splitn(4, '/').nth(3).unwrap_or_default();
    answer(state.0, &version, path, request).await
}

async fn answer(app: Arc<App>, version: &str, path: &str, request: Request) -> Response {
    let site = app.www.site.of(request.extensions());
    let hidden = site.www.rest_minimum_version > VERSION;
    if hidden || !matches!(version, "v2" | "latest") {
        return RestError(StatusCode::NOT_FOUND, format!("Invalid path: {version}/{path}")).into_response();
    }
    let allowed = match checked_origin(&site, request.method(), request.headers()) {
        Ok(allowed) => allowed,
        Err(refused) => return *refused,
    };
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => {
            let (asked, _) = request.into_parts();
            read(&app, &site, path, &asked).await.unwrap_or_else(IntoResponse::into_response)
        }
        Method::POST => control::control(&app, path, request).await,
        Method::OPTIONS if allowed.is_some() => StatusCode::OK.into_response(),
        _ => RestError(StatusCode::BAD_REQUEST, "invalid HTTP method".into()).into_response(),
    };
    if let Some(origin) = allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// The origin to echo, if one was given and may use the API (09.056).
fn checked_origin(
    site: &Site,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Box<Response>> {
    let refuse = |text: &str| match *method {
        // Who calls an action looks for the text where its other errors have it.
        Method::POST => {
            let body = format!("{{\"error\": {{\"message\": \"{text}\"}}}}");
            Box::new((StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, TEXT_TYPE)], body).into_response())
        }
        _ => Box::new(RestError(StatusCode::BAD_REQUEST, text.into()).into_response()),
    };
    let Origin::Allowed(origin) = (match origin(site, headers) {
        Origin::None => return Ok(None),
        Origin::Refused => return Err(refuse("invalid origin")),
        allowed @ Origin::Allowed(_) => allowed,
    }) else {
        return Ok(None);
    };
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
    if *method == Method::OPTIONS && !matches!(wanted, Some(b"GET" | b"POST" | b"HEAD")) {
        return Err(refuse("invalid method"));
    }
    Ok(HeaderValue::from_str(&origin).ok())
}

async fn read(app: &App, site: &Site, path: &str, asked: &Parts) -> Result<Response, RestError> {
    let query = asked.uri.query().unwrap_or_default();
    let json = wants_json(&asked.headers);
    let kept = app.www.data.kept_json(path, query, !json);
    if asked.headers.contains_key(header::IF_NONE_MATCH)
        && let Some(tag) = match &kept {
            Some(kept) => kept.tag.clone(),
            None => app.www.data.answer_tag(path, query, !json),
        }
        && conditional::matches(&asked.headers, header::IF_NONE_MATCH, &tag)
    {
        return Ok(tagged(StatusCode::NOT_MODIFIED.into_response(), Some(&tag)));
    }
    let mut response = match kept {
        Some(kept) => serialised(kept, asked, json),
        None => match app.www.data.contents(path, query, !json).await? {
            Some(contents) => log_contents(contents, asked, json).await?,
            None => match app.www.data.made_json(path, query, !json).await? {
                Some(answer) => serialised(answer, asked, json),
                None => return raw::raw(app, path, asked).await,
            },
        },
    };
    expire(site.www.json_cache_seconds, app, &mut response);
    Ok(response)
}

fn serialised(answer: Serialised, asked: &Parts, json: bool) -> Response {
    let packed = conditional::takes_gzip(&asked.headers) && answer.body.len() >= WORTH_PACKING;
    let packed = if packed { answer.packed(gzip) } else { None };
    let response = match packed {
        Some(packed) => encoded(respond(&asked.method, json, packed)),
        None => respond(&asked.method, json, answer.body),
    };
    tagged(response, answer.tag.as_deref())
}

/// As [`CompressionLayer`](tower_http::compression::CompressionLayer) would do it, but once for all who ask.
fn gzip(body: &[u8]) -> Bytes {
    let mut packer = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Into memory: this cannot fail.
    let _ = packer.write_all(body);
    packer.finish().unwrap_or_default().into()
}

fn encoded(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// Lines of a log; how long that is shows only as they are sent, where they are many.
async fn log_contents(contents: Contents, asked: &Parts, json: bool) -> Result<Response, RestError> {
    let tag = contents.tag.clone();
    if tag.as_ref().is_some_and(|tag| conditional::matches(&asked.headers, header::IF_NONE_MATCH, tag)) {
        return Ok(tagged(StatusCode::NOT_MODIFIED.into_response(), tag.as_deref()));
    }
    let response = match contents.body().await? {
        ContentsBody::Short(body) => respond(&asked.method, json, body),
        ContentsBody::Long(body) => {
            // For HEAD it is dropped unread: an empty body would have a length, and a wrong one.
            let kind = if json { JSON_TYPE } else { TEXT_TYPE };
            ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
        }
    };
    Ok(tagged(response, tag.as_deref()))
}

/// The tag is weak: what is sent may be compressed. The form depends on `Accept`.
fn tagged(mut response: Response, tag: Option<&str>) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&format!("W/\"{tag}\"")).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Compact for who asks for JSON, else indented for people (09.046).
fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    accepted.into_iter().any(|v| v.contains("application/json"))
}

/// Without the body for HEAD, with its length (09.047).
fn respond(method: &Method, json: bool, body: Bytes) -> Response {
    let kind = if json { JSON_TYPE } else { TEXT_TYPE };
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_LENGTH, body.len().into())];
    let body = if *method == Method::HEAD { Bytes::new() } else { body };
    (headers, body).into_response()
}

/// `json_cache_seconds` (09.048).
fn expire(seconds: i64, app: &App, response: &mut Response) {
    if seconds <= 0 {
        return;
    }
    let at = app.www.clock.now().secs().saturating_add(seconds);
    if let Ok(at) = HeaderValue::from_str(&crate::format::http_date(at)) {
        response.headers_mut().insert(header::EXPIRES, at);
        response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    }
}
