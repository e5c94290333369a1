//! The life cycle of steps (reference 05c, 05d, 04.037, 04.039).

use crate::support::config::{object, property, step_with};
use crate::support::host::callback;
use crate::support::{Master, Setup, builder, step};
use futures::StreamExt;
use lunabot_model::{AnyObject, Json};
use lunabot_proto::Update;
use serde_json::json;
use std::time::Duration;

fn odd(what: &str) -> AnyObject {
    object("steps.Odd", json!({"what": what}))
}

/// A master that has built one builder of these steps, and the build.
async fn built(steps: Vec<AnyObject>) -> (Master, Json) {
    let mut master = Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], steps))).await;
    master.worker("w").await;
    let request = master.request("b").await;
    let build = master.finished(request).await;
    (master, build)
}

#[tokio::test]
async fn row_05_019_what_goes_wrong_in_a_step_is_its_result_and_in_its_logs() {
    let (master, build) = built(vec![odd("gives up"), odd("raises")]).await;
    assert_eq!(build["results"], 4);
    let steps = master.steps(&build).await;
    assert_eq!((&steps[1].1, &steps[2].1), (&json!(2), &json!(4)));
    assert_eq!(master.log(&build, "odd", "stdio").await.unwrap(), "hwill not\n");
    assert_eq!(master.log(&build, "odd_1", "err.text").await.unwrap(), "no <such> thing\n");
    assert_eq!(
        master.log(&build, "odd_1", "err.html").await.unwrap(),
        "<pre>no &lt;such> thing</pre>\n".replace("such>", "such&gt;")
    );
    master.stop().await;
}

#[tokio::test]
async fn row_05_019_a_step_that_panics_ends_the_build_and_not_the_master() {
    let (mut master, build) = built(vec![odd("panics"), step("true")]).await;
    assert_eq!(
        (&build["results"], &build["state_string"]),
        (&json!(4), &json!("exception finished (exception)"))
    );
    master.clock.advance(Duration::from_secs(11));
    let next = master.request("b").await;
    assert_eq!(master.finished(next).await["number"], 2);
    master.stop().await;
}

#[tokio::test]
async fn row_05_019_do_step_if_and_hide_step_if() {
    let steps = vec![
        step_with("true", json!({"name": "no", "doStepIf": false})),
        step_with("true", json!({"name": "unset", "doStepIf": property("nope"), "hideStepIf": true})),
        step_with("true", json!({"name": "asked", "doStepIf": callback(1), "hideStepIf": callback(2)})),
        step_with("true", json!({"name": "nonsense", "doStepIf": callback(3)})),
    ];
    let mut master = Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], steps))).await;
    master.host.set(1, |_| Ok(json!(true)));
    master.host.set(2, |args| Ok(json!(format!("{:?}", args[0]) == "0")));
    master.host.set(3, |_| Ok(json!("")));
    master.worker("w").await;
    let request = master.request("b").await;
    let build = master.finished(request).await;
    let steps = master.steps(&build).await;
    let results: Vec<(&str, &Json)> =
        steps.iter().map(|(name, results, _)| (name.as_str(), results)).collect();
    let skipped = json!(3);
    let expected = [("no", &skipped), ("unset", &skipped), ("asked", &json!(0)), ("nonsense", &json!(4))];
    assert_eq!(results[1..], expected);
    let rows = master.list(&format!("builds/{}/steps", build["buildid"]), "").await;
    let hidden: Vec<bool> = rows.iter().map(|row| row["hidden"] == true).collect();
    assert_eq!(hidden, [false, false, true, true, false]);
    assert_eq!(master.host.nonsense.lock().unwrap().len(), 1);
    master.stop().await;
}

#[tokio::test]
async fn row_04_037_a_step_sees_properties_as_they_were_before_it() {
    let print = |name: &str| step_with("print", json!({"name": name, "command": ["print", property("x")]}));
    let (master, build) = built(vec![odd("sets x"), print("after")]).await;
    assert!(master.log(&build, "after", "stdio").await.unwrap().starts_with("oset\n"));
    assert_eq!(master.property(&build, "x").await, Some((json!("set"), "Odd".to_string())));
    master.stop().await;
}

#[tokio::test]
async fn row_04_039_secrets_are_masked_in_logs_and_texts() {
    let secret = json!({"$kind": "util.Secret", "$id": 1, "$at": "m:1", "$args": {"secret_name": "token"}});
    let described = json!({"command": ["print", secret.clone()], "descriptionDone": ["used", secret]});
    let (master, build) = built(vec![step_with("print", described)]).await;
    assert!(master.log(&build, "shell", "stdio").await.unwrap().starts_with("o<token>\n"));
    assert_eq!(master.steps(&build).await[1].2, "used <token>");
    master.stop().await;
}

#[tokio::test]
async fn row_05_038_decode_rc_and_row_05_040_broken_commands() {
    let steps = vec![
        step_with("exit 5", json!({"decodeRC": {"5": 1}})),
        step_with("breaks", json!({"name": "breaks"})),
    ];
    let (master, build) = built(steps).await;
    let steps = master.steps(&build).await;
    assert_eq!((&steps[1].1, &steps[2].1), (&json!(1), &json!(4)));
    assert_eq!(master.log(&build, "breaks", "err.text").await.unwrap(), "worker trouble\n");
    master.stop().await;
}

#[tokio::test]
async fn rows_05_030_13_003_13_004_logs_urls_and_html_of_a_step() {
    let (master, build) = built(vec![odd("logs")]).await;
    assert_eq!(master.log(&build, "odd", "stdio").await.unwrap(), "eerror\nohalf line\n");
    assert_eq!(master.log(&build, "odd", "report").await.unwrap(), "<b>\n");
    let steps = master.list(&format!("builds/{}/steps", build["buildid"]), "").await;
    let urls = json!([{"name": "docs", "url": "http://x/"}, {"name": "api", "url": "http://y/"}]);
    assert_eq!(steps[1]["urls"], urls, "in order, each once");
    assert_eq!(build["results"], 0, "a plain step's warnings do not count");
    master.stop().await;
}

#[tokio::test]
async fn rows_05_046_05_047_files_go_to_the_worker_and_come_back() {
    let (master, build) = built(vec![odd("uses files")]).await;
    assert_eq!(build["results"], 0, "{:?}", master.log(&build, "odd", "err.text").await);
    assert_eq!(master.property(&build, "back").await.unwrap().0, "from the worker");
    assert_eq!(master.property(&build, "exists").await.unwrap().0, true);
    master.stop().await;
}

#[tokio::test]
async fn row_05_046_folders_are_made_removed_and_searched() {
    let (master, build) = built(vec![odd("looks around")]).await;
    assert_eq!(master.property(&build, "made").await.unwrap().0, json!([true, true]));
    let found = master.property(&build, "found").await.unwrap().0;
    assert_eq!(found, json!([["/w/b/x.c"], null]), "a folder that cannot be read is none");
    master.stop().await;
}

#[tokio::test]
async fn row_05_028_a_stopped_step_sends_no_more_commands() {
    let mut master =
        Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], vec![odd("goes on")]))).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    master.wait_for("steps/*/updated", |step| step["state_string"] == "running").await;
    master.control(&format!("buildrequests/{request}"), "cancel").await;
    let build = master.finished(request).await;
    assert_eq!((&build["results"], &master.steps(&build).await[1].1), (&json!(6), &json!(6)));
    assert!(worker.started.lock().unwrap().is_empty(), "the worker hears nothing of it");
    master.stop().await;
}

#[tokio::test]
async fn row_05_032_build_data_is_kept_by_name_and_the_last_counts() {
    let (master, build) = built(vec![odd("keeps data")]).await;
    let path = format!("builds/{}/data", build["buildid"]);
    let all = master.list(&path, "").await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["name"], &all[0]["source"], &all[0]["length"]),
        (&json!("report"), &json!("Odd"), &json!(3))
    );
    let mut body = master.data.raw(&format!("{path}/report/value")).await.unwrap().body;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(bytes, b"two");
    master.stop().await;
}

#[tokio::test]
async fn row_05_036_a_command_that_the_worker_lacks_is_an_exception() {
    let (master, build) = built(vec![odd("asks for commands")]).await;
    assert_eq!(master.property(&build, "version").await.unwrap().0, "3.3");
    assert_eq!(master.steps(&build).await[1].1, 4);
    let told = master.log(&build, "odd", "err.text").await.unwrap();
    assert_eq!(told, "worker is too old, does not know about frobnicate\n");
    master.stop().await;
}

#[tokio::test]
async fn rows_05_037_05_039_news_of_a_command_go_where_they_belong() {
    let steps =
        vec![step_with("hold a", json!({"logfiles": {"seen": "f", "late": "g"}, "lazylogfiles": true}))];
    let mut master = Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], steps))).await;
    let worker = master.worker("w").await;
    let request = master.request("b").await;
    let held = worker.held("a").await;
    let log = |name: &str| Update::Log { name: name.into(), text: format!("of {name}\n") };
    held.updates(vec![
        Update::Header("head\n".into()),
        Update::Stdout("out\n".into()),
        Update::Stderr("err\n".into()),
        log("seen"),
        log("unknown"),
        Update::Other { key: "curious".into(), value: "x".into() },
        Update::Elapsed(1.5),
    ])
    .await;
    held.end(7).await;
    let build = master.finished(request).await;
    assert_eq!(build["results"], 2);
    let stdio = master.log(&build, "shell", "stdio").await.unwrap();
    assert_eq!(stdio, "hhead\noout\neerr\nhprogram finished with exit code 7\n");
    assert_eq!(master.log(&build, "shell", "seen").await.unwrap(), "oof seen\n");
    for name in ["unknown", "late"] {
        assert_eq!(master.log(&build, "shell", name).await, None, "{name}");
    }
    let ids: Vec<String> = worker.started.lock().unwrap().iter().map(|(_, c)| c.id.clone()).collect();
    assert_eq!(ids.len(), 1);
    master.stop().await;
}

#[tokio::test]
async fn row_05_034_properties_of_steps_have_a_source_and_the_last_one_counts() {
    let print = step_with("print", json!({"name": "again", "command": ["print", property("x")]}));
    let (master, build) = built(vec![odd("sets x"), odd("sets x"), print]).await;
    assert_eq!(master.property(&build, "x").await, Some((json!("set"), "Odd".to_string())));
    assert!(master.log(&build, "again", "stdio").await.unwrap().starts_with("oset\n"));
    master.stop().await;
}

#[tokio::test]
async fn row_05_024_the_text_of_a_running_step_changes_at_most_once_a_second() {
    let mut master = Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], vec![odd("says")]))).await;
    master.worker("w").await;
    let request = master.request("b").await;
    let running = master.wait_for("steps/*/updated", |step| step["state_string"] == "running").await;
    master.clock.advance(Duration::from_millis(1000));
    let said = master.wait_for("steps/*/updated", |step| step["stepid"] == running["stepid"]).await;
    assert_eq!(said["state_string"], "one");
    master.control(&format!("buildrequests/{request}"), "cancel").await;
    assert_eq!(master.finished(request).await["results"], 6);
    master.stop().await;
}

#[tokio::test]
async fn rows_05_051_05_052_13_005_line_observers_see_whole_lines_whenever_they_come() {
    let (master, build) = built(vec![odd("observes")]).await;
    let all = json!(["Stderr error", "Stdout half line", "Stdout rest"]);
    for name in ["early", "late", "after"] {
        assert_eq!(master.property(&build, name).await.unwrap().0, all, "{name}");
    }
    assert_eq!(build["results"], 0);
    master.stop().await;
}

#[tokio::test]
async fn row_13_025_an_observer_that_breaks_is_told_once_and_is_the_steps_exception() {
    let (master, build) = built(vec![odd("breaks observing")]).await;
    assert_eq!(master.steps(&build).await[1].1, 4);
    let told = master.log(&build, "odd", "err.text").await.unwrap();
    assert_eq!(told, "log observer: cannot stand \"a\\nb\\n\"\n");
    assert_eq!(master.log(&build, "odd", "stdio").await.unwrap(), "oa\nob\noc\n");
    master.stop().await;
}

#[tokio::test]
async fn rows_05_016_05_029_statistics_are_folded_over_the_steps_that_have_them() {
    let (master, build) = built(vec![odd("counts"), odd("sets x"), odd("counts")]).await;
    for (name, value) in [("sum", json!(4)), ("sum10", json!(14)), ("none", json!(null))] {
        assert_eq!(master.property(&build, name).await.unwrap().0, value, "{name}");
    }
    master.stop().await;
}
