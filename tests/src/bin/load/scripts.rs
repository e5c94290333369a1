//! What the configuration's own classes cost: observers of a million lines, and many steps in Lua at once.

use crate::child::Master;
use crate::report::figure;
use crate::scenarios::drained;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Instant;
use tempfile::TempDir;

/// Who looks at the lines: what is said of it, and what a step has as observer.
const OBSERVERS: [(&str, &str); 3] = [
    ("nobody", "nil"),
    ("a pattern", "function(self) return util.PatternObserver{'FNURRRGH!', statistic = 'tests'} end"),
    ("a function", "function(self) return Counter{} end"),
];
/// Lines that the builder beside says meanwhile, one at a time.
const BESIDE: u32 = 20_000;
/// Waits of one step.
const WAITS: usize = 100;

/// `flood` has an observer, `drip` talks beside it, `b1` … wait.
fn lua(mb: u32, observer: &str, sleepers: usize) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{}}, builders = {{}}, collapseRequests = false, www = {{ port = "127.0.0.1:0" }} }}
local Counter = util.LogLineObserver:extend("Counter", {{
  count = 0,
  outLineReceived = function(self, line) if line:find("FNURRRGH!", 1, true) then self.count = self.count + 1 end end,
}})
local observer = {observer}
local Flood = steps.ShellMixin:extend("Flood", {{
  run = function(self)
    if observer then self:addLogObserver("stdio", observer(self)) end
    local cmd = self:runCommand(self:makeRemoteShellCommand{{command = {{"flood", "{mb}"}}}})
    return cmd:results()
  end,
}})
local Sleeper = steps.BuildStep:extend("Sleeper", {{
  run = function(self)
    local late, worst = 0, 0
    for _ = 1, {WAITS} do
      local begun = lunabot.master.now()
      util.sleep(0.02)
      local over = lunabot.master.now() - begun - 0.02
      late, worst = late + over, math.max(worst, over)
    end
    self:setProperty("late", late / {WAITS} * 1000, "Sleeper")
    self:setProperty("worst", worst * 1000, "Sleeper")
    return util.SUCCESS
  end,
}})
local names = {{}}
local function add(name, step)
  local f = util.BuildFactory{{}}
  f:addStep(step)
  names[#names + 1] = name
  table.insert(c.workers, worker.LocalWorker{{"w-" .. name}})
  table.insert(c.builders, util.BuilderConfig{{name = name, workernames = {{"w-" .. name}}, factory = f}})
end
add("flood", Flood{{}})
add("drip", steps.ShellCommand{{command = {{"drip", "{BESIDE}"}}}})
for i = 1, {sleepers} do add("b" .. i, Sleeper{{}}) end
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = names}} }}
return c
"#
    )
}

pub fn scripts(quick: bool) -> Result<()> {
    let mb = if quick { 9 } else { 82 };
    let mut alone = 0.0;
    for (who, observer) in OBSERVERS {
        let (lines, seconds) = flooded(&lua(mb, observer, 0), false)?;
        figure(&format!("{lines} lines of a step, seen by {who}"), seconds * 1e3, "ms");
        if observer == "nil" {
            alone = seconds;
        } else {
            figure("  more, for each line", (seconds - alone) / lines as f64 * 1e6, "µs");
        }
    }
    for (who, observer) in OBSERVERS {
        let (_, seconds) = flooded(&lua(mb, observer, 0), true)?;
        figure(&format!("{BESIDE} lines of another build meanwhile, {who}"), seconds * 1e3, "ms");
    }
    for sleepers in [1, 200] {
        let (late, worst) = slept(sleepers)?;
        figure(&format!("late after a wait, {sleepers} steps at once, mean"), late, "ms");
        figure("  the latest", worst, "ms");
    }
    Ok(())
}

/// Lines of the flood, and how long it took, or how long the build beside took.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn flooded(config: &str, beside: bool) -> Result<(u64, f64)> {
    let dir = TempDir::new()?;
    let master = Master::start(&dir, config)?;
    let mut http = master.http()?;
    let begun = Instant::now();
    http.control("/api/v2/forceschedulers/force", "force", &json!({"builderNames": ["flood"]}))?;
    if beside {
        let begun = Instant::now();
        http.control("/api/v2/forceschedulers/force", "force", &json!({"builderNames": ["drip"]}))?;
        loop {
            let builds: Value =
                serde_json::from_slice(&http.get("/api/v2/builders/2/builds?complete=true")?)?;
            if builds["builds"].as_array().is_some_and(|all| !all.is_empty()) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let seconds = begun.elapsed().as_secs_f64();
        drained(&mut http)?;
        return Ok((0, seconds));
    }
    drained(&mut http)?;
    let seconds = begun.elapsed().as_secs_f64();
    let logs: Value = serde_json::from_slice(&http.get("/api/v2/builds/1/steps/1/logs")?)?;
    let lines = logs["logs"][0]["num_lines"].as_u64().context("lines")?;
    Ok((lines, seconds))
}

/// How late steps went on after their waits, in milliseconds: on average, and the latest of all.
fn slept(count: usize) -> Result<(f64, f64)> {
    let dir = TempDir::new()?;
    let master = Master::start(&dir, &lua(1, "nil", count))?;
    let mut http = master.http()?;
    let names: Vec<String> = (1..=count).map(|number| format!("b{number}")).collect();
    http.control("/api/v2/forceschedulers/force", "force", &json!({"builderNames": names}))?;
    drained(&mut http)?;
    let builds: Value = serde_json::from_slice(&http.get("/api/v2/builds?property=late&property=worst")?)?;
    let builds = builds["builds"].as_array().context("builds")?;
    let values = |name: &str| -> Vec<f64> {
        builds.iter().filter_map(|build| build["properties"][name][0].as_f64()).collect()
    };
    let (late, worst) = (values("late"), values("worst"));
    ensure!(late.len() == count, "{} steps have told", late.len());
    Ok((late.iter().sum::<f64>() / count as f64, worst.into_iter().fold(0.0, f64::max)))
}
