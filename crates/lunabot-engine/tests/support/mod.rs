//! A master to test with: real data on temporary SQLite, a clock moved by hand, workers and functions played by the test.
#![allow(dead_code)]

pub mod clock;
pub mod config;
pub mod host;
pub mod steps;
pub mod worker;

pub use clock::TestClock;
pub use config::{Setup, builder, step};
pub use host::FakeHost;
pub use worker::TestWorker;

use lunabot_data::new::*;
use lunabot_data::{Answer, Data, Delivery, OpenOptions, Subscription};
use lunabot_engine::worker::WorkerLink;
use lunabot_engine::{Engine, EngineOptions, Generation, Stop};
use lunabot_model::{BuildRequestId, BuilderId, Event, Json, Pattern, Properties, SecretSource};
use std::sync::Arc;
use std::time::Duration;

/// How long anything may take before the test counts as stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running master.
pub struct Master {
    pub data: Data,
    pub engine: Engine,
    pub clock: Arc<TestClock>,
    pub host: Arc<FakeHost>,
    /// Every event since the start.
    pub events: Subscription,
    pub dir: Arc<tempfile::TempDir>,
    generation: u64,
}

impl Master {
    pub async fn start(setup: Setup) -> Master {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), TestClock::new(), setup).await
    }

    /// Starts on what an earlier master left.
    pub async fn start_in(dir: Arc<tempfile::TempDir>, clock: Arc<TestClock>, setup: Setup) -> Master {
        Self::start_with(dir, clock, setup, |_| ()).await
    }

    /// The same with functions that may be called from the beginning.
    pub async fn start_with(
        dir: Arc<tempfile::TempDir>,
        clock: Arc<TestClock>,
        setup: Setup,
        functions: impl FnOnce(&FakeHost),
    ) -> Master {
        let data = Data::open(OpenOptions {
            url: "sqlite:///state.sqlite".into(),
            basedir: dir.path().into(),
            master_name: "host:/base".into(),
            clock: clock.clone(),
        });
        let data = data.await.unwrap();
        let patterns = ["*/*/*", "*/*/*/*", "*/*/*/*/*"].map(Pattern::parse);
        let events = data.bus().subscribe(patterns.to_vec());
        let options =
            EngineOptions { data: data.clone(), clock: clock.clone(), seed: 7, steps: steps::all() };
        let engine = Engine::start(options).await.unwrap();
        let mut master = Master { data, engine, clock, host: FakeHost::new(), events, dir, generation: 0 };
        functions(&master.host);
        master.apply(setup).await;
        master
    }

    pub async fn apply(&mut self, setup: Setup) {
        self.generation += 1;
        let generation = Generation {
            number: self.generation,
            content_hash: format!("content {}", self.generation),
            config: setup.config,
            file: "master.lua".into(),
            host: self.host.clone(),
            secrets: Arc::new(Secrets),
        };
        self.engine.apply(Arc::new(generation)).await.unwrap();
    }

    /// Connects a worker that does what its commands say.
    pub async fn worker(&self, name: &str) -> Arc<TestWorker> {
        let worker = TestWorker::new();
        self.attach(name, &worker).await;
        worker
    }

    pub async fn attach(&self, name: &str, worker: &Arc<TestWorker>) {
        let link: Arc<dyn WorkerLink> = worker.clone();
        self.engine.worker_attached(name, link).await.unwrap();
    }

    pub async fn detach(&self, name: &str, worker: &Arc<TestWorker>) {
        let link: Arc<dyn WorkerLink> = worker.clone();
        self.engine.worker_detached(name, &link).await;
    }

    pub async fn builder_id(&self, name: &str) -> BuilderId {
        let Answer::List { items, .. } = self.data.get("builders", "").await.unwrap() else {
            panic!("a list")
        };
        items.iter().find(|b| b["name"] == name).unwrap()["builderid"].as_i64().unwrap()
    }

    /// Asks for a build.
    pub async fn request(&self, builder: &str) -> BuildRequestId {
        self.request_with(builder, 0, Properties::new()).await
    }

    pub async fn request_with(&self, builder: &str, priority: i64, properties: Properties) -> BuildRequestId {
        let id = self.builder_id(builder).await;
        let new = NewBuildset {
            scheduler: "s".into(),
            reason: "because".into(),
            builderids: vec![id],
            sourcestamps: vec![StampRef::New(stamp())],
            priority,
            properties,
            ..NewBuildset::default()
        };
        self.data.add_buildset(new).await.unwrap().1[&id]
    }

    /// Waits for an event whose topic matches; gives its payload.
    pub async fn wait(&mut self, topic: &str) -> Json {
        self.wait_for(topic, |_| true).await
    }

    pub async fn wait_for(&mut self, topic: &str, accept: impl Fn(&Json) -> bool) -> Json {
        let pattern = Pattern::parse(topic);
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = next(&mut self.events).await;
                if pattern.matches(&event.topic) && accept(&event.payload) {
                    return Json::clone(&event.payload);
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no event {topic}"))
    }

    /// Waits until a build of this request is over, and its request settled.
    pub async fn finished(&mut self, request: BuildRequestId) -> Json {
        self.wait_for("builds/*/finished", |build| build["buildrequestid"] == request).await
    }

    /// Waits until builds of all these requests are over, in any order.
    pub async fn all_finished(&mut self, requests: &[BuildRequestId]) {
        let mut left = requests.to_vec();
        while !left.is_empty() {
            let build = self.wait("builds/*/finished").await;
            left.retain(|request| build["buildrequestid"] != *request);
        }
    }

    /// Events up to and with the one that matches, as topics without ids.
    pub async fn trace_until(&mut self, last: &str) -> Vec<String> {
        let pattern = Pattern::parse(last);
        let mut trace = Vec::new();
        loop {
            let event = tokio::time::timeout(PATIENCE, next(&mut self.events)).await.unwrap();
            let words = event.topic.parts().filter(|part| part.parse::<i64>().is_err());
            trace.push(words.collect::<Vec<_>>().join("/"));
            if pattern.matches(&event.topic) {
                return trace;
            }
        }
    }

    pub async fn list(&self, path: &str, query: &str) -> Vec<Json> {
        self.data.flush().await.unwrap();
        match self.data.get(path, query).await.unwrap() {
            Answer::List { items, .. } => items,
            other => panic!("{path}: {other:?}"),
        }
    }

    pub async fn one(&self, path: &str) -> Json {
        self.data.flush().await.unwrap();
        match self.data.get(path, "").await.unwrap() {
            Answer::One { item, .. } => item,
            Answer::List { items, .. } => items[0].clone(),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Steps of a build: name, results, text.
    pub async fn steps(&self, build: &Json) -> Vec<(String, Json, String)> {
        let steps = self.list(&format!("builds/{}/steps", build["buildid"]), "").await;
        let text = |value: &Json| value.as_str().unwrap_or_default().to_string();
        steps.iter().map(|s| (text(&s["name"]), s["results"].clone(), text(&s["state_string"]))).collect()
    }

    /// The contents of a log of a step of a build; none if there is no such log.
    pub async fn log(&self, build: &Json, step: &str, log: &str) -> Option<String> {
        let steps = self.list(&format!("builds/{}/steps", build["buildid"]), "").await;
        let step = steps.iter().find(|s| s["name"] == step)?;
        let logs = self.list(&format!("steps/{}/logs", step["stepid"]), "").await;
        let log = logs.iter().find(|l| l["name"] == log)?;
        assert_eq!(log["complete"], true, "{log}");
        Some(self.data.log_lines(log["logid"].as_i64()?, 0, i64::from(i32::MAX)).await.unwrap())
    }

    pub async fn property(&self, build: &Json, name: &str) -> Option<(Json, String)> {
        self.data.flush().await.unwrap();
        let all = self.data.build_properties(build["buildid"].as_i64().unwrap()).await.unwrap();
        all.property(name).map(|p| (p.value.clone(), p.source.clone()))
    }

    pub async fn control(&self, path: &str, action: &str) -> Json {
        self.data.control(path, action, serde_json::json!({"reason": "no more"})).await.unwrap()
    }

    /// Waits until the engine's state is as wanted, nudged by nothing but its own messages.
    pub async fn until(&self, what: &str, reached: impl Fn(&lunabot_engine::EngineStatus) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !reached(&self.engine.status().await) {
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("never {what}"));
    }

    pub async fn stop(self) {
        self.engine.stop(Stop::Fast).await;
        self.data.close().await.unwrap();
    }
}

async fn next(events: &mut Subscription) -> Event {
    match events.next().await.expect("the bus is there") {
        Delivery::Event(event) => event,
        Delivery::Lagged(lost) => panic!("{lost} events lost"),
    }
}

pub fn stamp() -> NewSourceStamp {
    NewSourceStamp {
        revision: Some("r1".into()),
        branch: Some("main".into()),
        repository: "repo".into(),
        project: "proj".into(),
        codebase: String::new(),
        patch: None,
    }
}

/// Knows one secret.
struct Secrets;

impl SecretSource for Secrets {
    fn get<'a>(&'a self, name: &'a str) -> lunabot_model::BoxFuture<'a, Result<Option<String>, String>> {
        let value = (name == "token").then(|| "hunter2".to_string());
        Box::pin(async move { Ok(value) })
    }
}
