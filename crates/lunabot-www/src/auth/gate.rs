//! In front of everything: how much a client may ask, who it is, and whether it may read.

use super::User;
use crate::access_log::Asking;
use crate::authz::{Asked, GET, Judge, Verdict};
use crate::error::PageError;
use crate::pages;
use crate::rest::RestError;
use crate::router::App;
use crate::site::{Current, Site};
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
        Ok(known.unwrap_or_else(|| Visitor(User::anonymous())))
    }
}

impl App {
    /// Who sends a request. No work where nobody can log in.
    pub async fn visitor(&self, site: &Site, extensions: &Extensions, headers: &HeaderMap) -> Arc<User> {
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
        self.judge_by(&self.www.site.load(), user, asked).await
    }

    async fn judge_by(&self, site: &Site, user: &User, asked: &Asked<'_>) -> Verdict {
        let scope = site.scope("www.authz");
        let judge = Judge { user, data: Some(&self.www.data), scope: scope.as_ref() };
        site.access.authz.judge(judge, asked).await
    }

    /// Whether somebody may read a path; the error says why not.
    pub async fn may_read(&self, user: &User, path: &str) -> Result<(), String> {
        self.may_read_by(&self.www.site.load(), user, path).await
    }

    /// The same by the rules of these settings.
    pub async fn may_read_by(&self, site: &Site, user: &User, path: &str) -> Result<(), String> {
        if !site.access.authz.restricts_reading() {
            return Ok(());
        }
        let verdict = self.judge_by(site, user, &Asked { path, action: GET, params: &Json::Null }).await;
        if verdict.allowed { Ok(()) } else { Err(verdict.why) }
    }
}

/// Refuses clients that ask too much. From here on the settings of a request are those that hold now.
pub async fn limit(State(app): State<Arc<App>>, mut request: Request) -> Result<Request, Response> {
    let site = app.www.site.load();
    request.extensions_mut().insert(Current(Arc::clone(&site)));
    let asker = site.access.proxies.asker(request.extensions(), request.headers());
    match app.clients.request(asker, &site.access.limit, &*app.www.clock) {
        Ok(()) => Ok(request),
        Err(wait) => Err(super::login::too_many(&wait)),
    }
}

/// Finds out who asks, and refuses what they may not read.
pub async fn gate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let site = app.www.site.of(request.extensions());
    let user = app.visitor(&site, request.extensions(), request.headers()).await;
    request.extensions_mut().insert(Visitor(Arc::clone(&user)));
    if let Some(asking) = request.extensions().get::<Asking>() {
        asking.is(&user);
    }
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reading || !site.access.authz.restricts_reading() {
        return next.run(request).await;
    }
    let paths = endpoints(request.uri().path());
    if paths.is_empty() {
        return next.run(request).await;
    }
    for path in &paths {
        if let Err(why) = app.may_read_by(&site, &user, path).await {
            return refused(&app, &site, &user, request, why).await;
        }
    }
    let mut response = next.run(request).await;
    // Nobody else's cache may keep it.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Cookie"));
    response
}

/// The paths by which the rules know an address, each of which must be allowed; empty: there is nothing to guard.
fn endpoints(path: &str) -> Vec<String> {
    let path = path.trim_start_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    if OPEN.contains(&parts[0]) {
        return Vec::new();
    }
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match parts.as_slice() {
        ["" | "about" | "avatar" | "health" | "live" | "sse" | "ws", ..] => {
            let mut whole = vec![WHOLE.to_owned()];
            if parts[0].is_empty() {
                whole.extend(all(&["builders", "builds"]));
            }
            whole
        }
        ["api"] | ["api", _] => all(&[WHOLE]),
        ["api", _, rest @ ..] => vec![rest.join("/")],
        ["pending" | "pendingbuildrequests", ..] => all(&["buildrequests"]),
        ["plugins", "badges", rest @ ..] => {
            let badge = rest.join("/");
            vec![format!(
                "builders/{}",
                badge.rsplit_once('.').map_or(badge.as_str(), |(builder, _)| builder)
            )]
        }
        ["dashboards", name, ..] | ["plugins", "wsgi_dashboards", name, ..] => {
            vec![format!("dashboards/{name}")]
        }
        ["builders", _, "force", name, ..] => vec![format!("forceschedulers/{name}")],
        // What pages show besides that which they are called after.
        ["builders"] => all(&["builders", "builds"]),
        ["builders", _] => vec![format!("{path}/builds"), format!("{path}/buildrequests")],
        ["builders", _, "builds", _] => vec![format!("{path}/steps")],
        ["workers" | "changes" | "buildrequests", id] if !id.is_empty() => vec![format!("{path}/builds")],
        _ => vec![path.to_owned()],
    }
}

/// The page to log in for people, else 403 (09.052).
async fn refused(app: &Arc<App>, site: &Site, user: &User, request: Request, why: String) -> Response {
    let path = request.uri().path();
    let api = ["/api/", "/sse/", "/ws"].iter().any(|begin| path.starts_with(begin)) || path == "/api";
    if api {
        return RestError(StatusCode::FORBIDDEN, why).into_response();
    }
    let (mut parts, _) = request.into_parts();
    let Ok(asked) = pages::Asked::from_request_parts(&mut parts, app).await;
    if user.is_anonymous() && site.access.has_login() && !asked.is_part() && super::wants_page(&parts.headers)
    {
        return super::send_login(&asked);
    }
    app.error_page(&asked, &PageError::Refused(StatusCode::FORBIDDEN, why))
}

#[cfg(test)]
mod tests {
    use super::endpoints;

    #[test]
    fn rules_see_pages_as_what_they_show() {
        for (path, wanted) in [
            ("/", "masters builders builds"),
            ("/builders", "builders builds"),
            ("/builders/3", "builders/3/builds builders/3/buildrequests"),
            ("/builders/3/force/now", "forceschedulers/now"),
            ("/builders/3/builds/4", "builders/3/builds/4/steps"),
            ("/builders/3/builds/4/steps/x/logs/stdio/lines", "builders/3/builds/4/steps/x/logs/stdio/lines"),
            ("/workers/a", "workers/a/builds"),
            ("/workers", "workers"),
            ("/api/v2/logs/4/raw", "logs/4/raw"),
            ("/api/v2", "masters"),
            ("/api", "masters"),
            ("/pending", "buildrequests"),
            ("/sse/listen/builds/*/*", "masters"),
            ("/metrics", "metrics"),
            ("//api/v2/builds", "builds"),
            ("/plugins/badges/a%2Fb.c.svg", "builders/a%2Fb.c"),
            ("/plugins/wsgi_dashboards/wall/index.html", "dashboards/wall"),
            ("/dashboards/wall", "dashboards/wall"),
            ("/static/style.css", ""),
            ("/auth/login", ""),
            ("/livez", ""),
        ] {
            assert_eq!(endpoints(path).join(" "), wanted, "{path}");
        }
    }
}
