//! Templates, their filters, and the frame around every page.

use super::view::Status;
use crate::auth::{User, Visitor};
use crate::error::PageError;
use crate::router::App;
use crate::{assets, format};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{Uri, header};
use axum::response::{Html, IntoResponse, Response};
use lunabot_model::{Clock, Results};
use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, merge_maps};
use serde::Serialize;
use std::sync::Arc;

macro_rules! templates {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../templates/", $name)))),*] };
}

const TEMPLATES: &[(&str, &str)] = templates![
    "page.html",
    "ui.html",
    "home.html",
    "builders.html",
    "builder.html",
    "force.html",
    "build.html",
    "log.html",
    "lines.html",
    "changes.html",
    "change.html",
    "workers.html",
    "worker.html",
    "pending.html",
    "schedulers.html",
    "request.html",
    "health.html",
    "error.html",
    "login.html",
    "api.html",
    "dashboard.html",
];

/// All templates, compiled.
pub struct Templates(Environment<'static>);

impl Templates {
    pub fn new(clock: &Arc<dyn Clock>) -> Result<Templates, minijinja::Error> {
        let mut env = Environment::new();
        // Before the templates: it shapes how they are read.
        env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        for (name, source) in TEMPLATES {
            env.add_template(name, source)?;
        }
        add_filters(&mut env, clock);
        env.add_function("result_of", |code: i64| {
            Results::from_code(code).map(|r| Value::from(Serde(Status::of(r))))
        });
        env.add_global("asset_version", assets::VERSION.as_str());
        Ok(Templates(env))
    }
}

/// What is shown in words: results, times, sizes. Templates of the configuration have them too.
pub fn add_filters(env: &mut Environment<'_>, clock: &Arc<dyn Clock>) {
    let now = clock.clone();
    env.add_filter("ago", move |secs: Option<Seconds>| time(secs.map(|s| s.0), now.now().secs()));
    let now = clock.clone();
    env.add_filter("since", move |secs: Seconds| format::duration(now.now().secs() - secs.0));
    env.add_filter("duration", |secs: Seconds| format::duration(secs.0));
    env.add_filter("bytes", format::bytes);
    env.add_filter("spent", format::spent);
    env.add_filter("link", safe_url);
    env.add_filter("plain", plain);
    env.add_filter("cut", cut);
    env.add_filter("short", |text: &str| text.chars().take(10).collect::<String>());
    env.add_filter("first_line", |text: &str| cut(text.lines().next().unwrap_or_default(), FIRST_LINE));
    env.add_filter("result", |code: Option<i64>| match code {
        None => "running",
        Some(code) => Results::from_code(code).map_or("unknown", Results::name),
    });
}

/// `<time>` with the distance as text and the exact time in the markup and on hover.
fn time(secs: Option<i64>, now: i64) -> Value {
    let Some(secs) = secs else { return Value::from("–") };
    let (iso, exact, ago) = (format::iso(secs), format::exact(secs), format::ago(secs, now));
    Value::from_safe_string(format!("<time datetime=\"{iso}\" title=\"{exact}\">{ago}</time>"))
}

/// The address if it is one that a click may open; nothing from outside runs as a script.
fn safe_url(url: &str) -> Option<String> {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https").then(|| url.to_string())
}

/// A property's value: texts as they are, everything else as JSON.
/// Seconds as templates have them: parts of one are left out.
struct Seconds(i64);

impl<'a> minijinja::value::ArgType<'a> for Seconds {
    type Output = Seconds;

    fn from_value(value: Option<&'a Value>) -> Result<Seconds, minijinja::Error> {
        let seconds = f64::from_value(value)?;
        Ok(Seconds(seconds as i64))
    }
}

/// Characters of a first line that are shown in a list or heading.
const FIRST_LINE: usize = 300;

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_string(),
        None => serde_json::to_string(value).unwrap_or_else(|_| value.to_string()),
    }
}

/// What every page knows of its request.
pub struct Asked {
    /// From the page's address back to the root: `./`, `../`, … Pages work below any prefix of a proxy.
    pub root: String,
    /// Without the frame.
    part: bool,
    query: Vec<(String, String)>,
    /// Path, for links to the same page.
    path: String,
    uri: Uri,
    /// Who asks.
    pub user: Arc<User>,
}

impl Asked {
    fn new(uri: &Uri, part: bool, user: Arc<User>) -> Asked {
        let depth = uri.path().matches('/').count().saturating_sub(1);
        let root = if depth == 0 { "./".to_string() } else { "../".repeat(depth) };
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        Asked { root, part, query, path: uri.path().to_string(), uri: uri.clone(), user }
    }

    /// Whether only a part of an open page is asked for.
    pub fn is_part(&self) -> bool {
        self.part
    }

    /// Path and query.
    pub fn here(&self) -> &str {
        self.uri.path_and_query().map_or("/", |whole| whole.as_str())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// A number that is not negative; `None` if absent or no number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok().filter(|n| *n >= 0)
    }

    /// The query with one argument replaced or removed, for links.
    pub fn with(&self, name: &str, value: Option<&str>) -> String {
        let mut out = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        out.extend_pairs(self.query.iter().filter(|(n, v)| n != name && !v.is_empty()));
        if let Some(value) = value {
            out.append_pair(name, value);
        }
        out.finish()
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Visitor(user) = Visitor::from_request_parts(parts, state).await?;
        Ok(Asked::new(&parts.uri, parts.headers.contains_key("x-part"), user))
    }
}

/// A page's own part: which template, its title, the events that renew it, and its data.
pub struct Page<T> {
    pub template: &'static str,
    pub title: String,
    /// The entry of the navigation it belongs to.
    pub nav: &'static str,
    pub live: Vec<String>,
    pub data: T,
}

impl App {
    /// Fills a template.
    pub fn page<T: Serialize>(&self, asked: &Asked, page: Page<T>) -> Result<Response, PageError> {
        let site = self.www.site.load();
        let mut live = form_urlencoded::Serializer::new(String::new());
        live.extend_pairs(page.live.iter().map(|topic| ("on", topic)));
        let frame = view! {
            root => asked.root, part => asked.part, path => asked.path,
            site => site.title, site_url => site.title_url, title => page.title, nav => page.nav,
            dashboards => site.dashboards.iter().map(|one| (one.name(), one.caption())).collect::<Vec<_>>(),
            client => site.client.as_ref().map(|client| client.path()),
            live => live.finish(), q => asked.get("q"), here => asked.here(), has_login => site.access.has_login(),
            user => (!asked.user.is_anonymous()).then(|| asked.user.name()),
        };
        let context = merge_maps([Value::from(Serde(page.data)), frame]);
        let html = self.templates.0.get_template(page.template)?.render(context)?;
        let headers = [(header::CACHE_CONTROL, "no-cache"), (header::VARY, "X-Part")];
        Ok((headers, Html(html)).into_response())
    }

    /// A fragment without a frame.
    pub fn fragment<T: Serialize>(&self, template: &str, data: T) -> Result<Html<String>, PageError> {
        Ok(Html(self.templates.0.get_template(template)?.render(Value::from(Serde(data)))?))
    }

    /// The page that says what went wrong.
    pub fn error_page(&self, asked: &Asked, error: &PageError) -> Response {
        if let PageError::Internal(text) = error {
            tracing::error!("page {}: {text}", asked.path);
        }
        let page = Page {
            template: "error.html",
            title: error.status().canonical_reason().unwrap_or("Error").to_string(),
            nav: "",
            live: Vec::new(),
            data: view! { message => error.to_string(), advice => error.advice() },
        };
        match self.page(asked, page) {
            Ok(page) => (error.status(), page).into_response(),
            Err(e) => (error.status(), e.to_string()).into_response(),
        }
    }
}

/// Turns a page's result into an answer.
pub trait Shown {
    fn shown(self, app: &App, asked: &Asked) -> Response;
}

impl Shown for Result<Response, PageError> {
    fn shown(self, app: &App, asked: &Asked) -> Response {
        self.unwrap_or_else(|e| app.error_page(asked, &e))
    }
}

/// Every address that is no page's.
pub async fn not_found(State(app): State<Arc<App>>, asked: Asked) -> Response {
    app.error_page(&asked, &PageError::NotFound(format!("There is no page {}.", asked.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_have_parts_of_seconds() {
        for (template, wanted) in [("{{ 65.5|duration }}", "1 m 5 s"), ("{{ 65|duration }}", "1 m 5 s")] {
            let mut env = Environment::new();
            env.add_filter("duration", |secs: Seconds| format::duration(secs.0));
            assert_eq!(env.render_str(template, ()).unwrap(), wanted);
        }
    }

    #[test]
    fn only_web_addresses_become_links() {
        for bad in ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", " https://x", "//x", "/x", ""]
        {
            assert_eq!(safe_url(bad), None, "{bad}");
        }
        assert!(safe_url("HTTPS://x/").is_some());
    }

    fn nobody() -> Arc<User> {
        User::anonymous()
    }

    #[test]
    fn pages_know_their_way_back() {
        for (path, root) in [("/", "./"), ("/builders", "./"), ("/builders/3", "../"), ("/a/b/c", "../../")] {
            assert_eq!(Asked::new(&path.parse().unwrap(), false, nobody()).root, root);
        }
    }

    #[test]
    fn links_keep_the_other_filters() {
        let asked = Asked::new(&"/builders?tag=a%20b&q=x&page=2".parse().unwrap(), false, nobody());
        assert_eq!(asked.with("page", Some("3")), "?tag=a+b&q=x&page=3");
        assert_eq!(asked.with("tag", None), "?q=x&page=2");
    }
}
