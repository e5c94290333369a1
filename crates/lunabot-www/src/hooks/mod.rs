//! `/change_hook/DIALECT`: other programs report changes (02.028–02.031).
//!
//! A change is acknowledged only when it is committed.

mod base;

use crate::router::App;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lunabot_data::new::NewChange;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The dialects that exist; a configuration that names another is refused.
pub const DIALECTS: &[&str] = &["base"];

/// Why a hook's request brings no change.
pub enum HookError {
    /// The sender's mistake: 400 with this text.
    Bad(String),
}

/// `/change_hook` is the base dialect.
pub async fn base_dialect(state: State<Arc<App>>, request: Request) -> Response {
    hook(state.0, "base".into(), request).await
}

pub async fn dialect(state: State<Arc<App>>, Path(dialect): Path<String>, request: Request) -> Response {
    hook(state.0, dialect, request).await
}

async fn hook(app: Arc<App>, dialect: String, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return (StatusCode::METHOD_NOT_ALLOWED, "only GET and POST").into_response();
    }
    let site = app.www.site.load();
    let listed = site.www.change_hook_dialects.get(&dialect).is_some_and(|options| !is_off(options));
    if !listed || !DIALECTS.contains(&dialect.as_str()) {
        let text = format!("The dialect specified, '{dialect}', wasn't whitelisted in change_hook");
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let changes = match arguments(request).await {
        Ok(arguments) => base::changes(&arguments),
        Err(refused) => return refused,
    };
    match changes {
        Ok(changes) => store(&app, changes).await,
        Err(HookError::Bad(text)) => (StatusCode::BAD_REQUEST, text).into_response(),
    }
}

fn is_off(options: &lunabot_model::Json) -> bool {
    options.is_null() || *options == lunabot_model::Json::Bool(false)
}

/// Waits until every change is durable (02.029).
async fn store(app: &App, changes: Vec<NewChange>) -> Response {
    let count = changes.len();
    for change in changes {
        if let Err(e) = app.www.data.add_change(change).await {
            tracing::error!("a change from a hook was not stored, the sender is told: {e}");
            return (StatusCode::INTERNAL_SERVER_ERROR, "Error processing changes.").into_response();
        }
    }
    let text = if count == 0 { "no change found".into() } else { format!("{count} change found") };
    (StatusCode::ACCEPTED, text).into_response()
}

/// First values of the arguments in query and form; the form wins.
async fn arguments(request: Request) -> Result<BTreeMap<String, String>, Response> {
    let query = request.uri().query().unwrap_or_default().to_string();
    let kind = request.headers().get(axum::http::header::CONTENT_TYPE);
    let is_form = kind.is_some_and(|v| v.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let body = Bytes::from_request(request, &()).await.map_err(IntoResponse::into_response)?;
    let mut all = BTreeMap::new();
    let form = if is_form { body.as_ref() } else { b"" };
    for (name, value) in form_urlencoded::parse(form).chain(form_urlencoded::parse(query.as_bytes())) {
        all.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    Ok(all)
}
