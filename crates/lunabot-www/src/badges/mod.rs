//! Badges: how a builder's newest build went, as a small picture (10.035).
//!
//! Served at `/plugins/badges/BUILDER.svg` and `.png` where `c.www.plugins.badges` is set. Everything that a picture
//! holds is measured, checked or escaped here: an address of a badge is written by anybody.

mod draw;
mod font;
mod options;
mod png;
mod svg;

pub use options::Badges;

use crate::rest::conditional;
use crate::router::App;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use draw::Badge;
use lunabot_data::Answer;
use lunabot_model::Results;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::{Digest, Sha1};
use std::sync::Arc;

const PREFIX: &str = "/plugins/badges/";
/// What a part of a path of the API may not hold as it is.
const PART: &AsciiSet = NON_ALPHANUMERIC;

/// The form of a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Svg,
    Png,
}

/// Answers `/plugins/badges/…`.
pub async fn badge(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let site = app.www.site.load();
    let Some(badges) = &site.badges else {
        return refuse(StatusCode::NOT_FOUND, "badges are off; c.www.plugins.badges = {} turns them on");
    };
    let Some((builder, form)) = named(uri.path()) else {
        return refuse(StatusCode::NOT_FOUND, "a badge is at /plugins/badges/BUILDER.svg or .png");
    };
    let options = match badges.with_query(uri.query().unwrap_or_default()) {
        Ok(options) => options,
        Err(problem) => return refuse(StatusCode::BAD_REQUEST, &problem),
    };
    let status = match status(&app, &builder).await {
        Ok(status) => status,
        Err(e) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    };
    let badge = Badge::of(&options, status);
    let (kind, body) = match form {
        Form::Svg => ("image/svg+xml", svg::write(&badge).into_bytes()),
        Form::Png => match png::paint(&badge) {
            Some(bytes) => ("image/png", bytes),
            None => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the picture cannot be painted"),
        },
    };
    picture(kind, body, &headers)
}

/// The builder's name or number and the form, from the raw path.
fn named(path: &str) -> Option<(String, Form)> {
    let rest = path.strip_prefix(PREFIX)?;
    let (name, form) = match (rest.strip_suffix(".svg"), rest.strip_suffix(".png")) {
        (Some(name), _) => (name, Form::Svg),
        (_, Some(name)) => (name, Form::Png),
        (None, None) => return None,
    };
    let name = percent_decode_str(name).decode_utf8().ok()?.into_owned();
    (!name.is_empty()).then_some((name, form))
}

/// In a word: `success`, `running` …; `unknown` without any build, also of a builder that does not exist.
async fn status(app: &App, builder: &str) -> Result<&'static str, lunabot_data::DataError> {
    let path = format!("builders/{}/builds", utf8_percent_encode(builder, PART));
    let query = "order=-number&limit=1&field=number&field=complete&field=results";
    let Answer::List { items, .. } = app.www.data.get(&path, query).await? else { return Ok("unknown") };
    Ok(match items.first() {
        None => "unknown",
        Some(build) if build["complete"] == false => "running",
        Some(build) => {
            build["results"].as_i64().and_then(Results::from_code).map_or("unknown", Results::name)
        }
    })
}

/// Asked for again each time, and sent only where it differs.
fn picture(kind: &'static str, body: Vec<u8>, headers: &HeaderMap) -> Response {
    let digest: String = Sha1::digest(&body).iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    let tag = HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""));
    let keep = [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")), (header::ETAG, tag)];
    if conditional::matches(headers, header::IF_NONE_MATCH, &digest) {
        return (StatusCode::NOT_MODIFIED, keep).into_response();
    }
    (keep, [(header::CONTENT_TYPE, kind)], body).into_response()
}

fn refuse(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}
