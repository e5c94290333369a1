//! Services that cancel what is not worth building (reference 03.025, 03.026, 03.029).

use crate::support::config::object;
use crate::support::host::callback;
use crate::support::{Master, Setup, builder, step};
use lunabot_data::new::{NewBuildset, NewChange, StampRef};
use lunabot_model::config::Collapse;
use lunabot_model::{BuildRequestId, Json};
use serde_json::json;

fn setup(kind: &str, args: Json) -> Setup {
    let all = ["b", "c"].iter().fold(Setup::new(&["w"]), |setup, name| {
        setup.builder(builder(name, &["w"], vec![step(&format!("hold {name}"))]))
    });
    all.with(|config| {
        config.collapse_requests = Some(Collapse::Switch(false));
        config.services = vec![object(kind, args)];
    })
}

fn stamps(args: Json) -> Json {
    serde_json::to_value(object("util.SourceStampFilter", args)).unwrap()
}

fn old(filters: Json) -> Setup {
    setup("util.OldBuildCanceller", json!({"name": "old", "filters": filters}))
}

/// A change of a branch, and its requests of these builders.
async fn change(master: &Master, branch: &str, builders: &[&str]) -> Vec<BuildRequestId> {
    let change = NewChange {
        author: "joe".into(),
        revision: Some(master.list("changes", "").await.len().to_string()),
        branch: Some(branch.into()),
        repository: "r".into(),
        ..NewChange::default()
    };
    let change = master.data.add_change(change).await.unwrap();
    add(master, vec![StampRef::Id(change.sourcestamp.ssid)], builders).await
}

async fn add(master: &Master, sourcestamps: Vec<StampRef>, builders: &[&str]) -> Vec<BuildRequestId> {
    let mut builderids = Vec::new();
    for name in builders {
        builderids.push(master.builder_id(name).await);
    }
    let new = NewBuildset { sourcestamps, builderids: builderids.clone(), ..NewBuildset::default() };
    let requests = master.data.add_buildset(new).await.unwrap().1;
    builderids.iter().map(|id| requests[id]).collect()
}

async fn cancelled(master: &mut Master, request: BuildRequestId) -> String {
    master
        .wait_for("buildrequests/*/complete", |row| row["buildrequestid"] == request && row["results"] == 6)
        .await;
    let shown = master.list("buildrequests", &format!("buildrequestid={request}&property=*")).await;
    shown[0]["properties"]["cancel_reason"][0].as_str().unwrap_or_default().to_string()
}

async fn open(master: &Master) -> Vec<Json> {
    let all = master.list("buildrequests", "complete=false&order=buildrequestid").await;
    all.iter().map(|row| row["buildrequestid"].clone()).collect()
}

#[tokio::test]
async fn row_03_025_requests_and_builds_of_a_branch_are_cancelled_for_a_newer_change() {
    let filters = json!([
        [["b"], stamps(json!({"branch_not_eq": "release"}))],
        ["c", stamps(json!({"branch_eq": "x"}))]
    ]);
    let mut master = Master::start(old(filters)).await;
    let worker = master.worker("w").await;
    let first = change(&master, "main", &["b"]).await[0];
    let _ = worker.held("b").await;
    let second = change(&master, "main", &["b", "c"]).await;
    let build = master.finished(first).await;
    assert_eq!(build["results"], 6);
    assert!(build["state_string"].as_str().unwrap().contains("obsoleted by a newer commit"), "{build}");
    let held = worker.held("b").await;
    let release = change(&master, "release", &["b"]).await[0];
    let newer_release = change(&master, "release", &["b"]).await[0];
    let forced = add(&master, vec![], &["b"]).await[0];
    let folded = change(&master, "refs/changes/34/1234/1", &["b"]).await[0];
    let patched = change(&master, "refs/changes/34/1234/2", &["b"]).await[0];
    assert!(
        cancelled(&mut master, folded).await.contains("obsoleted"),
        "patch sets of a change are one branch"
    );
    let want = [second[0], second[1], release, newer_release, forced, patched];
    assert_eq!(open(&master).await, want.map(|id| json!(id)), "neither other branches nor other builders");
    held.end(0).await;
    assert_eq!(master.finished(second[0]).await["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_03_025_what_became_obsolete_is_found_after_reloads_and_restarts() {
    let filters = || json!([["b", stamps(json!({}))]]);
    let without = || old(json!([]));
    let mut master = Master::start(without()).await;
    let first = change(&master, "main", &["b"]).await[0];
    let second = change(&master, "main", &["b"]).await[0];
    assert_eq!(open(&master).await, [json!(first), json!(second)]);
    master.apply(old(filters())).await;
    cancelled(&mut master, first).await;
    let (dir, clock) = (master.dir.clone(), master.clock.clone());
    master.stop().await;
    let mut master = Master::start_in(dir, clock, old(filters())).await;
    let third = change(&master, "main", &["b"]).await[0];
    cancelled(&mut master, second).await;
    master.apply(old(filters())).await;
    let fourth = change(&master, "main", &["b"]).await[0];
    cancelled(&mut master, third).await;
    assert_eq!(open(&master).await, [json!(fourth)]);
    master.stop().await;
}

#[tokio::test]
async fn row_03_025_the_branch_that_counts_may_be_computed() {
    let args = json!({"name": "old", "filters": [["b", stamps(json!({"filter_fn": callback(2)}))]], "branch_key": callback(1)});
    let mut master = Master::start(setup("util.OldBuildCanceller", args)).await;
    master.host.set(1, |args| {
        let lunabot_model::Arg::Value(stamp) = &args[0] else { panic!("a table") };
        let branch = stamp["branch"].as_str().unwrap();
        Ok(branch.strip_suffix("-wip").map_or(Json::Null, Json::from))
    });
    master.host.set(2, |args| {
        let lunabot_model::Arg::Value(stamp) = &args[0] else { panic!("a table") };
        Ok(json!(stamp["repository"] == "r"))
    });
    let mut all = Vec::new();
    for branch in ["x", "x-wip", "x", "x-wip"] {
        all.push(change(&master, branch, &["b"]).await[0]);
    }
    cancelled(&mut master, all[1]).await;
    assert_eq!(open(&master).await, [all[0], all[2], all[3]].map(|id| json!(id)));
    master.stop().await;
}

#[tokio::test]
async fn row_03_026_a_failed_build_cancels_the_others_of_its_buildset() {
    for (doomed, gone) in [(Json::Null, true), (json!(["c"]), true), (json!("b"), false)] {
        let filters = json!([["b", doomed, stamps(json!({"branch_eq": "main"}))]]);
        let args = json!({"name": "failing", "filters": filters});
        let mut master = Master::start(setup("util.FailingBuildsetCanceller", args)).await;
        let worker = master.worker("w").await;
        let other = change(&master, "main", &["c"]).await[0];
        let _held = worker.held("c").await;
        let (matching, foreign) =
            (change(&master, "main", &["b", "c"]).await, change(&master, "x", &["c"]).await[0]);
        worker.held("b").await.end(1).await;
        assert_eq!(master.finished(matching[0]).await["results"], 2);
        let mut want = vec![json!(other), json!(matching[1]), json!(foreign)];
        if gone {
            assert!(cancelled(&mut master, matching[1]).await.contains("failed"));
            want.remove(1);
        }
        assert_eq!(open(&master).await, want);
        master.stop().await;
    }
}
