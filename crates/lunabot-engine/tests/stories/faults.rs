//! Stopped builds, lost workers, quarantines, restarts (reference 05.013, 05.014, 07.021–07.029).

use crate::support::config::{object, step_with};
use crate::support::host::callback;
use crate::support::{Master, Setup, TestWorker, builder, step};
use lunabot_engine::Stop;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn holding() -> Setup {
    let steps =
        vec![step("hold a"), step("true"), step_with("true", json!({"name": "always", "alwaysRun": true}))];
    Setup::new(&["w"]).builder(builder("b", &["w"], steps))
}

#[tokio::test]
async fn row_05_013_stop_while_a_command_runs() {
    let mut master = Master::start(holding()).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    worker.held("a").await.print("so far\n").await;
    let build = master.list("builds", "").await.remove(0);
    master.control(&format!("builds/{}", build["buildid"]), "stop").await;
    let build = master.finished(request).await;
    assert_eq!(
        (&build["results"], &build["state_string"]),
        (&json!(6), &json!("cancelled (no more) 'hold a' (cancelled)"))
    );
    let names: Vec<String> = master.steps(&build).await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["worker_preparation", "shell", "always"]);
    assert_eq!(master.log(&build, "shell", "cancelled").await.unwrap(), "no more\n");
    assert!(master.log(&build, "shell", "stdio").await.unwrap().starts_with("oso far\n"));
    assert_eq!(master.one(&format!("buildrequests/{request}")).await["results"], 6);
    master.stop().await;
}

#[tokio::test]
async fn row_05_013_what_a_step_waits_for_before_it_works_is_given_up() {
    let sleeps = serde_json::to_value(object("util.renderer", json!({"fn": callback(1)}))).unwrap();
    for (waits, words) in [
        (json!({"doStepIf": callback(1)}), "true"),
        (json!({"locks": sleeps.clone()}), "true"),
        (json!({"description": sleeps}), "true"),
    ] {
        let always = step_with("true", json!({"name": "always", "alwaysRun": true}));
        let setup =
            Setup::new(&["w"]).builder(builder("b", &["w"], vec![step_with(words, waits.clone()), always]));
        let mut master = Master::start(setup).await;
        let (asked, hears) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let tells = asked.clone();
        master.host.set_waiting(1, move |_| {
            tells.notify_one();
            let hears = hears.clone();
            Box::pin(async move {
                hears.notified().await;
                Ok(json!(null))
            })
        });
        master.worker("w").await;
        let request = master.request("b").await;
        asked.notified().await;
        let build = master.list("builds", "").await.remove(0);
        master.control(&format!("builds/{}", build["buildid"]), "stop").await;
        let build = master.finished(request).await;
        assert_eq!(build["results"], 6, "{waits}");
        let steps = master.steps(&build).await;
        assert_eq!((&steps[1].1, &steps[2].1), (&json!(6), &json!(0)), "{waits}: {steps:?}");
        let name = steps[1].0.clone();
        assert_eq!(master.log(&build, &name, "cancelled").await.unwrap(), "no more\n", "{waits}");
        master.stop().await;
    }
}

#[tokio::test]
async fn row_05_014_a_lost_worker_ends_in_retry_and_the_request_is_built_again() {
    let mut master = Master::start(holding()).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    let _ = worker.held("a").await;
    master.detach("w", &worker).await;
    let build = master.finished(request).await;
    assert_eq!((&build["results"], &build["number"]), (&json!(5), &json!(1)));
    assert_eq!(build["state_string"], "retry lost connection 'hold a' (retry)");
    let names: Vec<String> = master.steps(&build).await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["worker_preparation", "shell"], "no step runs after the loss");
    assert_eq!(master.one(&format!("buildrequests/{request}")).await["claimed"], false);
    let again = master.worker("w").await;
    again.held("a").await.end(0).await;
    let build = master.finished(request).await;
    assert_eq!((&build["results"], &build["number"]), (&json!(0), &json!(2)));
    master.stop().await;
}

#[tokio::test]
async fn row_05_014_a_step_that_ignores_the_loss_is_dropped_after_a_while() {
    let steps = vec![object("steps.Odd", json!({"what": "never ends"}))];
    let mut master = Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], steps))).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    master.wait_for("steps/*/updated", |step| step["state_string"] == "running").await;
    master.detach("w", &worker).await;
    master.wait_for("logs/*/finished", |log| log["name"] == "cancelled").await;
    master.clock.advance(Duration::from_secs(6));
    assert_eq!(master.finished(request).await["results"], 5);
    master.stop().await;
}

#[tokio::test]
async fn row_07_021_a_worker_that_cannot_be_prepared_is_tried_after_10_20_40_seconds() {
    let mut master =
        Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("true")]))).await;
    let worker = TestWorker::new();
    worker.answers_pings.store(false, Ordering::SeqCst);
    master.attach("w", &worker).await;
    let request = master.request("b").await;
    for (number, wait) in [(1, 10), (2, 20), (3, 40)] {
        let build = master.finished(request).await;
        assert_eq!((&build["number"], &build["state_string"]), (&json!(number), &json!("worker not pinged")));
        assert_eq!(master.steps(&build).await[0].1, 4);
        master.until("free", |status| status.builds_running == 0 && status.requests_pending == 1).await;
        master.clock.advance(Duration::from_secs(wait - 1));
        master.until("asleep", |status| status.builds_running == 0).await;
        assert_eq!(master.list("builds", "").await.len(), number, "not before its time");
        if number == 3 {
            worker.answers_pings.store(true, Ordering::SeqCst);
        }
        master.clock.advance(Duration::from_secs(1));
    }
    let build = master.finished(request).await;
    assert_eq!((&build["number"], &build["results"]), (&json!(4), &json!(0)));
    master.stop().await;
}

/// The wall clock is set back, and far ahead, while a build runs and a worker is in quarantine.
#[tokio::test]
async fn a_clock_that_jumps_ends_no_build_and_no_quarantine() {
    let setup = Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("hold a")])).builder(builder(
        "raises",
        &["w"],
        vec![object("steps.Odd", json!({"what": "raises"}))],
    ));
    let mut master = Master::start(setup).await;
    let worker = master.worker("w").await;
    for ahead in [-7200, 400_000_000, 0] {
        let request = master.request("b").await;
        let held = worker.held("a").await;
        master.clock.set_wall(ahead);
        held.end(0).await;
        let build = master.finished(request).await;
        assert_eq!((&build["results"], &build["complete_at"]), (&json!(0), &json!(1_000_000 + ahead)));
    }
    let failed = master.request("raises").await;
    assert_eq!(master.finished(failed).await["results"], 4);
    master.clock.set_wall(500_000);
    let waiting = master.request("b").await;
    master.until("in quarantine", |status| status.requests_pending == 1).await;
    master.clock.advance(Duration::from_secs(9));
    master.until("in quarantine still", |status| status.requests_pending == 1).await;
    master.clock.advance(Duration::from_secs(1));
    worker.held("a").await.end(0).await;
    assert_eq!(master.finished(waiting).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn in_a_downtime_no_build_is_started_and_one_that_runs_goes_on() {
    // The clock begins at 13:46:40.
    let downtime = json!({"*": ["daily 13:50-14:00"], "tz": "UTC"});
    let setup = Setup::new(&[]).worker(json!({"name": "w", "downtime": downtime}));
    let mut master =
        Master::start(setup.builder(builder("b", &["w"], vec![step("hold a"), step("true")]))).await;
    let worker = master.worker("w").await;
    let runs = master.request("b").await;
    let held = worker.held("a").await;
    master.clock.advance(Duration::from_secs(200));
    held.end(0).await;
    assert_eq!(master.finished(runs).await["results"], 0);
    let waiting = master.request("b").await;
    master.until("in its downtime", |status| status.requests_pending == 1).await;
    let until = master.data.downtimes().await;
    assert_eq!(until.into_values().collect::<Vec<_>>(), [1_000_800]);
    master.clock.advance(Duration::from_secs(599));
    master.until("in its downtime still", |status| status.requests_pending == 1).await;
    master.clock.advance(Duration::from_secs(1));
    worker.held("a").await.end(0).await;
    assert_eq!(master.finished(waiting).await["results"], 0);
    assert!(master.data.downtimes().await.is_empty());
    master.stop().await;
}

#[tokio::test]
async fn row_07_029_a_soft_stop_waits_and_a_fast_one_ends_builds_in_retry() {
    let mut master = Master::start(holding()).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    let _ = worker.held("a").await;
    let (engine, also) = (master.engine.clone(), master.engine.clone());
    let soft = tokio::spawn(async move { engine.stop(Stop::Soft).await });
    master.until("stopping", |status| status.stopping).await;
    assert!(!soft.is_finished());
    also.stop(Stop::Fast).await;
    soft.await.unwrap();
    let build = master.finished(request).await;
    assert_eq!(
        (&build["results"], &build["state_string"]),
        (&json!(5), &json!("retry (Master Shutdown) 'hold a' (cancelled)"))
    );
    master.data.close().await.unwrap();
}

#[tokio::test]
async fn row_07_029_a_worker_that_will_not_let_go_does_not_hold_up_a_fast_stop() {
    let mut master = Master::start(holding()).await;
    let worker = master.worker("w").await;
    worker.stubborn.store(true, Ordering::SeqCst);
    let request = master.request("b").await;
    let _ = worker.held("a").await;
    let engine = master.engine.clone();
    let stop = tokio::spawn(async move { engine.stop(Stop::Fast).await });
    master.wait_for("logs/*/finished", |log| log["name"] == "cancelled").await;
    master.clock.advance(Duration::from_secs(6));
    stop.await.unwrap();
    assert_eq!(master.finished(request).await["results"], 5);
    master.data.close().await.unwrap();
}

#[tokio::test]
async fn row_14_033_what_waited_or_ran_before_a_restart_is_built_after_it_once() {
    let master = Master::start(holding()).await;
    let worker = master.worker("w").await;
    let (running, waiting) =
        (master.request("b").await, master.request_with("b", -1, Default::default()).await);
    let _ = worker.held("a").await;
    master.data.flush().await.unwrap();
    let (dir, clock) = (master.dir.clone(), master.clock.clone());
    // As if killed: nothing is told to stop, nothing more is written.
    let Master { data, engine, events, .. } = master;
    let killed = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, killed.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    drop(events);
    engine.stop(Stop::Fast).await;
    data.close().await.unwrap();

    let mut master = Master::start_in(std::sync::Arc::new(killed), clock, holding()).await;
    let builds = master.list("builds", "").await;
    assert_eq!((builds.len(), &builds[0]["results"], &builds[0]["complete"]), (1, &json!(5), &json!(true)));
    let worker = master.worker("w").await;
    for request in [running, waiting] {
        worker.held("a").await.end(0).await;
        assert_eq!(master.finished(request).await["results"], 0);
    }
    assert_eq!(master.list("builds", "").await.len(), 3);
    master.stop().await;
}
