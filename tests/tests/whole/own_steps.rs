//! Steps of classes of the configuration: the examples of the documentation, and what may go wrong (lua-api § 3).

use anyhow::{Context, Result};
use lunabot_tests::{Master, documented, lunabot_binary, running, shown_block};
use serde_json::{Value, json};

/// Name, result and text of each step after the worker's preparation.
pub async fn steps(master: &Master, build: i64) -> Result<Vec<(String, i64, String)>> {
    let steps = master.get(&format!("builds/{build}/steps?order=number")).await?;
    let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_string();
    let all = steps["steps"].as_array().context("steps")?.iter().skip(1);
    Ok(all
        .map(|step| (text(step, "name"), step["results"].as_i64().unwrap_or(-1), text(step, "state_string")))
        .collect())
}

/// Forces a build of the configuration and waits for its end.
pub async fn built(config: &str) -> Result<(Master, Value)> {
    let master = Master::start(config).await?;
    master.force("runtests").await?;
    let build = master.finished_build(1).await?;
    Ok((master, build))
}

async fn properties(master: &Master, build: i64) -> Result<Value> {
    let answer = master.get(&format!("builds/{build}/properties")).await?;
    Ok(answer["properties"][0].clone())
}

fn step(name: &str, results: i64, text: &str) -> (String, i64, String) {
    (name.into(), results, text.into())
}

#[tokio::test]
async fn row_06_013_two_commands_in_one_step_share_a_log() -> Result<()> {
    let (master, build) =
        built(&documented("customization/steps.md", "Two commands in one step", "")?).await?;
    assert_eq!(build["results"], 0, "{build}");
    assert_eq!(steps(&master, 1).await?[1], step("cleanup", 0, "finished"));
    let log = master.step_log(1, "cleanup", "stdio").await?;
    assert!(log.contains("program finished with exit code 1") && log.contains("--force"), "{log}");
    let told = checked(
        "c.builders[1].factory:addStep(steps.ShellMixin:extend('X', {prohibitArgs = {'command'}}){command = 'x'})",
    )?;
    assert!(told.contains("X: command: is not an option of X"), "{told}");
    Ok(())
}

#[tokio::test]
async fn rows_04_042_05_020_06_060_parameters_are_checked_rendered_and_inherited() -> Result<()> {
    let config = documented("customization/steps.md", "Parameters", "")?;
    let (master, build) = built(&config).await?;
    assert_eq!(build["results"], 0, "{build}");
    let told = steps(&master, 1).await?;
    assert_eq!((told[0].0.as_str(), told[1].0.as_str()), ("frobnify", "fast"));
    assert!(master.step_log(1, "frobnify", "stdio").await?.contains("frobbing 3"));
    assert!(master.step_log(1, "fast", "stdio").await?.contains("frobbing 1"));
    assert_eq!(properties(&master, 1).await?["frobbed"], json!(["frobee", "Frobnify"]));
    for (wrong, told) in [
        ("how_many = 0", "Frobnify: how_many must be at least 1"),
        ("how_mny = 1, how_many = 1", "how_mny: unknown option"),
        ("frob_what = 1, how_many = 1", "Frobnify: frob_what: expected a text, got the number 1"),
    ] {
        let config =
            documented("customization/steps.md", "Parameters", &format!("f:addStep(Frobnify{{{wrong}}})"))?;
        let output = check(&config)?;
        assert!(output.contains(told), "{output}");
    }
    Ok(())
}

#[tokio::test]
async fn rows_05_016_05_025_05_029_05_030_06_062_06_063_a_step_says_what_it_found() -> Result<()> {
    let (master, build) = built(&documented("customization/steps.md", "What the step says", "")?).await?;
    let told = steps(&master, 1).await?;
    assert_eq!(told[0], step("lint", 1, "2 kinds of errors"));
    assert_eq!(told[1], step("lint again", 1, "2 kinds of errors"));
    assert_eq!(properties(&master, 1).await?["kinds"][0], "x", "both statistics were added up");
    assert_eq!(build["state_string"], "build successful lint found something lint found something");
    assert_eq!(master.step_log(1, "lint", "summary").await?.trim(), "E1: 2\nE2: 1");
    let logs = master.get("builds/1/steps/lint/logs").await?;
    let kinds: Vec<&str> =
        logs["logs"].as_array().context("logs")?.iter().filter_map(|log| log["type"].as_str()).collect();
    assert_eq!(kinds, ["s", "t", "h"]);
    let row = master.get("builds/1/steps/lint").await?;
    assert_eq!(
        row["steps"][0]["urls"],
        json!([{"name": "what they mean", "url": "https://example.org/lint"}])
    );
    Ok(())
}

#[tokio::test]
async fn rows_06_040_05_036_05_046_files_are_found() -> Result<()> {
    let (master, build) = built(&documented("customization/steps.md", "Files on the worker", "")?).await?;
    assert_eq!(build["results"], 0, "{build}");
    assert_eq!(
        steps(&master, 1).await?[2..],
        [
            step("some", 0, "Found pycs"),
            step("none", 0, "No pycs found"),
            step("file", 1, "'tis not a directory (warnings)"),
            step("missing", 2, "File not found. (failure)"),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_built_in_step_may_judge_its_command_otherwise() -> Result<()> {
    let config = documented("customization/steps.md", "A built-in step with another verdict", "")?;
    let (master, _) = built(&config).await?;
    let told: Vec<i64> = steps(&master, 1).await?.iter().map(|step| step.1).collect();
    assert_eq!(told, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn row_06_006_warnings_are_counted_over_all_commands_of_a_run() -> Result<()> {
    let (master, _) =
        built(&documented("customization/steps.md", "Warnings of several commands", MORE_COUNTING)?).await?;
    let told = steps(&master, 1).await?;
    let results: Vec<(&str, i64)> = told.iter().map(|step| (step.0.as_str(), step.1)).collect();
    let want = [
        ("both", 1),
        ("many", 2),
        ("twice", 1),
        ("judged", 0),
        ("made", 1),
        ("renewed", 1),
        ("used", 1),
        ("missing", 2),
    ];
    assert_eq!(results, want, "{told:?}");
    let of = async |step: &str, log: &str| master.step_log(1, step, log).await;
    let warnings = "a.c:1: warning: unused x\nb.c:7: warning: unused y\nc.c:3: warning: unused z";
    assert_eq!(of("both", "warnings__3_").await?.trim(), warnings);
    // Each run's output is in the one log; what ends without a newline is a line.
    let stdio = of("twice", "stdio").await?;
    assert_eq!(stdio.matches("\nwarning: half\n").count(), 2, "{stdio}");
    assert_eq!(of("twice", "warnings__2_").await?.trim(), "warning: half\nwarning: half");
    assert_eq!(properties(&master, 1).await?["warnings-count"][0], json!(3 + 2 + 2 + 1 + 1 + 2 + 1));
    assert_eq!(of("made", "warnings__1_").await?.trim(), "b.c:1:warning: seen");
    assert_eq!(of("renewed", "warnings__2_").await?.trim(), "a.c:1:warning: first\na.c:2:warning: base");
    assert_eq!(of("used", "warnings__1_").await?.trim(), "warning: f");
    let missing = master.step_log(1, "missing", "stdio").await?;
    assert!(missing.contains("cannot read the suppressionFile not-there"), "{missing}");
    Ok(())
}

/// Steps beside those of the documentation.
const MORE_COUNTING: &str = r#"
local function own(name, args, run, more)
  local options = util.merge({run = run, haltOnFailure = false}, more or {})
  args.name, args.flunkOnFailure = name, false
  f:addStep(steps.WarningCountingShellCommand:extend(options)(args))
end
local function shell(self, command)
  local cmd = self:makeRemoteShellCommand{command = command}
  self:runCommand(cmd)
  return cmd:results()
end
own("many", {maxWarnCount = 1}, function(self) return shell(self, "echo warning: a; echo warning: b") end)
own("twice", {command = "printf 'warning: half'"}, function(self)
  local results = steps.WarningCountingShellCommand.run(self)
  assert(results == util.WARNINGS and self:getStatistic("warnings") == 1 and self:getProperty("warnings-count") == 6)
  steps.WarningCountingShellCommand.run(self)
  return util.SUCCESS
end)
own("judged", {command = "echo warning: c"}, function(self) return steps.WarningCountingShellCommand.run(self) end,
  {evaluateCommand = function() return util.SUCCESS end})
-- What is suppressed is known only after the first command.
local groups = {warningPattern = "(.*?):(.*?):warning: (.*)", warningExtractor = util.warnExtractFromRegexpGroups}
own("made", util.merge({suppressionFile = "known"}, groups), function(self)
  shell(self, "echo 'a.c : .*' > known")
  return shell(self, "echo a.c:1:warning: d; echo b.c:1:warning: seen")
end)
own("renewed", util.merge({suppressionFile = "known", command = "echo a.c:2:warning: base; echo z.c:1:warning: no"}, groups),
  function(self)
    shell(self, "echo a.c:1:warning: first; echo 'z.c : .*' > known")
    return steps.WarningCountingShellCommand.run(self)
  end)
-- A log that was there before a command prints into it.
own("used", {}, function(self)
  self:addLog("debug"):addStdout("warning: mine\n")
  local cmd = self:makeRemoteShellCommand{command = "echo warning: f", stdioLogName = "debug"}
  return self:runCommand(cmd):results()
end)
own("missing", {suppressionFile = "not-there"}, function(self) return shell(self, "echo warning: e") end)
"#;

#[tokio::test]
async fn functions_read_options_and_what_properties_have_besides() -> Result<()> {
    let block = r#"
f:addStep(steps.ShellCommand{name = "asked", command = {"true", util.Property("buildername")}, timeout = 5, doStepIf = function(s)
  assert(s.timeout == 5 and s.command[2] == "runtests" and s.haltOnFailure == false and s.flunkOnFailure == true)
  assert(s.env == nil and s.name == "asked" and s.build.number == 1 and not pcall(function() return s.tiemout end))
  assert(s:getProperties().build.number == 1 and #s:getProperties().changes == 0)
  return true
end, hideStepIf = function(results, s) return results == util.SUCCESS and s.results == results and s.timeout == 5 end})
f:addStep(steps.BuildStep:extend("Own", {name = "own", run = function(self)
  local p = self:getProperties()
  assert(p.build.builderid == 1 and p.sourcestamps[1].codebase == "" and self.build.properties.build.number == 1)
  p:setProperty("set", p:render(util.Interpolate("%(prop:buildername)s!")), "Own")
  local ok, told = pcall(lunabot.master.data.updates.addBuildset, {builderids = {77}, sourcestamps = {{codebase = ""}}})
  assert(not ok and told:find("there is no builder 77"), told)
  ok, told = pcall(lunabot.master.data.get, "builds", {filters = {buildid = {gtt = 1}}})
  assert(not ok and told:find("did you mean gt?"), told)
  assert(lunabot.master.data.get({"builds", 2 / 2}).buildid == 1)
  return util.SUCCESS
end}){})
c.builders[1] = c.builders[1]:with{canStartBuild = function(builder, wfb, request)
  local p = request.properties
  return p:render(util.Interpolate("%(prop:scheduler)s")) == "force" and p.sourcestamps[1].codebase == "" and p.build == nil
end}
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 0, "{:?}", steps(&master, 1).await?);
    assert_eq!(properties(&master, 1).await?["set"], json!(["runtests!", "Own"]));
    assert_eq!(master.get("builds/1/steps/asked").await?["steps"][0]["hidden"], true);
    let sets = master.get("buildsets").await?;
    assert_eq!(sets["meta"]["total"], 1, "{sets}");
    Ok(())
}

#[tokio::test]
async fn a_class_may_extend_a_step_that_makes_its_own_command() -> Result<()> {
    let block = r#"
local all = {
  CMake = {}, Cppcheck = {}, GitDiffInfo = {}, RpmLint = {}, DebLintian = {fileloc = "x"}, ShellSequence = {commands = {}},
  Robocopy = {source = "a", destination = "b"}, Sphinx = {sphinx_builddir = "x"}, Trial = {tests = "x", testpath = util.null}, VC14 = {projectfile = "x"},
  DebPbuilder = {}, Mock = {root = "x"}, RpmBuild = {specfile = "x"}, Compile = {}, ShellCommand = {command = util.Property("not there")},
}
for name, options in pairs(all) do
  options.name = name
  f:addStep(steps[name]:extend{run = function() return util.SUCCESS end}(options))
end
"#;
    let (master, build) = built(&running(block)).await?;
    let told = steps(&master, 1).await?;
    assert!(build["results"] == 0 && told.len() == 15, "{told:?}");
    assert_eq!(master.get("script_errors").await?["script_errors"], json!([]));
    Ok(())
}

#[tokio::test]
async fn everything_a_step_offers_works() -> Result<()> {
    let block = r#"
local All = steps.BuildStep:extend("All", {name = "all", count = 0, before_start = function(self) self.own = {} end,
  run = function(self)
    assert(self.name == "all" and self.build.number == 1 and self.stopped == false and self.count == 0)
    self.count = self.count + 1
    self.own.x = 1
    local log = self:addLog("output", "t")
    log:addContent("text\n")
    log:addStdout("more\n")
    log:finish()
    assert(self:getLog("output").name == "output")
    local cmd = util.RemoteCommand{"shell", {command = "echo out; cat"}, collectStdout = true, decodeRC = {[0] = util.WARNINGS}}
    local other = self:addLog("other")
    cmd:useLog(other, true)
    assert(self:runCommand(cmd):results() == util.WARNINGS and cmd.stdout == "out\n" and cmd.rc == 0)
    self:runMkdir("made/below")
    assert(self:pathExists("made") and not self:pathExists("missing"))
    assert(self:downloadFileContentToWorker("bytes", "a\255b", {workdir = "made"}) == true)
    assert(self:getFileContentFromWorker("bytes", {workdir = "made"}) == "a\255b")
    assert(self:runStat("made/bytes").size == 3 and self:runStat("missing") == nil)
    local names = self:runListdir("made")
    assert(util.contains(names, "bytes") and #self:runGlob("made/by*") == 1)
    self:runRmFile("made/bytes")
    assert(self:runRmFile("made/bytes", {abandonOnFailure = false}) == false)
    self:runRmdir("made")
    self:setStatistic("n", 5)
    assert(self:hasStatistic("n") and self:getStatistics().n == 5 and self:getStatistic("m", 7) == 7)
    self:setProperty("p", {a = 1}, "All")
    assert(self:getProperty("p").a == 1 and self:getProperty("q", "d") == "d" and self:getProperties().p.a == 1)
    assert(self.build:getProperty("p").a == 1 and self.properties.p.a == 1)
    assert(self:render(util.Property("buildername")) == "runtests")
    self:setBuildData("data", "a\255", "All")
    local set = self:addTestResultSet("tests", "pass_fail", "boolean")
    self:addTestResult(set, "1", {test_name = "one"})
    self:addTestResult(set, 0, "two")
    assert(self:workerVersion("shell") and not self:workerVersionIsOlderThan("shell", "1.0"))
    assert(self:workerVersion("nothing", "old") == "old")
    assert(#self.build:getAllSourceStamps() == 1 and #self.build:allChanges() == 0 and #self.build:blamelist() == 0)
    self.flunkOnFailure = false
    self.description = {"doing", "it"}
    self:updateSummary()
    util.fail("enough")
  end})
f:addStep(All{})
f:addStep(All{name = "all", doStepIf = function(step) return step.count ~= 0 end})
"#;
    let (master, build) = built(&running(block)).await?;
    let log = master.step_log(1, "all", "stdio").await.unwrap_or_default();
    let errors = master.step_log(1, "all", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 0, "{build}\n{log}\n{errors}");
    let told = steps(&master, 1).await?;
    assert_eq!(told[0], step("all", 2, "doing it (failure)"));
    assert_eq!(told[1].1, 3, "doStepIf sees the object itself, and no other run's fields: {told:?}");
    assert!(log.contains("enough"), "{log}");
    assert_eq!(master.step_log(1, "all", "output").await?, "text\nmore\n");
    let sets = master.get("builds/1/test_result_sets").await?;
    assert_eq!(sets["test_result_sets"][0]["tests_passed"], 1);
    assert_eq!(sets["test_result_sets"][0]["tests_failed"], 1);
    Ok(())
}

#[tokio::test]
async fn rows_05_039_05_047_06_062_files_logs_and_workers_are_as_in_buildbot() -> Result<()> {
    let block = r#"
c.workers = { worker.LocalWorker{"local", properties = {os = "linux"}} }
local function refused(why, method, ...)
  local ok, told = pcall(method, ...)
  assert(not ok and tostring(told):find(why, 1, true), tostring(told))
end
f:addStep(steps.BuildStep:extend("Usual", {name = "usual", run = function(self)
  -- Files: what is missing is nil, unless the caller wants the step to end.
  assert(self:getFileContentFromWorker("missing") == nil)
  refused("could not read missing from the worker", self.getFileContentFromWorker, self, "missing", true)
  assert(self:downloadFileContentToWorker("text", "abc", false, "0600") == true)
  assert(self:getFileContentFromWorker("text") == "abc" and self:runStat("build/text").mode & 511 == 384)
  assert(self:downloadFileContentToWorker(".", "x") == false)
  refused("could not write . on the worker", self.downloadFileContentToWorker, self, ".", "x", true)
  self:runMkdir("gone")
  assert(self:runRmdir("gone", 10))
  -- Logs: what is written to one that is finished is not lost without a word.
  local done = self:addLog("done", "t")
  done:addContent("x\n")
  done:finish()
  done:finish()
  for _, method in ipairs{"addContent", "addStdout", "addStderr", "addHeader"} do
    refused("the log done is finished", done[method], done, "lost")
  end
  -- Logs that are made when there is something to write.
  local made = {}
  local function maker(name)
    return function()
      made[#made + 1] = name
      return self:addLog("late " .. name)
    end
  end
  local cmd = util.RemoteCommand{"shell", {
    command = "echo kept > a; echo more > c", workdir = ".", logfiles = {a = "a", b = "b", c = "c"},
  }}
  cmd:useLogDelayed("a", maker("a"), true)
  cmd:useLogDelayed("b", maker("b"))
  cmd:useLogDelayed{logfileName = "c", activateCallBack = maker("c")}
  refused("a has a log already", cmd.useLogDelayed, cmd, "a", maker("a"))
  refused("cmd:useLog(log)", cmd.useLogDelayed, cmd, "stdio", maker("stdio"))
  self:runCommand(cmd)
  table.sort(made)
  assert(table.concat(made, " ") == "a c", table.concat(made, " "))
  refused("the log late a is finished", function() self:getLog("late a"):addStdout("x") end)
  self:getLog("late c"):addStdout("y\n")
  local mine = self.worker.properties
  assert(mine.os == "linux" and mine:getProperty("workername") == "local" and mine.got_revision == nil)
  assert(self.build.worker.properties:getPropertySource("os") == "Worker")
  return util.SUCCESS
end}){})
"#;
    let (master, build) = built(&running(block)).await?;
    let errors = master.step_log(1, "usual", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 0, "{build}\n{errors}");
    assert!(master.step_log(1, "usual", "late_a").await?.ends_with("\nkept\n"));
    assert!(master.step_log(1, "usual", "late_c").await?.ends_with("\nmore\ny\n"));
    Ok(())
}

#[tokio::test]
async fn an_option_that_comes_to_nothing_is_named_alone() -> Result<()> {
    let block = "f:addStep(steps.ShellCommand{name = 'bad', command = util.renderer(function() end)})";
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 4);
    let log = master.step_log(1, "bad", "err_text").await?;
    assert!(log.starts_with("command is missing"), "{log}");
    Ok(())
}

/// What a function computes for an option or a parameter of a class, and it cannot be, is listed at that function.
#[tokio::test]
async fn options_of_classes_that_come_to_nonsense_name_the_function() -> Result<()> {
    let run = "run = function() return 0 end";
    let param = |param: &str| format!("steps.BuildStep:extend('Bad', {{params = {{x = {param}}}, {run}}})");
    for (class, option, value, told) in [
        ("steps.ShellCommand:extend('Bad', {})".into(), "command", "{a = 1}", "command: "),
        (format!("steps.ShellMixin:extend('Bad', {{{run}}})"), "timeout", "{a = 1}", "timeout: "),
        (format!("steps.BuildStep:extend('Bad', {{{run}}})"), "description", "{a = 1}", "description: "),
        (
            param("{type = 'integer', renderable = true}"),
            "x",
            "'many'",
            "x: expected an integer, got \"many\"",
        ),
        (param("{type = 'boolean', renderable = true}"), "x", "0", "x: expected true or false, got 0"),
        (param("{type = 'list', renderable = true}"), "x", "'a'", "x: expected a list, got \"a\""),
        (
            param("{choices = {'a', 'b'}, renderable = true}"),
            "x",
            "'c'",
            "x: expected one of \"a\", \"b\", got \"c\"",
        ),
        (param("{type = 'secret'}"), "x", "3", "x: expected a text, got 3"),
    ] {
        let block = format!(
            "local f1 = util.renderer(function() return {value} end) -- HERE\n\
             f:addStep({class}{{name = 'bad', {option} = f1}})"
        );
        let config = running(&block);
        let line = 1 + config.lines().position(|line| line.contains("HERE")).unwrap_or_default();
        let (master, build) = built(&config).await?;
        assert_eq!(build["results"], 4, "{class}: {build}");
        let log = master.step_log(1, "bad", "err_text").await?;
        assert!(log.contains(told), "{class}: {log}");
        let errors = master.get("script_errors").await?;
        let row = &errors["script_errors"][0];
        let place = (&row["callback"], &row["kind"], &row["concerns"], &row["line"]);
        let wanted =
            (&json!("renderer"), &json!("nonsense"), &json!("step bad of builder runtests"), &json!(line));
        assert_eq!(place, wanted, "{class}: {errors}");
    }
    // What fits, and nothing, is let through.
    for value in ["7", "7.0", "nil"] {
        let class = param("{type = 'integer', renderable = true}");
        let block =
            format!("f:addStep({class}{{name = 'good', x = util.renderer(function() return {value} end)}})");
        let (master, build) = built(&running(&block)).await?;
        assert_eq!(build["results"], 0, "{value}: {}", master.log());
    }
    Ok(())
}

/// One step `bad` of this body.
fn body(run: &str, more: &str) -> String {
    running(&format!(
        "f:addStep(steps.ShellMixin:extend('Bad', {{name = 'bad', run = function(self) {run} end, {more}}}){{}})"
    ))
}

#[tokio::test]
async fn faults_of_run_have_their_outcome_and_say_where() -> Result<()> {
    for (run, more, results, told) in [
        ("error('oh no')", "", 4, "oh no"),
        ("error({code = 1, why = {'x'}})", "", 4, "{\"code\":1,\"why\":[\"x\"]}"),
        (
            "local cmd = util.RemoteCommand{'shell', {command = 'echo x > a', workdir = '.', logfiles = {a = 'a'}}} \
             cmd:useLogDelayed('a', function() end) self:runCommand(cmd)",
            "",
            4,
            "what useLogDelayed was given must return a log: return self:addLog(name)",
        ),
        (
            "util.RemoteCommand{'shell', {command = 'true'}}:useLogDelayed('a')",
            "",
            4,
            "takes a name and a function",
        ),
        ("", "", 4, "run returned nothing; return a result such as util.SUCCESS"),
        ("return 'fine'", "", 4, "run returned \\\"fine\\\""),
        ("return 17", "", 4, "run returned 17"),
        ("return 2.5", "", 4, "run returned 2.5"),
        ("return 0, 1", "", 4, "run returned 2 values, 0 and 1; return a result"),
        ("while true do end", "", 4, "computed longer than"),
        (
            "local t = {} while true do t[#t + 1] = ('x'):rep(1000):rep(100000) .. #t end",
            "",
            4,
            "not enough memory",
        ),
        ("self:addURL('x')", "", 4, "addURL(name, url): url is missing"),
        ("self:addURL('x', 'y', 'z')", "", 4, "addURL(name, url): takes 2 arguments, got 3"),
        ("self:addLog('x', 'q')", "", 4, "type: expected \"s\", \"t\" or \"h\", got \"q\""),
        ("self.addURL('x', 'y')", "", 4, "call it with a colon"),
        ("self:runCommand('ls')", "", 4, "cmd: expected a command"),
        (
            "self:runCommand(util.RemoteCommand{'frob', {}})",
            "",
            4,
            "worker is too old, does not know about frob",
        ),
        ("self:makeRemoteShellCommand{comand = 'x'}", "", 4, "unknown option comand, did you mean command?"),
        ("self.build = 'x'", "", 4, "build is the master's; use another name"),
        ("self.command = 'x'", "", 4, "the option command does not change while it runs"),
        ("self.haltOnFailure = 3", "", 4, "haltOnFailure: expected true or false, got 3"),
        ("self:frobnicate()", "", 4, "frobnicate"),
        (
            "self:setProperty('x', self.build.builder and lunabot.master, 'y')",
            "",
            4,
            "value: expected a plain value, got lunabot.master",
        ),
        (
            "self:setProperty('x', {a = self}, 'y')",
            "",
            4,
            "property x: expected a plain value, got an object of steps.ShellMixin",
        ),
        ("self:setProperty('', 1, 'y')", "", 4, "a property's name is not empty"),
        ("self:setStatistic('x', 0/0)", "", 4, "setStatistic: argument 2: expected a value, got"),
        (
            "self:makeRemoteShellCommand{command = 'x', timeout = -4}",
            "",
            4,
            "timeout: expected 0 seconds or more, got -4",
        ),
        ("self:makeRemoteShellCommand{command = {}}", "", 4, "command: is empty: name a program"),
        ("steps.BuildStep.frob(self)", "", 4, "step has no method frob"),
        ("self:trigger{scheduler = 'nobody'}", "", 4, "nobody"),
        ("util.Property{}", "", 4, "key is missing"),
        ("return util.SUCCESS", "before_start = function() error('early') end", 4, "early"),
        (
            "return util.SUCCESS",
            "getResultSummary = function() return 'text' end",
            4,
            "getResultSummary returned",
        ),
        ("return util.SUCCESS", "getResultSummary = function() error('late') end", 4, "late"),
    ] {
        let (master, build) = built(&body(run, more)).await?;
        assert_eq!(build["results"], results, "{run} {more}: {build}");
        let log = master.step_log(1, "bad", "err_text").await.with_context(|| run.to_string())?;
        assert!(log.contains(&told.replace("\\\"", "\"")), "{run} {more}: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn what_steps_of_a_class_share_cannot_be_written_through_one_of_them() -> Result<()> {
    let block = r#"
local Flags = steps.ShellMixin:extend("Flags", {
  flags = {"-a", "-b"}, nested = {list = {"x"}},
  run = function(self)
    local seen = {}
    for i, flag in ipairs(self.flags) do seen[i] = flag end
    for _, flag in pairs(self.flags) do seen[#seen + 1] = flag end
    assert(#self.flags == 2 and next(self.flags) == 1 and self.nested.list[1] == "x")
    assert(table.concat(seen) == "-a-b-a-b" and util.contains(self.flags, "-b"))
    for _, write in ipairs{
      function() self.flags[3] = "-c" end, function() table.insert(self.flags, "-c") end,
      function() self.nested.list[1] = "y" end,
    } do
      local ok, why = pcall(write)
      assert(not ok and why:find("is shared by all of Flags; assign a table of its own", 1, true), why)
    end
    self.flags = util.concat(self.flags, {"-c"})
    local cmd = self:makeRemoteShellCommand{command = {"echo", self.flags, self.nested.list}}
    self:runCommand(cmd)
    return cmd:results()
  end,
})
f:addStep(Flags{name = "one"})
f:addStep(Flags{name = "two"})
"#;
    let (master, build) = built(&running(block)).await?;
    let log = master.step_log(1, "one", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 0, "{build} {log}");
    for name in ["one", "two"] {
        assert!(master.step_log(1, name, "stdio").await?.contains("\n-a -b -c x\n"));
    }
    Ok(())
}

#[tokio::test]
async fn a_finished_step_that_is_used_says_so() -> Result<()> {
    let block = r#"
local kept = {}
f:addStep(steps.BuildStep:extend("One", {name = "one", run = function(self)
  kept.step, kept.log, kept.build = self, self:addLog("l"), self.build
  return util.SUCCESS
end}){})
f:addStep(steps.BuildStep:extend("Two", {name = "two", run = function(self)
  assert(kept.step.results == util.SUCCESS and self.results == nil)
  local ok, why = pcall(kept.step.addURL, kept.step, "x", "y")
  self:setProperty("step", tostring(why), "Two")
  ok, why = pcall(kept.log.addStdout, kept.log, "late\n")
  self:setProperty("log", tostring(why), "Two")
  self:setProperty("build", kept.build:getProperty("buildername"), "Two")
  return util.SUCCESS
end}){})
f:addStep(steps.SetProperty{property = "later", value = util.renderer(function()
  local ok, why = pcall(kept.old and kept.old.getProperty or error, kept.old or "first", "x")
  kept.old = kept.build
  return tostring(why)
end)})
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 0, "{build}");
    let told = properties(&master, 1).await?;
    assert!(told["step"][0].as_str().is_some_and(|text| text.ends_with("the step has ended")), "{told}");
    assert!(told["log"][0].as_str().is_some_and(|text| text.ends_with("the log l is finished")), "{told}");
    assert_eq!(told["build"][0], "runtests");
    master.force("runtests").await?;
    master.finished_build(2).await?;
    let told = properties(&master, 2).await?;
    assert!(told["later"][0].as_str().is_some_and(|text| text.ends_with("the build has ended")), "{told}");
    Ok(())
}

async fn stopped(config: &str) -> Result<(Master, Value)> {
    let master = Master::start(config).await?;
    master.force("runtests").await?;
    let waits = |answer: &Value| {
        answer["steps"].as_array().is_some_and(|steps| {
            steps.iter().any(|step| step["urls"].as_array().is_some_and(|urls| !urls.is_empty()))
        })
    };
    master.until("builds/1/steps", waits).await?;
    master.control("builds/1", "stop", json!({"reason": "enough"})).await?;
    let build = master.finished_build(1).await?;
    Ok((master, build))
}

#[tokio::test]
async fn rows_05_027_05_028_a_stopped_step_ends_whatever_it_waits_for() -> Result<()> {
    let ready = "self:addURL('ready', 'http://x/')";
    // A command: interrupted, and the step's own code goes on.
    let command = format!(
        "local cmd = self:makeRemoteShellCommand{{command = 'sleep 1000'}} {ready} self:runCommand(cmd) \
         self:setProperty('after', true, 'x') self:runCommand(self:makeRemoteShellCommand{{command = 'true'}}) return cmd:results()"
    );
    let (master, build) = stopped(&body(&command, "")).await?;
    assert_eq!((&build["results"], steps(&master, 1).await?[0].1), (&json!(6), 6), "{build}");
    assert_eq!(properties(&master, 1).await?["after"][0], true);
    // Something that has nothing to do with the worker: given up.
    let (master, _) = stopped(&body(&format!("{ready} util.sleep(1000) return util.SUCCESS"), "")).await?;
    assert_eq!(steps(&master, 1).await?[0].1, 6);
    assert!(master.step_log(1, "bad", "cancelled").await?.contains("enough"));
    // A class that says how it ends.
    let run = format!("{ready} while not self.over do util.sleep(0.05) end return util.CANCELLED");
    let interrupt =
        "interrupt = function(self, reason) self.over = true self:setProperty('why', reason, 'x') end";
    let (master, _) = stopped(&body(&run, interrupt)).await?;
    assert_eq!(steps(&master, 1).await?[0].1, 6);
    assert_eq!(properties(&master, 1).await?["why"][0], "enough");
    Ok(())
}

#[tokio::test]
async fn row_05_013_a_stopped_build_gives_up_what_waits_beside_its_step() -> Result<()> {
    let line =
        "local W = util.LogLineObserver:extend('W', {outLineReceived = function() util.sleep(1000) end})\n";
    let walk = "util.LineConsumerLogObserver{function(lines) util.sleep(1000) end}";
    let command = "local cmd = self:makeRemoteShellCommand{command = 'seq 1 20000'} self:runCommand(cmd) return cmd:results()";
    for (before, run, more) in [
        (line, format!("self:addLogObserver('stdio', W{{}}) {command}"), ""),
        ("", format!("self:addLogObserver('stdio', {walk}) {command}"), ""),
        ("", "return util.SUCCESS".into(), "getResultSummary = function() util.sleep(1000) end"),
    ] {
        let block = body(&format!("self:addURL('ready', 'http://x/') {run}"), more);
        let (_, build) = stopped(&block.replacen("f:addStep", &format!("{before}f:addStep"), 1)).await?;
        assert_eq!(build["results"], 6, "{run} {more}: {build}");
    }
    Ok(())
}

#[tokio::test]
async fn a_step_that_waits_for_builds_links_them_and_takes_their_result() -> Result<()> {
    let block = r#"
c.builders[2] = util.BuilderConfig{name = "child", workernames = {"local"}, factory = util.BuildFactory{steps.ShellCommand{command = "exit 1"}}}
c.schedulers[2] = schedulers.Triggerable{name = "other", builderNames = {"child"}}
f:addStep(steps.BuildStep:extend("Start", {name = "start", run = function(self)
  local started = self:trigger{scheduler = "other", set_properties = {a = util.Property("buildername")}, waited_for = true}
  assert(started.bsid and #started.brids == 1)
  return started:wait()
end}){})
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 2, "{build}");
    let row = master.get("builds/1/steps/start").await?;
    assert_eq!(row["steps"][0]["urls"].as_array().map(Vec::len), Some(2), "{row}");
    assert_eq!(properties(&master, 2).await?["a"][0], "runtests");
    Ok(())
}

#[tokio::test]
async fn a_reload_leaves_running_steps_alone_and_a_killed_master_builds_again() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let run = |text: &str| {
        let wait = format!(
            "self:addURL('ready', 'http://x/') local cmd = self:makeRemoteShellCommand{{command = 'until test -e {0}/open; do sleep 0.05; done'}} self:runCommand(cmd)",
            gate.path().display()
        );
        body(&format!("{wait} self:setProperty('says', '{text}', 'x') return cmd:results()"), "")
    };
    let master = Master::start(&run("old")).await?;
    master.force("runtests").await?;
    let ready = |answer: &Value| answer["steps"][1]["urls"].as_array().is_some_and(|urls| !urls.is_empty());
    master.until("builds/1/steps?order=number", ready).await?;
    master.rewrite_config(&run("new"))?;
    let output = std::process::Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    master.force("runtests").await?;
    std::fs::write(gate.path().join("open"), "")?;
    master.finished_build(1).await?;
    master.finished_build(2).await?;
    assert_eq!(properties(&master, 1).await?["says"][0], "old");
    assert_eq!(properties(&master, 2).await?["says"][0], "new");
    std::fs::remove_file(gate.path().join("open"))?;
    master.force("runtests").await?;
    master.until("builds/3/steps?order=number", ready).await?;
    let master = Master::start_in(master.kill().await?).await?;
    std::fs::write(gate.path().join("open"), "")?;
    assert_eq!(master.finished_build(4).await?["results"], 0);
    assert_eq!(master.get("builds/3").await?["builds"][0]["results"], 5);
    Ok(())
}

fn check(config: &str) -> Result<String> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("master.lua"), config)?;
    let output = std::process::Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn checked(block: &str) -> Result<String> {
    check(&running(block))
}

#[test]
fn odd_classes_are_told_when_the_file_is_loaded() -> Result<()> {
    for (block, told) in [
        ("steps.BuildStep:extend('X', {run = function(self, more) end})", "run is called with (self) alone"),
        ("steps.Git:extend('X', {mode_full = function(self) end})", "mode_full is a method of your own"),
        ("steps.BuildStep:extend('X', {observers = {stdio = 3}})", "observers.stdio: expected an object"),
        ("util.LogLineObserver:extend('X', {}){frob = 1}", "frob: unknown option"),
        (
            "local X = steps.ShellCommand:extend('X', {init = function(self, args) self:addLogObserver('stdio', 1) end}) X{}",
            "X: addLogObserver works while it runs, not before; in init write args.observers = {stdio = …}",
        ),
        (
            "local X = steps.BuildStep:extend('X', {init = function(self, args) steps.BuildStep.init(self, {observers = 3}) end}) X{}",
            "X: observers: expected {stdio = observer}, got the number 3",
        ),
        ("util.PatternObserver{'('}", "util.PatternObserver: pattern:"),
        ("util.PatternObserver{'x'}", "says nothing of what to do"),
    ] {
        let output = checked(block)?;
        assert!(output.contains(told), "{block}: {output}");
    }
    Ok(())
}

#[tokio::test]
async fn row_05_039_a_log_is_made_when_there_is_something_in_the_file() -> Result<()> {
    let block = shown_block("customization/steps.md", "Files on the worker", 2)?;
    for (command, crashed) in [("echo went wrong >core.txt; sleep 3", true), ("true", false)] {
        let (master, build) = built(&running(&block.replace("make check", command))).await?;
        assert_eq!(build["results"], 0, "{command}: {}", master.log());
        let logs = master.get("builds/1/steps/watch/logs").await?;
        let names: Vec<&str> =
            logs["logs"].as_array().into_iter().flatten().filter_map(|log| log["name"].as_str()).collect();
        assert_eq!(names.contains(&"what crashed"), crashed, "{command}: {names:?}");
        if crashed {
            assert!(master.step_log(1, "watch", "what_crashed").await?.contains("went wrong"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_05_065_a_step_says_how_far_it_is() -> Result<()> {
    let (master, build) = built(&documented("customization/steps.md", "How far a step is", "")?).await?;
    assert_eq!(build["results"], 0, "{}", master.log());
    master.force("runtests").await?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    let errors = master.get("script_errors").await?;
    assert_eq!(errors["script_errors"], json!([]));
    Ok(())
}
