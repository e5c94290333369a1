//! Health: is the master itself well?

use super::read;
use super::render::{Asked, Page, Shown};
use crate::error::PageError;
use crate::router::App;
use axum::extract::State;
use axum::response::Response;
use lunabot_model::Json;
use std::sync::Arc;

const GENERATIONS: usize = 8;
const ERRORS: usize = 40;
/// Functions shown, the most expensive first.
const FUNCTIONS: usize = 20;

pub async fn health(State(app): State<Arc<App>>, asked: Asked) -> Response {
    read_health(&app, &asked).await.shown(&app, &asked)
}

async fn read_health(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let report = app.www.health.report().await;
    let ready = app.www.health.ready().err();
    let generations: Vec<Json> = read::optional(data, "generations", "").await?;
    let newest: Vec<&Json> = generations.iter().rev().take(GENERATIONS).collect();
    let errors: Vec<Json> = read::optional(data, "script_errors", "").await?;
    let total = errors.len();
    let errors: Vec<&Json> = errors.iter().rev().take(ERRORS).collect();
    let functions: Vec<Json> =
        read::optional(data, "callbacks", &format!("order=-total&limit={FUNCTIONS}")).await?;
    let page =
        view! { report, not_ready => ready, generations => newest, errors, errors_total => total, functions };
    let live = vec!["generations/*/*".into(), "script_errors/*/*".into(), "masters/*/*".into()];
    app.page(asked, Page { template: "health.html", title: "Health".into(), nav: "health", live, data: page })
}
