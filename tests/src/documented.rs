//! Examples of the documentation, as configurations that run.

use crate::project_root;
use anyhow::{Context, Result};
use std::path::Path;
use tempfile::TempDir;

/// What a block of the documentation that is only a part of a configuration may rely on.
pub const BEFORE: &str = r#"
local lunabot = require "lunabot"
local changes, reporters, schedulers, secrets, steps, util, webhooks, worker =
  lunabot.changes, lunabot.reporters, lunabot.schedulers, lunabot.secrets, lunabot.steps, lunabot.util, lunabot.webhooks, lunabot.worker
local c = {}
c.workers = { worker.LocalWorker{"local"} }
local f = util.BuildFactory{}
c.builders = { util.BuilderConfig{name = "runtests", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"runtests"}} }
"#;

/// Writes the files that a page shows into a folder: blocks whose first line has a name after the language.
pub fn shown_files(page: &str, dir: &Path) -> Result<()> {
    for block in page.split("\n```").skip(1) {
        let (first, text) = block.split_once('\n').unwrap_or((block, ""));
        if let Some((_, name)) = first.split_once(' ') {
            let file = dir.join(name);
            std::fs::create_dir_all(file.parent().context("a file is in a folder")?)?;
            std::fs::write(file, text)?;
        }
    }
    Ok(())
}

/// A folder with the files of a page (relative to `docs/`) and its configuration below a heading, as [`documented`].
pub fn documented_folder(page: &str, heading: &str, more: &str) -> Result<TempDir> {
    let dir = TempDir::new()?;
    shown_files(&std::fs::read_to_string(project_root().join("docs").join(page))?, dir.path())?;
    std::fs::write(dir.path().join("master.lua"), documented(page, heading, more)?)?;
    Ok(dir)
}

/// The first Lua block below a heading of a page (relative to `docs/`), with what it relies on; `more` is Lua after it.
pub fn documented(page: &str, heading: &str, more: &str) -> Result<String> {
    Ok(running(&format!("{}\n{more}", shown_block(page, heading, 1)?)))
}

/// The Lua block with this number, from 1, below a heading of a page.
pub fn shown_block(page: &str, heading: &str, number: usize) -> Result<String> {
    let text = std::fs::read_to_string(project_root().join("docs").join(page))?;
    let section = text.split(&format!("\n## {heading}\n")).nth(1).with_context(|| heading.to_string())?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let block = section.split("```lua\n").nth(number).and_then(|rest| rest.split("```").next());
    Ok(block.with_context(|| format!("{page}: {heading} has no block {number}"))?.to_string())
}

/// A configuration of [`BEFORE`] and this, that runs; its web, if it has one, at a free port.
pub fn running(block: &str) -> String {
    let web = if block.contains("c.www =") { "" } else { "c.www = { port = 0 }" };
    let block = block.replace("port = 8010", "port = 0");
    format!("{BEFORE}{block}\n{web}\nreturn c\n")
}
