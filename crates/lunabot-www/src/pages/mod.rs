//! The pages: one module each, which reads what its question needs and fills a template.

use crate::router::App;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
}

pub async fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}
