//! Rules of one's own for what is built, and configurations made by a program: the examples of the documentation.

use anyhow::{Context, Result};
use lunabot_tests::{Master, documented, documented_folder};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

const PAGE: &str = "customization/scheduling.md";

/// Properties that can be told when forcing.
const FORCE: &str = r#"
c.schedulers[1] = schedulers.ForceScheduler{name = "force", builderNames = util.map(c.builders, function(b) return b.name end),
  properties = {util.StringParameter{name = "told"}, util.StringParameter{name = "KEY"}}}
"#;

fn force(key: &str) -> String {
    FORCE.replace("KEY", key)
}

async fn pause(master: &Master, method: &str) -> Result<()> {
    let workers = master.get("workers").await?;
    for worker in workers["workers"].as_array().context("workers")? {
        let path = format!("workers/{}", worker["workerid"]);
        master.control(&path, method, json!({"reason": "a test"})).await?;
    }
    Ok(())
}

/// Forces requests while no worker takes any.
async fn queued(config: &str, requests: &[Value]) -> Result<Master> {
    let master = Master::start(config).await?;
    pause(&master, "pause").await?;
    for params in requests {
        master.control("forceschedulers/force", "force", params.clone()).await?;
    }
    Ok(master)
}

async fn results(master: &Master) -> Result<Vec<Value>> {
    let all = master.get("buildrequests?order=buildrequestid").await?;
    Ok(all["buildrequests"].as_array().into_iter().flatten().map(|row| row["results"].clone()).collect())
}

/// Lets the workers go on; what of each build in the order of their starts.
async fn built(master: &Master, count: usize, what: impl Fn(&Value) -> Value) -> Result<Vec<Value>> {
    pause(master, "unpause").await?;
    let path = "builds?complete=true&order=buildid&property=*";
    let done =
        master.until(path, |all| all["builds"].as_array().is_some_and(|all| all.len() == count)).await?;
    Ok(done["builds"].as_array().into_iter().flatten().map(what).collect())
}

fn property(name: &'static str) -> impl Fn(&Value) -> Value {
    move |build| build["properties"][name][0].clone()
}

#[tokio::test]
async fn row_07_003_requests_are_collapsed_by_branch_reason_or_what_another_says() -> Result<()> {
    let by_branch = ["a", "b", "a"].map(|branch| json!({"branch": branch}));
    let by_reason = ["a", "b", "a"].map(|reason| json!({"reason": reason}));
    let by_number = ["7", "8", "7"].map(|number| json!({"pull_request": number}));
    for (heading, more, requests) in [
        ("Requests of one branch are one", String::new(), &by_branch),
        ("Requests of one branch, by key", String::new(), &by_branch),
        ("Requests with one reason", String::new(), &by_reason),
        ("Asking somebody else", force("pull_request"), &by_number),
    ] {
        let master = queued(&documented(PAGE, heading, &more)?, requests).await?;
        assert_eq!(results(&master).await?, [3, -1, -1], "{heading}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_of_trigger_steps_are_kept() -> Result<()> {
    let more = r#"
c.workers[2] = worker.LocalWorker{"other"}
c.builders[2] = util.BuilderConfig{name = "child", workernames = {"other"}, factory = util.BuildFactory{}}
c.schedulers[2] = schedulers.Triggerable{name = "children", builderNames = {"child"}}
f:addStep(steps.Trigger{schedulerNames = {"children"}})
"#;
    let master = Master::start(&documented(PAGE, "Requests of Trigger steps", more)?).await?;
    master.control("workers/2", "pause", json!({"reason": "a test"})).await?;
    for build in [1, 2] {
        master.force("runtests").await?;
        master.finished_build(build).await?;
    }
    assert_eq!(results(&master).await?, [0, -1, 0, -1]);
    Ok(())
}

/// Builders that share a worker for one build at a time.
fn builders(names: &[&str]) -> String {
    let each = |name: &&str| {
        format!(
            "util.BuilderConfig{{name = '{name}', workernames = {{'local'}}, factory = f, collapseRequests = false}}"
        )
    };
    let all: Vec<String> = names.iter().map(each).collect();
    format!(
        "c.workers = {{worker.LocalWorker{{'local', max_builds = 1}}}}\nc.builders = {{{}}}\n{}",
        all.join(", "),
        force("x")
    )
}

#[tokio::test]
async fn rows_07_011_07_012_builders_are_put_in_order() -> Result<()> {
    let wanted =
        |names: &[&str]| -> Vec<Value> { names.iter().map(|name| json!({"builderNames": [name]})).collect() };
    for (heading, all, requests, order) in [
        (
            "Which builder is first",
            ["build", "test", "final release"],
            ["build", "test", "final release"],
            ["final release", "test", "build"],
        ),
        ("Builders in turn", ["a", "b", "c"], ["a", "a", "b"], ["a", "b", "a"]),
    ] {
        let master = queued(&documented(PAGE, heading, &builders(&all))?, &wanted(&requests)).await?;
        assert_eq!(built(&master, 3, property("buildername")).await?, order, "{heading}");
    }
    Ok(())
}

#[tokio::test]
async fn row_07_015_requests_are_put_in_order() -> Result<()> {
    let branches = ["main", "release"].map(|branch| json!({"branch": branch}));
    let config = documented(PAGE, "Releases before all else", &force("x"))?;
    let master = queued(&config, &branches).await?;
    assert_eq!(built(&master, 2, property("branch")).await?, ["release", "main"]);
    let config = documented(PAGE, "The request that matters most", &force("urgency"))?;
    let master = queued(&config, &["1", "5", "3"].map(|n| json!({"urgency": n, "branch": n}))).await?;
    assert_eq!(built(&master, 3, property("urgency")).await?, ["5", "3", "1"]);
    Ok(())
}

#[tokio::test]
async fn row_07_018_a_worker_without_the_file_is_refused() -> Result<()> {
    let files = TempDir::new()?;
    let config = documented(PAGE, "A file that a worker must have", &force("vm"))?;
    let config = config.replace("/opt/vm", &files.path().display().to_string());
    let master = Master::start(&config).await?;
    let force = |vm: &'static str| master.control("forceschedulers/force", "force", json!({"vm": vm}));
    std::fs::write(files.path().join("there"), "")?;
    force("there").await?;
    master.finished_build(1).await?;
    force("missing").await?;
    assert_eq!(results(&master).await?, [0, -1]);
    std::fs::write(files.path().join("missing"), "")?;
    force("there").await?;
    master.finished_build(3).await?;
    assert_eq!(results(&master).await?, [0, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn rows_07_018_07_021_a_busy_worker_is_quarantined() -> Result<()> {
    let config = documented(PAGE, "A worker that is too busy", "")?;
    let busy = Master::start(&config.replace("$((64 * $(nproc)))", "-1")).await?;
    busy.force("runtests").await?;
    busy.log_line(|line| line.contains("the load is too high")).await?;
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    master.finished_build(1).await?;
    master.force("runtests").await?;
    assert_eq!(results(&master).await?, [0, -1], "the worker takes no other for a while");
    pause(&master, "unpause").await?;
    master.finished_build(2).await?;
    Ok(())
}

#[tokio::test]
async fn row_07_014_builds_go_where_the_last_one_was() -> Result<()> {
    let more = r#"
c.workers[2] = worker.LocalWorker{"other"}
c.builders[1] = c.builders[1]:with{workernames = {"local", "other"}}
"#;
    let master = Master::start(&documented(PAGE, "The worker that did it last", more)?).await?;
    let mut where_ = Vec::new();
    for build in 1..=8 {
        master.force("runtests").await?;
        where_.push(master.finished_build(build).await?["workerid"].clone());
    }
    assert!(where_.iter().all(|worker| *worker == where_[0]), "{where_:?}");
    Ok(())
}

const MADE: &str = "customization/configuration.md";

/// A master of a block of the page, with the files that the page shows.
async fn made(heading: &str) -> Result<Master> {
    Master::start_in(Arc::new(documented_folder(MADE, heading, "")?)).await
}

async fn names(master: &Master) -> Result<Vec<Value>> {
    let all = master.get("builders?order=builderid&masterids__contains=1").await?;
    Ok(all["builders"].as_array().into_iter().flatten().map(|b| b["name"].clone()).collect())
}

#[tokio::test]
async fn row_01_002_builders_are_made_in_a_loop() -> Result<()> {
    let master = made("A builder per version").await?;
    assert_eq!(names(&master).await?, ["runtests", "test-python3.9", "test-python3.11", "test-python3.13"]);
    master.force("test-python3.11").await?;
    master.finished_build(1).await?;
    assert!(master.step_log(1, "test", "stdio").await?.contains("python3.11 test.py"));
    Ok(())
}

#[tokio::test]
async fn builders_come_from_files_that_a_reload_reads_again() -> Result<()> {
    let master = made("From a file").await?;
    assert_eq!(names(&master).await?, ["runtests", "test-3.11", "test-3.13"]);
    let slow = master.get("builders?tags__contains=slow").await?;
    assert_eq!(slow["builders"][0]["name"], "test-3.13");
    std::fs::write(master.dir().join("pythons.yaml"), "- name: \"3.14\"\n")?;
    master.signal(nix::sys::signal::Signal::SIGHUP)?;
    master.until("builders", |all| all["builders"].to_string().contains("test-3.14")).await?;
    std::fs::write(master.dir().join("pythons.yaml"), "- name: [\n")?;
    master.signal(nix::sys::signal::Signal::SIGHUP)?;
    let told = master.log_line(|line| line.contains("pythons.yaml")).await?;
    assert!(told.contains("pythons.yaml:"), "the file and its line: {told}");
    assert!(names(&master).await?.contains(&json!("test-3.14")), "the old configuration goes on");
    Ok(())
}

#[tokio::test]
async fn builders_come_from_an_ini_file() -> Result<()> {
    let master = made("From an INI file").await?;
    assert_eq!(names(&master).await?, ["runtests", "lint", "docs"]);
    let nightly = master.get("schedulers?name=nightly").await?;
    assert_eq!(nightly["meta"]["total"], 1, "{nightly}");
    Ok(())
}
