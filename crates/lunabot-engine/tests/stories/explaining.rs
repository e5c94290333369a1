//! Why requests wait: what is told while time passes (lua-api § 6).

use crate::support::config::builder_with;
use crate::support::host::callback;
use crate::support::{Master, Setup, builder, step};
use lunabot_model::config::Collapse;
use lunabot_model::explanation::{Explanation, RuleAnswer};
use lunabot_model::{BuildRequestId, Properties};
use serde_json::json;
use std::time::Duration;

async fn explain(master: &Master, request: BuildRequestId) -> Explanation {
    master.data.explain_one(request).await.unwrap().unwrap()
}

/// Asks until the answer is `right`: what functions say comes back a moment after they said it.
async fn explained(
    master: &Master,
    request: BuildRequestId,
    right: impl Fn(&Explanation) -> bool,
) -> Explanation {
    let mut told = explain(master, request).await;
    let asking = async {
        while !right(&told) {
            tokio::task::yield_now().await;
            told = explain(master, request).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), asking).await;
    waited.unwrap_or_else(|_| panic!("never told"));
    told
}

fn builders(setup: Setup) -> Setup {
    setup.with(|config| config.collapse_requests = Some(Collapse::Switch(false)))
}

fn of_rule<'a>(answers: &'a [RuleAnswer], rule: &str) -> Vec<&'a RuleAnswer> {
    answers.iter().filter(|answer| answer.rule == rule).collect()
}

#[tokio::test]
async fn equal_answers_are_one_with_its_times() {
    let options = json!({"name": "b", "workernames": ["w"], "canStartBuild": callback(1)});
    let setup = Setup::new(&["w"]).builder(builder_with(options, vec![step("true")]));
    let mut master = Master::start(builders(setup)).await;
    master.host.set(1, |_| Ok(json!(false)));
    let request = master.request("b").await;
    let told = explained(&master, request, |told| told.summary == "worker w is not connected").await;
    let start = told.submitted_at;
    master.clock.advance(Duration::from_secs(60));
    let w = master.worker("w").await;
    let refused = |told: &Explanation, times: u32| {
        let first = of_rule(&told.history, "canStartBuild").into_iter().next();
        first.is_some_and(|one| one.times == times && one.text.contains("returned false"))
    };
    explained(&master, request, |told| refused(told, 1)).await;
    for times in 2..5 {
        master.clock.advance(Duration::from_secs(10));
        master.detach("w", &w).await;
        master.attach("w", &w).await;
        explained(&master, request, |told| refused(told, times)).await;
    }
    let told = explain(&master, request).await;
    assert_eq!(told.summary, "canStartBuild returned false for worker w (master.lua:1)");
    let all = of_rule(&told.history, "canStartBuild");
    let times = all.iter().map(|one| (one.times, one.since, one.last_at, one.until)).collect::<Vec<_>>();
    assert_eq!(times, [(4, Some(start + 60), Some(start + 90), None)]);
    let away = of_rule(&told.history, "worker");
    assert_eq!((away[0].text.as_str(), away[0].since), ("w is not connected", Some(start)), "{away:?}");
    assert!(away[0].until.is_some(), "{away:?}");
    master.host.set(1, |_| Ok(json!(true)));
    master.request("b").await;
    assert_eq!(master.finished(request).await["results"], 0);
    let told = explain(&master, request).await;
    assert_eq!(told.summary, "b #1 ended with success");
    master.stop().await;
}

#[tokio::test]
async fn what_kept_a_request_waiting_is_known_when_its_build_is_tried_again() {
    let options = json!({"name": "b", "workernames": ["w"], "canStartBuild": callback(1)});
    let setup = Setup::new(&["w"]).builder(builder_with(options, vec![step("hold b")]));
    let master = Master::start(builders(setup)).await;
    master.host.set(1, |_| Ok(json!(true)));
    let request = master.request("b").await;
    let start = explained(&master, request, |told| told.summary == "worker w is not connected").await.since;
    master.clock.advance(Duration::from_secs(60));
    let w = master.worker("w").await;
    let _held = w.held("b").await;
    master.clock.advance(Duration::from_secs(60));
    master.detach("w", &w).await;
    let told = explained(&master, request, |told| told.summary == "worker w is not connected").await;
    let away = of_rule(&told.history, "worker");
    assert_eq!((away[0].since, away[0].times > 1, away[0].until), (start, true, None), "{told:?}");
    let asked = of_rule(&told.history, "canStartBuild");
    assert!(asked[0].text == "returned true" && asked[0].until.is_some(), "{told:?}");
    assert_eq!(of_rule(&told.history, "build")[0].text, "b #1 ended with retry");
    master.stop().await;
}

#[tokio::test]
async fn functions_that_fail_or_choose_otherwise_are_told() {
    let next = json!({"name": "next", "workernames": ["w"], "nextBuild": callback(1)});
    let choosy = json!({"name": "choosy", "workernames": ["w"], "nextWorker": callback(2)});
    let setup = Setup::new(&["w"])
        .builder(builder_with(next, vec![step("true")]))
        .builder(builder_with(choosy, vec![step("true")]));
    let mut master = Master::start(builders(setup)).await;
    master.host.set(1, |_| Err("oh".into()));
    master.host.set(2, |_| Ok(json!({"$ref": "wfb:99"})));
    master.worker("w").await;
    let requests = [master.request("next").await, master.request("choosy").await];
    let mut told = Vec::new();
    for (request, rule) in requests.into_iter().zip(["nextBuild failed", "nextWorker failed"]) {
        // Before that it is told that it is being asked.
        told.push(explained(&master, request, |told| told.summary.starts_with(rule)).await.summary);
    }
    assert_eq!(told[0], "nextBuild failed: master.lua:1: oh (master.lua:1)");
    assert!(told[1].starts_with("nextWorker failed: nextWorker returned"), "{told:?}");
    master.host.set(1, |args| Ok(crate::support::host::reference(&args[1], 0)));
    master.host.set(2, |args| Ok(crate::support::host::reference(&args[1], 0)));
    let more = [master.request("next").await, master.request("choosy").await];
    master.all_finished(&more).await;
    master.stop().await;
}

#[tokio::test]
async fn what_has_waited_longer_or_matters_more_goes_before() {
    let setup = Setup::new(&[])
        .worker(json!({"name": "w", "max_builds": 1}))
        .builder(builder("a", &["w"], vec![step("hold a")]))
        .builder(builder("b", &["w"], vec![step("true")]));
    let mut master = Master::start(builders(setup)).await;
    let w = master.worker("w").await;
    let first = master.request("a").await;
    let held = w.held("a").await;
    let low = master.request("b").await;
    let lower = master.request("b").await;
    let high = master.request_with("a", 5, Properties::new()).await;
    master.until("they wait", |status| status.requests_pending == 3).await;
    let told = explain(&master, lower).await;
    assert_eq!(told.summary, "worker w has all builds it may have (max_builds = 1): a #1");
    let queue: Vec<String> = of_rule(&told.answers, "queue").iter().map(|one| one.text.clone()).collect();
    assert_eq!(
        queue,
        [
            "1 other builder that may use the same workers goes before: a",
            &format!("1 request of the builder goes before it: {low}")
        ]
    );
    let told = explain(&master, high).await;
    assert_eq!(told.summary, "worker w has a build of this builder: a #1");
    assert_eq!(of_rule(&told.answers, "queue")[0].text, "it is the next request of the builder (priority 5)");
    held.end(0).await;
    master.finished(first).await;
    w.held("a").await.end(0).await;
    master.all_finished(&[high, low, lower]).await;
    master.stop().await;
}
