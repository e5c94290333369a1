//! A master for steps: a real engine on a real database, with a real worker in this process.
#![allow(dead_code, reason = "each test binary uses a part")]

#[path = "../../../lunabot-integrations/tests/support/mod.rs"]
mod outside;

#[allow(unused_imports, reason = "each test binary uses a part")]
pub use outside::{BzrRepo, Functions, HgRepo, RealClock, Repo, SvnRepo, eventually, function, run, script};

use async_trait::async_trait;
use bytes::Bytes;
use lunabot_data::new::{NewBuildset, NewSourceStamp, StampRef};
use lunabot_data::{Answer, Data, Delivery, OpenOptions, Subscription};
use lunabot_engine::worker::{CommandSink, LinkError, WorkerLink};
use lunabot_engine::{Engine, EngineOptions, Generation, Stop};
use lunabot_model::config::Config;
use lunabot_model::resources::{Build, Log, Step};
use lunabot_model::{BoxFuture, Json, Pattern, Results, SecretSource};
use lunabot_proto::{Command, Transfer, Update, WorkerInfo};
use lunabot_worker::{MasterSide, TransferError, WorkerCore, WorkerOptions};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The builder's name, and its folder on the worker.
const BUILDER: &str = "b";

/// One master with one builder and one worker.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub data: Data,
    engine: Engine,
}

/// A build that has ended.
#[derive(Debug)]
pub struct Built {
    pub build: Build,
    pub properties: BTreeMap<String, Json>,
    /// The user's steps, in order, with their logs by name.
    pub steps: Vec<(Step, BTreeMap<String, String>)>,
}

impl Bench {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(RealClock::new());
        let options = OpenOptions {
            url: "sqlite:///state.sqlite".into(),
            basedir: dir.path().into(),
            master_name: "test:/".into(),
            clock: clock.clone(),
        };
        let data = Data::open(options).await.unwrap();
        let steps = lunabot_steps::STEPS.to_vec();
        let options = EngineOptions { data: data.clone(), clock, seed: 1, steps };
        let engine = Engine::start(options).await.unwrap();
        let bench = Bench { dir, data, engine };
        bench.configure(&[], Functions::new(|name, _| panic!("unexpected call of {name}"))).await;
        bench.attach().await;
        bench
    }

    /// Folder of the builder on the worker.
    pub fn builddir(&self) -> PathBuf {
        self.dir.path().join("worker").join(BUILDER)
    }

    /// Folder of its steps.
    pub fn workdir(&self) -> PathBuf {
        self.builddir().join("build")
    }

    async fn attach(&self) {
        let core = WorkerCore::new(WorkerOptions::new(self.dir.path().join("worker"))).unwrap();
        let info = core.info().await;
        self.engine.worker_attached("local", Arc::new(Link { core, info })).await.unwrap();
    }

    async fn configure(&self, steps: &[Json], functions: Functions) {
        static LOADS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = LOADS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let factory = object("util.BuildFactory", json!({"steps": steps}));
        let builder = json!({"name": BUILDER, "workernames": ["local"], "factory": factory});
        let table = json!({
            "workers": [object("worker.LocalWorker", json!({"name": "local"}))],
            "builders": [object("util.BuilderConfig", builder)],
            "schedulers": [object("schedulers.ForceScheduler", json!({"name": "force", "builderNames": [BUILDER]}))],
        });
        let config = Config::read(&table).unwrap();
        let (host, secrets) = (Arc::new(functions), Arc::new(NoSecrets));
        let generation = Generation {
            number,
            content_hash: String::new(),
            config,
            file: "master.lua".into(),
            host,
            secrets,
        };
        self.engine.apply(Arc::new(generation)).await.unwrap();
    }

    /// Builds these steps, for the default source stamp.
    pub async fn build(&self, steps: &[Json]) -> Built {
        self.build_for(steps, vec![NewSourceStamp::default()]).await
    }

    /// Builds these steps for these source stamps.
    pub async fn build_for(&self, steps: &[Json], stamps: Vec<NewSourceStamp>) -> Built {
        self.build_with(steps, stamps, Functions::new(|name, _| panic!("unexpected call of {name}"))).await
    }

    pub async fn build_with(
        &self,
        steps: &[Json],
        stamps: Vec<NewSourceStamp>,
        functions: Functions,
    ) -> Built {
        let stamps = stamps.into_iter().map(StampRef::New).collect();
        self.build_stamps(steps, stamps, functions).await
    }

    pub async fn build_stamps(&self, steps: &[Json], stamps: Vec<StampRef>, functions: Functions) -> Built {
        self.configure(steps, functions).await;
        let finished = self.begin(stamps).await;
        self.end(finished).await
    }

    /// Configures steps without functions.
    pub async fn declare(&self, steps: &[Json]) {
        self.configure(steps, Functions::new(|name, _| panic!("unexpected call of {name}"))).await;
    }

    /// Begins a build of what is configured.
    pub async fn begin(&self, stamps: Vec<StampRef>) -> Subscription {
        let finished = self.data.bus().subscribe(vec![Pattern::parse("builds/*/finished")]);
        self.request(stamps).await;
        finished
    }

    /// Waits for the end of a build.
    pub async fn end(&self, mut finished: Subscription) -> Built {
        let delivery = tokio::time::timeout(std::time::Duration::from_secs(50), finished.next()).await;
        let Ok(Some(Delivery::Event(event))) = delivery else { panic!("no build finished: {delivery:?}") };
        let mut payload = Json::clone(&event.payload);
        payload["properties"] = json!({});
        let build = serde_json::from_value::<Build>(payload).unwrap();
        self.built(build).await
    }

    /// Asks for a build.
    pub async fn request(&self, sourcestamps: Vec<StampRef>) {
        let builders = self.list("builders").await;
        let id = builders.iter().find(|b| b["name"] == BUILDER).unwrap()["builderid"].as_i64().unwrap();
        let buildset = NewBuildset {
            builderids: vec![id],
            sourcestamps,
            reason: "test".into(),
            ..NewBuildset::default()
        };
        self.data.add_buildset(buildset).await.unwrap();
    }

    pub async fn list(&self, path: &str) -> Vec<Json> {
        match self.data.get(path, "").await.unwrap() {
            Answer::List { items, .. } => items,
            other => panic!("{path} is no list: {other:?}"),
        }
    }

    async fn built(&self, build: Build) -> Built {
        let properties = self.data.build_properties(build.buildid).await.unwrap();
        let mut steps = Vec::new();
        for step in self.list(&format!("builds/{}/steps", build.buildid)).await {
            let step: Step = serde_json::from_value(step).unwrap();
            if step.name != "worker_preparation" {
                let logs = self.logs(step.stepid).await;
                steps.push((step, logs));
            }
        }
        Built { build, properties: properties.as_dict().into_iter().collect(), steps }
    }

    async fn logs(&self, step: i64) -> BTreeMap<String, String> {
        let mut logs = BTreeMap::new();
        for log in self.list(&format!("steps/{step}/logs")).await {
            let log: Log = serde_json::from_value(log).unwrap();
            assert!(log.complete, "{log:?}");
            logs.insert(log.name, self.data.log_lines(log.logid, 0, log.num_lines - 1).await.unwrap());
        }
        logs
    }

    pub async fn stop(&self) {
        self.engine.stop(Stop::Fast).await;
    }

    /// Stops a build.
    pub async fn stop_build(&self, build: i64) {
        self.data.control(&format!("builds/{build}"), "stop", json!({"reason": "enough"})).await.unwrap();
    }
}

impl Built {
    pub fn results(&self) -> Option<Results> {
        self.build.results
    }

    /// Result and text of the `index`th step of the user.
    pub fn step(&self, index: usize) -> (Results, &str) {
        let step = &self.steps[index].0;
        (step.results.unwrap(), &step.state_string)
    }

    pub fn log(&self, index: usize, name: &str) -> &str {
        self.steps[index].1.get(name).map_or("", String::as_str)
    }

    /// The names of a step's logs, sorted.
    pub fn log_names(&self, index: usize) -> Vec<&str> {
        self.steps[index].1.keys().map(String::as_str).collect()
    }

    /// Lines of one channel of the log stdio: `o`, `e` or `h`.
    pub fn lines(&self, index: usize, channel: char) -> Vec<&str> {
        self.log(index, "stdio").lines().filter_map(|line| line.strip_prefix(channel)).collect()
    }

    /// The command lines of git in the log stdio, without addresses.
    pub fn git(&self, index: usize, repo: &Repo) -> Vec<String> {
        let lines = self.lines(index, 'h').into_iter();
        lines
            .filter_map(|line| line.strip_prefix("git "))
            .map(|line| line.replace(&repo.url(), "URL"))
            .collect()
    }
}

/// A declared object.
pub fn object(kind: &str, args: Json) -> Json {
    json!({"$kind": kind, "$id": 1, "$at": "master.lua:1", "$args": args})
}

pub fn property(name: &str) -> Json {
    object("util.Property", json!({"key": name}))
}

struct NoSecrets;

impl SecretSource for NoSecrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(async move { Ok((name == "token").then(|| "s3cret".to_string())) })
    }
}

/// The worker in this process.
struct Link {
    core: WorkerCore,
    info: WorkerInfo,
}

#[async_trait]
impl WorkerLink for Link {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }
    async fn set_builders(&self, _: &[(String, String)]) -> Result<(), LinkError> {
        Ok(())
    }
    async fn ping(&self) -> Result<(), LinkError> {
        Ok(())
    }
    async fn start_build(&self, _: &str) -> Result<(), LinkError> {
        Ok(())
    }
    async fn start_command(
        &self,
        _: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError> {
        self.core
            .start(command, Arc::new(Master(sink)))
            .map_err(|error| LinkError::Refused(error.to_string()))
    }
    async fn interrupt_command(&self, _: &str, command_id: &str, why: &str) -> Result<(), LinkError> {
        self.core.interrupt(command_id, why);
        Ok(())
    }
    async fn shutdown(&self) -> Result<(), LinkError> {
        self.core.shutdown().await;
        Ok(())
    }
    async fn disconnect(&self) {
        self.core.shutdown().await;
    }
}

struct Master(Arc<dyn CommandSink>);

#[async_trait]
impl MasterSide for Master {
    async fn update(&self, _: &str, updates: Vec<Update>) {
        self.0.update(updates).await;
    }
    async fn complete(&self, _: &str, failure: Option<String>) {
        self.0.complete(failure).await;
    }
    async fn transfer(&self, _: &str, request: Transfer) -> Result<Bytes, TransferError> {
        self.0.transfer(request).await.map_err(TransferError)
    }
}
