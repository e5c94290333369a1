//! Buildbot's own web client, unmodified, in a real browser (10.039).

use anyhow::{Context, Result};
use lunabot_tests::{Browser, Master, site_packages};
use std::path::Path;

/// A builder whose build waits for a file, and one that fails.
fn config(gate: &Path) -> Result<String> {
    Ok(format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local waits = util.BuildFactory{{ steps.ShellCommand{{name = "wait", command = "until test -e {gate}/open; do sleep 0.05; done; echo through"}} }}
local fails = util.BuildFactory{{ steps.ShellCommand{{name = "verdict", command = "echo 'it <b>broke</b>'; exit 1"}} }}
local c = {{}}
c.title = "In Buildbot's client"
c.workers = {{ worker.LocalWorker{{"local"}} }}
c.builders = {{
  util.BuilderConfig{{name = "waits", workernames = {{"local"}}, factory = waits, tags = {{"linux"}}}},
  util.BuilderConfig{{name = "fails", workernames = {{"local"}}, factory = fails}},
}}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", buttonName = "Force it", builderNames = {{"waits", "fails"}}}} }}
c.www = {{
  port = 0,
  client = {{
    dir = "{packages}/buildbot_www/static",
    plugins = {{ waterfall_view = {{}}, console_view = {{}}, grid_view = {{}} }},
  }},
}}
return c
"#,
        gate = gate.display(),
        packages = site_packages()?.display(),
    ))
}

#[tokio::test]
async fn row_10_039_builds_are_forced_watched_and_read_in_buildbots_client() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let master = Master::start(&config(gate.path())?).await?;
    let browser = Browser::start().await?;
    let client = format!("{}/client/#", master.base());

    browser.open(&format!("{client}/builders/1")).await?;
    browser.read("button", "Force it").await?.click().await?;
    browser.find(".modal-dialog").await?;
    browser.read("button", "Start build").await?.click().await?;

    // The client goes to the build by itself, and follows it without being loaded again.
    browser.read("a", "waits").await?;
    browser.script("window.same_page = true").await?;
    browser.read("*", "running").await?;
    std::fs::write(gate.path().join("open"), "")?;
    browser.read("*", "SUCCESS").await?;
    assert_eq!(browser.script("return window.same_page === true").await?, true);

    // Rebuilt from the page; the newest build is the second.
    browser.read("button", "Rebuild").await?.click().await?;
    master.until("builds?complete=true", |a| a["meta"]["total"] == 2).await?;

    // A failed step shows its log.
    master.force("fails").await?;
    master.until("builds?complete=true", |a| a["meta"]["total"] == 3).await?;
    browser.open(&format!("{client}/builders/2/builds/1")).await?;
    browser.read("*", "FAILURE").await?;
    browser.read("*", "it <b>broke</b>").await?;
    Ok(())
}

#[tokio::test]
async fn row_10_034_every_page_of_the_client_and_its_plug_ins_shows_itself() -> Result<()> {
    let gate = tempfile::tempdir()?;
    std::fs::write(gate.path().join("open"), "")?;
    let master = Master::start(&config(gate.path())?).await?;
    master.force("waits").await?;
    master.until("builds?complete=true", |a| a["meta"]["total"] == 1).await?;
    let browser = Browser::start().await?;
    for (page, element, text) in [
        ("/", "*", "running currently"),
        ("/builders?tags=linux", "a", "waits"),
        ("/workers", "*", "local"),
        ("/masters", "*", "waits"),
        ("/schedulers", "*", "force"),
        ("/buildrequests/1", "*", "waits"),
        ("/builders/1/builds/1/steps/1/logs/stdio", "*", "through"),
        ("/waterfall", "*", "waits"),
        ("/about", "*", "API description"),
        ("/about", "*", "/builders/n:builderid"),
    ] {
        browser.open("about:blank").await?;
        browser.open(&format!("{}/client/#{page}", master.base())).await?;
        browser.read(element, text).await.with_context(|| page)?;
    }
    for (page, text) in [
        ("/pendingbuildrequests", "Pending Buildrequests"),
        ("/changes", "changes"),
        ("/grid", "Grid"),
        ("/console", "No changes"),
        ("/settings", "Settings"),
        ("/projects", "Projects"),
    ] {
        browser.open("about:blank").await?;
        browser.open(&format!("{}/client/#{page}", master.base())).await?;
        browser.find(".bb-sidebar-item, .navbar").await?;
        let body = browser.text("body").await?;
        assert!(body.contains(text), "{page}: {body}");
    }
    Ok(())
}
