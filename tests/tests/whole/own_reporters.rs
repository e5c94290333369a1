//! Reporters of classes of the configuration, with generators and formatters (11.001–11.031, 11.049).

use super::own_configurators::{checked, reconfig};
use anyhow::{Context, Result};
use lunabot_tests::{Master, documented, running};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const PAGE: &str = "customization/reporters.md";

/// A step that ends as the n-th of a list says, for the n-th build.
const STEP: &str = r#"
local function ends(results)
  f:addStep(steps.BuildStep:extend("Ends", {name = "ends", warnOnWarnings = true, run = function(self) return results[self.build.number] or 0 end}){})
end
local function tells(what)
  return function(reports)
    for _, report in ipairs(reports) do util.log.info("REPORT " .. util.to_json(what(report))) end
  end
end
"#;

/// The reports that the master has logged, once there are so many.
async fn reports(master: &Master, count: usize) -> Result<Vec<Value>> {
    let told = |log: &str| -> Vec<Value> {
        let lines = log.lines().filter_map(|line| line.split_once("REPORT "));
        lines
            .filter_map(|(_, rest)| serde_json::Deserializer::from_str(rest).into_iter().next()?.ok())
            .collect()
    };
    master.log_line(|_| told(&master.log()).len() >= count).await?;
    Ok(told(&master.log()))
}

fn said(master: &Master, text: &str) -> usize {
    master.log().lines().filter(|line| line.contains(text)).count()
}

/// A server that notes what it is told and answers with this status.
async fn sink(status: u16) -> Result<(u16, mpsc::UnboundedReceiver<Value>)> {
    let (sender, told) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let answer = axum::http::StatusCode::from_u16(status)?;
    let app = axum::Router::new().route(
        "/hook",
        axum::routing::post(move |axum::Json(body): axum::Json<Value>| async move {
            let _ = sender.send(body);
            answer
        }),
    );
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((port, told))
}

async fn build(master: &Master, count: i64) -> Result<()> {
    for number in 1..=count {
        master.force("runtests").await?;
        master.finished_build(number).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_11_049_a_reporter_tells_a_chat() -> Result<()> {
    let (port, mut told) = sink(200).await?;
    let config = documented(PAGE, "A reporter", "")?.replace("localhost:9/", &format!("localhost:{port}/"));
    let master = Master::start(&config).await?;
    build(&master, 1).await?;
    let message = told.recv().await.context("no message")?;
    assert_eq!(message["text"], "runtests #1: failure");
    assert!(
        message["link"].as_str().is_some_and(|link| link.ends_with("#/builders/1/builds/1")),
        "{message}"
    );
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("reporter Chat_BuildStatusGenerator_failing_problem_exception"), "{health}");
    Ok(())
}

/// It keeps what it is told, and says all of it a little later; what it counts outlives the process.
#[tokio::test]
async fn row_11_049_a_reporter_collects_and_remembers() -> Result<()> {
    let block = r#"
c.services = { reporters.Reporter:extend("Digest", {
  before_start = function(self) self.all = {} end,
  sendMessage = function(self, reports)
    for _, report in ipairs(reports) do table.insert(self.all, report.builds[1].number) end
    self:setState("count", self:getState("count", 0) + #reports)
    if self.timer then self.timer:cancel() end
    self.timer = self:callLater(0.3, function()
      local seen = self.master.data.get("builds", {filters = {complete = true}})
      util.log.info("DIGEST " .. self.name .. " " .. table.concat(self.all, ",") .. " of " .. self:getState("count") .. "/" .. #seen)
      self.all = {}
    end)
  end,
}){name = "digest", generators = {reporters.BuildStatusGenerator{}}} }
"#;
    let master = Master::start(&running(block)).await?;
    build(&master, 2).await?;
    master.log_line(|line| line.contains("DIGEST digest ") && line.contains(" of 2/2")).await?;
    let master = Master::start_in(master.kill().await?).await?;
    master.force("runtests").await?;
    master.log_line(|line| line.contains("DIGEST digest 3 of 3/3")).await?;
    Ok(())
}

#[tokio::test]
async fn rows_11_014_11_015_what_comes_begins_and_ends_is_said_in_order() -> Result<()> {
    let master = Master::start(&documented(PAGE, "What is reported", "")?).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("say: runtests: Build succeeded!")).await?;
    let log = master.log();
    let places: Vec<Option<usize>> =
        ["say: Build pending.", "say: runtests #1 begins", "say: runtests: Build succeeded!"]
            .iter()
            .map(|text| log.find(text))
            .collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{log}");
    Ok(())
}

#[tokio::test]
async fn row_11_020_words_are_made_by_templates() -> Result<()> {
    let master = Master::start(&documented(PAGE, "The words", "")?).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("html: runtests: passing build: ")).await?;
    master
        .log_line(|line| line.contains("<p>Build succeeded! <a href=\"") && line.contains("</a> for "))
        .await?;
    master.log_line(|line| line.contains("<li>check: success</li>")).await?;
    master.log_line(|line| line.contains("Tools &amp; more</p>")).await?;
    Ok(())
}

#[tokio::test]
async fn row_11_022_a_class_of_formatters_adds_to_the_context() -> Result<()> {
    let master = Master::start(&documented(PAGE, "Words with more in them", "")?).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("note: runtests has 0 more to do")).await?;
    Ok(())
}

#[tokio::test]
async fn row_11_019_a_class_of_generators_decides() -> Result<()> {
    let master = Master::start(&documented(PAGE, "What to report, decided by a function", "")?).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("told: slow: runtests")).await?;
    Ok(())
}

#[tokio::test]
async fn rows_11_003_11_004_reports_hold_what_is_wanted() -> Result<()> {
    let block = format!(
        r#"{STEP}
f:addStep(steps.ShellCommand{{command = {{"echo", "hello"}}, name = "greet"}})
local function send(reports)
  local report, build = reports[1], reports[1].builds[1]
  build.properties:setProperty("mine", 3, "test")
  util.log.info("REPORT " .. util.to_json{{
    number = #reports, keys = util.keys(report), body = report.body, type = report.type, results = report.results,
    users = report.users, logs = #report.logs, steps = build.steps, url = build.url, builder = build.builder.name,
    reason = build.buildset.reason, stamps = #build.buildset.sourcestamps, prev = build.prev_build or "none",
    property = build.properties.buildername, source = build.properties:getPropertySource("buildername"),
    mine = build.properties:getProperty("mine"), request = build.buildrequest.buildrequestid,
  }})
end
local bare = function(reports)
  local build = reports[1].builds[1]
  util.log.info("BARE " .. tostring(build.steps) .. tostring(build.properties) .. tostring(reports[1].body))
end
c.services = {{
  reporters.Reporter{{name = "all", send = send, generators = {{reporters.BuildStatusGenerator{{
    mode = {{"change", "passing"}}, message_formatter = reporters.MessageFormatterFunction{{function(ctx)
      return ctx.buildername .. " " .. ctx.results .. " " .. ctx.build.properties.buildername end,
      want_steps = true, want_logs_content = {{"greet.stdio"}} }} }} }} }},
  reporters.Reporter{{name = "bare", send = bare, generators = {{reporters.BuildStatusGenerator{{
    message_formatter = reporters.MessageFormatterEmpty{{want_properties = false}} }} }} }},
}}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 1).await?;
    let report = reports(&master, 1).await?.remove(0);
    for (key, value) in [
        ("number", json!(1)),
        ("body", json!("runtests 0 runtests")),
        ("type", json!("plain")),
        ("results", json!(0)),
        ("logs", json!(1)),
        ("builder", json!("runtests")),
        ("stamps", json!(1)),
        ("prev", json!("none")),
        ("property", json!("runtests")),
        ("source", json!("Builder")),
        ("mine", json!(3)),
        ("request", json!(1)),
    ] {
        assert_eq!(report[key], value, "{key}: {report:#}");
    }
    let step = report["steps"].as_array().context("steps")?.last().context("a step")?;
    let (log, page) = (&step["logs"][0], format!("/steps/{}/logs/stdio", step["number"]));
    assert!(log["content"]["content"].as_str().is_some_and(|text| text.contains("\nohello\n")), "{log}");
    assert!(log["url"].as_str().is_some_and(|url| url.ends_with(&page)), "{page}: {}", log["url"]);
    for key in ["body", "builds", "buildset", "logs", "patches", "results", "type", "users", "subject"] {
        assert!(report["keys"].as_array().is_some_and(|keys| keys.contains(&json!(key))), "{key}: {report}");
    }
    master.log_line(|line| line.contains("BARE nilnilnil")).await?;
    Ok(())
}

/// One build after the other, and what each generator made of them.
#[tokio::test]
async fn rows_11_009_to_11_011_modes_choose_by_results() -> Result<()> {
    let block = format!(
        r#"{STEP}
ends{{0, 2, 2, 1, 0, 4}}
local function teller(mode)
  return reporters.Reporter{{name = "of " .. mode, generators = {{reporters.BuildStatusGenerator{{mode = {{mode}}}}}},
    send = tells(function(report) return {{mode, report.builds[1].number, report.subject}} end)}}
end
c.services = {{ teller "change", teller "problem", teller "failing", teller "passing", teller "warnings", teller "exception" }}
c.title = "T"
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 6).await?;
    let mut told = reports(&master, 11).await?;
    told.sort_by_key(|one| (one[0].as_str().unwrap_or_default().to_owned(), one[1].as_i64()));
    let short: Vec<(String, i64)> = told
        .iter()
        .map(|one| (one[0].as_str().unwrap_or_default().to_owned(), one[1].as_i64().unwrap_or_default()))
        .collect();
    let wanted = [
        ("change", 2),
        ("change", 4),
        ("change", 5),
        ("change", 6),
        ("exception", 6),
        ("failing", 2),
        ("failing", 3),
        ("passing", 1),
        ("passing", 5),
        ("problem", 2),
        ("warnings", 4),
    ];
    assert_eq!(short, wanted.map(|(mode, number)| (mode.to_owned(), number)), "{told:#?}");
    assert!(told.iter().any(|one| one[2] == "Buildbot failure in T on runtests"), "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn rows_11_021_to_11_026_the_default_words_and_their_context() -> Result<()> {
    let block = format!(
        r#"{STEP}
c.www = {{ port = 0, change_hook_dialects = {{ base = true }} }}
c.schedulers = {{ schedulers.AnyBranchScheduler{{name = "all", builderNames = {{"runtests"}}, change_filter = util.ChangeFilter{{}}}} }}
c.title, c.buildbotURL = "T", "http://ci.example.org/"
ends{{2}}
local names = {{"results", "result_names", "mode", "buildername", "workername", "is_buildset", "projects", "previous_results",
  "status_detected", "build_url", "buildbot_title", "buildbot_url", "blamelist", "summary", "sourcestamps", "more"}}
local template = ""
for _, name in ipairs(names) do template = template .. name .. "={{{{ " .. name .. " }}}};" end
local function say(formatter)
  return reporters.Reporter{{name = formatter[1], generators = {{reporters.BuildStatusGenerator{{message_formatter = formatter[2]}}}},
    send = tells(function(report) return {{formatter[1], report.body, report.subject, report.type, report.extra_info}} end)}}
end
c.services = {{
  say{{"default", reporters.MessageFormatter{{}}}},
  say{{"html", reporters.MessageFormatter{{template_type = "html"}}}},
  say{{"every", reporters.MessageFormatter{{template, ctx = {{more = "x"}},
    extra_info_cb = function(master, build) return {{here = {{number = build.number}}}} end}}}},
  say{{"raw", reporters.MessageFormatterFunctionRaw{{function(master, ctx)
    return {{body = {{n = ctx.build.number}}, type = "json", subject = ctx.buildername, extra_info = {{a = {{b = 1}}}}}} end}}}},
  say{{"renderable", reporters.MessageFormatterRenderable{{util.Interpolate "%(prop:buildername)s %(src::branch)s",
    subject = util.Property "workername"}}}},
}}
"#
    );
    let master = Master::start(&running(&block)).await?;
    let fields = [
        ("author", "joe <joe@example.org>"),
        ("comments", "c"),
        ("branch", "main"),
        ("revision", "abc"),
        ("project", "P"),
    ];
    assert_eq!(master.change_hook(&fields).await?, 202);
    master.finished_build(1).await?;
    let told = reports(&master, 5).await?;
    let of = |name: &str| told.iter().find(|one| one[0] == name).cloned().with_context(|| name.to_owned());
    let default = of("default")?;
    let body = default[1].as_str().context("a text")?;
    for text in [
        "runtests: failed build of P.",
        "http://ci.example.org/#/builders/1/builds/1",
        "Worker:    local",
        "Blamelist: joe <joe@example.org>",
        "Build Source Stamp: [branch main] abc\n",
        "BUILD FAILED: ",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
    assert_eq!((&default[2], &default[3]), (&json!("Buildbot failure in T on runtests"), &json!("plain")));
    let html = of("html")?;
    let body = html[1].as_str().context("a text")?;
    assert!(body.contains("joe &lt;joe@example.org&gt;") && body.contains("<span style=\"color: "), "{body}");
    let every = of("every")?;
    let body = every[1].as_str().context("a text")?;
    for text in [
        "results=2;",
        "mode=['failing', 'passing', 'warnings'];",
        "workername=local;is_buildset=False;projects=P;previous_results=None;status_detected=failed build;",
        "buildbot_title=T;buildbot_url=http://ci.example.org/;",
        "more=x;",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
    assert_eq!(every[4], json!({"here": {"number": 1}}));
    assert_eq!(of("raw")?, json!(["raw", {"n": 1}, "runtests", "json", {"a": {"b": 1}}]));
    let rendered = of("renderable")?;
    assert_eq!((&rendered[1], &rendered[2]), (&json!("runtests main"), &json!("local")));
    Ok(())
}

#[tokio::test]
async fn rows_11_006_a_reporter_that_fails_is_tried_again_and_holds_up_nobody() -> Result<()> {
    let block = format!(
        r#"{STEP}
local tries = 0
c.services = {{
  reporters.Reporter{{name = "waits", generators = {{reporters.BuildStatusGenerator{{}}}}, send = function() util.sleep(1000) end}},
  reporters.Reporter:extend("Fails", {{sendMessage = function(self, reports)
    tries = tries + 1
    if #self.master.data.get("builds") < 2 then error("no way " .. tries) end
    util.log.info("delivered at last " .. reports[1].builds[1].number)
  end}}){{name = "fails", generators = {{reporters.BuildStatusGenerator{{}}}}}},
  reporters.Reporter{{name = "works", generators = {{reporters.BuildStatusGenerator{{}}}},
    send = tells(function(report) return report.builds[1].number end)}},
}}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 1).await?;
    assert_eq!(reports(&master, 1).await?, [json!(1)]);
    master.log_line(|line| line.contains("reporter=fails") && line.contains("no way 1")).await?;
    let errors = master.get("script_errors").await?;
    let row = errors["script_errors"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|row| row["concerns"] == "reporter fails");
    let row = row.with_context(|| errors.to_string())?;
    assert_eq!((&row["callback"], &row["file"]), (&json!("sendMessage"), &json!("master.lua")));
    master.log_line(|line| line.contains("no way 2; it will be tried again in 2 s")).await?;
    let (_, health) = master.text("/health").await?;
    let fails = health.split("reporter fails").nth(1).context("no reporter fails")?;
    let fails = fails.split("reporter ").next().unwrap_or_default();
    assert!(fails.contains("no way ") && fails.contains("; 1 to be delivered"), "{health}");
    // It fails until there is another build.
    master.force("runtests").await?;
    master.log_line(|line| line.contains("delivered at last 1")).await?;
    Ok(())
}

#[tokio::test]
async fn row_11_002_events_of_a_build_come_one_after_the_other() -> Result<()> {
    let block = format!(
        r#"{STEP}
local failed = false
c.services = {{ reporters.Reporter{{name = "slow", generators = {{reporters.BuildStartEndStatusGenerator{{}}}}, send = function(reports)
  util.log.info("begin " .. reports[1].body)
  util.sleep(0.5)
  if not failed then failed = true error("once") end
  util.log.info("end " .. reports[1].body .. tostring(reports[1].builds[1].complete))
end}} }}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("end Build done.true")).await?;
    let log = master.log();
    let order: Vec<&str> = log
        .lines()
        .filter_map(|line| {
            ["begin Build started.", "end Build started.false", "begin Build done.", "end Build done.true"]
                .into_iter()
                .find(|text| line.contains(text))
        })
        .collect();
    let wanted = [
        "begin Build started.",
        "begin Build started.",
        "end Build started.false",
        "begin Build done.",
        "end Build done.true",
    ];
    assert_eq!(order, wanted);
    Ok(())
}

#[tokio::test]
async fn what_is_not_delivered_survives_the_end_of_the_process() -> Result<()> {
    let (port, mut told) = sink(200).await?;
    let config = |port: u16| {
        running(&format!(
            r#"{STEP}
f:addStep(steps.ShellCommand{{command = {{"sh", "-c", "test $(ls | wc -l) -gt 0 || sleep 1000"}}, name = "hangs", doStepIf = function(step) return step.build.number == 3 end}})
c.services = {{ reporters.Reporter{{name = "chat", generators = {{reporters.BuildStartEndStatusGenerator{{}}}}, send = function(reports)
  local build = reports[1].builds[1]
  util.http.post{{"http://localhost:{port}/hook", json = {{build.number, reports[1].body, build.results}}}}
end}} }}
"#
        ))
    };
    // Nobody listens there.
    let master = Master::start(&config(1)).await?;
    build(&master, 2).await?;
    master.force("runtests").await?;
    master.until("builds/3/steps", |answer| answer["steps"][0]["started_at"].is_number()).await?;
    let dir = master.kill().await?;
    std::fs::write(dir.path().join("master.lua"), config(port))?;
    let _master = Master::start_in(dir).await?;
    // The request of the third is built again.
    let wanted = [
        json!([1, "Build started."]),
        json!([1, "Build done.", 0]),
        json!([2, "Build started."]),
        json!([2, "Build done.", 0]),
        json!([3, "Build started."]),
        json!([3, "Build done.", 5]),
        json!([4, "Build started."]),
        json!([4, "Build done.", 0]),
    ];
    let mut all = Vec::new();
    while all.len() < wanted.len() {
        all.push(told.recv().await.context("no message")?);
    }
    for wanted in wanted {
        let times = all.iter().filter(|one| **one == wanted).count();
        assert_eq!(times, 1, "{wanted} in {all:?}");
    }
    Ok(())
}

#[tokio::test]
async fn row_11_007_a_reload_loses_and_doubles_nothing() -> Result<()> {
    let config = |word: &str, works: bool, others: &str| {
        running(&format!(
            r#"{STEP}
c.services = {{
  reporters.ReporterBase:extend("Keeps", {{
    before_start = function(self) util.log.info("keeps begins") end,
    sendMessage = function(self, reports) util.log.info("keeps " .. reports[1].builds[1].number) end,
  }}){{name = "keeps", generators = {{reporters.BuildStatusGenerator{{}}}}}},
  {others}
  reporters.Reporter{{name = "changes", generators = {{reporters.BuildStatusGenerator{{}}}}, send = function(reports)
    if not {works} then error("later") end
    util.log.info("{word} " .. reports[1].builds[1].number .. ".")
  end}},
}}
"#
        ))
    };
    let gone = "reporters.Reporter{name = 'gone', generators = {reporters.BuildStatusGenerator{}}, send = function() error('never') end},";
    let master = Master::start(&config("one", false, gone)).await?;
    build(&master, 2).await?;
    for text in ["keeps 1", "keeps 2", "reporter=changes", "reporter=gone"] {
        master.log_line(|line| line.contains(text)).await?;
    }
    master.rewrite_config(&config("two", true, ""))?;
    let told = reconfig(&master)?;
    assert!(
        told.contains("changed service changes: function `send`") && told.contains("stopped service gone"),
        "{told}"
    );
    assert!(!told.contains("service keeps"), "{told}");
    master.log_line(|line| line.contains("two 1.")).await?;
    master.log_line(|line| line.contains("two 2.")).await?;
    master.log_line(|line| line.contains("reporter=\"gone\"") || line.contains("given up")).await?;
    master.force("runtests").await?;
    master.log_line(|line| line.contains("two 3.")).await?;
    master.log_line(|line| line.contains("keeps 3")).await?;
    for text in ["two 1.", "two 2.", "two 3.", "keeps 1", "keeps 2", "keeps 3", "keeps begins"] {
        assert_eq!(said(&master, text), 1, "{text}: {}", master.log());
    }
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("reporter keeps"), "{health}");
    Ok(())
}

#[tokio::test]
async fn what_fails_until_its_time_is_over_is_given_up() -> Result<()> {
    let block = "c.services = { reporters.Reporter{name = 'x', retry_for = 0, generators = {reporters.BuildStatusGenerator{}}, \
                 send = function() util.fail('not today') end} }";
    let master = Master::start(&running(block)).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("not today; it is given up")).await?;
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("1 given up, the last because of: not today"), "{health}");
    let (_, metrics) = master.text("/metrics").await?;
    assert!(metrics.contains("lunabot_reports_total{reporter=\"x\",outcome=\"given up\"} 1"), "{metrics}");
    Ok(())
}

/// The time is over while it waits for its next turn: nothing is delivered any more.
#[tokio::test]
async fn what_waits_when_its_time_is_over_is_given_up_untried() -> Result<()> {
    let block = "local tries = 0\n\
                 c.services = { reporters.Reporter{name = 'x', retry_for = 5, generators = {reporters.BuildStatusGenerator{}}, \
                 send = function() tries = tries + 1 error('not today ' .. tries) end} }";
    let master = Master::start(&running(block)).await?;
    build(&master, 1).await?;
    let line = master.log_line(|line| line.contains("it is given up")).await?;
    // It was tried at once, after 1 s and after 3 s; the next turn would be after 7 s.
    let tries = said(&master, "it will be tried again in");
    assert_eq!(tries, 3, "{}", master.log());
    assert!(line.contains(&format!("not today {tries}; it is given up")), "{}", master.log());
    let (_, health) = master.text("/health").await?;
    let over = health.split("1 given up, the last because of: ").nth(1).unwrap_or_default();
    assert!(over.lines().next().is_some_and(|line| line.contains(&format!("not today {tries}"))), "{health}");
    let errors = master.get("script_errors").await?;
    assert_eq!(errors["script_errors"][0]["count"], tries, "{errors}");
    Ok(())
}

/// What is new does not wait for what failed; what failed comes when it can.
#[tokio::test]
async fn row_11_006_what_is_new_goes_before_what_waits_for_its_next_turn() -> Result<()> {
    let block = format!(
        r#"{STEP}
c.services = {{ reporters.Reporter{{name = "x", generators = {{reporters.BuildStatusGenerator{{}}}}, send = function(reports)
  local number = reports[1].builds[1].number
  if number <= 2 and #lunabot.master.data.get("builds") < 5 then error("not yet " .. number) end
  util.log.info("REPORT " .. number)
end}} }}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 2).await?;
    for number in 1..=2 {
        master.log_line(|line| line.contains(&format!("not yet {number}"))).await?;
    }
    for number in 3..=5 {
        master.force("runtests").await?;
        master.finished_build(number).await?;
    }
    let told = reports(&master, 5).await?;
    assert_eq!(told[..2], [json!(3), json!(4)], "{told:?}");
    let mut rest = told[2..].to_vec();
    rest.sort_by_key(Value::as_i64);
    assert_eq!(rest, [json!(1), json!(2), json!(5)]);
    Ok(())
}

#[tokio::test]
async fn row_11_004_of_long_logs_a_report_holds_the_end() -> Result<()> {
    let block = format!(
        r#"{STEP}
for i = 1, 9 do
  local script = "yes " .. ("x"):rep(99) .. " | head -n 13000; echo END " .. i
  f:addStep(steps.ShellCommand{{name = "big" .. i, command = {{"sh", "-c", script}}}})
end
c.services = {{ reporters.Reporter{{name = "x", generators = {{reporters.BuildStatusGenerator{{add_logs = true}}}}, send = tells(function(report)
  return util.map(report.logs, function(log)
    return {{size = #log.content.content, first = log.content.firstline, last = log.content.content:match("END %d")}}
  end)
end)}} }}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 1).await?;
    let told = reports(&master, 1).await?.remove(0);
    let logs = told.as_array().context("logs")?;
    let sizes: Vec<u64> = logs.iter().filter_map(|log| log["size"].as_u64()).collect();
    assert_eq!(sizes.len(), 9, "{told}");
    for (log, size) in logs.iter().zip(&sizes).take(8) {
        assert!(*size <= 1 << 20 && *size > (1 << 20) - 200, "{told}");
        assert!(log["first"].as_i64() > Some(2000) && log["last"].is_string(), "{told}");
    }
    assert!(sizes.iter().sum::<u64>() <= 8 << 20, "{told}");
    Ok(())
}

#[tokio::test]
async fn rows_11_016_11_017_buildsets_are_reported_whole() -> Result<()> {
    let block = format!(
        r#"{STEP}
ends{{}}
local g = util.BuildFactory{{}}
g:addStep(steps.BuildStep:extend("Fails", {{run = function() return util.FAILURE end}}){{}})
table.insert(c.builders, util.BuilderConfig{{name = "other", workernames = {{"local"}}, factory = g}})
c.www = {{ port = 0, change_hook_dialects = {{ base = true }} }}
c.schedulers = {{ schedulers.AnyBranchScheduler{{name = "all", builderNames = {{"runtests", "other"}}, change_filter = util.ChangeFilter{{}}}} }}
local body = reporters.MessageFormatter{{"{{{{ buildername }}}} {{{{ is_buildset }}}};"}}
local whole = reporters.MessageFormatter{{"{{{{ builds | length }}}} {{{{ result_names[results] }}}} {{{{ blamelist | join }}}}"}}
local function say(name, generator)
  return reporters.Reporter{{name = name, generators = {{generator}},
    send = tells(function(report) return {{name, report.body, report.subject, report.results, #report.builds}} end)}}
end
c.services = {{
  say("each", reporters.BuildSetStatusGenerator{{mode = "all", message_formatter = body}}),
  say("failing", reporters.BuildSetStatusGenerator{{mode = "failing", message_formatter = body, subject = "%(result)s!"}}),
  say("whole", reporters.BuildSetCombinedStatusGenerator{{whole}}),
  say("default", reporters.BuildSetCombinedStatusGenerator{{reporters.MessageFormatter{{}}}}),
}}
c.title = "T"
"#
    );
    let master = Master::start(&running(&block)).await?;
    assert_eq!(master.change_hook(&[("author", "joe"), ("comments", "c")]).await?, 202);
    let told = reports(&master, 4).await?;
    let of = |name: &str| told.iter().find(|one| one[0] == name).cloned().with_context(|| name.to_owned());
    assert_eq!(
        of("each")?,
        json!(["each", "runtests True;other True;", "Buildbot failure in T on whole buildset", 2, 2])
    );
    assert_eq!(of("failing")?, json!(["failing", "other True;", "failure!", 2, 1]));
    assert_eq!(of("whole")?[1], "2 failure joe");
    let default = of("default")?;
    assert!(default[1].as_str().is_some_and(|body| body.contains("other: failure http")), "{default}");
    Ok(())
}

#[tokio::test]
async fn rows_11_015_11_018_11_029_requests_and_workers_are_reported() -> Result<()> {
    let block = format!(
        r#"{STEP}
table.insert(c.workers, worker.Worker{{"away", "pw", missing_timeout = 1, notify_on_missing = {{"ops@example.org"}}}})
table.insert(c.builders, util.BuilderConfig{{name = "stuck", workernames = {{"away"}}, factory = f}})
c.protocols = {{ pb = {{ port = "tcp:0:interface=127.0.0.1" }} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"runtests", "stuck"}}}} }}
local requests = tells(function(report)
  local build = report.builds[1]
  return {{report.body, build.builder.name, build.complete, build.results or "none", build.url, build.number or "none"}}
end)
c.buildbotURL, c.title = "http://ci/", "T"
c.services = {{
  reporters.Reporter{{name = "requests", generators = {{reporters.BuildRequestGenerator{{builders = {{"stuck"}}}}}}, send = requests}},
  reporters.Reporter{{name = "workers", generators = {{reporters.WorkerMissingGenerator{{"all"}}}}, send = function(reports)
    util.log.info("MISSING " .. reports[1].worker .. " " .. reports[1].users[1] .. " " .. reports[1].subject .. " " .. reports[1].body)
  end}},
  reporters.Reporter{{name = "informed", generators = {{reporters.WorkerMissingGenerator{{message_formatter =
    reporters.MessageFormatterMissingWorker{{extra_info_cb = function(master, worker) return {{of = {{name = worker.name}}}} end}},
  }}}}, send = function(reports) util.log.info("INFORMED of " .. reports[1].extra_info.of.name) end}},
  reporters.Reporter{{name = "none", send = function(reports) util.log.info("NONE " .. #reports .. " " .. reports[1].body) end, generators = {{
    reporters.WorkerMissingGenerator{{{{"local"}}}},
    reporters.WorkerMissingGenerator:extend("Always", {{generate = function() return {{body = "always"}} end}}){{}},
  }}}},
}}
"#
    );
    let master = Master::start(&running(&block)).await?;
    master.force("runtests").await?;
    let request = master.force("stuck").await?;
    assert_eq!(
        reports(&master, 1).await?,
        [json!([
            "Build pending.",
            "stuck",
            false,
            "none",
            format!("http://ci/#/buildrequests/{request}"),
            "none"
        ])]
    );
    master.control(&format!("buildrequests/{request}"), "cancel", json!({})).await?;
    let told = reports(&master, 2).await?;
    assert_eq!((&told[1][2], &told[1][3]), (&json!(true), &json!(6)));
    let line = master
        .log_line(|line| line.contains("MISSING away ops@example.org T: worker away is missing "))
        .await?;
    assert!(line.contains("away is away from T; it was last there at "), "{line}");
    master.log_line(|line| line.contains("INFORMED of away")).await?;
    // Of its two generators the first wants to hear of another worker.
    let line = master.log_line(|line| line.contains("NONE ")).await?;
    assert!(line.contains("NONE 1 always"), "{line}");
    Ok(())
}

#[tokio::test]
async fn row_11_019_generators_of_classes_may_do_all_by_themselves() -> Result<()> {
    let block = format!(
        r#"{STEP}
ends{{0, 2}}
local Own = reporters.BuildStatusGenerator:extend("Own", {{
  wanted_event_keys = {{ {{"builds", "*", "new"}}, "builds/*/finished" }},
  before_start = function(self) self.seen = 0 end,
  generate = function(self, master, reporter, key, build)
    self.seen = self.seen + 1
    if key[3] == "finished" then
      local report = reporters.BuildStatusGenerator.generate(self, master, reporter, key, build)
      if report then report.body = "base: " .. report.body end
      return report
    end
    build.properties:setProperty("x", "mine", "test")
    return {{ body = reporter.name .. self.seen .. key[1] .. key[2], builds = {{ build }},
      users = {{ #master.data.get("builders") }} }}
  end,
  is_message_needed_by_props = function(self, build) return build.properties.buildername == "runtests" end,
  is_message_needed_by_results = function(self, build)
    return not reporters.BuildStatusGenerator.is_message_needed_by_results(self, build)
  end,
  message_formatter = reporters.MessageFormatterFunction{{function(ctx) return ctx.summary end}},
}})
c.services = {{ reporters.Reporter{{generators = {{Own{{mode = "failing"}}}}, send = tells(function(report)
  return {{report.body, report.users[1] or "nobody", report.builds[1].properties:getProperty("x") or "none",
    report.builds[1].properties:getPropertySource("buildername")}}
end)}} }}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 2).await?;
    let told = reports(&master, 3).await?;
    assert_eq!(told[0], json!(["ReporterBase_Own_failing1builds1", 1, "mine", "Builder"]));
    assert!(told.contains(&json!(["base: Build succeeded!", "nobody", "none", "Builder"])), "{told:?}");
    // The second build failed, which the class turns around.
    assert_eq!(told.len(), 3, "{told:?}");
    Ok(())
}

#[tokio::test]
async fn faults_of_reporters_are_told_and_the_master_goes_on() -> Result<()> {
    let reporter = |more: &str| {
        format!("reporters.ReporterBase:extend('X', {{{more}}}){{name = 'X', generators = {{G}}}}")
    };
    let generator = |more: &str| {
        format!(
            "reporters.Reporter{{name = 'X', send = print, generators = {{reporters.BuildStatusGenerator:extend('G', {{{more}}}){{}}}}}}"
        )
    };
    let formatter = |more: &str| {
        format!(
            "reporters.Reporter{{name = 'X', send = print, generators = {{reporters.BuildStatusGenerator{{message_formatter = {more}}}}}}}"
        )
    };
    for (service, told) in [
        (reporter("sendMessage = function() error('oh') end"), "oh"),
        (reporter("sendMessage = function() while true do end end"), "computed longer"),
        (reporter("sendMessage = function() util.sleep(1000) end"), "did not end within 2 s"),
        (reporter("sendMessage = function() return 5 end"), "sendMessage returned something"),
        (reporter("sendMessage = function() return print end"), "takes no function"),
        (reporter("sendMessage = function(self) self:getState(3) end"), "getState(key, default): key"),
        (
            reporter("sendMessage = function(self) self:setState('x', lunabot.master) end"),
            "setState: expected a plain value, got lunabot.master",
        ),
        (
            "reporters.ReporterBase:extend('X', {params = {n = {type = 'integer', renderable = true}}, sendMessage = print}){\
             name = 'X', n = util.renderer(function() return 'many' end), generators = {G}}"
                .into(),
            "n: expected an integer, got \"many\"",
        ),
        (
            reporter("sendMessage = function(self, reports) reports[1].builds[1].builder.nam.x = 1 end"),
            "nil value",
        ),
        (reporter("before_start = function() error('early') end, sendMessage = print"), "early"),
        (generator("generate = function() return 5 end"), "generate returned 5, which is no report"),
        (generator("generate = function() return {builds = 1} end"), "a report whose builds is no list"),
        (generator("generate = function() while true do end end"), "computed longer"),
        (generator("is_message_needed_by_props = function() return 'yes' end"), "return true or false"),
        (generator("build_message = function() error('words') end"), "words"),
        (
            generator(
                "build_message = function(self) return reporters.BuildStatusGenerator.build_message(self) end",
            ),
            "takes (self, formatter, master, reporter, build)",
        ),
        (formatter("reporters.MessageFormatterFunction{function() error('inside') end}"), "inside"),
        (formatter("reporters.MessageFormatterFunction{function() return {} end}"), "which is no text"),
        (
            formatter("reporters.MessageFormatterFunctionRaw{function() return 'x' end}"),
            "fn returned no table",
        ),
        (
            formatter("reporters.MessageFormatter{extra_info_cb = function() return {a = 1} end}"),
            "extra_info is a table of tables",
        ),
        (
            formatter(
                "reporters.MessageFormatter:extend('F', {buildAdditionalContext = function() return 3 end}){}",
            ),
            "buildAdditionalContext returned a number",
        ),
        (
            formatter("reporters.MessageFormatterRenderable{util.Transform(function() error('deep') end)}"),
            "deep",
        ),
    ] {
        let limit = if told.contains("did not end") { "c.lua = {callback_timeout = 2}" } else { "" };
        let block =
            format!("{limit}\nlocal G = reporters.BuildStatusGenerator{{}}\nc.services = {{ {service} }}");
        let mut master = Master::start(&running(&block)).await?;
        build(&master, 1).await?;
        let line = master.log_line(|line| line.contains(told) && line.contains("reporter X")).await;
        let line = line.map_err(|error| error.context(service.clone()))?;
        let errors = master.get("script_errors").await?;
        let row = &errors["script_errors"][0];
        assert!(row["message"].as_str().unwrap_or_default().contains(told), "{service}: {errors}");
        assert_eq!(
            (&row["concerns"], &row["file"]),
            (&json!("reporter X"), &json!("master.lua")),
            "{service}: {line}"
        );
        assert!(row["line"].is_number(), "{service}: {errors}");
        master.force("runtests").await?;
        master.finished_build(2).await?;
        master.signal(Signal::SIGTERM)?;
        assert_eq!(master.ended().await?, Some(0), "{service}");
    }
    Ok(())
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_names_its_line() -> Result<()> {
    let block = "c.services = { reporters.Reporter{name = 'X', send = print, generators = {reporters.BuildStatusGenerator{\n\
                 message_formatter = reporters.MessageFormatter{'{{ build.number.x.y }}'}}}} }";
    let master = Master::start(&running(block)).await?;
    build(&master, 1).await?;
    let line =
        master.log_line(|line| line.contains("could not be reported") && line.contains("undefined")).await?;
    assert!(line.contains("master.lua:") && line.contains("template:1"), "{line}");
    Ok(())
}

#[tokio::test]
async fn a_secret_in_an_error_is_shown_to_nobody() -> Result<()> {
    let block = "c.secretsProviders = { secrets.SecretProviderBase:extend('S', {get = function() return 's3cr3t-token' end}){} }\n\
                 c.services = { reporters.ReporterBase:extend('X', {params = {token = {type = 'secret'}}, \
                 sendMessage = function(self) util.fail('refused ' .. self.token) end}){\
                 name = 'X', token = util.Secret 'token', generators = {reporters.BuildStatusGenerator{}}} }";
    let master = Master::start(&running(block)).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("refused <token>")).await?;
    let (_, health) = master.text("/health").await?;
    assert!(!master.log().contains("s3cr3t") && !health.contains("s3cr3t"), "{health}");
    Ok(())
}

#[tokio::test]
async fn a_secret_that_a_function_returns_is_shown_to_nobody() -> Result<()> {
    // Where the value is cut, the secret would be cut too.
    let block = "c.secretsProviders = { secrets.SecretProviderBase:extend('S', {get = function() return 's3cr3t-token' end}){} }\n\
                 c.services = { reporters.ReporterBase:extend('X', {params = {token = {type = 'secret'}}, sendMessage = print}){\
                 name = 'X', token = util.Secret 'token', generators = {reporters.BuildStatusGenerator:extend('G', {\
                 generate = function(self, master, reporter) return ('x'):rep(70) .. reporter.token end}){}}} }";
    let master = Master::start(&running(block)).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("could not be reported") && line.contains("<token>")).await?;
    let (_, health) = master.text("/health").await?;
    assert!(health.contains("which is no report"), "{health}");
    assert!(!master.log().contains("s3cr3t") && !health.contains("s3cr3t"), "{health}");
    Ok(())
}

/// The base uses the formatter and the results that it is handed.
#[tokio::test]
async fn row_11_019_the_base_takes_what_a_class_hands_to_it() -> Result<()> {
    let block = format!(
        r#"{STEP}
local other = reporters.MessageFormatterFunction{{function(ctx) return "other words on " .. ctx.buildername end}}
local Base, Sets = reporters.BuildStatusGenerator, reporters.BuildSetStatusGenerator
local Own = Base:extend("Own", {{build_message = function(self, formatter, master, reporter, build)
  return Base.build_message(self, other, master, reporter, build)
end}})
local Wrong = Base:extend("Wrong", {{build_message = function(self, formatter, master, reporter, build)
  return Base.build_message(self, "words", master, reporter, build)
end}})
local Set = Sets:extend("Set", {{buildset_message = function(self, formatter, master, reporter, builds, results)
  return Sets.buildset_message(self, formatter, master, reporter, builds, util.FAILURE)
end}})
local StartEnd = reporters.BuildStartEndStatusGenerator
local Both = StartEnd:extend("Both", {{build_message = function(self, formatter, master, reporter, build)
  return StartEnd.build_message(self, formatter, master, reporter, build)
end}})
local function teller(name, generator)
  return reporters.Reporter{{name = name, generators = {{generator}}, send = tells(function(report)
    return {{name, report.body, report.results or "none"}}
  end)}}
end
c.services = {{ teller("own", Own{{}}), teller("set", Set{{}}), teller("both", Both{{}}), teller("wrong", Wrong{{}}) }}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 1).await?;
    let told = reports(&master, 4).await?;
    let of = |name: &str| -> Vec<&Value> { told.iter().filter(|one| one[0] == name).collect() };
    assert_eq!(of("own"), [&json!(["own", "other words on runtests", 0])]);
    assert_eq!(of("set")[0][2], 2);
    assert_eq!(of("both"), [&json!(["both", "Build started.", "none"]), &json!(["both", "Build done.", 0])]);
    master.log_line(|line| line.contains("formatter: expected that of the generator")).await?;
    Ok(())
}

#[test]
fn rows_11_001_11_009_11_012_mistakes_in_reporters_name_their_line() -> Result<()> {
    let with = |generator: &str| {
        format!("c.services = {{ reporters.Reporter{{send = print, generators = {{{generator}}}}} }}")
    };
    for (block, told) in [
        ("c.services = { reporters.Reporter{name = 'x', generators = {reporters.BuildStatusGenerator{}}} }".into(), "delivers nothing by itself"),
        ("c.services = { reporters.Reporter{name = 'x', send = print} }".into(), "generators is missing"),
        ("c.services = { reporters.Reporter{name = 'x', send = print, generators = {}} }".into(), "nothing would be reported"),
        (with("reporters.MessageFormatter{}"), "not a reporters.MessageFormatter"),
        (
            "local function x() return reporters.Reporter{send = print, generators = {reporters.BuildStatusGenerator{}}} end\nc.services = { x(), x() }".into(),
            "service name 'ReporterBase_BuildStatusGenerator' used multiple times",
        ),
        (with("reporters.BuildStatusGenerator{mode = 'failling'}"), "did you mean \\\"failing\\\"?"),
        (with("reporters.BuildStatusGenerator{mode = {'all'}}"), "stands for itself"),
        (with("reporters.BuildStatusGenerator{builders = {'runtests'}, tags = {'x'}}"), "cannot be given beside builders"),
        (with("reporters.BuildStatusGenerator{builders = {'runtest'}}"), "unknown builder 'runtest', did you mean 'runtests'?"),
        (with("reporters.BuildStatusGenerator{subject = 'a\\nb'}"), "subject: must be of one line"),
        (with("reporters.BuildStatusGenerator{wanted_event_keys = {'builds/*/new'}}"), "with a generate of their own"),
        (
            with("reporters.BuildStatusGenerator:extend('G', {wanted_event_keys = {'steps/*/new'}, generate = print}){}"),
            "steps/*/new cannot be reported",
        ),
        (
            with("reporters.BuildStatusGenerator:extend('G', {wanted_event_keys = {'builds/12/new'}, generate = print}){}"),
            "builds/12/new cannot be reported",
        ),
        (
            with("reporters.BuildStatusGenerator:extend('G', {wanted_event_keys = {{'builds', 12, 'new'}}, generate = print}){}"),
            "builds/12/new cannot be reported",
        ),
        (
            with("reporters.BuildStatusGenerator:extend('G', {wanted_event_keys = {}, generate = print}){}"),
            "wanted_event_keys: is empty",
        ),
        (with("reporters.BuildStatusGenerator{subject = '%(worker)s'}"), "subject: %(worker) is not filled in"),
        (with("reporters.WorkerMissingGenerator{workers = {'locl'}}"), "unknown worker 'locl', did you mean 'local'?"),
        (
            with("reporters.BuildStatusGenerator{message_formatter = reporters.MessageFormatterMissingWorker{}}"),
            "finds words about workers",
        ),
        (with("reporters.WorkerMissingGenerator{message_formatter = reporters.MessageFormatter{}}"), "has no template"),
        (with("reporters.BuildSetCombinedStatusGenerator{}"), "message_formatter is missing"),
        (with("reporters.BuildStatusGenerator{message_formatter = reporters.BuildStatusGenerator{}}"), "expected a formatter"),
        (with("reporters.BuildStatusGenerator{message_formatter = reporters.MessageFormatter{'{% if %}'}}"), "template: template:1"),
        (with("reporters.BuildStatusGenerator{message_formatter = reporters.MessageFormatter{template_type = 'json'}}"), "for JSON use"),
        (with("reporters.BuildStatusGenerator{message_formatter = reporters.MessageFormatterFunction{}}"), "fn is missing"),
        (with("reporters.BuildStatusGenerator{message_formater = 1}"), "did you mean message_formatter?"),
        ("c.services = { reporters.MailNotifier{fromaddr = 'a@b'} }".into(), "not supported yet"),
        ("c.services = { reporters.Reporter{send = print, retry_for = -1, generators = {reporters.BuildStatusGenerator{}}} }".into(), "retry_for: is negative"),
    ] {
        let (ok, text) = checked(&running(&block))?;
        let told = told.replace("\\\"", "\"");
        assert!(!ok && text.contains(&told) && text.contains("master.lua:"), "{block}: {text}");
    }
    let block = "c.services = { reporters.ReporterBase:extend('X', {sendMessage = print, reconfigService = print}){\
                 generators = {reporters.BuildStatusGenerator{}}} }";
    let (ok, text) = checked(&running(block))?;
    assert!(ok && text.contains("reconfigService is a method of your own, which nothing calls"), "{text}");
    // What checks options is no method.
    let block = "c.services = { reporters.Reporter{send = print, generators = {reporters.WorkerMissingGenerator:extend('G', {\
                 params = {word = {type = 'string'}}, wanted_event_keys = {'workers/*/missing'}, generate = print, \
                 check = function(args) if args.word == 'no' then return 'word: not this one' end end}){word = 'no'}}} }";
    let (ok, text) = checked(&running(block))?;
    assert!(!ok && text.contains("word: not this one"), "{text}");
    let (ok, text) = checked(&running(&block.replace("word = 'no'}}}", "word = 'yes'}}}")))?;
    assert!(ok && !text.contains("WARN") && !text.contains("nothing calls"), "{text}");
    Ok(())
}

#[tokio::test]
async fn row_11_007_what_is_under_way_in_a_reload_is_delivered_once() -> Result<()> {
    let config = |word: &str| {
        running(&format!(
            r#"{STEP}
c.services = {{ reporters.Reporter{{name = "slow", generators = {{reporters.BuildStatusGenerator{{}}}}, send = function(reports)
  util.log.info("{word} begins " .. reports[1].builds[1].number)
  util.sleep(2)
  util.log.info("{word} ends " .. reports[1].builds[1].number)
end}} }}
"#
        ))
    };
    let master = Master::start(&config("one")).await?;
    build(&master, 1).await?;
    master.log_line(|line| line.contains("one begins 1")).await?;
    master.rewrite_config(&config("two"))?;
    let told = reconfig(&master)?;
    assert!(told.contains("changed service slow"), "{told}");
    master.force("runtests").await?;
    master.log_line(|line| line.contains("two ends 2")).await?;
    for text in ["one begins 1", "one ends 1", "two begins 2", "two ends 2"] {
        assert_eq!(said(&master, text), 1, "{text}: {}", master.log());
    }
    assert_eq!((said(&master, "two begins 1"), said(&master, "one begins 2")), (0, 0), "{}", master.log());
    Ok(())
}

/// Killed again and again while builds end: each that has ended was told, its beginning first.
#[tokio::test]
async fn rows_11_002_11_006_nothing_is_lost_however_often_the_master_is_killed() -> Result<()> {
    let (port, mut told) = sink(200).await?;
    let config = running(&format!(
        r#"{STEP}
c.services = {{ reporters.Reporter{{name = "chat", generators = {{reporters.BuildStartEndStatusGenerator{{}}}}, send = function(reports)
  util.http.post{{"http://localhost:{port}/hook", json = {{reports[1].builds[1].buildid, reports[1].body}}}}
end}} }}
"#
    ));
    let mut master = Master::start(&config).await?;
    for round in 0..4 {
        for _ in 0..6 {
            master.force("runtests").await?;
        }
        // Wherever it is then.
        master.finished_build(1 + round * 5).await?;
        master = Master::start_in(master.kill().await?).await?;
    }
    master
        .until("buildrequests", |answer| {
            let rows = answer["buildrequests"].as_array().into_iter().flatten();
            rows.clone().count() == 24 && rows.clone().all(|row| row["complete"] == true)
        })
        .await?;
    let builds = master.get("builds").await?;
    let mut missing: Vec<Value> = Vec::new();
    for build in builds["builds"].as_array().context("builds")? {
        missing.push(json!([build["buildid"], "Build started."]));
        missing.push(json!([build["buildid"], "Build done."]));
    }
    let mut began: Vec<Value> = Vec::new();
    while !missing.is_empty() {
        let one = told.recv().await.context("no message")?;
        if one[1] == "Build started." {
            began.push(one[0].clone());
        } else {
            assert!(began.contains(&one[0]), "{one} before its beginning");
        }
        missing.retain(|other| *other != one);
    }
    Ok(())
}

#[tokio::test]
async fn row_11_008_the_beginning_of_a_build_is_reported_where_it_is_wanted() -> Result<()> {
    let block = format!(
        r#"{STEP}
c.title = "T"
c.services = {{ reporters.Reporter{{name = "both", generators = {{reporters.BuildStatusGenerator{{
  report_new = true, message_formatter = reporters.MessageFormatter{{template_type = "html"}} }} }},
  send = tells(function(report) return {{report.subject, report.results or "none", report.builds[1].complete, report.body}} end)}} }}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 1).await?;
    let told = reports(&master, 2).await?;
    assert_eq!(
        (&told[0][0], &told[0][1], &told[0][2]),
        (&json!("Buildbot running in T on runtests"), &json!("none"), &json!(false))
    );
    assert_eq!(
        (&told[1][0], &told[1][1], &told[1][2]),
        (&json!("Buildbot success in T on runtests"), &json!(0), &json!(true))
    );
    assert!(told[0][3].as_str().is_some_and(|body| body.contains("running build of T")), "{}", told[0]);
    Ok(())
}

/// Many builds, many reporters that wait: the others and the pages go on.
#[tokio::test]
async fn row_11_006_reporters_that_all_wait_leave_the_store_to_others() -> Result<()> {
    let block = format!(
        r#"{STEP}
c.lua = {{ callback_timeout = 3600 }}
c.services = {{}}
for i = 1, 12 do
  c.services[i] = reporters.Reporter{{name = "waits" .. i, generators = {{reporters.BuildStartEndStatusGenerator{{}}}}, send = function() util.sleep(1000) end}}
end
c.services[13] = reporters.Reporter{{name = "works", generators = {{reporters.BuildStatusGenerator{{}}}},
  send = tells(function(report) return report.builds[1].number end)}}
"#
    );
    let master = Master::start(&running(&block)).await?;
    build(&master, 12).await?;
    assert_eq!(reports(&master, 12).await?.len(), 12);
    let (status, health) = master.text("/health").await?;
    assert!(status == 200 && health.contains("well; 24 to be delivered"), "{health}");
    Ok(())
}
