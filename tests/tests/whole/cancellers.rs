//! Services that cancel what is not worth building, where a reload or a kill comes while they ask (03.025, 03.026).

use anyhow::Result;
use lunabot_tests::Master;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Builder `held` builds for ever, `failing` fails, and `away` waits for a worker that never comes.
/// A function that calls `ask` says so, and waits at the revision WAITS of generation `A` for the file `go`.
const CONFIG: &str = r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { collapseRequests = false, builders = {}, schedulers = {} }
c.workers = { worker.LocalWorker{"local"}, worker.Worker{"off", "password"} }
c.protocols = { pb = { port = "127.0.0.1:0" } }
c.www = { port = 0, change_hook_dialects = { base = true } }
local function add(name, on, command)
  local factory = util.BuildFactory{steps.ShellCommand{command = command, workdir = "."}}
  table.insert(c.builders, util.BuilderConfig{name = name, workernames = {on}, factory = factory})
end
add("held", "local", "sleep 3600")
add("failing", "local", "false")
add("away", "off", "true")
local function on(category, builders)
  table.insert(c.schedulers, schedulers.AnyBranchScheduler{
    name = category, builderNames = builders, change_filter = util.ChangeFilter{category = category},
  })
end
on("line", {"held"})
on("set", {"failing", "away"})
local function ask(stamp)
  util.log.info("GENERATION asks of " .. stamp.revision .. ".")
  while "GENERATION" == "A" and stamp.revision == "WAITS" and not pcall(util.read_file, "go") do util.sleep(0.02) end
  return true
end
c.services = {
  util.OldBuildCanceller{"old", {{{"held"}, util.SourceStampFilter{}}}, branch_key = function(stamp)
    return ask(stamp) and "line GENERATION"
  end},
  util.FailingBuildsetCanceller{"sets", {{{"failing"}, util.null, util.SourceStampFilter{filter_fn = ask}}}},
}
return c
"#;

fn config(generation: &str, waits: &str) -> String {
    CONFIG.replace("GENERATION", generation).replace("WAITS", waits)
}

async fn change(master: &Master, category: &str, revision: &str) -> Result<()> {
    let fields = [
        ("author", "joe"),
        ("comments", "x"),
        ("category", category),
        ("branch", "main"),
        ("revision", revision),
    ];
    anyhow::ensure!(master.change_hook(&fields).await? == 202, "the change is accepted");
    Ok(())
}

async fn asks(master: &Master, generation: &str, revision: &str) -> Result<()> {
    let wanted = format!("{generation} asks of {revision}.");
    master.log_line(|line| line.contains(&wanted)).await.map(drop)
}

/// The new canceller is there; what the old one asked is not answered yet.
async fn changed(master: &Master, waits: &str) -> Result<()> {
    master.rewrite_config(&config("B", waits))?;
    master.signal(Signal::SIGHUP)?;
    master.log_line(|line| line.contains("configuration update complete")).await.map(drop)
}

async fn results(master: &Master, builder: &str, wanted: Value) -> Result<()> {
    let all = |answer: &Value| {
        let rows = answer["buildrequests"].as_array().into_iter().flatten();
        rows.map(|row| row["results"].clone()).collect::<Value>() == wanted
    };
    master.until(&format!("builders/{builder}/buildrequests?order=buildrequestid"), all).await.map(drop)
}

#[tokio::test]
async fn row_03_025_a_reload_while_it_asks_loses_no_request() -> Result<()> {
    // The first one runs, the second waits for it.
    for waits in ["1", "2"] {
        let master = Master::start(&config("A", waits)).await?;
        change(&master, "line", "1").await?;
        master.until("builders/held/builds", |all| all["builds"][0]["complete"] == false).await?;
        asks(&master, "A", "1").await?;
        if waits == "2" {
            change(&master, "line", "2").await?;
            asks(&master, "A", "2").await?;
        }
        changed(&master, waits).await?;
        asks(&master, "B", "1").await?;
        if waits == "1" {
            results(&master, "held", json!([-1])).await?;
            change(&master, "line", "2").await?;
        }
        // The build that ran, and then whatever a newer change makes obsolete.
        results(&master, "held", json!([6, -1])).await?;
        change(&master, "line", "3").await?;
        results(&master, "held", json!([6, 6, -1])).await?;
        std::fs::write(master.dir().join("go"), "")?;
        change(&master, "line", "4").await?;
        results(&master, "held", json!([6, 6, 6, -1])).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_03_026_a_reload_or_a_kill_while_it_asks_loses_no_failure() -> Result<()> {
    for kill in [false, true] {
        let mut master = Master::start(&config("A", "1")).await?;
        change(&master, "set", "1").await?;
        asks(&master, "A", "1").await?;
        results(&master, "failing", json!([2])).await?;
        results(&master, "away", json!([-1])).await?;
        if kill {
            let dir = master.kill().await?;
            std::fs::write(dir.path().join("go"), "")?;
            master = Master::start_in(dir).await?;
        } else {
            changed(&master, "1").await?;
        }
        results(&master, "away", json!([6])).await?;
        change(&master, "set", "2").await?;
        results(&master, "away", json!([6, 6])).await?;
        let errors = master.get("script_errors").await?;
        assert_eq!(errors["script_errors"], json!([]), "{errors}");
    }
    Ok(())
}
