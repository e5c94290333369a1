//! What is answered below the client's path.

use super::{Client, page};
use crate::auth::User;
use crate::dashboards::PLUGIN as DASHBOARDS;
use crate::router::App;
use crate::site::Site;
use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use lunabot_model::Json;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;
use tower_http::services::ServeDir;

/// First parts of what the client asks for that the master answers at its root too.
const SHARED: &[&str] = &["api", "avatar", "change_hook", "sse", "ws"];
/// The client's own files may run, what they show may not.
const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; \
     img-src 'self' data: blob: https:; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'; \
     script-src 'self'";

/// What is no path of the master's own: the client's, from which `inner` is reached again, or nobody's.
pub async fn entry(app: Arc<App>, inner: Router, request: Request) -> Response {
    let site = app.www.site.of(request.extensions());
    let Some(client) = &site.client else { return pass(inner, request).await };
    // 10.012: programs that read the settings know them at the root.
    let at_root = request.uri().path() == "/config";
    let below = if at_root { Some("/config") } else { client.below(request.uri().path()) };
    let Some(rest) = below else { return pass(inner, request).await };
    let Some(rest) = rest.strip_prefix('/') else { return client.with_slash().into_response() };
    if SHARED.contains(&rest.split('/').next().unwrap_or_default()) {
        return pass_moved(client, inner, request).await;
    }
    if of_dashboard(rest) {
        return pass_moved(client, inner, request).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if let Some(page) = rest.strip_prefix("auth/") {
        return to_login(&client.path, page, request.uri().query().unwrap_or_default());
    }
    let rest = rest.to_owned();
    let (parts, body) = request.into_parts();
    let who = Who::of(&app, &site, &parts).await;
    client.answer(&rest, &who, Request::from_parts(parts, body)).await
}

/// Whether it is a dashboard's page, not a file of the plug-in that shows them.
fn of_dashboard(rest: &str) -> bool {
    let below = rest.strip_prefix("plugins/").and_then(|rest| rest.strip_prefix(DASHBOARDS));
    below.and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| rest.contains('/'))
}

/// As if it had been asked at the root.
async fn pass_moved(client: &Client, inner: Router, mut request: Request) -> Response {
    match moved(request.uri(), client.path.len() - 1) {
        Some(uri) => {
            *request.uri_mut() = uri;
            request.extensions_mut().remove::<OriginalUri>();
            pass(inner, request).await
        }
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Logins are at the master's root; from there people come back to where they were in the client (10.013).
fn to_login(client: &str, page: &str, query: &str) -> Response {
    let back = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "redirect");
    let back = back.map(|(_, back)| back).unwrap_or_default();
    let back: String = form_urlencoded::byte_serialize(format!("{client}#{back}").as_bytes()).collect();
    let root = "../".repeat(client.matches('/').count());
    let page = if page == "logout" { "logout" } else { "login" };
    match HeaderValue::from_str(&format!("{root}auth/{page}?redirect={back}")) {
        Ok(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// What the client is told of who asks (10.012, 10.019).
struct Who {
    user: Arc<User>,
    auth: Json,
    avatars: bool,
    /// 10.031
    may_read: bool,
}

impl Who {
    async fn of(app: &App, site: &Site, asked: &Parts) -> Who {
        let user = app.visitor(site, &asked.extensions, &asked.headers).await;
        let may_read = app.may_read_by(site, &user, "masters").await.is_ok();
        Who { user, auth: site.access.for_client(), avatars: site.access.avatars, may_read }
    }
}

async fn pass(inner: Router, request: Request) -> Response {
    inner.oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// The same address without its first `cut` bytes.
fn moved(uri: &Uri, cut: usize) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().get(cut..)?;
    Some(Uri::from(PathAndQuery::try_from(rest).ok()?))
}

impl Client {
    /// What follows the client's path, with its slash; `None`: the path is another's.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.path.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// To the folder itself, by an address that also holds below a proxy's prefix.
    fn with_slash(&self) -> Redirect {
        let last = self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        Redirect::permanent(&format!("./{last}/"))
    }

    async fn answer(&self, rest: &str, who: &Who, request: Request) -> Response {
        match rest {
            "" => self.page(who),
            "config" => {
                let kind =
                    (header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
                ([kind, (header::CACHE_CONTROL, fresh(who))], self.settings(who).to_string()).into_response()
            }
            _ => match rest.strip_prefix("plugins/").map(|of| of.split_once('/').unwrap_or((of, ""))) {
                None => file(&self.dir, rest, request).await,
                Some((name, rest)) => match self.plugins.get(name) {
                    Some(plugin) => file(&plugin.dir, rest, request).await,
                    None => (StatusCode::NOT_FOUND, "no such plug-in\n").into_response(),
                },
            },
        }
    }

    fn settings(&self, who: &Who) -> Json {
        let mut settings = self.settings.clone();
        settings["user"] = who.user.to_json();
        settings["user_any_access_allowed"] = who.may_read.into();
        settings["auth"] = who.auth.clone();
        if !who.avatars {
            settings["avatar_methods"] = Json::Array(Vec::new());
        }
        settings
    }

    /// 10.011. The only script in the page is ours, and is let run by its digest.
    fn page(&self, who: &Who) -> Response {
        let script = page::script(&self.settings(who));
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&script));
        let (before, after) = &self.page;
        let html = format!("{before}<script id=\"bb-config\">{script}</script>{after}");
        let mut response = axum::response::Html(html).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, fresh(who));
        if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY} 'sha256-{digest}'")) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// Asked for again each time, as a reload can change it, and kept for nobody else.
fn fresh(who: &Who) -> HeaderValue {
    let anonymous = who.user.is_anonymous();
    HeaderValue::from_static(if anonymous { "public,max-age=0" } else { "private,max-age=0" })
}

async fn file(dir: &Path, rest: &str, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(uri) = Uri::try_from(format!("/{rest}")) else { return StatusCode::NOT_FOUND.into_response() };
    parts.uri = uri;
    let files = ServeDir::new(dir).append_index_html_on_directories(false);
    let Ok(answer) = files.oneshot(Request::from_parts(parts, Body::empty())).await;
    answer.map(Body::new)
}
