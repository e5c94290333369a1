//! Builds from request to result (reference 05, 09.097).

use crate::support::config::{builder_with, object, property, step_with};
use crate::support::host::callback;
use crate::support::{Master, Setup, builder, stamp, step};
use lunabot_data::new::{NewBuildset, NewChange, NewPatch, NewSourceStamp, StampRef};
use lunabot_model::{Arg, Properties};
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
async fn row_05_008_synthetic_steps_have_the_first_numbers() {
    let lock = object("util.MasterLock", json!({"name": "db", "maxCount": 1}));
    let locked = json!({"name": "b", "workernames": ["w"], "locks": [lock]});
    for (options, expected) in [
        (json!({"name": "b", "workernames": ["w"]}), vec![("worker_preparation", 0), ("shell", 1)]),
        (locked, vec![("worker_preparation", 0), ("locks_acquire", 1), ("shell", 2)]),
    ] {
        let setup = Setup::new(&["w"]).builder(builder_with(options, vec![step("true")]));
        let mut master = Master::start(setup).await;
        master.worker("w").await;
        let request = master.request("b").await;
        let build = master.finished(request).await;
        let steps = master.list(&format!("builds/{}/steps", build["buildid"]), "order=number").await;
        let seen: Vec<(&str, i64)> =
            steps.iter().map(|s| (s["name"].as_str().unwrap(), s["number"].as_i64().unwrap())).collect();
        assert_eq!(seen, expected);
        master.stop().await;
    }
}

#[tokio::test]
async fn row_05_015_authors_of_changes_and_patches_own_the_build() {
    let mut master =
        Master::start(Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("true")]))).await;
    master.worker("w").await;
    let mut ids = Vec::new();
    for (author, codebase) in [("Zoe <z@x>", "one"), ("Ann <a@x>", "two"), ("Ann <a@x>", "three")] {
        let change = NewChange { author: author.into(), codebase: codebase.into(), ..NewChange::default() };
        ids.push(StampRef::Id(master.data.add_change(change).await.unwrap().sourcestamp.ssid));
    }
    let patch = NewPatch { body: b"-".to_vec(), level: 1, author: "Bob".into(), ..NewPatch::default() };
    let patched = NewSourceStamp { codebase: "four".into(), patch: Some(patch), ..stamp() };
    ids.push(StampRef::New(patched));
    let id = master.builder_id("b").await;
    let set = NewBuildset { builderids: vec![id], sourcestamps: ids, ..NewBuildset::default() };
    let request = master.data.add_buildset(set).await.unwrap().1[&id];
    let build = master.finished(request).await;
    let owners = json!(["Ann <a@x>", "Bob", "Zoe <z@x>"]);
    assert_eq!(master.property(&build, "owners").await, Some((owners, "Build".to_string())));
    master.stop().await;
}

#[tokio::test]
async fn row_05_020_builds_share_nothing_of_their_steps() {
    let counting = object("steps.Odd", json!({"what": "counts its runs"}));
    let setup = Setup::new(&["w"]).builder(builder("b", &["w"], vec![counting.clone(), counting]));
    let mut master = Master::start(setup).await;
    master.worker("w").await;
    for _ in 0..2 {
        let request = master.request("b").await;
        let build = master.finished(request).await;
        assert_eq!(master.property(&build, "runs").await.unwrap().0, 1);
    }
    master.stop().await;
}

/// Where a command runs: the step's folder, else the factory's, else `build`.
#[tokio::test]
async fn row_05_035_the_folder_of_a_command() {
    for (factory, step_option, expected) in [
        (json!(null), json!({}), "build"),
        (json!("src"), json!({}), "src"),
        (json!("src"), json!({"workdir": "own"}), "own"),
        (json!("src"), json!({"workdir": property("branch")}), "main"),
        (serde_json::to_value(property("branch")).unwrap(), json!({}), "main"),
        (callback(1), json!({}), "of main"),
    ] {
        let mut declared = builder("b", &["w"], vec![step_with("true", step_option.clone())]);
        declared.factory.workdir = serde_json::from_value(factory.clone()).unwrap();
        let mut master = Master::start(Setup::new(&["w"]).builder(declared)).await;
        master.host.set(1, |args| match &args[0] {
            Arg::Value(stamps) => Ok(json!(format!("of {}", stamps[0]["branch"].as_str().unwrap()))),
            other => Err(format!("{other:?}")),
        });
        let worker = master.worker("w").await;
        let request = master.request("b").await;
        let build = master.finished(request).await;
        assert_eq!(build["results"], 0, "{factory} {step_option}");
        let command = worker.started.lock().unwrap()[0].1.clone();
        assert_eq!(command.args.get("workdir"), Some(&expected.into()), "{factory} {step_option}");
        master.stop().await;
    }
}

#[tokio::test]
async fn row_05_006_a_buildset_is_as_bad_as_its_worst_request() {
    let warns = step_with("exit 1", json!({"decodeRC": {"1": 1}, "warnOnWarnings": true}));
    let setup = Setup::new(&["w"])
        .builder(builder("good", &["w"], vec![step("true")]))
        .builder(builder("warns", &["w"], vec![warns]))
        .builder(builder("bad", &["w"], vec![step("false")]));
    let mut master = Master::start(setup).await;
    master.worker("w").await;
    for (names, expected) in [(vec![], 0), (vec!["good", "warns"], 1), (vec!["bad", "good", "warns"], 2)] {
        let mut ids = Vec::new();
        for name in names {
            ids.push(master.builder_id(name).await);
        }
        let new = NewBuildset { builderids: ids, ..NewBuildset::default() };
        let (id, _) = master.data.add_buildset(new).await.unwrap();
        let set = master.wait_for("buildsets/*/complete", |set| set["bsid"] == id).await;
        assert_eq!(set["results"], expected, "{set}");
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
