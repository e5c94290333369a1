//! Asking a dashboard's function, and sending its answer.

use super::Dashboard;
use super::answer::{self, Answer};
use super::frame::{self, Parts};
use crate::error::PageError;
use crate::origin::may_act;
use crate::pages::{Asked, Page, Shown, foreign};
use crate::router::App;
use crate::site::Site;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Json};
use serde_json::{Map, json};
use std::sync::Arc;
use tower::ServiceExt;
use tower_http::services::ServeDir;

/// The longest body that a function is given, in bytes.
const MAX_BODY: usize = 1 << 20;
/// What a function sees for the page itself.
const INDEX: &str = "/index.html";
/// The master's own policy, with styles that are written into the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// `/dashboards/NAME`.
pub async fn framed(
    app: State<Arc<App>>,
    Path(name): Path<String>,
    asked: Asked,
    request: Request,
) -> Response {
    framed_at(&app, &name, "", asked, request).await
}

/// `/dashboards/NAME/…`.
pub async fn framed_below(
    app: State<Arc<App>>,
    Path((name, rest)): Path<(String, String)>,
    asked: Asked,
    request: Request,
) -> Response {
    framed_at(&app, &name, &rest, asked, request).await
}

async fn framed_at(app: &App, name: &str, rest: &str, asked: Asked, request: Request) -> Response {
    let site = app.www.site.of(request.extensions());
    let answer = match answered(&site, name, rest, &asked, request).await {
        Ok(Reply::Answer(answer)) => answer,
        Ok(Reply::File(response)) => return response,
        Err(error) => return app.error_page(&asked, &error),
    };
    let Some(parts) = frame::parts(&answer.body).filter(|_| is_html(&answer)) else { return sent(&answer) };
    let caption = site.dashboards.find(name).map_or(name, Dashboard::caption);
    in_frame(app, &asked, (name, caption), &parts).map(|page| with_head(page, &answer)).shown(app, &asked)
}

/// `/plugins/wsgi_dashboards/NAME`.
pub async fn bare(
    app: State<Arc<App>>,
    Path(name): Path<String>,
    asked: Asked,
    request: Request,
) -> Response {
    bare_at(&app, &name, "", asked, request).await
}

/// `/plugins/wsgi_dashboards/NAME/…`, which Buildbot's web client puts into its own frame.
pub async fn bare_below(
    app: State<Arc<App>>,
    Path((name, rest)): Path<(String, String)>,
    asked: Asked,
    request: Request,
) -> Response {
    bare_at(&app, &name, &rest, asked, request).await
}

async fn bare_at(app: &App, name: &str, rest: &str, asked: Asked, request: Request) -> Response {
    let site = app.www.site.of(request.extensions());
    match answered(&site, name, rest, &asked, request).await {
        Ok(Reply::File(response)) => response,
        Ok(Reply::Answer(answer)) => match frame::parts(&answer.body).filter(|_| is_html(&answer)) {
            Some(Parts { head, main, .. }) => {
                with_head(Html(format!("{head}{main}")).into_response(), &answer)
            }
            None => sent(&answer),
        },
        Err(error) => (error.status(), format!("{error}\n")).into_response(),
    }
}

/// What comes of a request.
enum Reply {
    Answer(Arc<Answer>),
    File(Response),
}

async fn answered(
    site: &Site,
    name: &str,
    rest: &str,
    asked: &Asked,
    request: Request,
) -> Result<Reply, PageError> {
    let nothing = || PageError::NotFound(format!("There is no dashboard {name}/{rest}."));
    let dashboard = site.dashboards.find(name).ok_or_else(nothing)?;
    let nil =
        || PageError::NotFound(format!("There is no dashboard {name}/{rest}: its function returned nil."));
    if let (Some(files), Some(file)) = (&dashboard.files, rest.strip_prefix("static/")) {
        return file_of(files, file, request).await.ok_or_else(nothing).map(Reply::File);
    }
    let path = if rest.is_empty() { INDEX.to_string() } else { format!("/{rest}") };
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reading && !may_act(site, request.headers()) {
        return Err(foreign());
    }
    let Some(cache) = dashboard.cache.as_ref().filter(|_| reading) else {
        let answer = call(site, dashboard, &path, asked, request).await?.ok_or_else(nil)?;
        return Ok(Reply::Answer(Arc::new(answer)));
    };
    let key = format!("{}\n{path}?{}", asked.user.name(), request.uri().query().unwrap_or_default());
    if let Some(kept) = cache.get(&key).await {
        return Ok(Reply::Answer(kept));
    }
    let answer = Arc::new(call(site, dashboard, &path, asked, request).await?.ok_or_else(nil)?);
    if answer.status == StatusCode::OK {
        cache.insert(key, answer.clone()).await;
    }
    Ok(Reply::Answer(answer))
}

/// A file of the folder `static`.
async fn file_of(folder: &std::path::Path, file: &str, request: Request) -> Option<Response> {
    let (mut parts, _) = request.into_parts();
    parts.uri = Uri::try_from(format!("/{file}")).ok()?;
    let files = ServeDir::new(folder).append_index_html_on_directories(false);
    let Ok(answer) = files.oneshot(Request::from_parts(parts, Body::empty())).await;
    Some(answer.map(Body::new))
}

/// Asks the function.
async fn call(
    site: &Site,
    dashboard: &Dashboard,
    path: &str,
    asked: &Asked,
    request: Request,
) -> Result<Option<Answer>, PageError> {
    let name = dashboard.name();
    let concerns = format!("dashboard {name}");
    let scope =
        site.scope(&concerns).ok_or_else(|| PageError::Internal("there is no configuration".into()))?;
    let function = &dashboard.params.app;
    let request = request_table(path, asked, request).await?;
    let place = CallSite::new("app", concerns);
    let failed = |why: String| PageError::Internal(format!("The dashboard {name} failed: {why}"));
    let returned = scope.script.call(function, place.clone(), vec![Arg::Value(request)]).await;
    answer::read(returned.map_err(|error| failed(error.to_string()))?).map_err(|wrong| {
        let text = format!("app returned an answer that is none: {wrong}");
        scope.script.nonsense(function, place, &text);
        failed(function.placed(&text))
    })
}

async fn request_table(path: &str, asked: &Asked, request: Request) -> Result<Json, PageError> {
    let (parts, body) = request.into_parts();
    let too_long = |_| PageError::Refused(StatusCode::PAYLOAD_TOO_LARGE, "What was sent is too long.".into());
    let body: Bytes = axum::body::to_bytes(body, MAX_BODY).await.map_err(too_long)?;
    let mut query: Map<String, Json> = Map::new();
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        query.insert(name.into_owned(), value.into_owned().into());
    }
    let user = (!asked.user.is_anonymous()).then(|| asked.user.to_json());
    Ok(json!({
        "path": path,
        "method": parts.method.as_str(),
        "query": query,
        "headers": headers_table(&parts.headers),
        "user": user,
        "body": String::from_utf8_lossy(&body),
    }))
}

/// Without what logs people in.
fn headers_table(headers: &HeaderMap) -> Map<String, Json> {
    let secret = [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION];
    let told = headers.iter().filter(|(name, _)| !secret.contains(name));
    told.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}

fn is_html(answer: &Answer) -> bool {
    let kind = answer.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_none_or(|kind| kind.starts_with(b"text/html")) && !answer.status.is_redirection()
}

fn in_frame(
    app: &App,
    asked: &Asked,
    (name, caption): (&str, &str),
    parts: &Parts<'_>,
) -> Result<Response, PageError> {
    let data = view! { head => parts.head, main => parts.main, own_title => parts.title, dashboard => name };
    let (template, title) = ("dashboard.html", caption.to_string());
    app.page(asked, Page { template, title, nav: "dashboard", live: Vec::new(), data })
}

/// The status and the headers of the answer on a page that was made from it.
fn with_head(mut page: Response, answer: &Answer) -> Response {
    *page.status_mut() = answer.status;
    let headers = page.headers_mut();
    headers.extend(answer.headers.clone());
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    page
}

/// As it is.
fn sent(answer: &Answer) -> Response {
    with_head(Html(answer.body.clone()).into_response(), answer)
}
