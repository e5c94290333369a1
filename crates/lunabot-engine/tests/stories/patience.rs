//! Requests that do not wait for ever (`requestTimeout`, `ignoreOfflineWorkersTimeout`).

use crate::support::config::builder_with;
use crate::support::{Master, Setup, step};
use lunabot_data::new::{NewBuildset, Patience};
use lunabot_model::config::Collapse;
use lunabot_model::{BuildRequestId, Json};
use serde_json::json;
use std::time::Duration;

fn setup(options: Json) -> Setup {
    let mut all = json!({"name": "b", "workernames": ["w", "v"]});
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let setup = Setup::new(&["w", "v"]).builder(builder_with(all, vec![step("hold a")]));
    setup.with(|config| config.collapse_requests = Some(Collapse::Switch(false)))
}

async fn request(master: &Master, request: Option<i64>, offline_workers: Option<i64>) -> BuildRequestId {
    let id = master.builder_id("b").await;
    let patience = Patience { request, offline_workers };
    let new = NewBuildset { builderids: vec![id], patience, ..NewBuildset::default() };
    let request = master.data.add_buildset(new).await.unwrap().1[&id];
    // The engine knows it once it answers after the announcement.
    master.engine.status().await;
    request
}

fn pass(master: &Master, seconds: u64) {
    master.clock.advance(Duration::from_secs(seconds));
}

/// Result and reason once a request has ended without a build.
async fn end(master: &mut Master, request: BuildRequestId) -> (Json, String) {
    let row = master.wait_for("buildrequests/*/cancel", |row| row["buildrequestid"] == request).await;
    let shown = master.list("buildrequests", &format!("buildrequestid={request}&property=*")).await;
    let why = shown[0]["properties"]["cancel_reason"][0].as_str().unwrap().to_string();
    (row["results"].clone(), why)
}

async fn waits(master: &Master, request: BuildRequestId) -> bool {
    master.engine.status().await;
    master.one(&format!("buildrequests/{request}")).await["complete"] == false
}

#[tokio::test]
async fn a_request_expires_when_it_has_not_started_by_then() {
    let mut master = Master::start(setup(json!({}))).await;
    let worker = master.worker("w").await;
    let started = request(&master, Some(100), None).await;
    let held = worker.held("a").await;
    let waiting = request(&master, Some(100), None).await;
    let patient = request(&master, None, None).await;
    pass(&master, 99);
    assert!(waits(&master, waiting).await);
    pass(&master, 1);
    let (results, why) = end(&mut master, waiting).await;
    assert!(results == 6 && why.contains("requestTimeout"), "{results} {why}");
    held.end(0).await;
    assert_eq!(master.finished(started).await["results"], 0, "what runs is left alone");
    worker.held("a").await.end(0).await;
    assert_eq!(master.finished(patient).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn a_request_expires_after_a_restart_too() {
    let master = Master::start(setup(json!({}))).await;
    let id = request(&master, Some(100), None).await;
    let (dir, clock) = (master.dir.clone(), master.clock.clone());
    master.stop().await;
    let mut master = Master::start_in(dir, clock, setup(json!({}))).await;
    master.until("known", |status| status.requests_pending == 1).await;
    pass(&master, 100);
    assert_eq!(end(&mut master, id).await.0, 6);
    master.stop().await;
}

#[tokio::test]
async fn requests_are_skipped_when_no_worker_was_connected_for_so_long() {
    let mut master = Master::start(setup(json!({"ignoreOfflineWorkersTimeout": 600}))).await;
    let worker = master.worker("w").await;
    pass(&master, 1000);
    let running = request(&master, None, None).await;
    let held = worker.held("a").await;
    let busy = request(&master, None, None).await;
    pass(&master, 1000);
    assert!(waits(&master, busy).await, "its worker is only busy");
    held.end(0).await;
    master.finished(running).await;
    let _ = worker.held("a").await;
    master.detach("w", &worker).await;
    assert_eq!(master.finished(busy).await["results"], 5);
    master.until("back", |status| status.requests_pending == 1).await;
    pass(&master, 599);
    assert!(waits(&master, busy).await);
    let other = master.worker("v").await;
    other.held("a").await.end(0).await;
    assert_eq!(master.finished(busy).await["results"], 0, "another worker came in time");
    master.detach("v", &other).await;
    pass(&master, 5000);
    let late = request(&master, None, None).await;
    pass(&master, 599);
    assert!(waits(&master, late).await, "it has the whole time itself");
    pass(&master, 1);
    let (results, why) = end(&mut master, late).await;
    assert!(results == 3 && why.contains("600 s"), "{results} {why}");
    let set = master.list("buildsets", "order=-bsid&limit=1").await;
    assert_eq!((&set[0]["complete"], &set[0]["results"]), (&json!(true), &json!(0)));
    master.stop().await;
}

#[tokio::test]
async fn how_long_workers_are_away_outlives_a_restart_and_the_shorter_time_counts() {
    let options = || setup(json!({"ignoreOfflineWorkersTimeout": "1h"}));
    let master = Master::start(options()).await;
    pass(&master, 100);
    let (own, of_builder) = (request(&master, None, Some(200)).await, request(&master, None, None).await);
    pass(&master, 150);
    let (dir, clock) = (master.dir.clone(), master.clock.clone());
    master.stop().await;
    let mut master = Master::start_in(dir, clock, options()).await;
    master.until("known", |status| status.requests_pending == 2).await;
    pass(&master, 59);
    assert!(waits(&master, own).await, "workers have a minute to come back");
    pass(&master, 1);
    assert_eq!(end(&mut master, own).await.0, 3);
    pass(&master, 3600 - 210 - 1);
    assert!(waits(&master, of_builder).await);
    pass(&master, 1);
    assert_eq!(end(&mut master, of_builder).await.0, 3, "counted from before the restart");
    master.stop().await;
}

#[tokio::test]
async fn a_reload_may_shorten_and_lift_the_time() {
    let mut master = Master::start(setup(json!({}))).await;
    let id = request(&master, None, None).await;
    pass(&master, 1000);
    assert!(waits(&master, id).await);
    master.apply(setup(json!({"ignoreOfflineWorkersTimeout": 1500}))).await;
    pass(&master, 400);
    master.apply(setup(json!({}))).await;
    pass(&master, 1000);
    assert!(waits(&master, id).await, "lifted in time");
    master.apply(setup(json!({"ignoreOfflineWorkersTimeout": 1500}))).await;
    assert_eq!(end(&mut master, id).await.0, 3);
    master.stop().await;
}
