//! Buttons of the pages: plain forms, so that they work without JavaScript; the same control actions as REST's (09e).

use super::render::{Asked, Shown};
use crate::auth::User;
use crate::error::PageError;
use crate::origin::may_act;
use crate::router::App;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::{Id, Json};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

#[derive(Deserialize)]
pub struct Reason {
    #[serde(default)]
    reason: String,
}

/// A form that another site's page sent.
pub fn foreign() -> PageError {
    PageError::Refused(
        StatusCode::FORBIDDEN,
        "This form was not sent by a page of this master. If you use it under another address than c.buildbotURL, \
         set that, or c.www.allowed_origins."
            .into(),
    )
}

/// Rebuild and stop.
pub async fn build(
    State(app): State<Arc<App>>,
    Path((id, action)): Path<(Id, String)>,
    asked: Asked,
    headers: HeaderMap,
    Form(sent): Form<Reason>,
) -> Response {
    let path = format!("builds/{id}");
    let done = match action.as_str() {
        "stop" | "rebuild" => act(&app, &asked.user, &headers, &path, &action, &sent.reason).await,
        _ => Err(unknown(&action)),
    };
    let to =
        done.map(|result| match result.get(1).and_then(Json::as_object).and_then(|m| m.values().next()) {
            Some(request) => format!("{}buildrequests/{request}", asked.root),
            None => format!("{}builds/{id}", asked.root),
        });
    to.map(see_other).shown(&app, &asked)
}

pub async fn cancel_request(
    State(app): State<Arc<App>>,
    Path(id): Path<Id>,
    asked: Asked,
    headers: HeaderMap,
    Form(sent): Form<Reason>,
) -> Response {
    let done = act(&app, &asked.user, &headers, &format!("buildrequests/{id}"), "cancel", &sent.reason).await;
    done.map(|_| see_other(format!("{}buildrequests/{id}", asked.root))).shown(&app, &asked)
}

/// Pause, go on, stop softly, stop at once.
pub async fn worker(
    State(app): State<Arc<App>>,
    Path((id, action)): Path<(Id, String)>,
    asked: Asked,
    headers: HeaderMap,
    Form(sent): Form<Reason>,
) -> Response {
    let done = match action.as_str() {
        "pause" | "unpause" | "stop" | "kill" => {
            act(&app, &asked.user, &headers, &format!("workers/{id}"), &action, &sent.reason).await
        }
        _ => Err(unknown(&action)),
    };
    done.map(|_| see_other(format!("{}workers/{id}", asked.root))).shown(&app, &asked)
}

/// The switch of a scheduler (03.003).
pub async fn scheduler(
    State(app): State<Arc<App>>,
    Path((id, action)): Path<(Id, String)>,
    asked: Asked,
    headers: HeaderMap,
) -> Response {
    let done = match action.as_str() {
        "enable" | "disable" => {
            let params = json!({"enabled": action == "enable"});
            order(&app, &asked.user, &headers, &format!("schedulers/{id}"), "enable", params).await
        }
        _ => Err(unknown(&action)),
    };
    done.map(|_| see_other(format!("{}schedulers", asked.root))).shown(&app, &asked)
}

fn unknown(action: &str) -> PageError {
    PageError::NotFound(format!("There is no action {action}."))
}

fn see_other(to: String) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

async fn act(
    app: &App,
    user: &User,
    headers: &HeaderMap,
    path: &str,
    action: &str,
    reason: &str,
) -> Result<Json, PageError> {
    let params = match action {
        "rebuild" => json!({}),
        _ => json!({"reason": reason.trim()}),
    };
    order(app, user, headers, path, action, params).await
}

async fn order(
    app: &App,
    user: &User,
    headers: &HeaderMap,
    path: &str,
    action: &str,
    params: Json,
) -> Result<Json, PageError> {
    if !may_act(&app.www.site.load(), headers) {
        return Err(foreign());
    }
    Ok(app.order(user, path, action, params).await?)
}
