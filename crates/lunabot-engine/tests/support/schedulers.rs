//! A world for schedulers: a store on a temporary SQLite file, a clock that tests move, functions by name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lunabot_data::new::{BuilderDecl, NewChange, StateKey};
use lunabot_data::{Answer, ControlError, Data, OpenOptions};
use lunabot_engine::scheduler::{Agenda, Applied, Schedulers, Surroundings, TriggerOrder, Triggered};
use lunabot_model::object::CallbackRef;
use lunabot_model::resources::Change;
use lunabot_model::script::{CallSite, ScriptErrorKind};
use lunabot_model::*;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration as Std;
use tokio::sync::watch;

/// How long a test waits for what must happen.
const BOUND: Std = Std::from_secs(20);

/// A clock that stands still unless it is moved; the wall's may be set besides.
#[derive(Debug)]
pub struct HandClock(watch::Sender<Std>, AtomicI64);

impl HandClock {
    /// Sets the wall clock so many seconds before or after where it would be.
    pub fn set_wall(&self, ahead: i64) {
        self.1.store(ahead, Ordering::SeqCst);
    }

    pub fn advance(&self, secs: f64) {
        self.0.send_modify(|now| *now += Std::from_secs_f64(secs));
    }
}

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time::from_secs(1_700_000_000 + self.1.load(Ordering::SeqCst)) + *self.0.borrow()
    }
    fn mono(&self) -> Mono {
        Mono(*self.0.borrow())
    }
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            if now.wait_for(|now| *now >= deadline.0).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// Functions: the fingerprint says what they do.
#[derive(Default)]
pub struct Functions(Mutex<Vec<String>>);

impl Functions {
    /// How often an option's function was called.
    pub fn asked(&self, option: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|asked| *asked == option).count()
    }
}

impl ScriptHost for Functions {
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        site: CallSite,
        args: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        self.0.lock().unwrap().push(site.callback);
        let answer = match (callback.fingerprint.as_str(), &args[..]) {
            ("important", [Arg::Object(change)]) => Ok(json!(change.fields["files"] != json!(["README"]))),
            ("yes", _) => Ok(json!(true)),
            // Fails each second time.
            ("versions", _) if self.asked("choices") % 2 == 1 => {
                Ok(json!([format!("v{}", self.asked("choices"))]))
            }
            ("count", [Arg::Value(names), Arg::Value(changes)]) => {
                assert_eq!((names.is_array(), changes[""][0]["who"].as_str()), (true, Some("joe")));
                Ok(json!(7))
            }
            _ => Err(ScriptError {
                kind: ScriptErrorKind::Raise,
                message: "master.lua:1: boom".into(),
                traceback: String::new(),
            }),
        };
        Box::pin(std::future::ready(answer))
    }
    fn nonsense(&self, _: &Callback, site: CallSite, message: &str) {
        panic!("{site:?}: {message}");
    }
    fn generation(&self) -> u64 {
        1
    }
}

struct NoSecrets;

impl SecretSource for NoSecrets {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

pub struct World {
    pub clock: Arc<HandClock>,
    pub host: Arc<Functions>,
    data: Data,
    schedulers: Arc<Schedulers>,
    builders: Arc<HashMap<String, BuilderId>>,
    agenda: Arc<Agenda>,
    seen: Mutex<usize>,
    names: Mutex<Vec<String>>,
    home: tempfile::TempDir,
}

impl World {
    /// Builders `b1` and `b2`, no schedulers.
    pub async fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock(watch::channel(Std::ZERO).0, AtomicI64::new(0)));
        let data = open(&home, &clock).await;
        let declared = ["b1", "b2"].map(|name| BuilderDecl { name: name.into(), ..BuilderDecl::default() });
        let builders = Arc::new(data.sync_builders(&declared).await.unwrap());
        World {
            clock,
            host: Arc::default(),
            data,
            schedulers: Schedulers::new(),
            builders,
            agenda: Arc::default(),
            seen: Mutex::new(0),
            names: Mutex::default(),
            home,
        }
    }

    /// Ends everything and opens the store again.
    pub async fn restart(&mut self) {
        self.schedulers.shut_down().await;
        self.data.flush().await.unwrap();
        self.data = open(&self.home, &self.clock).await;
        self.schedulers = Schedulers::new();
        self.agenda = Arc::default();
    }

    pub async fn apply(&self, declared: &[AnyObject]) -> Applied {
        let around = Surroundings {
            data: self.data.clone(),
            clock: self.clock.clone(),
            host: self.host.clone(),
            secrets: Arc::new(NoSecrets),
            builders: self.builders.clone(),
            agenda: self.agenda.clone(),
            workers: Arc::new(HashMap::from([("b1".into(), vec!["w2".into(), "w1".into()])])),
        };
        let no_changes = ["ForceScheduler", "Triggerable", "Dependent", "NightlyTriggerable"];
        let follows =
            declared.iter().filter(|o| !no_changes.iter().any(|kind| o.kind == format!("schedulers.{kind}")));
        *self.names.lock().unwrap() = follows.map(|o| o.args["name"].as_str().unwrap().to_string()).collect();
        let applied = self.schedulers.apply(declared, around).await.unwrap();
        for dependent in declared.iter().filter(|object| object.kind == "schedulers.Dependent") {
            self.dependent_begins(dependent.args["name"].as_str().unwrap()).await;
        }
        applied
    }

    /// Waits until a Dependent has noted which buildset was the newest when it began: later ones are its concern.
    async fn dependent_begins(&self, name: &str) {
        until(async || self.dependent_state(name, "seen_bsids").await.is_object().then_some(())).await;
    }

    async fn dependent_state(&self, dependent: &str, name: &str) -> Json {
        let key = StateKey { object: dependent.into(), class: "Dependent".into(), name: name.into() };
        self.data.get_state(&key).await.unwrap().unwrap_or_default()
    }

    pub fn builder(&self, name: &str) -> BuilderId {
        self.builders[name]
    }

    /// Stores a change of joe's on main; `fields` differ.
    pub async fn store_change(&self, fields: Json) -> Change {
        let text = |name: &str, default: &str| fields[name].as_str().unwrap_or(default).to_string();
        let files = fields.get("files").cloned().unwrap_or(json!(["main.c"]));
        let change = NewChange {
            author: "joe".into(),
            files: serde_json::from_value(files).unwrap(),
            comments: "a change".into(),
            revision: Some(text("revision", "r1")),
            branch: Some(text("branch", "main")),
            category: Some("c".into()),
            properties: serde_json::from_value(fields.get("properties").cloned().unwrap_or(json!({})))
                .unwrap(),
            repository: text("repository", "r"),
            project: text("project", ""),
            codebase: text("codebase", ""),
            ..NewChange::default()
        };
        self.data.add_change(change).await.unwrap()
    }

    /// Stores a change and waits until all schedulers have looked at it.
    pub async fn change(&self, fields: Json) -> Change {
        let change = self.store_change(fields).await;
        let names = self.names.lock().unwrap().clone();
        for name in names {
            self.looked_at(&name, change.changeid).await;
        }
        change
    }

    pub async fn looked_at(&self, scheduler: &str, change: ChangeId) {
        let class = match scheduler {
            "any" => "AnyBranchScheduler",
            "n" => "Nightly",
            _ => "SingleBranchScheduler",
        };
        let key = StateKey { object: scheduler.into(), class: class.into(), name: "last_change".into() };
        until(async || {
            let cursor = self.data.get_state(&key).await.unwrap().and_then(|cursor| cursor.as_i64());
            cursor.is_some_and(|cursor| cursor >= change).then_some(())
        })
        .await;
    }

    /// Waits until a scheduler says that it acts so many seconds after the start of the clock.
    pub async fn waits_for(&self, scheduler: &str, seconds: i64) {
        let query = format!("name={scheduler}");
        until(async || {
            let rows = self.list("schedules", &query).await;
            (rows[0]["next_at"] == 1_700_000_000 + seconds).then_some(())
        })
        .await;
    }

    /// Triggers a scheduler for the codebase without a name; `fields` are those of the source stamp.
    pub async fn trigger(&self, scheduler: &str, fields: Json) -> Triggered {
        let order = TriggerOrder {
            sourcestamps: vec![serde_json::from_value(fields).unwrap()],
            parent_buildid: Some(5),
            parent_relationship: Some("from".into()),
            ..TriggerOrder::default()
        };
        self.schedulers.trigger(scheduler, order).await.unwrap()
    }

    pub async fn complete(&self, triggered: &Triggered, results: i64) {
        let ids: Vec<_> = triggered.requests.values().copied().collect();
        let results = Results::from_code(results).unwrap();
        assert!(self.data.claim(&ids).await.unwrap());
        self.data.complete_requests(&ids, results).await.unwrap().await.unwrap();
    }

    /// Waits until the Dependent `dep` has stored that it has seen a buildset of its upstream, and waits for it or not.
    pub async fn dependent_has_seen(&self, bsid: BuildsetId, waits: bool) {
        until(async || {
            let seen = self.dependent_state("dep", "seen_bsids").await;
            let waiting = self.dependent_state("dep", "upstream_bsids").await;
            let among = |list: &Json| list.as_array().is_some_and(|all| all.contains(&json!(bsid)));
            let covered = seen["upto"].as_i64() >= Some(bsid) || among(&seen["also"]);
            (covered && among(&waiting) == waits).then_some(())
        })
        .await;
    }

    /// Asks again and again until there is an answer, within bounds.
    pub async fn until<T>(&self, ask: impl AsyncFnMut() -> Option<T>) -> T {
        until(ask).await
    }

    /// All buildsets, oldest first.
    pub async fn buildsets(&self) -> Vec<Json> {
        self.list("buildsets", "order=bsid").await
    }

    /// Waits for one more buildset than the last call saw.
    pub async fn next_buildset(&self) -> Json {
        let seen = *self.seen.lock().unwrap();
        let set = until(async || self.buildsets().await.get(seen).cloned()).await;
        *self.seen.lock().unwrap() += 1;
        set
    }

    pub async fn list(&self, path: &str, query: &str) -> Vec<Json> {
        match self.data.get(path, query).await.unwrap() {
            Answer::List { items, .. } => items,
            other => panic!("{other:?}"),
        }
    }

    pub async fn properties(&self, set: &Json) -> Json {
        let all = self.data.buildset_properties(set["bsid"].as_i64().unwrap()).await.unwrap();
        serde_json::to_value(all).unwrap()
    }

    pub async fn requests_of(&self, set: &Json) -> Vec<Json> {
        self.list("buildrequests", &format!("buildsetid={}&order=builderid", set["bsid"])).await
    }

    /// Names of the builders of its requests.
    pub async fn requests(&self, set: &Json) -> Vec<String> {
        let name = |id: &Json| self.builders.iter().find(|(_, b)| json!(b) == *id).unwrap().0.clone();
        let mut names: Vec<_> = self.requests_of(set).await.iter().map(|r| name(&r["builderid"])).collect();
        names.sort();
        names
    }

    pub async fn priority(&self, set: &Json) -> i64 {
        self.requests_of(set).await[0]["priority"].as_i64().unwrap()
    }

    pub async fn scheduler_id(&self, name: &str) -> i64 {
        let all = self.list("schedulers", "").await;
        all.iter().find(|row| row["name"] == name).unwrap()["schedulerid"].as_i64().unwrap()
    }

    /// Changes that a scheduler has classified and not built.
    pub async fn classified(&self, name: &str) -> Vec<ChangeId> {
        let id = self.scheduler_id(name).await;
        let mut ids: Vec<_> =
            self.data.classified_changes(id).await.unwrap().into_iter().map(|c| c.changeid).collect();
        ids.sort_unstable();
        ids
    }

    pub async fn control(&self, path: &str, action: &str, params: Json) -> Result<Json, ControlError> {
        self.data.control(path, action, params).await
    }
}

async fn open(home: &tempfile::TempDir, clock: &Arc<HandClock>) -> Data {
    let options = OpenOptions {
        url: "sqlite:///state.sqlite".into(),
        basedir: home.path().into(),
        master_name: "host:/base".into(),
        clock: clock.clone(),
    };
    Data::open(options).await.unwrap()
}

/// Asks again and again until there is an answer, within bounds.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Std::from_millis(2)).await;
        }
    };
    tokio::time::timeout(BOUND, asking).await.expect("it did not happen")
}

static IDS: AtomicU64 = AtomicU64::new(1);

fn fresh() -> u64 {
    IDS.fetch_add(1, Ordering::SeqCst)
}

pub fn object(kind: &str, args: Json) -> Json {
    json!({"$kind": kind, "$id": fresh(), "$at": "master.lua:1", "$args": args})
}

pub fn function(what: &str) -> Json {
    let inner =
        CallbackRef { id: fresh(), generation: 1, fingerprint: what.into(), at: "master.lua:1".into() };
    serde_json::to_value(Callback::new(inner)).unwrap()
}

pub fn property(key: &str) -> Json {
    object("util.Property", json!({"key": key}))
}

pub fn interpolate(format: &str) -> Json {
    object("util.Interpolate", json!({"fmtstring": format}))
}

pub fn renderer(what: &str) -> Json {
    object("util.renderer", json!({"fn": function(what)}))
}

fn declared(kind: &str, base: Json, options: Json) -> AnyObject {
    let mut args = base;
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    AnyObject::from_json(&object(kind, args)).unwrap()
}

/// A SingleBranchScheduler `s`; of the branch main, unless it has a filter or several codebases.
pub fn single(options: Json) -> AnyObject {
    let mut base = json!({"name": "s", "builderNames": ["b1"]});
    if options.get("codebases").is_some() && options.get("change_filter").is_none() {
        base["change_filter"] = object("util.ChangeFilter", json!({}));
    } else if options.get("change_filter").is_none() {
        base["branch"] = "main".into();
    }
    declared("schedulers.SingleBranchScheduler", base, options)
}

/// An AnyBranchScheduler `any`.
pub fn any(options: Json) -> AnyObject {
    declared("schedulers.AnyBranchScheduler", json!({"name": "any", "builderNames": ["b1"]}), options)
}

/// A scheduler of some class for the builder `b1`.
pub fn timed(class: &str, name: &str, base: Json, options: Json) -> AnyObject {
    let mut all = json!({"name": name, "builderNames": ["b1"]});
    all.as_object_mut().unwrap().extend(base.as_object().unwrap().clone());
    declared(&format!("schedulers.{class}"), all, options)
}

/// A Triggerable of the builder `b1`.
pub fn triggerable(options: Json) -> AnyObject {
    declared("schedulers.Triggerable", json!({"builderNames": ["b1"]}), options)
}

/// A ForceScheduler `force` of the builder `b1`.
pub fn force(options: Json) -> AnyObject {
    declared("schedulers.ForceScheduler", json!({"name": "force", "builderNames": ["b1"]}), options)
}

/// The same declaration on another line of a new generation.
pub fn moved(object: AnyObject) -> AnyObject {
    AnyObject { id: fresh(), at: "master.lua:99".into(), ..object }
}
