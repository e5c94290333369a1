//! Locks keep builds and steps apart (reference 05.055, 05.056).

use anyhow::Result;
use lunabot_tests::Master;

/// Builders with one command each, on two workers; `extra` gives them their locks.
fn config(dir: &str, extra: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{}}
local names = {{}}
c.workers = {{ worker.LocalWorker{{"w1"}}, worker.LocalWorker{{"w2"}} }}
c.builders = {{}}
local function build(name, on, script, locks, step_locks)
  local f = util.BuildFactory{{}}
  f:addStep(steps.ShellCommand{{command = "cd {dir} && " .. script, locks = step_locks}})
  table.insert(names, name)
  table.insert(c.builders, util.BuilderConfig{{name = name, workernames = {{on}}, factory = f, locks = locks,
    collapseRequests = false}})
end
{extra}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = names}} }}
c.www = {{ port = 0 }}
return c
"#
    )
}

/// Fails where another one is at work.
const ALONE: &str = "mkdir busy && sleep 0.2 && rmdir busy";

#[tokio::test]
async fn row_05_055_builds_with_one_master_lock_do_not_overlap() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let extra = format!(
        r#"local db = util.MasterLock{{"db"}}
build("a", "w1", "{ALONE}", {{db}})
build("b", "w2", "{ALONE}", db:access("exclusive"))"#
    );
    let master = Master::start(&config(&dir.path().display().to_string(), &extra)).await?;
    for builder in ["a", "b", "a", "b"] {
        master.force(builder).await?;
    }
    let mut spans = Vec::new();
    for id in 1..=4 {
        let build = master.finished_build(id).await?;
        assert_eq!(build["results"], 0, "{build}");
        spans.push((build["started_at"].as_i64(), build["complete_at"].as_i64()));
    }
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
    let steps = master.get("builds/4/steps").await?;
    assert_eq!(
        (&steps["steps"][1]["name"], &steps["steps"][1]["state_string"]),
        (&"locks_acquire".into(), &"locks acquired".into())
    );
    Ok(())
}

#[tokio::test]
async fn row_05_056_a_worker_lock_is_serial_on_one_worker_and_parallel_on_two() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // `one` ends only when `three` runs beside it; `two` fails if it runs beside `one`.
    let extra = r#"local cpu = util.WorkerLock{"cpu"}
build("one", "w1", "mkdir busy && touch one && until [ -e three ]; do sleep 0.05; done; rmdir busy", nil, {cpu})
build("two", "w1", "mkdir busy && rmdir busy", nil, {cpu})
build("three", "w2", "touch three && until [ -e one ]; do sleep 0.05; done", nil, function() return cpu end)"#;
    let master = Master::start(&config(&dir.path().display().to_string(), extra)).await?;
    master.force("one").await?;
    master.until("builds", |a| a["builds"][0].is_object()).await?;
    master.until("builds/1/steps", |a| a["steps"][1]["locks_acquired_at"].is_i64()).await?;
    master.force("two").await?;
    master.until("builds", |a| a["builds"][1].is_object()).await?;
    let waiting = "waiting for worker lock \"cpu\"";
    master.until("builds/2/steps", |a| a["steps"][1]["state_string"] == waiting).await?;
    let (status, page) = master.text("/builders/two/builds/1").await?;
    assert!(status == 200 && page.contains("waiting for worker lock"), "{page}");
    master.force("three").await?;
    for id in 1..=3 {
        let build = master.finished_build(id).await?;
        assert_eq!(build["results"], 0, "{build}");
    }
    Ok(())
}
