//! Builds from request to result (reference 05, 09.097).

use crate::support::config::{builder_with, step_with};
use crate::support::{Master, Setup, builder, step};
use lunabot_model::Properties;
use serde_json::json;

#[tokio::test]
async fn row_05_007_a_trivial_build_succeeds_with_its_steps_log_and_properties() {
    let mut master =
        Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("print hello")]))).await;
    master.worker("w").await;
    let request = master.request("b").await;
    let build = master.finished(request).await;
    assert_eq!(
        (&build["results"], &build["state_string"], &build["number"]),
        (&json!(0), &json!("build successful"), &json!(1))
    );
    let steps = master.steps(&build).await;
    let expected = [("worker_preparation", 0, "worker w ready"), ("shell", 0, "'print hello'")];
    assert_eq!(steps, expected.map(|(name, results, text)| (name.into(), json!(results), text.into())));
    let log = master.log(&build, "shell", "stdio").await.unwrap();
    assert_eq!(log, "ohello\nhprogram finished with exit code 0\n");
    let row = master.one(&format!("buildrequests/{request}")).await;
    assert_eq!((&row["complete"], &row["results"]), (&json!(true), &json!(0)));
    for (name, value, source) in [
        ("buildername", json!("b"), "Builder"),
        ("workername", json!("w"), "Worker"),
        ("buildnumber", json!(1), "Build"),
        ("branch", json!("main"), "Build"),
        ("project", json!("proj"), "Build"),
        ("basedir", json!("/w"), "Worker"),
        ("builddir", json!("/w/b"), "Worker"),
    ] {
        assert_eq!(master.property(&build, name).await, Some((value, source.to_string())), "{name}");
    }
    master.stop().await;
}

#[tokio::test]
async fn row_09_097_the_events_of_a_plain_build_in_order() {
    let mut master =
        Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("true")]))).await;
    master.worker("w").await;
    master.data.flush().await.unwrap();
    master.request("b").await;
    let trace = master.trace_until("buildsets/*/complete").await;
    let start = trace.iter().position(|topic| topic == "buildsets/new").unwrap();
    let seen: Vec<&str> = trace[start..].iter().map(String::as_str).collect();
    let mut left = seen.iter();
    for expected in [
        "buildsets/new",
        "buildrequests/new",
        "buildrequests/claimed",
        "steps/new",
        "steps/started",
        "builds/update",
        "builds/new",
        "builds/update",
        "builds/update",
        "steps/updated",
        "steps/finished",
        "builds/update",
        "steps/new",
        "steps/started",
        "steps/updated",
        "logs/new",
        "logs/append",
        "logs/finished",
        "steps/updated",
        "steps/finished",
        "builds/update",
        "builds/finished",
        "buildrequests/complete",
        "buildsets/complete",
    ] {
        assert!(left.any(|topic| *topic == expected), "{expected} is missing or out of order in {seen:#?}");
    }
    master.stop().await;
}

#[tokio::test]
async fn row_05_003_a_failure_halts_only_where_asked_and_always_run_steps_run() {
    let steps = vec![
        step("false"),
        step_with("exit 2", json!({"name": "halts", "haltOnFailure": true})),
        step_with("true", json!({"name": "left out"})),
        step_with("true", json!({"name": "always", "alwaysRun": true})),
    ];
    let mut master = Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], steps))).await;
    master.worker("w").await;
    let request = master.request("b").await;
    let build = master.finished(request).await;
    assert_eq!(build["results"], 2);
    assert_eq!(build["state_string"], "failed 'false' (failure) 'exit 2' (failure)");
    let names: Vec<String> = master.steps(&build).await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["worker_preparation", "shell", "halts", "always"]);
    master.stop().await;
}

#[tokio::test]
async fn row_05_009_steps_of_one_name_are_numbered() {
    let steps = vec![step("true"), step("true"), step("true")];
    let mut master = Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], steps))).await;
    master.worker("w").await;
    let request = master.request("b").await;
    let build = master.finished(request).await;
    let names: Vec<String> = master.steps(&build).await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["worker_preparation", "shell", "shell_1", "shell_2"]);
    master.stop().await;
}

#[tokio::test]
async fn row_04_007_a_name_set_at_every_level_ends_with_the_workers_value() {
    let options = json!({
        "name": "b", "workernames": ["w"], "properties": {"x": "builder", "b": "builder"},
        "defaultProperties": {"b": "default", "d": "default", "r": "default"}, "env": {"A": "1", "B": "2"},
    });
    let worker =
        json!({"name": "w", "properties": {"x": "worker"}, "defaultProperties": {"r": "w", "e": "w"}});
    let steps = vec![step_with("print x", json!({"env": {"B": "3", "A": null}}))];
    let setup = Setup::default().worker(worker).builder(builder_with(options, steps)).with(|config| {
        for name in ["x", "g", "b", "r", "buildnumber"] {
            config.properties.insert(name.into(), "global".into());
        }
    });
    let mut master = Master::start(setup).await;
    let worker = master.worker("w").await;
    let mut asked = Properties::new();
    for name in ["x", "b", "r", "buildnumber"] {
        asked.set(name, "request", "Force Build Form");
    }
    asked.set("owner", "Ada", "Force Build Form");
    let request = master.request_with("b", 0, asked).await;
    let build = master.finished(request).await;
    for (name, value, source) in [
        ("x", json!("worker"), "Worker"),
        ("b", json!("builder"), "Builder"),
        ("r", json!("request"), "Force Build Form"),
        ("g", json!("global"), "master.lua"),
        ("d", json!("default"), "Builder"),
        ("e", json!("w"), "Worker"),
        ("buildnumber", json!(1), "Build"),
        ("owners", json!(["Ada"]), "Build"),
    ] {
        assert_eq!(master.property(&build, name).await, Some((value, source.to_string())), "{name}");
    }
    let command = worker.started.lock().unwrap()[0].1.clone();
    assert_eq!(command.builddir.as_deref(), Some("b"));
    let env = command.args.get("env").unwrap().as_dict().unwrap().clone();
    assert_eq!((env.get("A"), env.get("B")), (Some(&lunabot_proto::Value::None), Some(&"3".into())));
    assert_eq!(command.args.get("workdir"), Some(&"build".into()));
    master.stop().await;
}
