//! Cancelling and stopping at every moment, and the end of the master (reference 07.024, 07.025, 07.029, 05.013).

use crate::support::config::builder_with;
use crate::support::host::callback;
use crate::support::worker::Held;
use crate::support::{Master, Setup, TestWorker, builder, step};
use lunabot_data::new::NewBuildset;
use lunabot_data::{Happening, Interest, Wish};
use lunabot_engine::Stop;
use lunabot_model::config::Collapse;
use lunabot_model::{BuildRequestId, Json};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

fn holding() -> Setup {
    let all = Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("hold a"), step("true")]));
    all.with(|config| config.collapse_requests = Some(Collapse::Switch(false)))
}

async fn cancel(master: &Master, request: BuildRequestId) {
    master.control(&format!("buildrequests/{request}"), "cancel").await;
}

/// Waits for the end of a request; its row.
async fn ended(master: &Master, request: BuildRequestId) -> Json {
    let path = format!("buildrequests/{request}");
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            let row = master.one(&path).await;
            if row["complete"] == true {
                return row;
            }
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("request {request} never ends"))
}

#[tokio::test]
async fn row_07_024_cancelled_while_its_function_is_asked() {
    let options = json!({"name": "b", "workernames": ["w"], "canStartBuild": callback(1)});
    let mut master =
        Master::start(Setup::new(&["w"]).builder(builder_with(options, vec![step("true")]))).await;
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (asked.clone(), go.clone());
    master.host.set_waiting(1, move |_| {
        let (tell, wait) = (tell.clone(), wait.clone());
        Box::pin(async move {
            tell.notify_one();
            wait.notified().await;
            Ok(json!(true))
        })
    });
    master.worker("w").await;
    let request = master.request("b").await;
    asked.notified().await;
    cancel(&master, request).await;
    go.notify_one();
    assert_eq!(ended(&master, request).await["results"], 6);
    let next = master.request("b").await;
    asked.notified().await;
    go.notify_one();
    assert_eq!(master.finished(next).await["results"], 0);
    assert_eq!(master.list("builds", "").await.len(), 1);
    let why = master.list("buildrequests", &format!("buildrequestid={request}&property=*")).await;
    assert_eq!(why[0]["properties"]["cancel_reason"][0], "no more", "it is told why");
    master.stop().await;
}

/// Cancels a request, or stops its build, while the worker does not answer at this point of the preparation.
async fn while_preparing(point: &'static str, reached: &str, what: &str) {
    let mut master = Master::start(holding()).await;
    let worker = TestWorker::new();
    worker.be_silent_at(Some(point));
    master.attach("w", &worker).await;
    let request = master.request("b").await;
    let state = reached.to_string();
    let row = master.wait_for("builds/*/update", move |build| build["state_string"] == *state).await;
    if point == "start" {
        master.wait_for("steps/*/finished", |step| step["name"] == "worker_preparation").await;
    }
    let path = if what == "stop" {
        format!("builds/{}", row["buildid"])
    } else {
        format!("buildrequests/{request}")
    };
    master.control(&path, what).await;
    let build = master.finished(request).await;
    assert_eq!((&build["results"], &build["state_string"]), (&json!(6), &json!("cancelled (no more)")));
    assert_eq!(ended(&master, request).await["results"], 6);
    assert_eq!(master.steps(&build).await.len(), 1, "no step has run");
    worker.be_silent_at(None);
    let next = master.request("b").await;
    worker.held("a").await.end(0).await;
    assert_eq!(master.finished(next).await["results"], 0, "the worker is not in quarantine");
    master.stop().await;
}

#[tokio::test]
async fn row_07_024_cancelled_while_the_worker_is_pinged_or_told() {
    for (point, reached) in [("ping", "pinging worker"), ("start", "pinging worker")] {
        for what in ["cancel", "stop"] {
            while_preparing(point, reached, what).await;
        }
    }
}

#[tokio::test]
async fn row_07_024_cancelling_ends_a_running_build_and_changes_nothing_that_is_over() {
    let mut master = Master::start(holding()).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    let _ = worker.held("a").await;
    cancel(&master, request).await;
    let build = master.finished(request).await;
    assert_eq!((&build["results"], &build["number"]), (&json!(6), &json!(1)));
    let next = master.request("b").await;
    worker.held("a").await.end(0).await;
    let build = master.finished(next).await;
    cancel(&master, next).await;
    master.control(&format!("builds/{}", build["buildid"]), "stop").await;
    assert_eq!(ended(&master, next).await["results"], 0);
    assert_eq!(master.one(&format!("builds/{}", build["buildid"])).await["results"], 0);
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn row_07_024_cancelled_at_any_moment_a_request_ends_cancelled() {
    let master = Master::start(holding()).await;
    let _worker = master.worker("w").await;
    for moment in 0..60 {
        let request = master.request("b").await;
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        cancel(&master, request).await;
        assert_eq!(ended(&master, request).await["results"], 6, "after {moment} turns");
    }
    master.until("idle", |status| status.builds_running == 0 && status.requests_pending == 0).await;
    for build in master.list("builds", "limit=100").await {
        assert_eq!((&build["complete"], &build["results"]), (&json!(true), &json!(6)));
    }
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn row_07_025_what_is_cancelled_is_not_built_again_though_its_worker_goes_at_any_moment() {
    let master = Master::start(holding()).await;
    let wish = Wish { happenings: vec![Happening::RequestCancelled], builders: None, tags: None };
    let all = Interest { reporter: "all".into(), wants: vec![wish], wake: Arc::default() };
    master.data.set_reporting(vec![all]).await.unwrap();
    for moment in 0..40 {
        let worker = master.worker("w").await;
        let request = master.request("b").await;
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        let gone = master.detach("w", &worker);
        let cancelled = cancel(&master, request);
        tokio::join!(gone, cancelled);
        assert_eq!(ended(&master, request).await["results"], 6, "after {moment} turns");
    }
    master.worker("w").await;
    master.until("idle", |status| status.builds_running == 0 && status.requests_pending == 0).await;
    assert!(master.list("buildrequests", "complete=false").await.is_empty());
    // Where no build ended with it, it is reported (11.015), whoever had it then.
    let told = master.data.outbox("all", 100).await.unwrap();
    for request in 1..=40 {
        let told = told.iter().any(|due| due.topic == format!("buildrequests/{request}/cancel"));
        let built = master.list("builds", &format!("buildrequestid={request}&results=6")).await;
        assert_eq!(told, built.is_empty(), "request {request}");
    }
    master.stop().await;
}

#[tokio::test]
async fn row_07_025_a_request_that_came_back_can_be_cancelled() {
    let mut master = Master::start(holding()).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    let _ = worker.held("a").await;
    master.detach("w", &worker).await;
    assert_eq!(master.finished(request).await["results"], 5);
    cancel(&master, request).await;
    assert_eq!(ended(&master, request).await["results"], 6);
    let worker = master.worker("w").await;
    let next = master.request("b").await;
    worker.held("a").await.end(0).await;
    assert_eq!(master.finished(next).await["number"], 2);
    master.stop().await;
}

/// A parent that holds, with a child that it waits for, and what nobody waits for.
async fn family(master: &Master, worker: &TestWorker) -> (Held, Json, BuildRequestId, BuildRequestId) {
    let parent = master.request("b").await;
    let held = worker.held("a").await;
    let build = master.list("builds", &format!("buildrequestid={parent}")).await.remove(0);
    let child = master.builder_id("child").await;
    let new = NewBuildset {
        builderids: vec![child],
        waited_for: true,
        parent_buildid: build["buildid"].as_i64(),
        ..NewBuildset::default()
    };
    let stranger = NewBuildset { builderids: vec![child], ..NewBuildset::default() };
    let id = child;
    let child = master.data.add_buildset(new).await.unwrap().1[&id];
    let stranger = master.data.add_buildset(stranger).await.unwrap().1[&id];
    (held, build, child, stranger)
}

fn with_children() -> Setup {
    holding().builder(builder("child", &["v"], vec![step("hold c")])).worker(json!({"name": "v"}))
}

#[tokio::test]
async fn row_07_029_a_soft_stop_still_builds_what_running_builds_wait_for() {
    let mut master = Master::start(with_children()).await;
    let worker = master.worker("w").await;
    let (parent, build, child, stranger) = family(&master, &worker).await;
    let engine = master.engine.clone();
    let stop = tokio::spawn(async move { engine.stop(Stop::Soft).await });
    master.until("stopping", |status| status.stopping).await;
    let other = master.worker("v").await;
    other.held("c").await.end(0).await;
    assert_eq!(master.finished(child).await["results"], 0);
    assert!(!stop.is_finished(), "the parent still runs");
    let new = NewBuildset {
        builderids: vec![master.builder_id("child").await],
        waited_for: true,
        parent_buildid: build["buildid"].as_i64(),
        ..NewBuildset::default()
    };
    master.data.add_buildset(new).await.unwrap();
    other.held("c").await.end(0).await;
    parent.end(0).await;
    stop.await.unwrap();
    let row = master.one(&format!("buildrequests/{stranger}")).await;
    assert_eq!((&row["claimed"], &row["complete"]), (&json!(false), &json!(false)), "nobody waits for it");
    master.data.close().await.unwrap();
}

#[tokio::test]
async fn row_07_029_a_quick_stop_retries_builds_but_those_that_others_wait_for() {
    let master = Master::start(with_children()).await;
    let worker = master.worker("w").await;
    let (_held, build, child, _) = family(&master, &worker).await;
    let other = master.worker("v").await;
    let _ = other.held("c").await;
    let running = master.list("builds", "complete=false&order=buildid").await;
    assert_eq!(running[1]["buildrequestid"], child);
    master.engine.stop(Stop::Fast).await;
    let results = |id: Json| {
        let path = format!("builds/{id}");
        let master = &master;
        async move { master.one(&path).await["results"].clone() }
    };
    assert_eq!(results(build["buildid"].clone()).await, 5);
    assert_eq!(
        results(running[1]["buildid"].clone()).await,
        6,
        "its parent is tried again, with a new child"
    );
    master.data.close().await.unwrap();
}
