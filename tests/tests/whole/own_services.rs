//! Services of classes of the configuration (01.011, 01.024).

use super::own_configurators::{checked, reconfig};
use anyhow::Result;
use lunabot_tests::{Master, documented, running};
use serde_json::json;

const PAGE: &str = "customization/services.md";

/// The lines of the log with this text.
fn said(master: &Master, text: &str) -> usize {
    master.log().lines().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn row_01_024_a_service_watches_and_remembers() -> Result<()> {
    let config = documented(PAGE, "A service", "")?;
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    master.log_line(|line| line.contains("counter has seen 1 builds")).await?;
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("service counter"), "{health}");
    let mut master = Master::start_in(master.kill().await?).await?;
    master.force("runtests").await?;
    master.log_line(|line| line.contains("counter has seen 2 builds")).await?;
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    assert_eq!(master.ended().await?, Some(0));
    assert_eq!(said(&master, "counter leaves"), 1, "{}", master.log());
    Ok(())
}

#[tokio::test]
async fn timers_stop_a_build_that_takes_too_long() -> Result<()> {
    let master = Master::start(&documented(PAGE, "Timers", "")?).await?;
    master.force("runtests").await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 6, "{build}");
    Ok(())
}

/// Says what it does, and hears of changes in three ways.
const TELLER: &str = r#"
c.www = { port = 0, change_hook_dialects = { base = true } }
c.change_source = { changes.ChangeSource:extend("Source", {activate = function()
  lunabot.master.mq.subscribe("changes/*/new", function(_, change) util.log.info("the source heard " .. change.comments) end)
end}){} }
c.services = { util.Service:extend("Teller", {
  params = { word = {type = "string"} },
  startService = function(self)
    self.heard = 0
    util.log.info(self.word .. " begins")
    self.master.mq.subscribe("changes/*/new", function(_, change)
      self.heard = self.heard + 1
      util.log.info(self.word .. " heard " .. change.comments .. ", number " .. self.heard)
    end)
    self:callLater(0, function() util.log.info(self.word .. " is there") end)
    local never = self:callLater("1h", function() end)
    assert(never:active())
    never:cancel()
    never:cancel()
    assert(not never:active())
  end,
  stopService = function(self)
    util.log.info(self.word .. " leaves")
  end,
}){word = "one"} }
"#;

#[tokio::test]
async fn row_01_011_a_reload_touches_a_service_only_where_it_differs() -> Result<()> {
    let config = running(TELLER);
    let master = Master::start(&config).await?;
    master.log_line(|line| line.contains("one is there")).await?;
    let heard = async |text: &str| master.log_line(|line| line.contains(text)).await;
    let change = async |text: &str| master.change_hook(&[("author", "joe"), ("comments", text)]).await;
    assert_eq!(change("a").await?, 202);
    heard("one heard a, number 1").await?;
    // Nothing differs but places.
    master.rewrite_config(&format!("-- moved\n\n{config}"))?;
    let told = reconfig(&master)?;
    assert!(told.contains("1 service") && !told.contains("service Teller"), "{told}");
    assert_eq!(change("b").await?, 202);
    heard("one heard b, number 2").await?;
    assert_eq!(said(&master, "one leaves"), 0);
    // Another option: the old one ends with all that it had begun.
    master.rewrite_config(&config.replace("word = \"one\"", "word = \"two\""))?;
    let told = reconfig(&master)?;
    assert!(told.contains("changed service Teller"), "{told}");
    heard("two is there").await?;
    assert_eq!(change("c").await?, 202);
    heard("two heard c, number 1").await?;
    assert_eq!((said(&master, "one leaves"), said(&master, "one heard c")), (1, 0), "{}", master.log());
    // Gone.
    master.rewrite_config(&running(""))?;
    reconfig(&master)?;
    heard("two leaves").await?;
    let (_, health) = master.text("/health").await?;
    assert!(!health.contains("failing"), "{health}");
    Ok(())
}

#[tokio::test]
async fn a_service_that_stays_keeps_nothing_else_of_its_configuration() -> Result<()> {
    let config = running(TELLER);
    let master = Master::start(&config).await?;
    master.log_line(|line| line.contains("one is there")).await?;
    master.rewrite_config(&format!("-- moved\n{config}"))?;
    reconfig(&master)?;
    // The source subscribes anew; the subscription of the old configuration ends soon.
    for number in 0.. {
        let text = format!("change {number}.");
        assert_eq!(master.change_hook(&[("author", "joe"), ("comments", &text)]).await?, 202);
        master.log_line(|line| line.contains(&format!("one heard {text}"))).await?;
        master.log_line(|line| line.contains(&format!("the source heard {text}"))).await?;
        // Whoever hears twice has said so before it hears the next.
        let next = format!("next {number}.");
        assert_eq!(master.change_hook(&[("author", "joe"), ("comments", &next)]).await?, 202);
        master.log_line(|line| line.contains(&format!("the source heard {next}"))).await?;
        if said(&master, &format!("the source heard {text}")) == 1 {
            break;
        }
        assert!(number < 200, "the old one goes on: {}", master.log());
    }
    Ok(())
}

#[tokio::test]
async fn faults_of_services_are_told_and_the_master_goes_on() -> Result<()> {
    for (body, told) in [
        ("startService = function() error('oh') end", "oh"),
        ("startService = function() while true do end end", "computed longer"),
        ("startService = function() util.sleep(1000) end", "did not end within 2 s"),
        ("startService = function(self) self:getState(3) end", "getState(key, default): key"),
        ("startService = function(self) self:setState() end", "setState(key, value): key is missing"),
        ("startService = function(self) self:callLater(1) end", "takes seconds and a function"),
        ("startService = function(self) self:callLater('soon', print) end", "soon"),
        ("startService = function(self) self:callLater(-1, print) end", "-1 is no number of seconds"),
        ("startService = function(self) self:frobnicate() end", "frobnicate"),
        ("startService = function(self) self:callLater(0, function() error('late') end) end", "late"),
        (
            "startService = function(self) self:callLater(0, function() while true do end end) end",
            "computed longer than 1 s",
        ),
        (
            "startService = function(self) self:callLater(0, function() util.sleep(1000) end) end",
            "did not end within 2 s",
        ),
        ("startService = function(self) self:spawn(function() error('inside') end) end", "inside"),
        (
            "startService = function(self) for i = 1, 20000 do self:callLater(1000, function() end) end end",
            "has 10000 tasks and timers already",
        ),
        (
            "startService = function(self) self.master.mq.subscribe('zzz', print) end",
            "nothing is announced as zzz",
        ),
        ("before_start = function() error('early') end, startService = function() end", "early"),
    ] {
        // Only where it counts: what computes is to be stopped for that, however busy the machine is.
        let limit = if told.contains("did not end") { "c.lua = {callback_timeout = 2}" } else { "" };
        let block = format!("{limit}\nc.services = {{ util.BuildbotService:extend('X', {{{body}}}){{}} }}");
        let mut master = Master::start(&running(&block)).await?;
        let line = master.log_line(|line| line.contains(told) && line.contains("service X")).await;
        let line = line.map_err(|error| error.context(body))?;
        assert!(line.contains("master.lua:"), "{body}: {line}");
        let errors = master.get("script_errors").await?;
        let row = &errors["script_errors"][0];
        assert!(row["message"].as_str().unwrap_or_default().contains(told), "{body}: {errors}");
        assert_eq!((&row["concerns"], &row["file"]), (&json!("service X"), &json!("master.lua")), "{body}");
        master.force("runtests").await?;
        master.finished_build(1).await?;
        master.signal(nix::sys::signal::Signal::SIGTERM)?;
        assert_eq!(master.ended().await?, Some(0), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_fails_is_shown_started_anew_and_leaves_nothing_behind() -> Result<()> {
    let block = r#"
c.services = { util.BuildbotService:extend("Late", {
  startService = function(self)
    self:callLater(2, function() util.log.info("a timer of attempt " .. self.attempt) end)
    self.attempt = self:getState("attempts", 0) + 1
    self:setState("attempts", self.attempt)
    if self.attempt < 2 then error("not yet") end
    util.log.info("it is well")
  end,
}){} }
"#;
    let master = Master::start(&running(block)).await?;
    master.log_line(|line| line.contains("could not be started") && line.contains("not yet")).await?;
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("service Late") && health.contains("not yet"), "{health}");
    master.log_line(|line| line.contains("it is well")).await?;
    master.log_line(|line| line.contains("a timer of attempt 2")).await?;
    assert_eq!(said(&master, "a timer of attempt 1"), 0, "{}", master.log());
    Ok(())
}

#[tokio::test]
async fn a_service_that_cannot_stop_is_given_up() -> Result<()> {
    let block = "c.services = { util.BuildbotService:extend('X', {startService = function() util.log.info('here') end, \
                 stopService = function() error('stuck') end}){} }";
    let mut master = Master::start(&running(block)).await?;
    master.log_line(|line| line.contains("here")).await?;
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    assert_eq!(master.ended().await?, Some(0));
    assert!(
        master.log().contains("stopService of service X did not succeed; it is given up"),
        "{}",
        master.log()
    );
    Ok(())
}

#[tokio::test]
async fn a_service_that_comes_back_begins_after_its_farewell() -> Result<()> {
    let block = r#"
c.services = { util.BuildbotService:extend("X", {
  startService = function(self) util.log.info("begins") end,
  stopService = function(self)
    util.log.info("at its farewell")
    while not pcall(util.read_file, "go") do util.sleep(0.02) end
    util.log.info("has left")
  end,
}){} }
"#;
    let master = Master::start(&running(block)).await?;
    master.log_line(|line| line.contains("begins")).await?;
    master.rewrite_config(&running(""))?;
    reconfig(&master)?;
    master.log_line(|line| line.contains("at its farewell")).await?;
    master.rewrite_config(&running(block))?;
    reconfig(&master)?;
    std::fs::write(master.dir().join("go"), "")?;
    let twice = |log: String| log.lines().filter(|line| line.contains("begins")).count() == 2;
    master.log_line(|line| line.contains("begins") && twice(master.log())).await?;
    let log = master.log();
    assert!(log.find("has left") < log.rfind("begins"), "{log}");
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("service X"), "{health}");
    Ok(())
}

#[test]
fn row_01_024_mistakes_in_services_name_their_line() -> Result<()> {
    for (block, told) in [
        (
            "local X = util.BuildbotService:extend('X', {startService = print})\nc.services = {\n X{name = 'a'},\n X{name = 'a'} }",
            "util.BuildbotService: service name 'a' used multiple times, first at master.lua:",
        ),
        (
            "local X = util.BuildbotService:extend('X', {startService = print})\nc.services = { X{}, X{} }",
            "service name 'X' used multiple times",
        ),
        (
            "c.services = { util.BuildbotService{name = 'a'} }",
            "does nothing by itself: extend it with a method startService",
        ),
        (
            "c.services = { util.BuildbotService:extend('X', {stopService = print}){} }",
            "X: does nothing by itself: give it a method startService",
        ),
        (
            "c.services = { util.BuildbotService:extend({startService = print}){} }",
            "name is missing; give it one",
        ),
        (
            "c.services = { util.BuildbotService:extend('X', {startService = print}){nam = 'a'} }",
            "did you mean name?",
        ),
        (
            "c.services = { util.BuildbotService:extend('X', {startService = print}){name = ''} }",
            "name: is empty",
        ),
    ] {
        let (ok, text) = checked(&running(block))?;
        assert!(!ok && text.contains(told) && text.contains("master.lua:"), "{block}: {text}");
    }
    let block = "c.services = { util.BuildbotService:extend('X', {startService = print, reconfigService = print}){} }";
    let (ok, text) = checked(&running(block))?;
    assert!(ok && text.contains("reconfigService is a method of your own, which nothing calls"), "{text}");
    Ok(())
}
