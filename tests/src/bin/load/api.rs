//! The data API beside Buildbot's, over the same history, in the same run (issue of the data API: a hundred times the lists).

use crate::child::Master;
use crate::history::{TALKER, Tables, fill};
use crate::limits::asked;
use crate::report::figure;
use anyhow::Result;
use lunabot_tests::Buildbot;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const BUILDERS: i64 = 50;
const BUILDS: i64 = 20_000;
/// Builds of a master that is old.
const MANY: i64 = 1_000_000;

/// What is asked, and over how many connections each.
fn paths() -> Vec<String> {
    let of_build = format!("builds/{TALKER}");
    [
        "builds?limit=50&order=-buildid",
        "builders",
        "builders/1/builds?limit=20&order=-number&property=owner",
        "builds?complete=false",
        "buildrequests?complete=false",
        &of_build,
        &format!("{of_build}/steps"),
        &format!("logs/{TALKER}/contents?limit=1000"),
    ]
    .map(|path| format!("/api/v2/{path}"))
    .into()
}

fn ours() -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{}}, builders = {{}}, www = {{ port = "127.0.0.1:0" }}, protocols = {{ pb = {{ port = "127.0.0.1:0" }} }} }}
local f = util.BuildFactory{{ steps.ShellCommand{{command = "true"}} }}
for i = 1, {BUILDERS} do
  c.workers[i] = worker.Worker{{"w" .. i, "pass"}}
  c.builders[i] = util.BuilderConfig{{name = "b" .. i, workernames = {{"w" .. i}}, factory = f}}
end
local names = util.map(c.builders, function(b) return b.name end)
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = names}} }}
return c
"#
    )
}

fn theirs() -> String {
    format!(
        r#"
from buildbot.plugins import schedulers, steps, util, worker
f = util.BuildFactory([steps.ShellCommand(command="true")])
names = range(1, {BUILDERS} + 1)
c = BuildmasterConfig = {{
    "workers": [worker.Worker(f"w{{i}}", "pass") for i in names],
    "builders": [util.BuilderConfig(name=f"b{{i}}", workernames=[f"w{{i}}"], factory=f) for i in names],
    "schedulers": [schedulers.ForceScheduler(name="force", builderNames=[f"b{{i}}" for i in names])],
    "protocols": {{"pb": {{"port": "tcp:%d:interface=127.0.0.1" % WORKERS}}}},
    "www": {{"port": "tcp:%d:interface=127.0.0.1" % WWW}}, "buildbotNetUsageData": None,
}}
"#
    )
}

/// Requests per second and p99 of each path, with one connection and with 32.
type Figures = Vec<[(f64, f64); 2]>;

fn measured(address: &str, time: Duration) -> Result<Figures> {
    let both = |path: String| -> Result<_> {
        Ok([asked(address, &path, 1, time)?, asked(address, &path, 32, time)?])
    };
    paths().into_iter().map(both).collect()
}

/// Fills the tables of a master that has made them, and starts it again.
fn grown(dir: &Path, builds: std::ops::RangeInclusive<i64>) -> Result<Master> {
    fill(&dir.join("state.sqlite"), Tables::Ours, builds, BUILDERS)?;
    Master::start_again(dir)
}

fn peer(time: Duration) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let peer = runtime.block_on(async {
        let mut peer = Buildbot::start(&theirs()).await?;
        let all = |answer: &serde_json::Value| {
            answer["builders"].as_array().is_some_and(|b| b.len() as i64 == BUILDERS)
        };
        peer.until("builders", all).await?;
        anyhow::Ok(peer)
    })?;
    fill(&peer.dir().join("state.sqlite"), Tables::Buildbots, 1..=BUILDS, BUILDERS)?;
    measured(&peer.web(), time)
}

pub fn api(quick: bool) -> Result<()> {
    let time = Duration::from_secs(if quick { 1 } else { 3 });
    let dir = TempDir::new()?;
    drop(Master::start(&dir, &ours())?);
    let master = grown(dir.path(), 1..=BUILDS)?;
    let few = measured(master.address(), time)?;
    drop(master);
    let theirs = peer(time)?;
    for ((path, ours), theirs) in paths().iter().zip(&few).zip(&theirs) {
        for (place, connections) in [1, 32].iter().enumerate() {
            let name = format!("{path}, {connections}");
            figure(&name, ours[place].0, "requests/s");
            figure("  99 % within", ours[place].1, "ms");
            figure("  times Buildbot's", ours[place].0 / theirs[place].0, "");
        }
    }
    let many = if quick { MANY / 10 } else { MANY };
    let master = grown(dir.path(), BUILDS + 1..=many)?;
    figure("builds in the database", many as f64, "");
    for ((path, few), many) in paths().iter().zip(&few).zip(&measured(master.address(), time)?) {
        figure(&format!("{path}, 32, times slower"), few[1].0 / many[1].0, "");
    }
    Ok(())
}
