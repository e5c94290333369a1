//! Retention: what goes, what stays (14.024–14.026, 14.030).

use crate::support::*;
use lunabot_data::new::*;
use lunabot_data::{Data, Tidied};
use lunabot_model::resources::LogType;
use lunabot_model::retention::Rule;
use lunabot_model::{Duration, Results};
use serde_json::json;

const DAY: i64 = 86_400;

/// A finished build with a log of so many lines and an entry of build data; its id.
async fn build(data: &Data, builder: i64, worker: i64, results: Results, lines: usize) -> i64 {
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
    let (step, _) = data.add_step(build.buildid, "make", "running").await.unwrap();
    let (log, _) = data.add_log(step.stepid, "stdio", LogType::Stdio).await.unwrap();
    // Different lines, or they would take no space.
    let text: String = (0..lines)
        .map(|n| format!("o{:x}\n", (n as u128 + 7).pow(3).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    data.append_log(log.logid, LogText(text)).await.unwrap().detach();
    data.finish_log(log.logid).await.unwrap().detach();
    data.finish_step(step.stepid, results, "done", false).await.unwrap().detach();
    data.set_build_data(build.buildid, "size", b"12".to_vec(), "test").await.unwrap().detach();
    data.finish_build(build.buildid, results, "done").await.unwrap().detach();
    data.complete_requests(&[requests[&builder]], results).await.unwrap().detach();
    build.buildid
}

async fn tidy(data: &Data, rules: &[Rule]) -> Tidied {
    data.tidy(rules, &|_| {}).await.unwrap()
}

fn days(days: i64) -> Option<Duration> {
    Some(Duration((days * DAY) as f64))
}

async fn ids(data: &Data, path: &str, field: &str) -> Vec<i64> {
    column(data, path, &format!("order={field}"), field).await.iter().map(|id| id.as_i64().unwrap()).collect()
}

pub async fn row_14_025_old_logs_lose_their_text_and_keep_their_row(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let old = build(&data, builder, worker, Results::Success, 5).await;
    place.clock.advance(10 * DAY);
    let new = build(&data, builder, worker, Results::Success, 5).await;
    data.flush().await.unwrap();
    let rule = Rule { logs: days(7), build_data: days(7), ..Rule::default() };
    let done = tidy(&data, std::slice::from_ref(&rule)).await;
    assert_eq!(done, Tidied { builds: 0, logs: 1, chunks: 1, data: 1 });
    let log = one(&data, &format!("builds/{old}/steps/0/logs/stdio")).await;
    assert_eq!((&log["type"], &log["num_lines"]), (&json!("d"), &json!(5)));
    assert_eq!(one(&data, "logs/1/contents").await["content"], "");
    assert_eq!(list(&data, &format!("builds/{old}/data"), "").await.len(), 0);
    assert_eq!(one(&data, &format!("builds/{new}/steps/0/logs/stdio")).await["type"], "s");
    assert_eq!(list(&data, &format!("builds/{new}/data"), "").await.len(), 1);
    assert_eq!(tidy(&data, &[rule]).await, Tidied::default(), "there is nothing left to take");
}

pub async fn row_14_030_builds_go_with_all_that_is_theirs_and_numbers_go_on(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    for _ in 0..5 {
        build(&data, builder, worker, Results::Success, 300).await;
    }
    place.clock.advance(10 * DAY);
    let waiting = data.add_buildset(buildset(&[builder])).await.unwrap().1[&builder];
    data.flush().await.unwrap();
    let done = tidy(&data, &[Rule { builds: days(1), keep: Some(2), ..Rule::default() }]).await;
    assert_eq!((done.builds, done.logs), (3, 3));
    assert_eq!(ids(&data, "builds", "buildid").await, [4, 5]);
    assert!(data.get("logs/3", "").await.is_err() && data.get("logs/4", "").await.is_ok());
    assert_eq!(ids(&data, "buildrequests", "buildrequestid").await, [4, 5, waiting]);
    assert_eq!(ids(&data, "buildsets", "bsid").await, [4, 5, 6]);
    let done = tidy(&data, &[Rule { builds: days(1), ..Rule::default() }]).await;
    assert_eq!((done.builds, ids(&data, "builds", "buildid").await), (1, vec![5]), "the newest stays");
    let (next, _) = data.add_build(new_build(builder, waiting, worker)).await.unwrap();
    assert_eq!((next.buildid, next.number), (6, 6));
}

pub async fn the_first_rule_that_fits_counts(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    for results in [Results::Success, Results::Failure, Results::Success, Results::Success] {
        build(&data, builder, worker, results, 3).await;
    }
    place.clock.advance(10 * DAY);
    data.flush().await.unwrap();
    let rules = [
        Rule {
            builders: Some(lunabot_model::StringOrList(vec!["other*".into()])),
            builds: days(0),
            ..Rule::default()
        },
        Rule { results: Some(vec![Results::Failure]), logs: days(100), ..Rule::default() },
        Rule { logs: days(1), keep: Some(1), ..Rule::default() },
    ];
    assert_eq!(tidy(&data, &rules).await.logs, 2);
    for (log, wanted, why) in [
        (1, "d", "it is old"),
        (2, "s", "failures are kept longer"),
        (3, "d", "it is old"),
        (4, "s", "the newest stays"),
    ] {
        assert_eq!(one(&data, &format!("logs/{log}")).await["type"], wanted, "{why}");
    }
}

pub async fn row_14_024_only_the_newest_changes_stay(place: Place) {
    let data = place.open().await;
    for n in 0..250 {
        let change = NewChange {
            author: "a".into(),
            revision: Some(n.to_string()),
            files: vec!["f".into()],
            ..NewChange::default()
        };
        data.add_change(change).await.unwrap();
    }
    assert_eq!(data.prune_changes(3).await.unwrap(), 247);
    assert_eq!(ids(&data, "changes", "changeid").await, [248, 249, 250]);
    assert_eq!(data.prune_changes(3).await.unwrap(), 0);
}

pub async fn the_size_is_told_by_table_builder_and_age(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    build(&data, builder, worker, Results::Success, 3000).await;
    place.clock.advance(40 * DAY);
    build(&data, builder, worker, Results::Success, 3000).await;
    data.flush().await.unwrap();
    let now = 1_000 + 40 * DAY;
    let stats = lunabot_data::stats::measure(&place.url, place.dir.path(), now, &[30, 365]).await.unwrap();
    assert!(stats.tables.iter().any(|(name, bytes)| name == "logchunks" && *bytes > 20_000), "{stats:?}");
    let one = &stats.builders[0];
    assert_eq!((one.name.as_str(), one.builds, one.oldest), ("b", 2, Some(1_000)));
    assert_eq!((stats.older[0].builds, stats.older[1].builds), (1, 0));
    assert_eq!(stats.older[0].logs * 2, one.logs);
}

/// Only SQLite has a file of its own.
#[tokio::test]
async fn the_file_shrinks_when_old_logs_go() {
    let place = Place::sqlite();
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    for _ in 0..10 {
        build(&data, builder, worker, Results::Success, 20_000).await;
    }
    data.flush().await.unwrap();
    data.close().await.unwrap();
    let full = std::fs::metadata(place.file()).unwrap().len();
    place.clock.advance(10 * DAY);
    let data = place.open().await;
    assert_eq!(tidy(&data, &[Rule { logs: days(1), ..Rule::default() }]).await.logs, 10);
    data.close().await.unwrap();
    let small = std::fs::metadata(place.file()).unwrap().len();
    assert!(small * 2 < full, "{small} of {full} bytes are left");
}
