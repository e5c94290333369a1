//! What machines ask about the master: `/metrics`, `/livez`, `/readyz`.

use crate::router::App;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], (app.www.metrics)()).into_response()
}

/// The process serves.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// The process takes work; otherwise 503 with what is missing.
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    match app.www.health.ready() {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
