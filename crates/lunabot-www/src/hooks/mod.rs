//! `/change_hook/DIALECT`: other programs report changes (02.028–02.041).
//!
//! The master proves who sends and bounds what is sent; a dialect only reads payloads. A change is acknowledged only
//! when it is committed.

mod auth;
mod base;
mod bitbucket;
mod event;
mod gitea;
mod github;
mod gitlab;
mod gitorious;
mod guard;
pub(crate) mod kinds;
mod multipart;
mod options;
mod own;
mod payload;
mod poller;
mod request;
mod served;
mod table;

pub use poller::PollPort;
pub use served::Refusal;
pub use table::{Hooks, missing_files, unprotected, wrong};

use crate::router::App;
use async_trait::async_trait;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use event::Event;
use guard::Guard;
use lunabot_data::intake::{ChangeFunctions, Intake};
use lunabot_data::new::NewChange;
use lunabot_model::render::ServiceScope;
use lunabot_model::{Clock, Json, Problem, Renderable, SecretSource};
use request::HookRequest;
use std::sync::Arc;
use table::Entry;

/// Longest body where nothing proves who sends, in bytes.
const MAX_BODY: usize = 4 << 20;
/// Longest body of a dialect with a secret: what GitHub sends at most.
const MAX_SIGNED_BODY: usize = 25 << 20;

/// Why a hook's request brings no change.
#[derive(Debug)]
pub enum HookError {
    /// The sender's mistake: 400 with this text.
    Bad(String),
    /// Ours: 500; this text is for the log.
    Failed(String),
}

/// Options of a dialect, read from `change_hook_dialects`.
trait DialectOptions: serde::de::DeserializeOwned {
    /// What serde cannot see.
    fn problems(&self) -> Vec<Problem>;
}

/// Reads the requests of one kind of sender.
#[async_trait]
trait Dialect: Send + Sync {
    /// How the sender proves itself. `None`: this kind of sender cannot.
    fn guard(&self) -> Option<Guard<'_>> {
        None
    }

    /// Further options that may be secrets: name and value.
    fn secrets(&self) -> Vec<(&'static str, &Renderable<String>)> {
        Vec::new()
    }

    /// The event that a request tells of. `None`: this kind of sender knows no events.
    fn event(&self, _: &HookRequest) -> Result<Option<Event>, HookError> {
        Ok(None)
    }

    /// The changes that an event reports, oldest first.
    async fn of_event(&self, _: &Event, _: &HookRequest, _: &HookScope) -> Result<Vec<NewChange>, HookError> {
        Ok(Vec::new())
    }

    /// The changes that a request reports, oldest first.
    async fn changes(
        &self,
        request: &Arc<HookRequest>,
        scope: &Arc<HookScope>,
    ) -> Result<Vec<NewChange>, HookError> {
        match self.event(request)? {
            Some(event) => self.of_event(&event, request, scope).await,
            None => Ok(Vec::new()),
        }
    }

    /// What classes of the configuration that extend it have besides: `getChanges`, each `handle_EVENT` that
    /// [`Dialect::of_event`] knows, and what [`Dialect::help`] answers.
    fn methods(&self) -> &'static [&'static str] {
        &["getChanges"]
    }

    /// Fields of their objects; `http`: options of a session of `util.http`.
    async fn fields(&self, _: &HookScope) -> Result<serde_json::Map<String, Json>, HookError> {
        Ok(serde_json::Map::new())
    }

    /// Does what a method is called for.
    async fn help(&self, method: &str, _: &[Json], _: &HookScope) -> Result<Json, HookError> {
        Err(HookError::Failed(format!("no method {method}")))
    }
}

/// What the hooks of one generation work with.
#[derive(Clone)]
pub struct HookMeans {
    pub intake: Intake,
    pub secrets: Arc<dyn SecretSource>,
}

/// What a dialect has to work with during one request.
struct HookScope {
    /// Its `concerns` is `change hook DIALECT`.
    service: ServiceScope,
    clock: Arc<dyn Clock>,
    pollers: Arc<dyn PollPort>,
}

/// Secrets that hooks need and nobody knows; each is told with the path of its option.
pub async fn missing_secrets(
    hooks: &Hooks,
    script: Arc<dyn lunabot_model::ScriptHost>,
    secrets: Arc<dyn SecretSource>,
) -> Vec<(String, String)> {
    hooks.missing_secrets(&ServiceScope { script, secrets, concerns: "change hooks".into() }).await
}

/// `/change_hook` is the base dialect.
pub async fn base_dialect(state: State<Arc<App>>, request: Request) -> Response {
    hook(&state.0, "", request).await
}

/// The dialect is the first word of the path (02.028).
pub async fn dialect(state: State<Arc<App>>, Path(path): Path<String>, request: Request) -> Response {
    hook(&state.0, &path, request).await
}

async fn hook(app: &App, path: &str, request: Request) -> Response {
    let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(path.len());
    let name = if end == 0 { "base" } else { &path[..end] };
    let site = app.www.site.load();
    let Some(means) = &site.means else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the master is not ready yet").into_response();
    };
    let service = ServiceScope {
        script: Arc::clone(&means.intake.script),
        secrets: Arc::clone(&means.secrets),
        concerns: format!("change hook {name}"),
    };
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let asker = site.access.proxies.asker(request.extensions(), request.headers());
    let user = match auth::admit(app, &site, asker, authorization, &service).await {
        Ok(user) => user,
        Err(refused) => return refused,
    };
    if let (served::NAME, Some(path)) = (name, path[end..].strip_prefix('/')) {
        return counted(name, served::answer(path, request, user, &*app.www.pollers).await);
    }
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return (StatusCode::METHOD_NOT_ALLOWED, "only GET and POST").into_response();
    }
    let Some(entry) = site.hooks.dialects.get(name) else {
        let text = format!("The dialect specified, '{name}', wasn't whitelisted in change_hook");
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let (clock, pollers) = (Arc::clone(&app.www.clock), Arc::clone(&app.www.pollers));
    let scope = Arc::new(HookScope { service, clock, pollers });
    counted(name, answer(entry, request, user, &scope, &means.intake).await)
}

fn counted(name: &str, response: Response) -> Response {
    let outcome = response.status().as_str().to_string();
    metrics::counter!("lunabot_change_hook_requests_total", "dialect" => name.to_string(), "status" => outcome)
        .increment(1);
    response
}

async fn answer(
    entry: &Entry,
    request: Request,
    user: Option<String>,
    scope: &Arc<HookScope>,
    intake: &Intake,
) -> Response {
    let limit = if entry.protected() { MAX_SIGNED_BODY } else { MAX_BODY };
    let request = match HookRequest::read(request, limit, user).await {
        Ok(request) => Arc::new(request),
        Err(refused) => return refused,
    };
    let outcome = match read(entry, &request, scope).await {
        Ok(changes) => store(intake, changes, scope).await,
        Err(error) => Err(error),
    };
    let concerns = &scope.service.concerns;
    match outcome {
        Ok(0) => (StatusCode::ACCEPTED, "no change found").into_response(),
        Ok(count) => (StatusCode::ACCEPTED, format!("{count} change found")).into_response(),
        Err(HookError::Bad(text)) => {
            tracing::warn!("{concerns}: a request was refused: {}", lunabot_model::text::shortened(&text));
            (StatusCode::BAD_REQUEST, text).into_response()
        }
        Err(HookError::Failed(text)) => {
            tracing::error!("{concerns}: a request could not be carried out, the sender is told: {text}");
            (StatusCode::INTERNAL_SERVER_ERROR, "Error processing changes.").into_response()
        }
    }
}

async fn read(
    entry: &Entry,
    request: &Arc<HookRequest>,
    scope: &Arc<HookScope>,
) -> Result<Vec<NewChange>, HookError> {
    if let Some(guard) = entry.dialect.guard() {
        guard.check(request, &scope.service).await?;
    }
    entry.dialect.changes(request, scope).await
}

/// Waits until every change is durable; how many there are (02.029).
async fn store(intake: &Intake, changes: Vec<NewChange>, scope: &HookScope) -> Result<usize, HookError> {
    let count = changes.len();
    for change in changes {
        let added = intake.add(change, &ChangeFunctions::default(), &scope.service.concerns).await;
        added.map_err(|error| HookError::Failed(error.to_string()))?;
    }
    Ok(count)
}
