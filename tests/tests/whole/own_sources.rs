//! Change sources of classes of the configuration (02.004–02.007).

use anyhow::Result;
use lunabot_tests::{Master, documented, lunabot_binary, running};
use serde_json::{Value, json};

const PAGE: &str = "customization/change-sources.md";

fn comments(answer: &Value) -> Vec<String> {
    let all = answer["changes"].as_array().cloned().unwrap_or_default();
    all.iter().map(|change| change["comments"].as_str().unwrap_or_default().to_string()).collect()
}

fn reconfig(master: &Master) -> Result<String> {
    let output = std::process::Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output()?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn rows_02_004_02_006_a_poller_remembers_what_it_has_seen() -> Result<()> {
    let config = documented(PAGE, "A poller", "")?;
    let master = Master::start(&config).await?;
    let two = |answer: &Value| comments(answer) == ["number 1", "number 2"];
    master.until("changes?order=changeid", two).await?;
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("the numbers in numbers"), "{health}");
    let sources = master.get("changesources").await?;
    assert_eq!(sources["changesources"][0]["name"], "Counter");
    // Killed, and started with one more.
    let dir = master.kill().await?;
    std::fs::write(dir.path().join("master.lua"), config.replace("\"2\"", "\"3\""))?;
    let master = Master::start_in(dir).await?;
    let three = |answer: &Value| comments(answer) == ["number 1", "number 2", "number 3"];
    master.until("changes?order=changeid", three).await?;
    Ok(())
}

#[tokio::test]
async fn rows_02_002_02_007_a_source_acts_by_itself_and_leaves() -> Result<()> {
    let config = documented(PAGE, "A source that acts by itself", "")?;
    let master = Master::start(&config).await?;
    std::fs::write(master.dir().join("note"), "first")?;
    master.until("changes", |answer| comments(answer) == ["first"]).await?;
    // The same source again: it goes over to the new configuration.
    master.rewrite_config(&format!("-- moved\n{config}"))?;
    reconfig(&master)?;
    let left = master.log_line(|line| line.contains("noter leaves")).await?;
    let place = left.split("at=").nth(1).unwrap_or_default().to_string();
    std::fs::write(master.dir().join("note"), "second")?;
    master.until("changes?order=changeid", |answer| comments(answer) == ["first", "second"]).await?;
    // Gone: the one of the line below.
    master.rewrite_config(&running(""))?;
    reconfig(&master)?;
    master.log_line(|line| line.contains("noter leaves") && !line.ends_with(&place)).await?;
    assert_eq!(master.get("changesources").await?["changesources"][0]["master"], json!(null));
    Ok(())
}

#[tokio::test]
async fn faults_of_sources_are_told_and_tried_again() -> Result<()> {
    for (class, told) in [
        (
            "changes.PollingChangeSource:extend('X', {pollAtLaunch = true, poll = function() error('oh') end})",
            "oh",
        ),
        (
            "changes.PollingChangeSource:extend('X', {pollAtLaunch = true, poll = function() while true do end end})",
            "computed longer",
        ),
        (
            "changes.PollingChangeSource:extend('X', {pollAtLaunch = true, poll = function(self) self:getState(3) end})",
            "getState(key, default): key: expected a text",
        ),
        (
            "changes.PollingChangeSource:extend('X', {pollAtLaunch = true, poll = function(self) self.master.data.updates.addChange{author = 3} end})",
            "addChange: author: got the number `3`, expected a text",
        ),
        ("changes.ChangeSource:extend('X', {activate = function() error('not yet') end})", "not yet"),
        (
            "changes.ChangeSource:extend('X', {activate = function(self) self:spawn(function() error('inside') end) end})",
            "inside",
        ),
        (
            "changes.ChangeSource:extend('X', {activate = function(self) self:serve('a b', print) end})",
            "serve: a path of a-z",
        ),
        ("changes.ChangeSource:extend('X', {activate = function(self) util.sleep(1000) end})", ""),
    ] {
        let mut master =
            Master::start(&running(&format!("local X = {class}\nc.change_source = {{ X{{}} }}"))).await?;
        if !told.is_empty() {
            let errors = master.log_line(|line| line.contains(told)).await;
            errors.map_err(|error| error.context(class))?;
            let errors = master.get("script_errors").await?.to_string();
            assert!(errors.contains(told), "{class}: {errors}");
        }
        // It works on, and it can be stopped.
        master.force("runtests").await?;
        master.finished_build(1).await?;
        master.signal(nix::sys::signal::Signal::SIGTERM)?;
        assert_eq!(master.ended().await?, Some(0), "{class}");
    }
    Ok(())
}

#[test]
fn a_source_that_does_nothing_is_a_mistake() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(
        dir.path().join("master.lua"),
        running("c.change_source = { changes.PollingChangeSource{} }"),
    )?;
    let output = std::process::Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("does nothing by itself: extend it with a method poll"), "{told}");
    Ok(())
}
