//! Killed at any moment, nothing is lost and nothing runs twice (14.033).

use anyhow::{Context, Result};
use lunabot_tests::Master;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

const KILLS: u32 = 50;
const BUILDERS: usize = 4;
/// Changes per round at most, so that a fast machine does not queue more than it can build in the time we wait.
const CHANGES: usize = 6;

/// Several builders with a worker each, whose builds take a moment and leave a mark per completed run.
fn config() -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{}}, builders = {{}}, collapseRequests = false }}
local names = {{}}
for i = 1, {BUILDERS} do
  local f = util.BuildFactory{{}}
  f:addStep(steps.ShellCommand{{name = "one", command = "echo one"}})
  f:addStep(steps.SetProperty{{property = "seen", value = util.Interpolate("%(prop:buildnumber)s")}})
  f:addStep(steps.ShellCommand{{name = "two", command = "sleep 0.05; echo two"}})
  c.workers[i] = worker.LocalWorker{{"w" .. i}}
  c.builders[i] = util.BuilderConfig{{name = "b" .. i, workernames = {{"w" .. i}}, factory = f}}
  names[i] = "b" .. i
end
c.schedulers = {{ schedulers.AnyBranchScheduler{{name = "any", builderNames = names}} }}
c.www = {{ port = 0, change_hook_dialects = {{ base = true }} }}
return c
"#
    )
}

#[tokio::test]
async fn fifty_kills_under_load_lose_nothing_and_repeat_nothing() -> Result<()> {
    let mut master = Master::start(&config()).await?;
    let mut acknowledged = 0;
    // A fixed sequence: what differs between runs is the machine, and that is random enough.
    let mut seed: u64 = 0x2545_f491_4f6c_dd1d;
    for round in 0..KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_millis((seed >> 33) % 300);
        acknowledged += load_until(&master, moment, round).await;
        let dir = master.kill().await?;
        master = Master::start_in(dir).await.with_context(|| format!("after kill {round}"))?;
        check_invariants(&master).await.with_context(|| format!("after kill {round}"))?;
    }
    let all_done = |a: &Value| a["buildrequests"] == json!([]);
    master.until("buildrequests?complete=false&limit=1", all_done).await?;
    check_outcome(&master, acknowledged).await
}

/// The scheduler is this master's, and after a kill the next one's, which is the same by its row.
#[tokio::test]
async fn row_03_002_schedulers_say_which_master_has_them() -> Result<()> {
    let mut master = Master::start(&config()).await?;
    for _ in 0..2 {
        let shown = master.get("schedulers").await?["schedulers"][0].clone();
        let row = master.get("masters").await?["masters"][0].clone();
        assert_eq!((&shown["name"], &shown["enabled"]), (&json!("any"), &json!(true)));
        assert_eq!(
            (&shown["master"]["masterid"], &shown["master"]["name"]),
            (&row["masterid"], &row["name"])
        );
        let of_master = master.get(&format!("masters/{}/schedulers", row["masterid"])).await?;
        assert_eq!(of_master["schedulers"][0]["schedulerid"], shown["schedulerid"]);
        master = Master::start_in(master.kill().await?).await?;
    }
    let dir = master.shared_dir();
    std::fs::write(dir.path().join("master.lua"), config().replace("name = \"any\"", "name = \"other\""))?;
    master.signal(nix::sys::signal::Signal::SIGHUP)?;
    let given_up =
        |all: &Value| all["schedulers"][0]["master"].is_null() && all["schedulers"][1]["master"].is_object();
    master.until("schedulers?order=schedulerid", given_up).await?;
    Ok(())
}

/// Pushes changes until `moment` has passed; how many were acknowledged.
async fn load_until(master: &Master, moment: Duration, round: u32) -> usize {
    let mut count = 0;
    let push = async {
        for _ in 0..CHANGES {
            let comments = format!("round {round}");
            let fields = [("author", "joe"), ("comments", comments.as_str()), ("branch", "main")];
            match master.change_hook(&fields).await {
                Ok(202) => count += 1,
                _ => break,
            }
        }
    };
    // Not a wait for something to happen: the moment of the kill is the input of this test.
    let _ = tokio::time::timeout(moment, async {
        push.await;
        std::future::pending::<()>().await;
    })
    .await;
    count
}

/// What must hold right after a start: no build of the dead process still runs.
async fn check_invariants(master: &Master) -> Result<()> {
    let steps = master.get("builds?complete=true&results__eq=5&limit=200").await?;
    for build in steps["builds"].as_array().into_iter().flatten() {
        assert!(build["complete_at"].is_i64(), "{build}");
    }
    Ok(())
}

/// What must hold when everything has been built: each acknowledged change has one request per builder, each
/// request ended well, with exactly one build that was not RETRY.
async fn check_outcome(master: &Master, acknowledged: usize) -> Result<()> {
    let changes = master.get("changes?field=changeid").await?;
    let changes = changes["changes"].as_array().map_or(0, Vec::len);
    assert!(changes >= acknowledged, "{acknowledged} changes were acknowledged, {changes} are stored");
    let requests = master.get("buildrequests").await?;
    let requests = requests["buildrequests"].as_array().cloned().unwrap_or_default();
    assert_eq!(requests.len(), changes * BUILDERS, "one request per change and builder");
    let builds = master.get("builds").await?;
    let mut good: HashMap<i64, usize> = HashMap::new();
    for build in builds["builds"].as_array().into_iter().flatten() {
        assert_eq!(build["complete"], true, "{build}");
        let request = build["buildrequestid"].as_i64().context("a request")?;
        match build["results"].as_i64() {
            Some(0) => *good.entry(request).or_default() += 1,
            Some(5) => {}
            other => panic!("unexpected result {other:?} in {build}"),
        }
    }
    for request in &requests {
        assert_eq!(request["results"], 0, "{request}");
        let id = request["buildrequestid"].as_i64().context("an id")?;
        assert_eq!(good.get(&id), Some(&1), "request {id} was built exactly once");
    }
    Ok(())
}
