//! The pages: one module each, which reads what its question needs and fills a template.
//!
//! Everything comes from indexed queries of [`lunabot_data::Data`]; templates escape whatever they show. A page asked for
//! with the header `X-Part` comes without its frame: that is how an open page renews itself (`static/live.js`).

mod actions;
mod ansi;
mod build;
mod builder;
mod builders;
mod changes;
mod declared;
mod force;
mod health;
mod home;
mod lines;
mod log;
mod pending;
pub mod read;
mod render;
mod schedulers;
mod view;
mod workers;

pub use actions::foreign;
pub use render::{Asked, Page, Shown, Templates, add_filters, not_found};

use crate::router::App;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

pub fn routes() -> Router<Arc<App>> {
    let log = "/builders/{builder}/builds/{number}/steps/{step}/logs/{slug}";
    Router::new()
        .route("/", get(home::home))
        .route("/builders", get(builders::builders))
        .route("/builders/{builder}", get(builder::builder))
        .route("/builders/{builder}/force/{name}", get(force::form).post(force::submit))
        .route("/builders/{builder}/builds/{number}", get(build::build))
        .route("/builds/{id}", get(build::by_id))
        .route("/builds/{id}/{action}", post(actions::build))
        .route(log, get(log::log))
        .route(&format!("{log}/lines"), get(lines::lines))
        .route(&format!("{log}/search"), get(lines::search))
        .route("/buildrequests/{id}", get(pending::request))
        .route("/buildrequests/{id}/cancel", post(actions::cancel_request))
        .route("/changes", get(changes::changes))
        .route("/changes/{id}", get(changes::change))
        .route("/workers", get(workers::workers))
        .route("/workers/{worker}", get(workers::worker))
        .route("/workers/{id}/{action}", post(actions::worker))
        .route("/schedulers", get(schedulers::schedulers))
        .route("/schedulers/{id}/{action}", post(actions::scheduler))
        .route("/pending", get(pending::pending))
        .route("/pendingbuildrequests", get(pending::pending))
        .route("/health", get(health::health))
        .route("/about", get(health::health))
}
