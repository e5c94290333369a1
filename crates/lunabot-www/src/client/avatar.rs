//! `/avatar?email=…&size=…`: a picture for a person (10.014, 10.032). The client shows one beside each author.

use crate::router::App;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use md5::{Digest, Md5};
use serde::Deserialize;
use std::sync::Arc;

/// Pixels of a side.
const SIZE: u32 = 32;
const LARGEST: u32 = 2048;

#[derive(Deserialize)]
pub struct Asked {
    email: Option<String>,
    size: Option<String>,
}

/// Sends the browser to Gravatar, which knows the person by a digest of the address.
pub async fn avatar(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    if !app.www.site.load().access.avatars {
        // The client has this picture.
        return (StatusCode::FOUND, [(header::LOCATION, "img/nobody.png")]).into_response();
    }
    let size = asked.size.and_then(|size| size.parse().ok()).unwrap_or(SIZE).clamp(1, LARGEST);
    let email = asked.email.unwrap_or_default().trim().to_lowercase();
    let digest: String = Md5::digest(email.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let to = format!("https://www.gravatar.com/avatar/{digest}?d=retro&s={size}");
    match HeaderValue::from_str(&to) {
        Ok(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
