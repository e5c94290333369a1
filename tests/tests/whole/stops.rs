//! Functions of the configuration that wait: they hold up neither a stop nor a reload.

use anyhow::{Context, Result};
use lunabot_tests::{Master, lunabot_binary, running};
use serde_json::{Value, json};

/// A builder per place where a function of a build may wait.
const BUILDERS: &str = r#"
local function waits(name)
  return function() util.log.info("waits in " .. name) util.sleep(1000) end
end
local function class(base, name, methods) return base:extend(name, methods) end
local places = {
  do_build_if = function(f) return {do_build_if = waits "do_build_if"} end,
  workdir = function(f) f.workdir = waits "workdir" end,
  setupBuild = function(f) f.buildClass = class(util.Build, "Setup", {setupBuild = waits "setupBuild"}) end,
  getNextStep = function(f) f.buildClass = class(util.Build, "Next", {getNextStep = waits "getNextStep"}) end,
  getSchedulersAndProperties = function(f)
    f:addStep(steps.Trigger{schedulerNames = {"x"}, getSchedulersAndProperties = waits "getSchedulersAndProperties"})
  end,
  extract_fn = function(f)
    f:addStep(steps.SetPropertyFromCommand{command = "true", extract_fn = waits "extract_fn"})
  end,
  evaluateCommand = function(f)
    f:addStep(class(steps.ShellCommand, "Judge", {evaluateCommand = waits "evaluateCommand"}){command = "true"})
  end,
  name = function(f) f:addStep(steps.ShellCommand{name = util.renderer(waits "name"), command = "true"}) end,
  option = function(f) f:addStep(steps.ShellCommand{command = util.renderer(waits "option")}) end,
  locks = function(f) f:addStep(steps.ShellCommand{command = "true", locks = util.renderer(waits "locks")}) end,
  doStepIf = function(f) f:addStep(steps.ShellCommand{command = "true", doStepIf = waits "doStepIf"}) end,
  hideStepIf = function(f) f:addStep(steps.ShellCommand{command = "true", hideStepIf = waits "hideStepIf"}) end,
  alwaysRun = function(f)
    f:addStep(steps.ShellCommand{command = "true", doStepIf = waits "alwaysRun"})
    f:addStep(steps.ShellCommand{command = "true", alwaysRun = util.renderer(waits "a stopped build")})
  end,
  afterwards = function(f)
    f.buildClass = class(util.Build, "After", {getNextStep = function(self, last)
      if last then waits("getNextStep again")() end
      return steps.ShellCommand{command = "true", doStepIf = waits "afterwards"}
    end})
  end,
}
c.schedulers[2] = schedulers.Triggerable{name = "x", builderNames = {"runtests"}}
local names = {}
for name, place in pairs(places) do
  local factory = util.BuildFactory{}
  local more = place(factory) or {}
  names[#names + 1] = name
  c.builders[#c.builders + 1] = util.BuilderConfig{
    name = name, workernames = {"local"}, factory = factory, do_build_if = more.do_build_if,
  }
end
c.schedulers[1] = schedulers.ForceScheduler{name = "force", builderNames = names}
"#;

async fn rows(master: &Master, path: &str) -> Result<Vec<Value>> {
    let answer = master.get(path).await?;
    let kind = path.split('?').next().unwrap_or_default();
    Ok(answer[kind].as_array().context("rows")?.clone())
}

#[tokio::test]
async fn row_05_013_a_stop_waits_for_no_function() -> Result<()> {
    let master = Master::start(&running(BUILDERS)).await?;
    let builders = rows(&master, "builders?name__ne=runtests").await?;
    assert!(builders.len() > 10, "{builders:?}");
    for builder in &builders {
        let name = builder["name"].as_str().context("a name")?;
        master.control("forceschedulers/force", "force", json!({"builderNames": [name]})).await?;
    }
    for builder in &builders {
        let waits = format!("waits in {}", builder["name"].as_str().context("a name")?);
        master.log_line(|line| line.contains(&waits)).await?;
    }
    let all = |all: &Value| all["builds"].as_array().is_some_and(|all| all.len() == builders.len());
    let running = master.until("builds", all).await?;
    for build in running["builds"].as_array().context("builds")? {
        master.control(&format!("builds/{}", build["buildid"]), "stop", json!({"reason": "enough"})).await?;
    }
    let ended = master.until("builds?complete=true", all).await?;
    for build in ended["builds"].as_array().context("builds")? {
        let builder = builders.iter().find(|builder| builder["builderid"] == build["builderid"]);
        assert_eq!(build["results"], 6, "{builder:?}: {build}");
        assert!(build["state_string"].as_str().is_some_and(|text| text.contains("(enough)")), "{build}");
    }
    for method in ["getNextStep again", "a stopped build"] {
        let waits = format!("waits in {method}");
        master.log_line(|line| line.contains(&waits)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn rows_07_011_07_015_a_reload_waits_for_no_question() -> Result<()> {
    let options = [
        "c.prioritizeBuilders = function(master, builders) ask() return builders end",
        "c.builders[1] = c.builders[1]:with{nextBuild = function(builder, requests) ask() return requests[1] end}",
        "c.builders[1] = c.builders[1]:with{nextWorker = function(builder, wfbs) ask() return wfbs[1] end}",
        "c.builders[1] = c.builders[1]:with{canStartBuild = function() ask() return true end}",
        "c.builders[1] = c.builders[1]:with{locks = util.renderer(function() ask() return {} end)}",
    ];
    for option in options {
        let config =
            |ask: &str| running(&format!("local function ask() util.log.info('asked') {ask} end\n{option}"));
        let master = Master::start(&config("util.sleep(1000)")).await?;
        master.force("runtests").await?;
        master.log_line(|line| line.contains("asked")).await?;
        master.rewrite_config(&config(""))?;
        let mut reconfig = tokio::process::Command::new(lunabot_binary());
        let output = reconfig.arg("reconfig").arg(master.dir()).output().await?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(master.finished_build(1).await.context(option)?["results"], 0, "{option}");
    }
    Ok(())
}
