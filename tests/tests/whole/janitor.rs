//! A night of the janitor in a running master: logs and builds go, the file shrinks (13.022, 14.024–14.026).

use anyhow::{Context, Result};
use lunabot_tests::Master;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

const CONFIG: &str = r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { workers = { worker.LocalWorker{"local"} }, www = { port = 0 } }
local noisy = util.BuildFactory{
  steps.ShellCommand{name = "noise", command = "head -c 3000000 /dev/urandom | base64; echo the end"},
  steps.SetProperty{property = "kept", value = "yes"},
}
c.builders = {
  util.BuilderConfig{name = "logs", workernames = {"local"}, factory = noisy},
  util.BuilderConfig{name = "scratch", workernames = {"local"}, factory = noisy},
}
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"logs", "scratch"}} }
c.logCompressionMethod = "gz"
c.configurators = { util.JanitorConfigurator{logHorizon = 0, retention = {
  {builders = {"scratch"}, builds = 0, keep = 1},
  {builders = {"__Janitor"}, builds = "1d"},
}} }
return c
"#;

/// Ends the master softly; the size of its database then.
async fn stop(mut master: Master) -> Result<(Arc<TempDir>, u64)> {
    master.signal(Signal::SIGTERM)?;
    master.ended().await?;
    let size = std::fs::metadata(master.dir().join("state.sqlite"))?.len();
    Ok((master.shared_dir(), size))
}

/// Forces the janitor; its build.
async fn clean_up(master: &Master) -> Result<i64> {
    let answer = master.control("forceschedulers/__Janitor_force", "force", json!({})).await?;
    let request = answer[1].as_object().and_then(|all| all.values().next()).context("a request")?.clone();
    let done = |all: &Value| all["builds"][0]["complete"] == true;
    let all = master.until(&format!("builds?buildrequestid={request}"), done).await?;
    assert_eq!(all["builds"][0]["results"], 0, "{all}");
    all["builds"][0]["buildid"].as_i64().context("buildid")
}

#[tokio::test]
async fn row_13_022_a_janitor_takes_out_logs_and_builds_and_the_file_shrinks() -> Result<()> {
    let master = Master::start(CONFIG).await?;
    for (id, builder) in [(1, "logs"), (2, "scratch"), (3, "scratch")] {
        master.force(builder).await?;
        assert_eq!(master.finished_build(id).await?["results"], 0);
    }
    let lines = master.get("builds/1/steps/noise/logs/stdio").await?["logs"][0]["num_lines"].clone();
    let (dir, full) = stop(master).await?;
    assert!(full > 8_000_000, "{full}");

    // 13.011: what is stored is read, whatever the method is now.
    let file = dir.path().join("master.lua");
    std::fs::write(&file, CONFIG.replace("\"gz\"", "\"bz2\""))?;
    let master = Master::start_in(dir).await?;
    assert!(master.step_log(1, "noise", "stdio").await?.contains("the end"));
    // A build is old when its second has passed.
    let mut janitors = Vec::new();
    while master.get("builds/1/steps/noise/logs/stdio").await?["logs"][0]["type"] != "d"
        || master.try_get("builds/2").await?.0 != 404
    {
        janitors.push(clean_up(&master).await?);
        assert!(janitors.len() < 50, "nothing is taken out");
    }
    let log = master.get("builds/1/steps/noise/logs/stdio").await?["logs"][0].clone();
    assert_eq!((&log["num_lines"], &log["complete"]), (&lines, &json!(true)), "its row stays");
    let text = master.step_log(1, "noise", "stdio").await?;
    assert!(!text.contains("the end"), "{text:.300}");
    assert_eq!(
        master.get("builds/1/properties").await?["properties"][0]["kept"],
        json!(["yes", "SetProperty"])
    );
    assert_eq!(master.try_get("builds/3").await?.0, 200, "the newest stays: numbers go on from it");
    let told: Vec<Value> = {
        let last = janitors.last().context("a janitor")?;
        let steps = master.get(&format!("builds/{last}/steps")).await?;
        steps["steps"].as_array().into_iter().flatten().map(|step| step["name"].clone()).collect()
    };
    assert_eq!(told, ["worker_preparation", "RetentionJanitor", "LogChunksJanitor"]);
    let nightly = master.get("schedules?name=__Janitor").await?;
    assert!(nightly["schedules"][0]["next_at"].is_i64(), "{nightly}");
    master.force("scratch").await?;
    let builds = master
        .until("builders/scratch/builds", |all| all["builds"].as_array().is_some_and(|b| b.len() == 2))
        .await?;
    assert_eq!(builds["builds"][1]["number"], 3, "{builds}");
    let running = builds["builds"][1]["buildid"].as_i64().context("buildid")?;
    master.finished_build(running).await?;
    let (_, small) = stop(master).await?;
    assert!(small < full / 2 + 4_500_000 && small < full - 3_000_000, "{full} bytes became {small}");
    Ok(())
}

#[tokio::test]
async fn row_14_026_what_a_rule_fits_is_left_to_it_by_the_horizons() -> Result<()> {
    let config = CONFIG
        .replace("head -c 3000000 /dev/urandom | base64; echo the end", "echo the end")
        .replace(
            "{builders = {\"scratch\"}, builds = 0, keep = 1}",
            "{builders = {\"scratch\"}, logs = \"900d\"}",
        )
        .replace("logHorizon = 0", "logHorizon = 0, build_data_horizon = 0");
    let master = Master::start(&config).await?;
    for (id, builder) in [(1, "logs"), (2, "scratch")] {
        master.force(builder).await?;
        assert_eq!(master.finished_build(id).await?["results"], 0);
    }
    let kind = async |build: i64| -> Result<Value> {
        Ok(master.get(&format!("builds/{build}/steps/noise/logs/stdio")).await?["logs"][0]["type"].clone())
    };
    for times in 0.. {
        if kind(1).await? == "d" {
            break;
        }
        assert!(times < 50, "nothing is taken out");
        clean_up(&master).await?;
    }
    assert_eq!(kind(2).await?, "s");
    Ok(())
}
