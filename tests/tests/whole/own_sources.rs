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

/// By default of the class.
#[tokio::test]
async fn row_02_002_a_source_says_which_changes_come_in_and_as_what() -> Result<()> {
    let master = Master::start(&documented(PAGE, "Which changes come in, and as what", "")?).await?;
    let three = |answer: &Value| comments(answer) == ["one", "three", "four"];
    let answer = master.until("changes?order=changeid", three).await?;
    let categories: Vec<&Value> = (0..3).map(|n| &answer["changes"][n]["category"]).collect();
    assert_eq!(categories, [&json!(null), &json!("with files"), &json!("special")]);
    assert_eq!(answer["changes"][0]["properties"]["checked"], json!([true, "Change"]));
    master.log_line(|line| line.contains("number 2 became nothing")).await?;
    master.log_line(|line| line.contains("number 3 became change 2")).await?;
    Ok(())
}

/// As options of one object, of a source that acts by itself; what another adds is not its.
#[tokio::test]
async fn row_02_002_options_of_one_source_concern_its_changes_alone() -> Result<()> {
    let block = r#"
local Noter = changes.ChangeSource:extend("Noter", {
  activate = function(self)
    for _, note in ipairs{"first", "drop", "second"} do
      self.master.data.updates.addChange{author = self.name, comments = note}
    end
    lunabot.master.data.updates.addChange{author = "nobody", comments = "drop"}
    local ok, message = pcall(self.master.data.updates.addChange, self.master.data.updates, {})
    util.log.info("COLON " .. message)
  end,
})
c.change_source = {
  Noter{name = "plain"},
  Noter{name = "strict", category = "notes", change_fn = function(change) if change.who == "strict" and change.comments ~= "drop" then return change end end},
}
"#;
    let master = Master::start(&running(block)).await?;
    let answer = master.until("changes", |answer| comments(answer).len() == 7).await?;
    let mut all: Vec<[&str; 3]> = Vec::new();
    for change in answer["changes"].as_array().into_iter().flatten() {
        let text = |name: &str| change[name].as_str().unwrap_or("none");
        all.push([text("author"), text("comments"), text("category")]);
    }
    all.sort_unstable();
    let nobody = ["nobody", "drop", "none"];
    let plain = ["drop", "first", "second"].map(|note| ["plain", note, "none"]);
    let strict = ["first", "second"].map(|note| ["strict", note, "notes"]);
    assert_eq!(all, [&[nobody, nobody][..], &plain, &strict].concat());
    master.log_line(|line| line.contains("COLON") && line.contains("dot, not a colon")).await?;
    Ok(())
}

/// No change is lost by an error of a function, and none comes twice.
#[tokio::test]
async fn row_02_002_a_poll_is_repeated_whose_change_could_not_be_judged() -> Result<()> {
    let block = r#"
local calls = 0
local Poller = changes.PollingChangeSource:extend("Poller", {
  pollAtLaunch = true, pollInterval = 1,
  change_fn = function(change)
    calls = calls + 1
    if calls == 1 then error("cannot judge") end -- HERE
    if calls == 2 then return 3 end
    return change
  end,
  poll = function(self)
    if self:getState("done") then return end
    self.master.data.updates.addChange{author = "a", comments = "one", category = function(change) return change.author .. "!" end}
    self:setState("done", true)
  end,
})
c.change_source = { Poller{} }
"#;
    let config = running(block);
    let line = 1 + config.lines().position(|line| line.contains("HERE")).unwrap_or_default();
    let master = Master::start(&config).await?;
    let answer = master.until("changes", |answer| !comments(answer).is_empty()).await?;
    assert_eq!((comments(&answer), &answer["changes"][0]["category"]), (vec!["one".into()], &json!("a!")));
    let errors = master.get("script_errors").await?;
    let errors: Vec<&Value> = errors["script_errors"].as_array().into_iter().flatten().collect();
    let of = |kind: &str| errors.iter().find(|row| row["callback"] == "change_fn" && row["kind"] == kind);
    let raised = of("raise").map(|row| (row["line"].as_u64(), row["concerns"].as_str()));
    assert_eq!(raised, Some((Some(line as u64), Some("change source Poller"))), "{errors:?}");
    assert!(of("nonsense").is_some(), "{errors:?}");
    master.log_line(|line| line.contains("poll failed") && line.contains("cannot judge")).await?;
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

#[tokio::test]
async fn a_source_that_cannot_be_activated_leaves_nothing_behind() -> Result<()> {
    let block = r#"
c.change_source = { changes.ChangeSource:extend("Late", {
  activate = function(self)
    local attempt = self:getState("attempts", 0) + 1
    self:setState("attempts", attempt)
    local ticked = false
    self:spawn(function()
      while true do
        util.sleep(0.1)
        util.log.info("tick of " .. attempt)
        ticked = true
      end
    end)
    self.master.mq.subscribe("builds/*/finished", function() util.log.info("heard by " .. attempt) end)
    self:serve("bell", function() return "rung by " .. attempt end)
    if attempt < 3 then
      while not ticked do util.sleep(0.02) end
      error("not yet")
    end
    util.log.info("it is well")
  end,
}){} }
"#;
    let master = Master::start(&running(block)).await?;
    master.log_line(|line| line.contains("it is well")).await?;
    master.force("runtests").await?;
    master.log_line(|line| line.contains("heard by 3")).await?;
    master.log_line(|line| line.contains("tick of 3")).await?;
    let log = master.log();
    let (before, after) = log.split_once("it is well").unwrap_or_default();
    assert!(before.contains("tick of 1") && before.contains("tick of 2"), "{log}");
    for gone in ["tick of 1", "tick of 2", "heard by 1", "heard by 2"] {
        assert!(!after.contains(gone), "{gone}: {log}");
    }
    let rung =
        reqwest::Client::new().post(format!("{}/change_hook/custom/bell", master.base())).send().await?;
    assert_eq!(rung.text().await?, "rung by 3");
    Ok(())
}

#[tokio::test]
async fn a_source_hears_of_files_that_it_watches() -> Result<()> {
    let config = documented(PAGE, "A source that watches files", "")?;
    let master = Master::start(&config).await?;
    master.log_line(|line| line.contains("waits for releases")).await?;
    // Neither the file nor its folder is there yet.
    let file = master.dir().join("released/version");
    std::fs::create_dir(master.dir().join("released"))?;
    std::fs::write(&file, "1.0\n")?;
    master.until("changes", |answer| comments(answer) == ["version 1.0"]).await?;
    // Replaced, as editors do.
    std::fs::write(file.with_extension("new"), "1.1\n")?;
    std::fs::rename(file.with_extension("new"), &file)?;
    let two = |answer: &Value| comments(answer) == ["version 1.0", "version 1.1"];
    let answer = master.until("changes?order=changeid", two).await?;
    assert_eq!(answer["changes"][1]["files"], json!(["released/version"]));
    // The folder goes, and comes anew.
    std::fs::remove_dir_all(master.dir().join("released"))?;
    std::fs::create_dir(master.dir().join("released"))?;
    std::fs::write(&file, "2.0\n")?;
    let last = |answer: &Value| comments(answer).last().is_some_and(|last| last == "version 2.0");
    master.until("changes?order=changeid", last).await?;
    Ok(())
}

/// Two watches of one folder, of which one can be stopped.
const SPOOL: &str = r#"
local X = changes.ChangeSource:extend("Spool", {activate = function(self)
  local first
  first = util.watch("spool", function(path, paths)
    util.log.info("first hears of " .. table.concat(paths, " "))
    if path == "spool/wrong" then error("no such thing") end
    if path == "spool/stop" then
      first:stop()
      util.sleep(0.01)
      util.log.info("first is stopped by " .. path)
    end
  end)
  self:spawn(function()
    util.watch("spool", function(path, paths) util.log.info("second hears of " .. table.concat(paths, " ")) end)
    util.log.info("spool is watched")
    util.sleep(3600)
  end)
end})
c.change_source = { X{name = "spooler"} }
"#;

#[tokio::test]
async fn a_watch_of_a_folder_says_what_has_changed_until_it_is_stopped() -> Result<()> {
    let config = running(SPOOL);
    let master = Master::start(&config).await?;
    let said = async |text: &str| master.log_line(|line| line.contains(text)).await;
    said("spool is watched").await?;
    // All at once.
    std::fs::create_dir(master.dir().join("made"))?;
    for name in ["a", "b"] {
        std::fs::write(master.dir().join("made").join(name), name)?;
    }
    std::fs::rename(master.dir().join("made"), master.dir().join("spool"))?;
    for who in ["first", "second"] {
        said(&format!("{who} hears of spool spool/a spool/b")).await?;
    }
    std::fs::remove_file(master.dir().join("spool/a"))?;
    said("first hears of spool/a").await?;
    // An error ends that call alone.
    std::fs::write(master.dir().join("spool/wrong"), "")?;
    said("first hears of spool/wrong").await?;
    let head = "watch of change source spooler: ";
    master.log_line(|line| line.contains(head) && line.contains("no such thing")).await?;
    let errors = master.get("script_errors").await?;
    let error = &errors["script_errors"][0];
    assert_eq!(error["callback"], "watch", "{errors}");
    let line = config.lines().position(|line| line.contains("no such thing")).unwrap_or_default() + 1;
    assert_eq!(
        (&error["concerns"], &error["line"]),
        (&json!("change source spooler"), &json!(line)),
        "{error}"
    );
    std::fs::write(master.dir().join("spool/stop"), "")?;
    said("first is stopped by spool/stop").await?;
    said("second hears of spool/stop").await?;
    std::fs::write(master.dir().join("spool/after"), "")?;
    said("second hears of spool/after").await?;
    assert!(!master.log().contains("first hears of spool/after"), "{}", master.log());
    // With the source its watches end.
    let other = config.replace("spooler", "other").replace("second hears", "third hears");
    master.rewrite_config(&other.replace("is watched", "is watched anew"))?;
    reconfig(&master)?;
    said("spool is watched anew").await?;
    let late = ["spool/late0", "spool/late1"];
    for name in late {
        std::fs::write(master.dir().join(name), "")?;
        said(&format!("third hears of {name}")).await?;
    }
    for name in late {
        assert!(!master.log().contains(&format!("second hears of {name}")), "{}", master.log());
    }
    Ok(())
}
