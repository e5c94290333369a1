//! Decisions left to functions of the configuration, and their documented outcomes (lua-api § 2, reference 07.011–07.018).

use crate::support::config::builder_with;
use crate::support::host::{callback, reference};
use crate::support::{Master, Setup, builder, step};
use lunabot_model::config::Collapse;
use lunabot_model::{Arg, Callback, Json, Properties};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn with_option(option: &str, workers: &[&str], command: &str) -> Setup {
    let options = json!({"name": "b", "workernames": workers, option: callback(1)});
    Setup::new(workers)
        .builder(builder_with(options, vec![step(command)]))
        .with(|config| config.collapse_requests = Some(Collapse::Switch(false)))
}

fn object(arg: &Arg) -> &lunabot_model::ScriptObject {
    match arg {
        Arg::Object(object) => object,
        other => panic!("{other:?} is no object"),
    }
}

fn worker_name(wfb: &Arg) -> String {
    let (_, worker) = &object(wfb).children[0];
    object(worker).fields["name"].as_str().unwrap().to_string()
}

#[tokio::test]
async fn row_07_017_can_start_build_sends_a_build_to_another_worker() {
    let mut master = Master::start(with_option("canStartBuild", &["w", "v"], "true")).await;
    master.host.set(1, |args| {
        assert_eq!(
            (&object(&args[0]).all_fields()["name"], &object(&args[2]).all_fields()["reason"]),
            (&json!("b"), &json!("because"))
        );
        Ok(json!(worker_name(&args[1]) == "v"))
    });
    master.worker("w").await;
    master.worker("v").await;
    for _ in 0..3 {
        let request = master.request("b").await;
        let build = master.finished(request).await;
        assert_eq!(master.property(&build, "workername").await.unwrap().0, "v");
    }
    master.stop().await;
}

#[tokio::test]
async fn can_start_build_that_fails_means_no_until_something_happens() {
    let mut master = Master::start(with_option("canStartBuild", &["w"], "true")).await;
    master.host.set(1, |_| Err("oh".into()));
    master.worker("w").await;
    let request = master.request("b").await;
    let calls = |master: &Master| master.host.calls.lock().unwrap().len();
    while calls(&master) == 0 {
        tokio::task::yield_now().await;
    }
    master.host.set(1, |_| Ok(json!("yes")));
    let other = master.request("b").await;
    while master.host.nonsense.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    master.host.set(1, |_| Ok(json!(true)));
    let last = master.request("b").await;
    master.all_finished(&[request, other, last]).await;
    master.stop().await;
}

#[tokio::test]
async fn row_07_018_can_start_build_may_run_commands_and_put_the_worker_in_quarantine() {
    let mut master = Master::start(with_option("canStartBuild", &["w"], "true")).await;
    let space = Arc::new(AtomicBool::new(false));
    let enough = space.clone();
    master.host.set_waiting(1, move |args| {
        let enough = enough.load(Ordering::SeqCst);
        Box::pin(async move {
            let worker = object(&object(&args[1]).children[0].1).handle.clone();
            let stat = worker.call("stat", vec![json!({"file": "space"})]).await?;
            assert_eq!(stat["size"], 9);
            if !enough {
                worker.set("quarantine_timeout", json!(30))?;
                worker.call("putInQuarantine", vec![]).await?;
            }
            Ok(json!(enough))
        })
    });
    master.worker("w").await;
    let request = master.request("b").await;
    let seen = |master: &Master| master.host.calls.lock().unwrap().len();
    while seen(&master) == 0 {
        tokio::task::yield_now().await;
    }
    master.until("settled", |status| status.requests_pending == 1 && status.builds_running == 0).await;
    space.store(true, Ordering::SeqCst);
    master.clock.advance(Duration::from_secs(29));
    master.until("still waiting", |status| status.requests_pending == 1).await;
    assert_eq!(seen(&master), 1);
    master.clock.advance(Duration::from_secs(1));
    assert_eq!(master.finished(request).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_07_014_next_build_chooses_the_request() {
    let mut master = Master::start(with_option("nextBuild", &["w"], "true")).await;
    master.host.set(1, |args| {
        let Arg::List(requests) = &args[1] else { panic!("a list") };
        Ok(reference(&args[1], requests.len() - 1))
    });
    let mut wanted = Vec::new();
    for _ in 0..3 {
        wanted.push(master.request("b").await);
    }
    master.worker("w").await;
    for request in wanted.into_iter().rev() {
        assert_eq!(master.wait("builds/*/finished").await["buildrequestid"], request);
    }
    master.stop().await;
}

#[tokio::test]
async fn row_07_014_next_build_may_say_none_and_nonsense_means_none() {
    let mut master = Master::start(with_option("nextBuild", &["w"], "true")).await;
    master.host.set(1, |_| Ok(Json::Null));
    master.worker("w").await;
    let first = master.request("b").await;
    while master.host.calls.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    master.host.set(1, |_| Ok(json!(17)));
    let second = master.request("b").await;
    while master.host.nonsense.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    master.host.set(1, |args| Ok(reference(&args[1], 0)));
    let third = master.request("b").await;
    master.all_finished(&[first, second, third]).await;
    master.stop().await;
}

#[tokio::test]
async fn row_07_014_next_worker_chooses_the_worker() {
    let mut master = Master::start(with_option("nextWorker", &["w", "v", "u"], "true")).await;
    master.host.set(1, |args| {
        let Arg::List(wfbs) = &args[1] else { panic!("a list") };
        let index = wfbs.iter().position(|wfb| object(&wfb.children[0].1).fields["name"] == "v").unwrap();
        Ok(reference(&args[1], index))
    });
    for name in ["w", "v", "u"] {
        master.worker(name).await;
    }
    for _ in 0..3 {
        let request = master.request("b").await;
        let build = master.finished(request).await;
        assert_eq!(master.property(&build, "workername").await.unwrap().0, "v");
    }
    master.stop().await;
}

fn prioritized() -> Setup {
    let worker = json!({"name": "w", "max_builds": 1});
    let setup = ["a", "b", "c"].iter().fold(Setup::default().worker(worker), |setup, name| {
        setup.builder(builder(name, &["w"], vec![step("true")]))
    });
    setup.with(|config| config.prioritize_builders = Callback::from_json(&callback(1)))
}

#[tokio::test]
async fn row_07_011_prioritize_builders_orders_and_leaves_out() {
    let mut master = Master::start(prioritized()).await;
    let only_c = Arc::new(AtomicBool::new(true));
    let wanted = only_c.clone();
    master.host.set(1, move |args| {
        let Arg::List(builders) = &args[1] else { panic!("a list") };
        let named = |name: &str| builders.iter().position(|builder| builder.all_fields()["name"] == name);
        let names = if wanted.load(Ordering::SeqCst) { vec!["c"] } else { vec!["b", "a", "c"] };
        let order = names.into_iter().filter_map(named).map(|index| reference(&args[1], index));
        Ok(order.collect())
    });
    let (a, b, c) = (master.request("a").await, master.request("b").await, master.request("c").await);
    master.until("known", |status| status.requests_pending == 3).await;
    master.worker("w").await;
    assert_eq!(master.wait("builds/*/finished").await["buildrequestid"], c);
    master.until("idle", |status| status.builds_running == 0).await;
    only_c.store(false, Ordering::SeqCst);
    let late = master.request_with("c", 9, Properties::new()).await;
    for request in [b, a, late] {
        assert_eq!(master.wait("builds/*/finished").await["buildrequestid"], request);
    }
    master.stop().await;
}

#[tokio::test]
async fn row_07_011_prioritize_builders_that_fails_leaves_the_default_order() {
    let mut master = Master::start(prioritized()).await;
    master.host.set(1, |_| Err("oh".into()));
    let (first, urgent) = (master.request("a").await, master.request_with("b", 3, Properties::new()).await);
    master.until("known", |status| status.requests_pending == 2).await;
    master.worker("w").await;
    for request in [urgent, first] {
        assert_eq!(master.wait("builds/*/finished").await["buildrequestid"], request);
    }
    master.stop().await;
}

#[tokio::test]
async fn row_07_004_only_true_collapses() {
    for (answer, results) in
        [(json!(true), 3), (json!(false), 0), (json!(1), 0), (json!("x"), 0), (Json::Null, 0)]
    {
        let options = json!({"name": "b", "workernames": ["w"], "collapseRequests": callback(1)});
        let setup = Setup::new(&["w"]).builder(builder_with(options, vec![step("true")]));
        let mut master = Master::start(setup).await;
        let given = answer.clone();
        master.host.set(1, move |args| {
            let ids = [&args[2], &args[3]].map(|arg| object(arg).all_fields()["id"].as_i64().unwrap());
            assert!(ids[0] > ids[1], "the new one first");
            Ok(given.clone())
        });
        let (old, new) = (master.request("b").await, master.request("b").await);
        master.worker("w").await;
        master.finished(new).await;
        if results == 0 {
            master.until("idle", |status| status.builds_running == 0 && status.requests_pending == 0).await;
        }
        assert_eq!(master.one(&format!("buildrequests/{old}")).await["results"], results, "{answer}");
        master.stop().await;
    }
}
