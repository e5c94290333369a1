//! Changes, stamps, and what is new in a build.

use crate::support::*;
use lunabot_data::Data;
use lunabot_data::new::{NewBuildset, NewChange, NewPatch, NewSourceStamp, StampRef};
use lunabot_model::resources::Change;
use lunabot_model::{Properties, Results};
use serde_json::json;

fn change(revision: &str, branch: Option<&str>) -> NewChange {
    let mut properties = Properties::new();
    properties.set("p", json!({"deep": [1]}), "Change");
    NewChange {
        author: "A <a@b>".into(),
        files: vec!["z/1".into(), "a/2".into()],
        comments: "why".into(),
        revision: Some(revision.into()),
        branch: branch.map(str::to_owned),
        repository: "r".into(),
        properties,
        ..NewChange::default()
    }
}

pub async fn rows_02_001_14_010_to_14_012_changes_have_parents_and_share_stamps(place: Place) {
    let data = place.open().await;
    let mut events = listen(&data, &["changes/*/new"]);
    let first = data.add_change(change("1", None)).await.unwrap();
    let second = data.add_change(change("2", None)).await.unwrap();
    let elsewhere = data.add_change(change("1", Some("b"))).await.unwrap();
    let again = data.add_change(change("2", None)).await.unwrap();
    assert_eq!(first.parent_changeids, [0i64; 0]);
    assert_eq!(second.parent_changeids, [first.changeid]);
    assert_eq!(elsewhere.parent_changeids, [0i64; 0]);
    assert_eq!(again.parent_changeids, [second.changeid]);
    assert_eq!(again.sourcestamp, second.sourcestamp, "14.012");
    assert_eq!(topics(&mut events, 4).await[3], "changes/4/new");
    let read = data.change(second.changeid).await.unwrap().unwrap();
    assert_eq!(read, second);
    let row = one(&data, "changes/2").await;
    assert_eq!((&row["files"], &row["when_timestamp"]), (&json!(["z/1", "a/2"]), &json!(1000)));
    assert_eq!(row["properties"], json!({"p": [{"deep": [1]}, "Change"]}));
    assert_eq!(column(&data, "changes", "files__contains=a/2&branch=b", "changeid").await, [json!(3)]);
    assert_eq!(column(&data, "changes", "parent_changeids__contains=1", "changeid").await, [json!(2)]);

    // A restart finds the same stamp and the same parent in the store.
    data.close().await.unwrap();
    drop(data);
    let data = place.open().await;
    let after = data.add_change(change("2", None)).await.unwrap();
    assert_eq!((after.parent_changeids[0], after.sourcestamp), (again.changeid, second.sourcestamp));
    patches_are_kept(&data).await;
}

/// Not every database can store a NUL; none loses a change for it.
pub async fn row_14_010_texts_with_a_nul_are_stored(place: Place) {
    let data = place.open().await;
    let mut new = NewChange { comments: "a\0b".into(), ..change("r\0", Some("br\0")) };
    new.properties.set("p\0", "v\0", "Change");
    let stored = data.add_change(new).await.unwrap();
    assert_eq!(list(&data, "changes", "branch=x%00").await.len(), 0);
    data.close().await.unwrap();
    let data = place.open().await;
    let read = data.change(stored.changeid).await.unwrap().unwrap();
    assert!(["a\0b", "a\u{fffd}b"].contains(&read.comments.as_str()), "{read:?}");
    assert_eq!((read.files.len(), read.properties.len()), (2, 2));
}

/// What looks like an object of the configuration is left out: it would be rendered.
pub async fn properties_of_changes_are_plain_values(place: Place) {
    let data = place.open().await;
    let mut new = change("1", None);
    for (name, value) in [
        ("secret", json!({"$kind": "util.Secret", "$id": 1, "$at": "", "$args": {"secret_name": "s"}})),
        ("deep", json!([{"x": {"$fn": {"id": 1}}}])),
        ("plain", json!({"$ref": "x", "kind": ["$kind"]})),
    ] {
        new.properties.set(name, value, "Change");
    }
    let stored = data.add_change(new).await.unwrap();
    let names: Vec<&str> = stored.properties.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["p", "plain"]);
}

/// Each patch makes a stamp of its own.
async fn patches_are_kept(data: &Data) {
    let patch = NewPatch { body: b"--- a\n".to_vec(), level: 1, subdir: "d".into(), ..NewPatch::default() };
    let stamp = NewSourceStamp { repository: "r".into(), patch: Some(patch), ..NewSourceStamp::default() };
    let mut stamps = Vec::new();
    for _ in 0..2 {
        let set = NewBuildset { sourcestamps: vec![StampRef::New(stamp.clone())], ..buildset(&[]) };
        let (set, _) = data.add_buildset(set).await.unwrap();
        let row = one(data, &format!("buildsets/{set}")).await;
        assert_eq!(row["sourcestamps"][0]["patch"]["body"], "--- a\n");
        stamps.push(row["sourcestamps"][0]["ssid"].clone());
    }
    assert_ne!(stamps[0], stamps[1]);
}

async fn build_of(data: &Data, builder: i64, worker: i64, change: &Change, results: Results) -> i64 {
    let set =
        NewBuildset { sourcestamps: vec![StampRef::Id(change.sourcestamp.ssid)], ..buildset(&[builder]) };
    let (_, requests) = data.add_buildset(set).await.unwrap();
    let request = requests[&builder];
    assert!(data.claim(&[request]).await.unwrap());
    let (build, _) = data.add_build(new_build(builder, request, worker)).await.unwrap();
    data.finish_build(build.buildid, results, "done").await.unwrap().detach();
    data.complete_requests(&[request], results).await.unwrap().await.unwrap();
    build.buildid
}

/// 09.037: after success, failure, success the third build shows two changes.
pub async fn a_build_shows_what_is_new_in_it(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let mut builds = Vec::new();
    for (revision, results) in [("1", Results::Success), ("2", Results::Failure), ("3", Results::Success)] {
        let change = data.add_change(change(revision, None)).await.unwrap();
        builds.push((change.clone(), build_of(&data, builder, worker, &change, results).await));
    }
    let shown = |build: i64| {
        let data = data.clone();
        async move { column(&data, &format!("builds/{build}/changes"), "", "changeid").await }
    };
    assert_eq!(shown(builds[0].1).await, [json!(1)]);
    assert_eq!(shown(builds[1].1).await, [json!(2)]);
    assert_eq!(shown(builds[2].1).await, [json!(3), json!(2)]);
    let again = build_of(&data, builder, worker, &builds[2].0, Results::Success).await;
    assert!(shown(again).await.is_empty(), "the same change is nothing new");
    assert_eq!(column(&data, "changes/3/builds", "", "buildid").await, [json!(3), json!(4)]);
}
