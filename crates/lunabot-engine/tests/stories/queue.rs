//! Which request is built where and when, and what people do about it (reference 07, 08.008, 08.009).

use crate::support::{Master, Setup, builder, step};
use lunabot_data::ControlError;
use lunabot_model::Properties;
use lunabot_model::config::Collapse;
use serde_json::json;
use std::sync::atomic::Ordering;

fn one(command: &str) -> Setup {
    Setup::new(&["w"]).builder(builder("b", &["w"], vec![step(command)]))
}

fn keep_all(setup: Setup) -> Setup {
    setup.with(|config| config.collapse_requests = Some(Collapse::Switch(false)))
}

#[tokio::test]
async fn row_07_009_a_request_waits_for_a_worker_and_starts_when_one_comes() {
    let mut master = Master::start(one("true")).await;
    let request = master.request("b").await;
    master.until("known", |status| status.requests_pending == 1).await;
    master.worker("w").await;
    assert_eq!(master.finished(request).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_07_024_a_cancelled_request_never_starts() {
    let mut master = Master::start(one("true")).await;
    let request = master.request("b").await;
    master.control(&format!("buildrequests/{request}"), "cancel").await;
    let event = master.wait("buildrequests/*/cancel").await;
    assert_eq!((&event["results"], &event["claimed"]), (&json!(6), &json!(true)));
    master.worker("w").await;
    let other = master.request("b").await;
    master.finished(other).await;
    assert_eq!(master.list("builds", "").await.len(), 1);
    let missing = master.data.control("buildrequests/99", "cancel", json!({})).await;
    assert!(missing.is_err());
    let unknown = master.data.control(&format!("buildrequests/{other}"), "explode", json!({})).await;
    assert_eq!(unknown, Err(ControlError::Unsupported("explode".into())));
    master.stop().await;
}

#[tokio::test]
async fn row_07_013_priority_beats_age_and_max_builds_makes_builders_share() {
    let setup = Setup::default()
        .worker(json!({"name": "w", "max_builds": 1}))
        .builder(builder("first", &["w"], vec![step("hold a")]))
        .builder(builder("second", &["w"], vec![step("hold b")]));
    let mut master = Master::start(setup).await;
    let older = master.request("first").await;
    let urgent = master.request_with("second", 9, Properties::new()).await;
    master.until("known", |status| status.requests_pending == 2).await;
    let worker = master.worker("w").await;
    let held = worker.held("b").await;
    assert_eq!(worker.words(), ["hold b"], "one at a time");
    held.end(0).await;
    master.finished(urgent).await;
    worker.held("a").await.end(0).await;
    master.finished(older).await;
    master.stop().await;
}

#[tokio::test]
async fn row_07_020_two_requests_on_two_workers_run_together_and_on_one_in_turn() {
    let setup = keep_all(Setup::new(&["w", "v"]).builder(builder("b", &["w", "v"], vec![step("hold a")])));
    let mut master = Master::start(setup).await;
    let worker = master.worker("w").await;
    let (first, second) = (master.request("b").await, master.request("b").await);
    let held = worker.held("a").await;
    master.until("one", |status| status.builds_running == 1 && status.requests_pending == 1).await;
    let other = master.worker("v").await;
    other.held("a").await.end(0).await;
    assert_eq!(master.finished(second).await["results"], 0);
    held.end(0).await;
    assert_eq!(master.finished(first).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_08_008_a_paused_worker_takes_nothing_until_unpaused_also_after_a_restart() {
    let mut master = Master::start(one("true")).await;
    master.worker("w").await;
    master.control("workers/1", "pause").await;
    let request = master.request("b").await;
    master.until("known", |status| status.requests_pending == 1).await;
    let row = master.one("workers/1").await;
    assert_eq!((&row["paused"], &row["pause_reason"]), (&json!(true), &json!("no more")));
    let (dir, clock) = (master.dir.clone(), master.clock.clone());
    master.stop().await;
    master = Master::start_in(dir, clock, one("true")).await;
    master.worker("w").await;
    master.until("known", |status| status.requests_pending == 1).await;
    master.control("workers/1", "unpause").await;
    assert_eq!(master.finished(request).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_08_009_a_worker_asked_to_stop_ends_its_build_first() {
    let mut master = Master::start(keep_all(one("hold a"))).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    let held = worker.held("a").await;
    master.control("workers/1", "stop").await;
    let later = master.request("b").await;
    assert!(!worker.shut_down.load(Ordering::SeqCst));
    held.end(0).await;
    assert_eq!(master.finished(request).await["results"], 0);
    while !worker.shut_down.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    master.until("idle", |status| status.builds_running == 0 && status.requests_pending == 1).await;
    master.detach("w", &worker).await;
    let again = master.worker("w").await;
    again.held("a").await.end(0).await;
    assert_eq!(master.finished(later).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_07_006_an_older_request_for_the_same_sources_is_collapsed() {
    let mut master = Master::start(one("true")).await;
    let (old, new) = (master.request("b").await, master.request("b").await);
    let row = master.one(&format!("buildrequests/{old}")).await;
    assert_eq!((&row["results"], &row["complete"]), (&json!(3), &json!(true)));
    master.worker("w").await;
    assert_eq!(master.finished(new).await["results"], 0);
    assert_eq!(master.list("builds", "").await.len(), 1);
    master.stop().await;
}

#[tokio::test]
async fn row_07_027_a_rebuild_asks_for_the_same_again() {
    let mut master = Master::start(one("true")).await;
    master.worker("w").await;
    let mut asked = Properties::new();
    asked.set("x", 1, "Force Build Form");
    let request = master.request_with("b", 0, asked).await;
    let build = master.finished(request).await;
    let answer = master.control(&format!("builds/{}", build["buildid"]), "rebuild").await;
    let again = answer[1][build["builderid"].to_string()].as_i64().unwrap();
    let rebuilt = master.finished(again).await;
    assert_eq!(master.property(&rebuilt, "x").await.unwrap().0, 1);
    let set = master.one(&format!("buildsets/{}", answer[0])).await;
    assert_eq!((&set["reason"], &set["rebuilt_buildid"]), (&json!("rebuild"), &build["buildid"]));
    master.stop().await;
}

#[tokio::test]
async fn row_07_026_a_new_priority_changes_the_order() {
    let mut master = Master::start(keep_all(one("print x"))).await;
    let (first, second) = (master.request("b").await, master.request("b").await);
    let path = format!("buildrequests/{second}");
    master.data.control(&path, "set_priority", json!({"priority": 5})).await.unwrap();
    assert!(master.data.control(&path, "set_priority", json!({})).await.is_err());
    master.worker("w").await;
    let build = master.wait("builds/*/finished").await;
    assert_eq!(build["buildrequestid"], second);
    master.finished(first).await;
    master.stop().await;
}

#[tokio::test]
async fn a_running_build_keeps_its_configuration_and_the_next_uses_the_new_one() {
    let mut master = Master::start(keep_all(one("hold a"))).await;
    let worker = master.worker("w").await;
    let first = master.request("b").await;
    let held = worker.held("a").await;
    let second = master.request("b").await;
    let changed = Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("print new")])).builder(builder(
        "c",
        &["w"],
        vec![step("true")],
    ));
    master.apply(keep_all(changed)).await;
    held.end(0).await;
    let build = master.finished(first).await;
    assert_eq!(master.steps(&build).await[1].2, "'hold a'");
    let build = master.finished(second).await;
    assert_eq!(master.steps(&build).await[1].2, "'print new'");
    let names: Vec<String> = worker.builders.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(master.engine.status().await.generation, 2);
    master.stop().await;
}

#[tokio::test]
async fn row_07_028_requests_of_removed_builders_wait_and_row_08_013_removed_workers_are_dropped() {
    let mut master = Master::start(one("true")).await;
    let worker = master.worker("w").await;
    let builder_id = master.builder_id("b").await;
    master.apply(Setup::new(&[])).await;
    while !worker.disconnected.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    master.detach("w", &worker).await;
    let new = lunabot_data::new::NewBuildset { builderids: vec![builder_id], ..Default::default() };
    let request = master.data.add_buildset(new).await.unwrap().1[&builder_id];
    master.until("known", |status| status.requests_pending == 1).await;
    master.apply(one("true")).await;
    master.worker("w").await;
    assert_eq!(master.finished(request).await["results"], 0);
    master.stop().await;
}
