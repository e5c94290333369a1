//! Examples of the documentation, as configurations that run.

use crate::project_root;
use anyhow::{Context, Result};

/// What a block of the documentation that is only a part of a configuration may rely on.
pub const BEFORE: &str = r#"
local lunabot = require "lunabot"
local changes, schedulers, secrets, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.secrets, lunabot.steps, lunabot.util, lunabot.worker
local c = {}
c.workers = { worker.LocalWorker{"local"} }
local f = util.BuildFactory{}
c.builders = { util.BuilderConfig{name = "runtests", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"runtests"}} }
"#;

/// The first Lua block below a heading of a page (relative to `docs/`), with what it relies on; `more` is Lua after it.
pub fn documented(page: &str, heading: &str, more: &str) -> Result<String> {
    let text = std::fs::read_to_string(project_root().join("docs").join(page))?;
    let section = text.split(&format!("\n## {heading}\n")).nth(1).with_context(|| heading.to_string())?;
    let block = section.split("```lua\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.with_context(|| format!("{page}: {heading} has no block"))?;
    Ok(running(&format!("{block}\n{more}")))
}

/// A configuration of [`BEFORE`] and this, that runs.
pub fn running(block: &str) -> String {
    format!("{BEFORE}{block}\nc.www = {{ port = 0 }}\nreturn c\n")
}
