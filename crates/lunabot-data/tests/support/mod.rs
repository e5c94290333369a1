//! A store to test with: on a temporary SQLite file, or on PostgreSQL.
#![allow(dead_code)]

pub mod postgres;

use lunabot_data::new::*;
use lunabot_data::{Answer, Data, Delivery, OpenOptions, Subscription};
use lunabot_model::{BoxFuture, Clock, Id, Json, Mono, Pattern, Properties, Time};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A clock that tests set; it never sleeps.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(TestClock(AtomicI64::new(1_000)))
    }

    pub fn advance(&self, secs: i64) {
        self.0.fetch_add(secs, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_secs(self.0.load(Ordering::SeqCst))
    }
    fn mono(&self) -> Mono {
        Mono(Duration::ZERO)
    }
    fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Where a store lives while a test runs.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub url: String,
    pub clock: Arc<TestClock>,
}

impl Place {
    pub fn sqlite() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
            url: "sqlite:///state.sqlite".into(),
            clock: TestClock::new(),
        }
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("state.sqlite")
    }

    pub async fn open(&self) -> Data {
        open(&self.url, self.dir.path(), self.clock.clone()).await.unwrap()
    }
}

pub async fn open(url: &str, basedir: &Path, clock: Arc<TestClock>) -> Result<Data, lunabot_data::DataError> {
    Data::open(OpenOptions {
        url: url.into(),
        basedir: basedir.into(),
        master_name: "host:/base".into(),
        clock,
    })
    .await
}

/// A builder `b` with the tag `t`, a worker `w` for it; their ids.
pub async fn configured(data: &Data) -> (Id, Id) {
    let builders = [BuilderDecl { name: "b".into(), tags: vec!["t".into()], ..BuilderDecl::default() }];
    let builders = data.sync_builders(&builders).await.unwrap();
    let workers = [WorkerDecl { name: "w".into(), builders: vec!["b".into()] }];
    let workers = data.sync_workers(&workers).await.unwrap();
    (builders["b"], workers["w"].workerid)
}

pub fn buildset(builders: &[Id]) -> NewBuildset {
    let mut properties = Properties::new();
    properties.set("answer", 42, "Scheduler");
    NewBuildset {
        scheduler: "s".into(),
        reason: "because".into(),
        builderids: builders.to_vec(),
        sourcestamps: vec![StampRef::New(NewSourceStamp {
            repository: "r".into(),
            branch: Some("main".into()),
            ..NewSourceStamp::default()
        })],
        properties,
        ..NewBuildset::default()
    }
}

pub fn new_build(builder: Id, request: Id, worker: Id) -> NewBuild {
    NewBuild {
        builderid: builder,
        buildrequestid: request,
        workerid: Some(worker),
        state_string: "starting".into(),
        generation: Some("abc".into()),
    }
}

/// The rows of a list.
pub async fn list(data: &Data, path: &str, query: &str) -> Vec<Json> {
    match data.get(path, query).await.unwrap_or_else(|e| panic!("{path}?{query}: {e}")) {
        Answer::List { items, .. } => items,
        other => panic!("{path} is not a list: {other:?}"),
    }
}

pub async fn one(data: &Data, path: &str) -> Json {
    match data.get(path, "").await.unwrap_or_else(|e| panic!("{path}: {e}")) {
        Answer::One { item, .. } => item,
        other => panic!("{path} is not one: {other:?}"),
    }
}

/// One number or text out of each row.
pub async fn column(data: &Data, path: &str, query: &str, field: &str) -> Vec<Json> {
    list(data, path, query).await.iter().map(|row| row[field].clone()).collect()
}

pub fn listen(data: &Data, patterns: &[&str]) -> Subscription {
    data.bus().subscribe(patterns.iter().map(|p| Pattern::parse(p)).collect())
}

/// The next events, as topics.
pub async fn topics(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await;
        match next.unwrap_or_else(|_| panic!("only {seen:?}")) {
            Some(Delivery::Event(event)) => seen.push(event.topic.to_string()),
            other => panic!("{other:?} after {seen:?}"),
        }
    }
    seen
}

/// The store beside the data API, to look at what is behind it.
pub async fn open_store(place: &Place) -> lunabot_db::Store {
    let open = lunabot_db::OpenStore { url: place.url.clone(), basedir: place.dir.path().into() };
    lunabot_db::Store::open(&open).await.unwrap()
}
