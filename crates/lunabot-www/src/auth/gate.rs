//! In front of everything: how much a client may ask, who it is, and whether it may read.

use super::User;
use crate::authz::{Asked, GET, Judge, Verdict};
use crate::error::PageError;
use crate::pages;
use crate::rest::RestError;
use crate::router::App;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use std::convert::Infallible;
use std::sync::Arc;

/// First parts of paths that anybody may read, whatever the rules say: there is nothing in them.
const OPEN: &[&str] = &["auth", "change_hook", "livez", "readyz", "robots.txt", "static"];
/// Where rules see the master as a whole (10.031).
const WHOLE: &str = "masters";

/// Who asks; [`gate`] puts it into the request.
#[derive(Debug, Clone)]
pub struct Visitor(pub Arc<User>);

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let known = parts.extensions.get::<Visitor>().cloned();
        Ok(known.unwrap_or_else(|| Visitor(Arc::new(User::anonymous()))))
    }
}

impl App {
    /// Who sends a request. No work where nobody can log in.
    pub async fn visitor(&self, extensions: &Extensions, headers: &HeaderMap) -> User {
        let site = self.www.site.load();
        if !site.access.has_login() {
            return User::anonymous();
        }
        let asker = site.access.proxies.asker(extensions, headers);
        let key = if headers.contains_key(header::COOKIE) { self.key().await } else { None };
        site.access.visitor(key.as_ref(), headers, asker, self.www.clock.now().secs()).await
    }

    /// What sessions are signed with; `None`: the store does not answer.
    pub async fn key(&self) -> Option<super::Key> {
        let key = self.key.get_or_try_init(|| super::Key::load(&self.www.data)).await;
        key.inspect_err(|e| tracing::error!("sessions cannot be read: {e}")).ok().cloned()
    }

    /// Judges one question by the rules that hold now.
    pub async fn judge(&self, user: &User, asked: &Asked<'_>) -> Verdict {
        let site = self.www.site.load();
        let scope = site.scope("www.authz");
        let judge = Judge { user, data: Some(&self.www.data), scope: scope.as_ref() };
        site.access.authz.judge(judge, asked).await
    }

    /// Whether somebody may read a path; the error says why not.
    pub async fn may_read(&self, user: &User, path: &str) -> Result<(), String> {
        if !self.www.site.load().access.authz.restricts_reading() {
            return Ok(());
        }
        let verdict = self.judge(user, &Asked { path, action: GET, params: &Json::Null }).await;
        if verdict.allowed { Ok(()) } else { Err(verdict.why) }
    }
}

/// Refuses clients that ask too much.
pub async fn limit(State(app): State<Arc<App>>, request: Request) -> Result<Request, Response> {
    let site = app.www.site.load();
    let asker = site.access.proxies.asker(request.extensions(), request.headers());
    match app.clients.request(asker, &site.access.limit, &*app.www.clock) {
        Ok(()) => Ok(request),
        Err(wait) => Err(super::login::too_many(&wait)),
    }
}

/// Finds out who asks, and refuses what they may not read.
pub async fn gate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let user = Arc::new(app.visitor(request.extensions(), request.headers()).await);
    request.extensions_mut().insert(Visitor(Arc::clone(&user)));
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reading || !app.www.site.load().access.authz.restricts_reading() {
        return next.run(request).await;
    }
    let Some(path) = endpoint(request.uri().path()) else { return next.run(request).await };
    if let Err(why) = app.may_read(&user, &path).await {
        return refused(&app, &user, request, why).await;
    }
    let mut response = next.run(request).await;
    // Nobody else's cache may keep it.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Cookie"));
    response
}

/// The path by which the rules know an address; `None`: there is nothing to guard.
fn endpoint(path: &str) -> Option<String> {
    let path = path.trim_start_matches('/');
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    if OPEN.contains(&first) {
        return None;
    }
    let rest = path.strip_prefix(first).unwrap_or_default().trim_start_matches('/');
    Some(match first {
        "" | "about" | "avatar" | "health" | "live" | "sse" | "ws" => WHOLE.into(),
        "api" => match rest.split_once('/') {
            Some((_, path)) => path.into(),
            None => WHOLE.into(),
        },
        "pending" | "pendingbuildrequests" => "buildrequests".into(),
        "builders" if parts.clone().nth(1) == Some("force") => {
            format!("forceschedulers/{}", parts.nth(2).unwrap_or_default())
        }
        _ => path.into(),
    })
}

/// The page to log in for people, else 403 (09.052).
async fn refused(app: &Arc<App>, user: &User, request: Request, why: String) -> Response {
    let path = request.uri().path();
    let api = ["/api/", "/sse/", "/ws"].iter().any(|begin| path.starts_with(begin)) || path == "/api";
    if api {
        return RestError(StatusCode::FORBIDDEN, why).into_response();
    }
    let (mut parts, _) = request.into_parts();
    let Ok(asked) = pages::Asked::from_request_parts(&mut parts, app).await;
    if user.is_anonymous() && app.www.site.load().access.has_login() && !asked.is_part() {
        return super::send_login(&asked);
    }
    app.error_page(&asked, &PageError::Refused(StatusCode::FORBIDDEN, why))
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn rules_see_pages_as_what_they_show() {
        for (path, wanted) in [
            ("/", Some("masters")),
            ("/builders/3", Some("builders/3")),
            ("/builders/3/force/now", Some("forceschedulers/now")),
            (
                "/builders/3/builds/4/steps/x/logs/stdio/lines",
                Some("builders/3/builds/4/steps/x/logs/stdio/lines"),
            ),
            ("/api/v2/logs/4/raw", Some("logs/4/raw")),
            ("/api/v2", Some("masters")),
            ("/api", Some("masters")),
            ("/pending", Some("buildrequests")),
            ("/sse/listen/builds/*/*", Some("masters")),
            ("/metrics", Some("metrics")),
            ("//api/v2/builds", Some("builds")),
            ("/static/style.css", None),
            ("/auth/login", None),
            ("/livez", None),
        ] {
            assert_eq!(endpoint(path).as_deref(), wanted, "{path}");
        }
    }
}
