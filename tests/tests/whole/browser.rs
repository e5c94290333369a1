//! The pages in a real browser.

use anyhow::Result;
use lunabot_tests::{Browser, Master};

/// A builder whose build waits for a file, then says something and fails or not.
fn config(gate: &std::path::Path) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local f = util.BuildFactory{{}}
f:addStep(steps.ShellCommand{{name = "wait", command = "until test -e {gate}/open; do sleep 0.05; done; echo '<b>through</b>'"}})
f:addStep(steps.ShellCommand{{name = "verdict", command = "echo 'error: it broke' >&2; exit 1"}})
local c = {{}}
c.title = "In a browser"
c.workers = {{ worker.LocalWorker{{"local"}} }}
c.builders = {{ util.BuilderConfig{{name = "main", workernames = {{"local"}}, factory = f}} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"main"}}}} }}
c.www = {{ port = 0 }}
return c
"#,
        gate = gate.display()
    )
}

#[tokio::test]
async fn a_build_is_forced_watched_live_and_its_failure_read() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let master = Master::start(&config(gate.path())).await?;
    let browser = Browser::start().await?;

    // A mistake in the form is told at its field, and nothing starts.
    browser.open(&format!("{}/builders/1", master.base())).await?;
    browser.click("a[href$='/force/force']").await?;
    browser.fill("input[name=priority]", "high").await?;
    browser.click("form.force button.main").await?;
    browser.find(".field.bad .wrong").await?;
    assert!(!browser.text(".field.bad .wrong").await?.is_empty());

    browser.fill("input[name=priority]", "5").await?;
    browser.fill("input[name=reason]", "to look at it").await?;
    browser.click("form.force button.main").await?;

    // The build is there while it runs; the page then follows it without being loaded again.
    master
        .until("builds/1/steps", |a| {
            a["steps"].as_array().is_some_and(|s| s.iter().any(|s| s["name"] == "wait"))
        })
        .await?;
    browser.open(&format!("{}/builders/1/builds/1", master.base())).await?;
    browser.find("#s1.running").await?;
    browser.script("window.same_page = true").await?;
    std::fs::write(gate.path().join("open"), "")?;
    browser.find("h1.failure").await?;
    browser.find("#s2.failure").await?;
    browser.find("#tail").await?;
    assert_eq!(browser.script("return window.same_page === true").await?, true);
    assert!(browser.text("#tail").await?.contains("error: it broke"));

    // What a command prints is text, whatever it looks like.
    browser.open(&format!("{}/builders/1/builds/1/steps/1/logs/stdio", master.base())).await?;
    let through = "return document.body.innerText.includes('<b>through</b>')";
    let mut shown = browser.script(through).await?;
    if shown != true {
        browser.find(".l.o").await?;
        shown = browser.script(through).await?;
    }
    assert_eq!(shown, true, "{}", browser.text("body").await?);

    // Home names the failing builder first.
    browser.open(master.base()).await?;
    assert!(browser.text("main").await?.contains("main"));
    browser.close().await
}

#[tokio::test]
async fn every_page_loads_without_errors_and_without_sideways_scrolling() -> Result<()> {
    let gate = tempfile::tempdir()?;
    std::fs::write(gate.path().join("open"), "")?;
    let master = Master::start(&config(gate.path())).await?;
    master.force("main").await?;
    master.finished_build(1).await?;
    let browser = Browser::start().await?;
    let pages = [
        "/",
        "/builders",
        "/builders/1",
        "/builders/1/builds/1",
        "/builders/1/builds/1/steps/1/logs/stdio",
        "/changes",
        "/workers",
        "/workers/1",
        "/pending",
        "/schedulers",
        "/health",
    ];
    for page in pages {
        let (status, html) = master.text(page).await?;
        assert_eq!(status, 200, "{page}");
        assert!(html.len() < 60_000, "{page} has {} bytes", html.len());
        browser.open(&format!("{}{page}", master.base())).await?;
        browser.find("main").await?;
        let wide = "return document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(browser.script(wide).await?, true, "{page} scrolls sideways");
    }
    // Links of Buildbot's pages lead to ours, and never to another site's.
    for (hash, place) in [
        ("builders/1/builds/1", "/builders/1/builds/1"),
        ("masters", "/health"),
        ("waterfall?x=1", "/builders"),
        ("http://evil.invalid/", "/http://evil.invalid/"),
        ("//evil.invalid/", "///evil.invalid/"),
        ("/evil.invalid/", "//evil.invalid/"),
        ("\\\\evil.invalid", "///evil.invalid"),
        ("javascript:alert(1)", "/javascript:alert(1)"),
    ] {
        // From another page, as one that is open would not be loaded again.
        browser.open("about:blank").await?;
        browser.open(&format!("{}/#/{hash}", master.base())).await?;
        let led = async {
            while browser.script("return location.hash").await? != "" {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            browser.find("main").await?;
            let found = browser.script("return location.origin + location.pathname").await?;
            anyhow::ensure!(found == format!("{}{place}", master.base()), "#/{hash} leads to {found}");
            Ok(())
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), led).await??;
    }
    browser.close().await
}
