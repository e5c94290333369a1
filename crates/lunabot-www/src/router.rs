//! All routes, and what every answer carries.

use crate::auth::{self, Clients, Key};
use crate::events::{Consumers, Sockets};
use crate::health::HealthPort;
use crate::site::SharedSite;
use crate::{access_log, assets, badges, client, dashboards, events, hooks, ops, pages, rest};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_request_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use lunabot_data::Data;
use lunabot_model::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::timeout::RequestBodyTimeoutLayer;

/// Longest body of a request, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// A request's body may pause no longer.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Nothing may run but our own modules, whatever a log or a commit message holds.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// What the web needs of the others.
#[derive(Clone)]
pub struct WwwState {
    pub data: Data,
    pub site: SharedSite,
    pub clock: Arc<dyn Clock>,
    pub health: Arc<dyn HealthPort>,
    /// Whom the hook `poller` asks.
    pub pollers: Arc<dyn hooks::PollPort>,
    /// Renders all metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The state of all handlers.
pub(crate) struct App {
    pub www: WwwState,
    pub consumers: Consumers,
    pub sockets: Sockets,
    pub templates: pages::Templates,
    /// What sessions are signed with, once one was asked for.
    pub key: OnceCell<Key>,
    pub clients: Clients,
}

/// The whole web of a master; may be called without a socket.
pub fn router(state: WwwState) -> Router {
    let templates =
        pages::Templates::new(&state.clock).expect("the embedded templates are compiled by a test");
    let app = Arc::new(App {
        www: state,
        consumers: Consumers::default(),
        sockets: Sockets::default(),
        templates,
        key: OnceCell::new(),
        clients: Clients::default(),
    });
    let compress = CompressionLayer::new()
        .compress_when(DefaultPredicate::new().and(NotForContentType::const_new("application/octet-stream")));
    let inner = Router::new()
        .merge(pages::routes())
        .route("/api", any(rest::versions))
        .route("/api/openapi.json", get(rest::openapi))
        .route("/api/docs", get(rest::docs))
        .route("/api/{version}", any(rest::root))
        .route("/api/{version}/", any(rest::resource_of_nothing))
        .route("/api/{version}/{*path}", any(rest::resource))
        .route("/sse/{*path}", get(events::sse))
        .route("/ws", get(events::ws))
        .route("/ws/", get(events::ws))
        .route("/avatar", get(client::avatar))
        .route("/live", get(events::live))
        .route("/plugins/badges/{*path}", get(badges::badge))
        .route("/dashboards/{name}", any(dashboards::framed))
        .route("/dashboards/{name}/", any(dashboards::framed))
        .route("/dashboards/{name}/{*path}", any(dashboards::framed_below))
        .route("/plugins/wsgi_dashboards/{name}", any(dashboards::bare))
        .route("/plugins/wsgi_dashboards/{name}/{*path}", any(dashboards::bare_below))
        .route("/change_hook", any(hooks::base_dialect))
        .route("/change_hook/", any(hooks::base_dialect))
        .route("/change_hook/{*path}", any(hooks::dialect))
        .route("/metrics", get(ops::metrics))
        .route("/livez", get(ops::livez))
        .route("/readyz", get(ops::readyz))
        .route("/static/{name}", get(assets::asset))
        .route("/robots.txt", get(assets::robots))
        .route("/auth/login", get(auth::login).post(auth::send))
        .route("/auth/logout", get(auth::logout))
        .route("/auth/{*rest}", any(auth::nothing))
        // Of everything above: what is asked below the client's path comes here without it.
        .layer(from_fn_with_state(app.clone(), auth::gate));
    // Everything of our own is found at once; only what is not goes the longer way.
    let nowhere = any(pages::not_found).layer(from_fn_with_state(app.clone(), auth::gate));
    let again = inner.clone().fallback(nowhere).with_state(app.clone());
    let (beyond, limited, logged) = (app.clone(), app.clone(), app.clone());
    // As one layer: with each of its own a router wraps all routes once more, and clones the whole pile for each request.
    let around = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(panicked))
        .layer(compress)
        .layer(map_response(protect))
        .layer(from_fn_with_state(logged, access_log::log))
        .layer(map_request_with_state(limited, auth::limit))
        .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    inner
        .fallback(move |request: Request| client::entry(beyond.clone(), again.clone(), request))
        .with_state(app)
        .layer(around)
}

/// Headers that keep a browser from doing what no page of ours asks for.
async fn protect(mut response: Response) -> Response {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
    tracing::error!("a web request failed: {}; please report this", text.unwrap_or("unknown panic"));
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error; the log of the master says more\n").into_response()
}
