//! A web with a real store behind it, called without a socket.
#![allow(dead_code, reason = "tests and the gallery use different parts of it")]
#![allow(clippy::unwrap_used, reason = "a failure here is the test's")]

pub mod seed;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use base64::Engine as _;
use http_body_util::BodyExt;
use lunabot_data::intake::Intake;
use lunabot_data::{ControlError, ControlHandler, Data, OpenOptions};
use lunabot_model::config::{Config, WwwConfig};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, ScriptError, ScriptErrorKind, ScriptHost, ScriptObject, SecretSource};
use lunabot_model::{BoxFuture, Clock, Json, Mono, Time};
use lunabot_www::{
    Access, HealthPort, HealthReport, HookMeans, Hooks, PollPort, Queue, ServeRefusal, SharedSite, Site,
    WwwState, router,
};
use serde_json::json;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

/// A clock that tests set; its sleeps are real, for what gathers events.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn at(secs: i64) -> Arc<Self> {
        Arc::new(TestClock(AtomicI64::new(secs)))
    }
    pub fn set(&self, secs: i64) {
        self.0.store(secs, Ordering::SeqCst);
    }
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_secs(self.get())
    }
    fn mono(&self) -> Mono {
        Mono(Duration::ZERO)
    }
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(deadline.0))
    }
}

/// Says whatever a test wants.
#[derive(Default)]
pub struct TestHealth {
    pub unready: Mutex<Option<String>>,
    pub report: Mutex<HealthReport>,
}

impl HealthPort for TestHealth {
    fn ready(&self) -> Result<(), String> {
        self.unready.lock().unwrap().clone().map_or(Ok(()), Err)
    }
    fn report<'a>(&'a self) -> BoxFuture<'a, HealthReport> {
        let report = self.report.lock().unwrap().clone();
        Box::pin(async move { report })
    }
}

/// Notes control actions and answers as told.
pub struct TestHandler {
    pub calls: Mutex<Vec<(String, String, Json)>>,
    pub answer: Mutex<Result<Json, ControlError>>,
}

impl ControlHandler for TestHandler {
    fn control<'a>(
        &'a self,
        id: &'a str,
        action: &'a str,
        params: Json,
    ) -> BoxFuture<'a, Result<Json, ControlError>> {
        self.calls.lock().unwrap().push((id.into(), action.into(), params));
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move { answer })
    }
}

/// Functions are known by their fingerprints: `echo` returns its argument's `repository.name` …; any other fails.
#[derive(Default)]
pub struct TestScript {
    pub nonsense: Mutex<Vec<String>>,
}

impl ScriptHost for TestScript {
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        _: CallSite,
        args: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        let message = "master.lua:1: it failed".to_string();
        let error = ScriptError { kind: ScriptErrorKind::Raise, message, traceback: String::new() };
        let values: Vec<&Json> =
            args.iter().map(|arg| if let Arg::Value(value) = arg { value } else { &Json::Null }).collect();
        let answer = match (callback.fingerprint.as_str(), values.as_slice()) {
            ("echo", [value]) => Ok(value["repository"]["name"].clone()),
            ("check", [name, password]) if *password == "right" => {
                Ok(json!({"full_name": name, "groups": ["staff"]}))
            }
            ("check", _) => Ok(json!(false)),
            ("kind builds", [endpoint, ..]) => Ok(json!(endpoint["kind"] == "builds")),
            ("path of one", [endpoint, ..]) => {
                Ok(json!(["builders/1", "builders/1/builds"].iter().any(|path| endpoint["path"] == *path)))
            }
            ("about docs", [endpoint, ..]) => Ok(json!(endpoint["builder"] == "docs")),
            ("policy", [user, action, _]) if user["roles"] == json!(["staff"]) && *action == "get" => {
                Ok(json!(true))
            }
            ("policy", [_, _, endpoint]) if endpoint["builder"] == "docs" => Ok(json!("the docs are frozen")),
            ("policy", _) => Ok(Json::Null),
            ("roles", [user]) if user["username"] == "joe" => Ok(json!(["builders"])),
            ("roles", _) => Ok(Json::Null),
            _ => Err(error),
        };
        Box::pin(async move { answer })
    }
    fn nonsense(&self, _: &Callback, _: CallSite, message: &str) {
        self.nonsense.lock().unwrap().push(message.into());
    }
    fn generation(&self) -> u64 {
        1
    }
}

/// Knows one secret, `forge`.
pub struct TestSecrets;

impl SecretSource for TestSecrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        let value = (name == "forge").then(|| "s3cret".to_string());
        Box::pin(async move { Ok(value) })
    }
}

/// Two pollers; notes who was asked.
#[derive(Default)]
pub struct TestPollers {
    pub asked: Mutex<Vec<String>>,
}

impl PollPort for TestPollers {
    fn pollers(&self) -> Vec<String> {
        vec!["one".into(), "two".into()]
    }
    fn poll<'a>(&'a self, names: &'a [String]) -> BoxFuture<'a, ()> {
        self.asked.lock().unwrap().extend(names.iter().cloned());
        Box::pin(async {})
    }
    fn nonsense(&self, _: &str, _: &str) {}
    fn serves(&self, path: &str) -> bool {
        path == "in/here"
    }
    fn serve<'a>(&'a self, _: &'a str, request: ScriptObject) -> BoxFuture<'a, Result<Json, ServeRefusal>> {
        let told = ["path", "method", "user", "query"].map(|name| request.field(name).unwrap().into_owned());
        Box::pin(async move { Ok(json!({"status": 200, "body": json!(told).to_string()})) })
    }
}

/// An object as a configuration declares it.
pub fn object(kind: &str, args: Json) -> Json {
    json!({"$kind": format!("util.{kind}"), "$id": 1, "$at": "master.lua:7", "$args": args})
}

/// A function that [`TestScript`] knows.
pub fn function(fingerprint: &str) -> Json {
    json!({"$fn": {"id": 1, "generation": 1, "fingerprint": fingerprint, "at": "master.lua:9"}})
}

/// Everything a test of the web needs.
pub struct World {
    pub dir: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub data: Data,
    pub site: SharedSite,
    pub health: Arc<TestHealth>,
    pub handler: Arc<TestHandler>,
    pub script: Arc<TestScript>,
    pub pollers: Arc<TestPollers>,
    pub router: Router,
}

pub const URL: &str = "http://ci.example.org:8010/";

impl World {
    pub async fn new() -> World {
        World::at(1_760_000_000).await
    }

    pub async fn at(now: i64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::at(now);
        let data = Data::open(OpenOptions {
            url: "sqlite:///state.sqlite".into(),
            basedir: dir.path().into(),
            master_name: "host:/base".into(),
            clock: clock.clone(),
        });
        let data = data.await.unwrap();
        let mut www = WwwConfig::default();
        www.change_hook_dialects.insert("base".into(), json!(true));
        let script = Arc::new(TestScript::default());
        let pollers = Arc::new(TestPollers::default());
        let intake =
            Intake { data: data.clone(), script: script.clone(), codebase_generator: None, revlink: None };
        let site = SharedSite::new(Site {
            title: "Example".into(),
            title_url: "https://example.org/".into(),
            url: URL.into(),
            hooks: Arc::new(Hooks::new(&www)),
            means: Some(HookMeans { intake, secrets: Arc::new(TestSecrets) }),
            www,
            ..Site::default()
        });
        let queue = Queue { name: "writer".into(), length: 0, limit: Some(10_000) };
        let report = HealthReport {
            version: "0.1.0".into(),
            started_at: now - 86_400,
            generation: Some(3),
            database: "sqlite".into(),
            database_bytes: Some(48_000_000),
            queues: vec![queue],
            ..HealthReport::default()
        };
        let health = Arc::new(TestHealth { report: Mutex::new(report), ..TestHealth::default() });
        let handler = Arc::new(TestHandler { calls: Mutex::default(), answer: Mutex::new(Ok(Json::Null)) });
        for plural in ["builds", "buildrequests", "forceschedulers", "schedulers", "workers"] {
            data.on_control(plural, handler.clone());
        }
        let router = router(WwwState {
            data: data.clone(),
            site: site.clone(),
            clock: clock.clone(),
            health: health.clone(),
            pollers: pollers.clone(),
            metrics: Arc::new(|| "lunabot_up 1\n".into()),
        });
        World { dir, clock, data, site, health, handler, script, pollers, router }
    }

    /// Goes over to other hooks.
    pub fn hooks(&self, dialects: Json, auth: Option<Json>) {
        let mut site = (*self.site.load()).clone();
        site.www.change_hook_dialects = serde_json::from_value(dialects).unwrap();
        site.www.change_hook_auth = auth;
        let wrong = lunabot_www::hook_errors(&site.www);
        assert!(wrong.is_empty(), "{wrong:?}");
        site.hooks = Arc::new(Hooks::new(&site.www));
        self.site.store(site);
    }

    /// Goes over to other logins and rules.
    pub async fn access(&self, www: Json) {
        let www = serde_json::from_value(www).unwrap();
        let config = Config { buildbot_url: URL.into(), www, ..Config::default() };
        let mut site = (*self.site.load()).clone();
        site.access = Arc::new(Access::load(&config, self.dir.path()).await.unwrap());
        self.site.store(site);
    }

    /// The cookie of somebody who has logged in with a name and a password.
    pub async fn login(&self, user: &str, password: &str) -> String {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let request = Request::get("/auth/login").header("authorization", format!("Basic {basic}"));
        let response = self.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 302, "{user}");
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// GET with a cookie, which may be empty; status and body.
    pub async fn get_as(&self, cookie: &str, path: &str) -> (u16, String) {
        let request = Request::get(path).header("cookie", cookie).header("accept", "application/json");
        text(self.send(request.body(Body::empty()).unwrap()).await).await
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// GET with headers; status, headers and body.
    pub async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.send(request.body(Body::empty()).unwrap()).await;
        let headers = response.headers().clone();
        let (status, body) = text(response).await;
        (status, headers, body)
    }

    /// GET; status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        text(self.send(Request::get(path).body(Body::empty()).unwrap()).await).await
    }

    /// GET of JSON below `/api/v2`.
    pub async fn api(&self, path: &str) -> Json {
        let request = Request::get(format!("/api/v2/{path}")).header("accept", "application/json");
        let (status, body) = text(self.send(request.body(Body::empty()).unwrap()).await).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A page that must be there.
    pub async fn page(&self, path: &str) -> String {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// POST with a content type and further headers.
    pub async fn post(
        &self,
        path: &str,
        kind: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response<Body> {
        let mut request = Request::post(path).header("content-type", kind);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub fn answer(&self, answer: Result<Json, ControlError>) {
        *self.handler.answer.lock().unwrap() = answer;
    }
}

pub async fn text(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}
