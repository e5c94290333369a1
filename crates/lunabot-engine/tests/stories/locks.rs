//! Locks on workers, builders and steps (reference 05.055–05.064).

use crate::support::config::{builder_with, object, property, step_with};
use crate::support::host::callback;
use crate::support::{Master, Setup, TestWorker, builder, step};
use lunabot_model::config::Collapse;
use lunabot_model::explanation::RequestState;
use lunabot_model::{Arg, Json, Properties};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn lock(name: &str, max: u32) -> Json {
    serde_json::to_value(object("util.MasterLock", json!({"name": name, "maxCount": max}))).unwrap()
}

fn worker_lock(name: &str, max: u32) -> Json {
    serde_json::to_value(object("util.WorkerLock", json!({"name": name, "maxCount": max}))).unwrap()
}

fn access(lock: &Json, mode: &str, count: u32) -> Json {
    serde_json::to_value(object("util.LockAccess", json!({"lock": lock, "mode": mode, "count": count})))
        .unwrap()
}

/// A builder whose builds run `hold NAME` with these locks.
fn locked_builder(name: &str, workers: &[&str], locks: Json) -> lunabot_model::config::DeclaredBuilder {
    builder_with(
        json!({"name": name, "workernames": workers, "locks": locks}),
        vec![step(&format!("hold {name}"))],
    )
}

/// A builder with a step `hold NAME` that has these locks.
fn locked_step(name: &str, workers: &[&str], locks: Json) -> lunabot_model::config::DeclaredBuilder {
    builder(name, workers, vec![step_with(&format!("hold {name}"), json!({"locks": locks}))])
}

fn keep_all(setup: Setup) -> Setup {
    setup.with(|config| config.collapse_requests = Some(Collapse::Switch(false)))
}

/// Builders a and b on workers w and v.
fn two(of: fn(&str, &[&str], Json) -> lunabot_model::config::DeclaredBuilder, locks: &Json) -> Setup {
    let builders = Setup::new(&["w", "v"]).builder(of("a", &["w"], locks.clone()));
    keep_all(builders.builder(of("b", &["v"], locks.clone())))
}

async fn both(setup: Setup) -> (Master, Arc<TestWorker>, Arc<TestWorker>) {
    let master = Master::start(setup).await;
    let (w, v) = (master.worker("w").await, master.worker("v").await);
    (master, w, v)
}

/// A step that waits for this lock.
async fn waits(master: &mut Master, names: &str) -> Json {
    let text = format!("waiting for {names}");
    master.wait_for("steps/*/updated", |step| step["state_string"] == text.as_str()).await
}

#[tokio::test]
async fn row_05_055_a_builder_is_not_started_while_another_has_its_lock() {
    let (mut master, w, v) = both(two(locked_builder, &json!([lock("db", 1)]))).await;
    let first = master.request("a").await;
    let held = w.held("a").await;
    let second = master.request("b").await;
    master.until("waits", |s| s.builds_running == 1 && s.requests_pending == 1).await;
    master.clock.advance(Duration::from_secs(7));
    held.end(0).await;
    let build = master.finished(first).await;
    assert_eq!((&build["results"], &build["locks_duration_s"]), (&json!(0), &json!(0)));
    v.held("b").await.end(0).await;
    let later = master.finished(second).await;
    assert!(later["started_at"].as_i64() >= build["complete_at"].as_i64(), "{later} {build}");
    let steps = master.list(&format!("builds/{}/steps", later["buildid"]), "").await;
    let seen: Vec<_> =
        steps.iter().map(|s| (s["number"].as_i64().unwrap(), s["name"].as_str().unwrap())).collect();
    assert_eq!(seen, [(0, "worker_preparation"), (1, "locks_acquire"), (2, "shell")]);
    assert_eq!((&steps[1]["state_string"], &steps[1]["results"]), (&json!("locks acquired"), &json!(0)));
    assert!(steps.iter().all(|step| step["locks_acquired_at"].is_i64()), "{steps:?}");
    master.stop().await;
}

#[tokio::test]
async fn row_05_055_two_builders_asked_at_once_for_one_lock_run_in_turn() {
    let (mut master, w, v) = both(two(locked_builder, &lock("db", 1))).await;
    let requests = [master.request("a").await, master.request("b").await];
    w.held("a").await.end(0).await;
    v.held("b").await.end(0).await;
    master.all_finished(&requests).await;
    let mut builds = master.list("builds", "order=buildid").await;
    let second = builds.remove(1);
    assert!(second["started_at"].as_i64() >= builds[0]["complete_at"].as_i64());
    master.stop().await;
}

#[tokio::test]
async fn row_05_056_a_worker_lock_lets_other_workers_build() {
    let locks = json!([worker_lock("cpu", 1)]);
    let setup = Setup::new(&["w", "v"])
        .builder(locked_builder("a", &["w"], locks.clone()))
        .builder(locked_builder("b", &["w"], locks.clone()))
        .builder(locked_builder("c", &["v"], locks));
    let (mut master, w, v) = both(keep_all(setup)).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let (b, c) = (master.request("b").await, master.request("c").await);
    v.held("c").await.end(0).await;
    master.finished(c).await;
    master.until("b waits", |s| s.builds_running == 1 && s.requests_pending == 1).await;
    held.end(0).await;
    master.finished(a).await;
    w.held("b").await.end(0).await;
    master.finished(b).await;
    master.stop().await;
}

#[tokio::test]
async fn row_05_061_a_workers_own_locks_keep_its_builds_apart() {
    let locks = json!([lock("room", 1)]);
    let setup = Setup::default()
        .worker(json!({"name": "w", "locks": locks}))
        .worker(json!({"name": "v", "locks": locks}))
        .builder(builder("a", &["w"], vec![step("hold a")]))
        .builder(builder("b", &["v"], vec![step("hold b")]));
    let (mut master, w, v) = both(keep_all(setup)).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    master.until("b waits", |s| s.builds_running == 1 && s.requests_pending == 1).await;
    held.end(0).await;
    master.finished(a).await;
    v.held("b").await.end(0).await;
    assert_eq!(master.finished(b).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_05_061_a_step_waits_for_its_lock_and_says_for_which() {
    let (mut master, w, v) = both(two(locked_step, &json!([lock("db", 1)]))).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    let waiting = waits(&mut master, "lock \"db\"").await;
    assert_eq!((&waiting["locks_acquired_at"], &waiting["complete"]), (&json!(null), &json!(false)));
    master.clock.advance(Duration::from_secs(5));
    held.end(0).await;
    master.finished(a).await;
    v.held("b").await.end(0).await;
    let build = master.finished(b).await;
    assert_eq!((&build["results"], &build["locks_duration_s"]), (&json!(0), &json!(5)));
    let step = &master.list(&format!("builds/{}/steps", build["buildid"]), "").await[1];
    let waited = step["locks_acquired_at"].as_i64().unwrap() - step["started_at"].as_i64().unwrap();
    assert_eq!((waited, &step["state_string"]), (5, &json!("'hold b'")));
    master.stop().await;
}

#[tokio::test]
async fn row_05_061_builds_that_wait_for_one_another_say_so_until_one_is_stopped() {
    let (a, b) = (lock("a", 1), lock("b", 1));
    let crossing = |name: &str, worker: &str, own: &Json, other: &Json| {
        let last = step_with(&format!("hold {name}2"), json!({"name": "last", "locks": [other]}));
        builder_with(
            json!({"name": name, "workernames": [worker], "locks": [own]}),
            vec![step(&format!("hold {name}1")), last],
        )
    };
    let setup =
        Setup::new(&["w", "v"]).builder(crossing("a", "w", &a, &b)).builder(crossing("b", "v", &b, &a));
    let (mut master, w, v) = both(setup).await;
    let (first, second) = (master.request("a").await, master.request("b").await);
    let held = [w.held("a1").await, v.held("b1").await];
    for one in held {
        one.end(0).await;
    }
    let mut left = vec![
        "waiting for lock \"b\", in a circle with builder b on worker v: stop one of the builds",
        "waiting for lock \"a\", in a circle with builder a on worker w: stop one of the builds",
    ];
    while !left.is_empty() {
        let step = master.wait("steps/*/updated").await;
        left.retain(|text| step["state_string"] != *text);
    }
    master.control(&format!("buildrequests/{second}"), "cancel").await;
    assert_eq!(master.finished(second).await["results"], 6);
    w.held("a2").await.end(0).await;
    assert_eq!(master.finished(first).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_05_061_one_lock_on_build_and_step_is_an_exception_of_the_step() {
    let db = lock("db", 5);
    let options = json!({"name": "a", "workernames": ["w"], "locks": [db]});
    let setup =
        Setup::new(&["w"]).builder(builder_with(options, vec![step_with("true", json!({"locks": db}))]));
    let mut master = Master::start(setup).await;
    master.worker("w").await;
    let request = master.request("a").await;
    let build = master.finished(request).await;
    assert_eq!(build["results"], 4);
    let why = master.log(&build, "shell", "err.text").await.unwrap();
    assert!(why.contains("lock \"db\" is one of builder a, held by the build already"), "{why}");
    master.stop().await;
}

#[tokio::test]
async fn row_05_061_what_the_worker_holds_for_the_build_is_not_waited_for() {
    let room = lock("room", 1);
    let setup = Setup::default()
        .worker(json!({"name": "w", "locks": room}))
        .builder(locked_step("a", &["w"], room.clone()))
        .builder(locked_builder("b", &["w"], room));
    let mut master = Master::start(setup).await;
    master.worker("w").await;
    let request = master.request("a").await;
    let build = master.finished(request).await;
    assert_eq!(build["results"], 4);
    let why = master.log(&build, "shell", "err.text").await.unwrap();
    assert!(why.contains("lock \"room\" is held for this build already"), "{why}");
    master.control("workers/1", "unpause").await;
    let request = master.request("b").await;
    let build = master.finished(request).await;
    assert_eq!(build["results"], 4);
    let why = master.log(&build, "locks_acquire", "err.text").await.unwrap();
    assert!(why.contains("lock \"room\" is held for this build already"), "{why}");
    master.stop().await;
}

#[tokio::test]
async fn row_05_057_an_exclusive_access_excludes_counting_ones_and_counts_add_up() {
    let db = lock("db", 2);
    let setup = Setup::new(&["w", "v"])
        .builder(locked_step("a", &["w"], access(&db, "counting", 2)))
        .builder(locked_step("b", &["v"], access(&db, "exclusive", 1)))
        .builder(locked_step("c", &["w"], access(&db, "counting", 0)));
    let (mut master, w, v) = both(setup).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    waits(&mut master, "lock \"db\"").await;
    let c = master.request("c").await;
    w.held("c").await.end(0).await;
    assert_eq!(master.finished(c).await["locks_duration_s"], 0, "0 of a lock is always available");
    held.end(0).await;
    master.finished(a).await;
    v.held("b").await.end(0).await;
    master.finished(b).await;
    master.stop().await;
}

#[tokio::test]
async fn row_05_060_two_locks_are_taken_together_and_nothing_hangs() {
    let (x, y) = (lock("x", 1), lock("y", 1));
    let setup = Setup::new(&["w", "v"])
        .builder(locked_step("a", &["w"], json!([x, y])))
        .builder(locked_step("b", &["v"], json!([y, x])));
    let (mut master, w, v) = both(keep_all(setup)).await;
    let requests = [master.request("a").await, master.request("b").await];
    waits(&mut master, "lock \"y\", lock \"x\"").await;
    w.held("a").await.end(0).await;
    v.held("b").await.end(0).await;
    master.all_finished(&requests).await;
    master.stop().await;
}

#[tokio::test]
async fn row_05_062_locks_may_be_computed_for_each_request() {
    let by_name = |id: u64| callback(id);
    let of_function = json!({"name": "a", "workernames": ["w"], "locks": by_name(1)});
    let renderer = serde_json::to_value(object("util.renderer", json!({"fn": by_name(1)}))).unwrap();
    let setup = Setup::new(&["w", "v"])
        .builder(builder_with(of_function, vec![step("hold a")]))
        .builder(locked_step("b", &["v"], by_name(1)))
        .builder(locked_step("c", &["v"], json!([renderer])));
    let (mut master, w, v) = both(keep_all(setup)).await;
    master.host.set(1, |args| {
        let Some(Arg::Properties(_, all)) = args.first() else { return Err("no properties".into()) };
        Ok(all.get("lock").and_then(Json::as_str).map_or(Json::Null, |name| json!([lock(name, 1)])))
    });
    let with = |name: &str| {
        let mut properties = Properties::new();
        properties.set("lock", name, "test");
        properties
    };
    let x = master.request_with("a", 0, with("x")).await;
    let held = w.held("a").await;
    let also_x = master.request_with("b", 0, with("x")).await;
    waits(&mut master, "lock \"x\"").await;
    let y = master.request_with("c", 0, with("y")).await;
    v.held("c").await.end(0).await;
    assert_eq!(master.finished(y).await["results"], 0);
    held.end(0).await;
    master.finished(x).await;
    let waiting = v.held("b").await;
    let later = master.request_with("a", 0, with("x")).await;
    master.until("not started", |s| s.requests_pending == 1 && s.builds_running == 1).await;
    let free = master.request("a").await;
    let free_one = w.held("a").await;
    waiting.end(0).await;
    master.finished(also_x).await;
    free_one.end(0).await;
    let build = master.finished(free).await;
    assert!(master.steps(&build).await.iter().all(|(name, ..)| name != "locks_acquire"), "it has no locks");
    w.held("a").await.end(0).await;
    assert_eq!(master.finished(later).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_05_062_locks_that_cannot_be_computed_are_told_by_the_build_or_the_step() {
    let options = json!({"name": "a", "workernames": ["w"], "locks": callback(1)});
    let setup = Setup::new(&["w"]).builder(builder_with(options, vec![step("true")])).builder(locked_step(
        "b",
        &["w"],
        property("which"),
    ));
    let mut master = Master::start(setup).await;
    master.host.set(1, |_| Err("boom".into()));
    master.worker("w").await;
    let request = master.request("a").await;
    let build = master.finished(request).await;
    assert_eq!((&build["results"], &build["state_string"]), (&json!(4), &json!("Build.setupBuild failed")));
    let why = master.log(&build, "worker_preparation", "err.text").await.unwrap();
    assert!(why.contains("locks of builder a") && why.contains("boom"), "{why}");
    master.control("workers/1", "unpause").await;
    let mut properties = Properties::new();
    properties.set("which", "db", "test");
    let request = master.request_with("b", 0, properties).await;
    let build = master.finished(request).await;
    let why = master.log(&build, "shell", "err.text").await.unwrap();
    assert!(why.contains("expected a lock, lock:access(…)"), "{why}");
    master.stop().await;
}

#[tokio::test]
async fn row_05_063_counts_change_at_a_reload_for_builds_of_both_configurations() {
    let of = |max| two(locked_step, &json!([lock("db", max)]));
    let (mut master, w, v) = both(of(1)).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    waits(&mut master, "lock \"db\"").await;
    master.apply(of(2)).await;
    let second = v.held("b").await;
    master.apply(of(1)).await;
    held.end(0).await;
    master.finished(a).await;
    let again = master.request("a").await;
    waits(&mut master, "lock \"db\"").await;
    second.end(0).await;
    master.finished(b).await;
    w.held("a").await.end(0).await;
    assert_eq!(master.finished(again).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_05_064_a_released_lock_starts_what_waits_for_it_in_order_of_priority() {
    let db = json!([lock("db", 1)]);
    let setup = ["a", "b", "c"]
        .iter()
        .fold(Setup::new(&["w"]), |setup, name| setup.builder(locked_builder(name, &["w"], db.clone())));
    let mut master = Master::start(keep_all(setup)).await;
    let w = master.worker("w").await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    let urgent = master.request_with("c", 5, Properties::new()).await;
    master.until("both wait", |s| s.requests_pending == 2).await;
    held.end(0).await;
    master.finished(a).await;
    w.held("c").await.end(0).await;
    master.finished(urgent).await;
    w.held("b").await.end(0).await;
    master.finished(b).await;
    master.stop().await;
}

#[tokio::test]
async fn row_05_064_a_lock_that_a_step_releases_starts_the_builder_that_waits_for_it() {
    let db = json!([lock("db", 1)]);
    let setup = Setup::new(&["w", "v"])
        .builder(locked_step("a", &["w"], db.clone()))
        .builder(locked_builder("b", &["v"], db));
    let (mut master, w, v) = both(setup).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    master.until("waits", |s| s.requests_pending == 1 && s.builds_running == 1).await;
    held.end(0).await;
    master.finished(a).await;
    v.held("b").await.end(0).await;
    assert_eq!(master.finished(b).await["results"], 0);
    master.stop().await;
}

/// Builder a holds the lock by a step that began after builder b's build was started for it.
async fn build_that_waits() -> (Master, Arc<TestWorker>, Arc<TestWorker>, [i64; 2]) {
    let db = json!([lock("db", 1)]);
    let setup = Setup::new(&["w", "v"]).builder(locked_step("a", &["w"], db.clone())).builder(builder_with(
        json!({"name": "b", "workernames": ["v"], "locks": db}),
        vec![step("hold b"), step_with("true", json!({"name": "always", "alwaysRun": true}))],
    ));
    let (mut master, w, v) = both(keep_all(setup)).await;
    v.pings_wait.store(true, std::sync::atomic::Ordering::SeqCst);
    let b = master.request("b").await;
    master.wait_for("builds/*/update", |build| build["state_string"] == "pinging worker").await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    v.answer_pings();
    waits(&mut master, "lock \"db\"").await;
    w.keep(held);
    (master, w, v, [a, b])
}

#[tokio::test]
async fn row_05_013_a_build_that_waits_for_its_locks_is_stopped_at_once() {
    let (mut master, w, v, [a, b]) = build_that_waits().await;
    let acquiring = master.list("builds", "state_string=acquiring locks").await;
    assert_eq!(acquiring.len(), 1);
    master.clock.advance(Duration::from_secs(3));
    master.control(&format!("builds/{}", acquiring[0]["buildid"]), "stop").await;
    let build = master.finished(b).await;
    assert_eq!((&build["results"], &build["locks_duration_s"]), (&json!(6), &json!(3)));
    assert_eq!(build["state_string"], "cancelled (no more)");
    let steps = master.steps(&build).await;
    assert_eq!(steps[1], ("locks_acquire".into(), json!(6), "locks not acquired (cancelled)".into()));
    assert_eq!(steps.len(), 2, "no step runs without the build's locks");
    let why = master.log(&build, "locks_acquire", "cancelled while waiting for locks").await.unwrap();
    assert!(why.contains("no more"), "{why}");
    w.kept().end(0).await;
    assert_eq!(master.finished(a).await["results"], 0);
    let again = master.request("b").await;
    v.held("b").await.end(0).await;
    assert_eq!(master.finished(again).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_05_014_a_worker_lost_while_its_build_waits_for_locks_means_retry() {
    let (mut master, w, v, [a, b]) = build_that_waits().await;
    master.detach("v", &v).await;
    let build = master.finished(b).await;
    assert_eq!((&build["results"], &build["state_string"]), (&json!(5), &json!("retry lost connection")));
    w.kept().end(0).await;
    master.finished(a).await;
    let v = master.worker("v").await;
    v.held("b").await.end(0).await;
    assert_eq!(master.finished(b).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_05_061_a_build_that_waits_gets_its_locks_when_they_are_released() {
    let (mut master, w, v, [a, b]) = build_that_waits().await;
    master.clock.advance(Duration::from_secs(4));
    w.kept().end(0).await;
    master.finished(a).await;
    v.held("b").await.end(0).await;
    let build = master.finished(b).await;
    assert_eq!((&build["results"], &build["locks_duration_s"]), (&json!(0), &json!(4)));
    master.stop().await;
}

#[tokio::test]
async fn row_05_027_a_step_that_waits_is_stopped_and_says_so() {
    let (mut master, w, _v) = both(two(locked_step, &json!([lock("db", 1)]))).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    let waiting = waits(&mut master, "lock \"db\"").await;
    master.control(&format!("builds/{}", waiting["buildid"]), "stop").await;
    let build = master.finished(b).await;
    assert_eq!(build["results"], 6);
    assert_eq!(master.steps(&build).await[1].1, 6);
    let why = master.log(&build, "shell", "cancelled while waiting for locks").await.unwrap();
    assert!(why.contains("no more"), "{why}");
    assert!(master.log(&build, "shell", "cancelled").await.is_none());
    held.end(0).await;
    assert_eq!(master.finished(a).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_05_014_lost_workers_give_back_what_their_steps_hold_and_wait_for() {
    let (mut master, w, v) = both(two(locked_step, &json!([lock("db", 1)]))).await;
    let a = master.request("a").await;
    w.held("a").await;
    let b = master.request("b").await;
    waits(&mut master, "lock \"db\"").await;
    master.detach("v", &v).await;
    assert_eq!(master.finished(b).await["results"], 5);
    let v = master.worker("v").await;
    waits(&mut master, "lock \"db\"").await;
    master.detach("w", &w).await;
    v.held("b").await.end(0).await;
    master.all_finished(&[a, b]).await;
    let w = master.worker("w").await;
    w.held("a").await.end(0).await;
    assert_eq!(master.finished(a).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_07_029_a_stopping_master_does_not_wait_for_locks() {
    let (mut master, w, _v) = both(two(locked_step, &json!([lock("db", 1)]))).await;
    let (a, _) = (master.request("a").await, w.held("a").await);
    let b = master.request("b").await;
    waits(&mut master, "lock \"db\"").await;
    let (dir, clock) = (master.dir.clone(), master.clock.clone());
    master.stop().await;
    let again = two(locked_step, &json!([lock("db", 1)]));
    let mut master = Master::start_in(dir, clock, again).await;
    let builds = master.list("builds", "results=5").await;
    assert_eq!(builds.len(), 2, "both are tried again");
    let w = master.worker("w").await;
    w.held("a").await.end(0).await;
    let v = master.worker("v").await;
    v.held("b").await.end(0).await;
    master.all_finished(&[a, b]).await;
    master.stop().await;
}

#[tokio::test]
async fn row_07_029_a_master_that_ends_softly_lets_running_builds_have_their_locks() {
    let (mut master, w, v) = both(two(locked_step, &json!([lock("db", 1)]))).await;
    master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    waits(&mut master, "lock \"db\"").await;
    let engine = master.engine.clone();
    let stopping = tokio::spawn(async move { engine.stop(lunabot_engine::Stop::Soft).await });
    master.until("stopping", |s| s.stopping).await;
    held.end(0).await;
    v.held("b").await.end(0).await;
    assert_eq!(master.finished(b).await["results"], 0);
    stopping.await.unwrap();
    master.stop().await;
}

#[tokio::test]
async fn row_05_019_a_step_that_is_skipped_takes_no_locks() {
    let db = json!([lock("db", 1)]);
    let skipped = step_with("true", json!({"locks": db, "doStepIf": false}));
    let setup = Setup::new(&["w", "v"]).builder(locked_step("a", &["w"], db.clone())).builder(builder(
        "b",
        &["v"],
        vec![skipped],
    ));
    let (mut master, w, _v) = both(setup).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    assert_eq!(master.finished(b).await["results"], 0);
    held.end(0).await;
    master.finished(a).await;
    master.stop().await;
}

#[tokio::test]
async fn what_holds_a_builder_back_is_known_while_it_does() {
    let db = json!([lock("db", 1), worker_lock("cpu", 1)]);
    let (mut master, w, v) = both(two(locked_builder, &db)).await;
    let a = master.request("a").await;
    let held = w.held("a").await;
    let b = master.request("b").await;
    master.until("waits", |s| s.requests_pending == 1 && s.builds_running == 1).await;
    let told = master.data.explain(&[b]).await.unwrap().remove(0);
    assert_eq!(told.summary, "lock \"db\" is held by a #1 on w");
    assert!(
        told.since.is_some() && told.answers.iter().any(|one| one.rule == "lock" && one.blocks),
        "{told:?}"
    );
    held.end(0).await;
    master.finished(a).await;
    let last = v.held("b").await;
    let told = master.data.explain(&[b]).await.unwrap().remove(0);
    assert_eq!((told.state, told.summary.as_str()), (RequestState::Building, "b #1 is running"));
    last.end(0).await;
    master.finished(b).await;
    master.stop().await;
}
