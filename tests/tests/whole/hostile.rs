//! What builds and callbacks may do without harm to anybody else.

use anyhow::Result;
use lunabot_tests::Master;
use serde_json::json;

/// Builders of one shell command each, named by it; `extra` is Lua placed before the end.
fn commands(list: &[(&str, &str)], extra: &str) -> String {
    let mut lua = String::from(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { workers = {}, builders = {}, schedulers = {}, www = { port = 0 } }
local names = {}
local function builder(name, options)
  local f = util.BuildFactory{}
  options.name = "run"
  f:addStep(steps.ShellCommand(options))
  c.workers[#c.workers + 1] = worker.LocalWorker{"w-" .. name}
  c.builders[#c.builders + 1] = util.BuilderConfig{name = name, workernames = {"w-" .. name}, factory = f}
  names[#names + 1] = name
end
"#,
    );
    for (name, options) in list {
        lua.push_str(&format!("builder(\"{name}\", {{{options}}})\n"));
    }
    lua.push_str(extra);
    lua.push_str(
        "\nc.schedulers = { schedulers.ForceScheduler{name = \"force\", builderNames = names} }\nreturn c\n",
    );
    lua
}

/// The finished build of a request.
async fn build_of(master: &Master, request: i64) -> Result<serde_json::Value> {
    let path = format!("buildrequests/{request}/builds");
    let done = |a: &serde_json::Value| a["builds"][0]["complete"] == true;
    Ok(master.until(&path, done).await?["builds"][0].clone())
}

#[tokio::test]
async fn a_gigabyte_without_a_newline_costs_little_memory() -> Result<()> {
    let command = r#"command = "head -c 1000000000 /dev/zero | tr '\\0' x""#;
    let master = Master::start(&commands(&[("flood", command)], "c.logMaxSize = 1000000")).await?;
    let build = build_of(&master, master.force("flood").await?).await?;
    assert_eq!(build["results"], 0, "{build}");
    assert!(master.peak_memory()? < 300 << 20, "{} bytes resident", master.peak_memory()?);
    Ok(())
}

#[tokio::test]
async fn output_that_is_not_utf8_is_kept_with_replacement_characters() -> Result<()> {
    let master =
        Master::start(&commands(&[("odd", r#"command = {"printf", "caf\\351 ok\\n"}"#)], "")).await?;
    let build = build_of(&master, master.force("odd").await?).await?;
    let log = master.step_log(build["buildid"].as_i64().unwrap_or_default(), "run", "stdio").await?;
    assert!(log.contains("caf\u{fffd} ok"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_command_that_never_ends_is_ended_by_max_time() -> Result<()> {
    let never = r#"command = "sleep 1000 & sleep 1000", maxTime = 1"#;
    let master = Master::start(&commands(&[("never", never)], "")).await?;
    let build = build_of(&master, master.force("never").await?).await?;
    assert_eq!(build["results"], 2, "{build}");
    Ok(())
}

#[tokio::test]
async fn a_callback_that_loops_for_ever_holds_up_nobody() -> Result<()> {
    let extra = r#"
c.lua = { callback_cpu_seconds = 0.2 }
local function spin() while true do pcall(function() while true do end end) end end
c.builders[1] = c.builders[1]:with{canStartBuild = spin}
"#;
    let list = [("stuck", r#"command = "true""#), ("free", r#"command = "echo free""#)];
    let master = Master::start(&commands(&list, extra)).await?;
    master.force("stuck").await?;
    for _ in 0..5 {
        let build = build_of(&master, master.force("free").await?).await?;
        assert_eq!(build["results"], 0, "{build}");
    }
    let errors =
        master.until("script_errors", |a| a["script_errors"][0]["callback"] == "canStartBuild").await?;
    assert_eq!(errors["script_errors"][0]["kind"], "cpu", "{errors}");
    assert_eq!(master.get("builders/stuck/builds").await?["builds"], json!([]));
    Ok(())
}
