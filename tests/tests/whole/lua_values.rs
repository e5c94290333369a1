//! What may be written in Lua where Buildbot takes lists, dicts and defaults (lua-api § 1 and § 2).

use anyhow::Result;
use lunabot_tests::{Master, lunabot_binary};
use serde_json::{Value, json};

const HEAD: &str = r#"local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local f = util.BuildFactory{}
local c = {
  workers = { worker.LocalWorker{"local"}, {} },
  builders = { util.BuilderConfig{name = "b", workernames = {"local", {}}, factory = f}, {} },
  schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"b", {}}}, {} },
  services = {}, change_source = { {} },
  www = { port = "127.0.0.1:0", allow_anonymous_control = true, change_hook_dialects = { base = true } },
}
"#;

/// The status and the output of `checkconfig`.
fn checked(body: &str) -> Result<(Option<i32>, String)> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("master.lua"), format!("{HEAD}{body}\nreturn c\n"))?;
    let output = std::process::Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
    let told =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Ok((output.status.code(), told))
}

/// A configuration that must be good.
fn good(body: &str) -> Result<String> {
    let (code, told) = checked(body)?;
    assert_eq!(code, Some(0), "{told}");
    Ok(told)
}

#[test]
fn an_empty_table_is_an_empty_list_wherever_one_is_wanted() -> Result<()> {
    good(
        r#"
local none = {}
f:addSteps({steps.ShellCommand{command = {"make", none, "all"}}, none, {steps.MasterShellCommand{command = {"a", none}}}})
f:addSteps(none)
f:addStep(steps.Configure{command = {"./configure", none}})
f:addStep(steps.SetPropertyFromCommand{property = "x", command = {"x", none}})
f:addStep(steps.ShellSequence{commands = {util.ShellArg{command = {"x", none}}, none, {util.ShellArg{command = none}}}})
f:addStep(steps.RemoveDirectory{dir = {"a", none}})
f:addStep(steps.MultipleFileUpload{workersrcs = {"a", none, {"b"}}, masterdest = "m"})
f:addStep(steps.Trigger{schedulerNames = {"t", none}, copy_properties = {none, "a"}, sourceStamps = none})
c.schedulers = {none, {schedulers.Triggerable{name = "t", builderNames = {"b", none}}},
  schedulers.ForceScheduler{name = "force", builderNames = {"b"}, codebases = {none, "a"},
    properties = {none, util.StringParameter{name = "x"}}}}
"#,
    )?;
    Ok(())
}

#[test]
fn defaults_are_readable() -> Result<()> {
    good(
        r#"
local function is(got, wanted, what) assert(got == wanted, what .. " is " .. tostring(got)) end
local s, g = steps.ShellCommand{command = "x"}, steps.Git{"https://example.org/x.git"}
local n = schedulers.Nightly{name = "n", builderNames = {"b"}}
is(s.timeout, 1200, "timeout") is(s.name, "shell", "name") is(s.haltOnFailure, false, "haltOnFailure")
is(s.flunkOnFailure, true, "flunkOnFailure") is(s.logEnviron, true, "logEnviron") is(s.maxTime, nil, "maxTime")
is(g.mode, "incremental", "mode") is(g.haltOnFailure, true, "haltOnFailure of Git") is(g.name, "git", "name of Git")
is(n.hour, "*", "hour") is(n.minute, 0, "minute") is(n.onlyIfChanged, false, "onlyIfChanged")
is(steps.ShellCommand{command = "x", timeout = 5}.timeout, 5, "a timeout that is given")
"#,
    )?;
    Ok(())
}

#[test]
fn rows_01_040_05_069_14_026_what_is_wrong_is_told_with_its_remedy() -> Result<()> {
    for (body, told) in [
        (
            "f:addStep(steps.ShellCommand{command = {}})",
            "master.lua:12: steps.ShellCommand: command: is empty",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'x', interruptSignal = 'SIGTERM'})",
            "interruptSignal: there is no signal SIGTERM; write TERM",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'x', updateBuildSummaryPolicy = {9}})",
            "updateBuildSummaryPolicy: expected true, false or a list of results",
        ),
        (
            "c.schedulers = {schedulers.AnyBranchScheduler{name = 'a', builderNames = {'b'}, treeStableTimer = -1}}",
            "treeStableTimer: must not be negative",
        ),
        ("c.logHorizon = 3", "logHorizon: is gone; write configurators = {util.JanitorConfigurator{"),
        ("c.buildHorizon = 3", "util.JanitorConfigurator"),
        ("c.eventHorizon = 3", "util.JanitorConfigurator"),
        (
            "c.builders[1] = util.BuilderConfig{name = 'b', workernames = {'local'}, factory = util.BasicBuildFactory{'r', 'm'}}",
            "util.BasicBuildFactory: is not supported: convert the CVS repository to git",
        ),
        (
            "schedulers.NightlyTriggerable{name = 'n', builderNames = {'b'}, onlyIfChanged = true}",
            "onlyIfChanged: not an option of NightlyTriggerable",
        ),
        (
            "util.StringParameter{name = 'x', value = 'y'}",
            "value: not an option; a preset value is given with default",
        ),
        ("util.StringParameter{name = 'x', getChoices = function() end}", "getChoices: not an option"),
        ("util.JanitorConfigurator{logHorizon = 1, branch = 'x'}", "branch: has no use here"),
        ("util.FlattenList{{'a'}, {'list'}}", "types: has no use"),
        ("util.BuildFactory{useProgress = 3}", "util.BuildFactory: useProgress: expected true or false"),
        (
            "changes.CVSMaildirSource{'m', basedir = 'x'}",
            "changes.CVSMaildirSource: basedir: not supported yet",
        ),
    ] {
        let (code, found) = checked(body)?;
        assert!(code == Some(1) && found.contains(told), "{body}: {told} is not in\n{found}");
    }
    Ok(())
}

#[test]
fn what_is_odd_is_warned_of_and_nothing_else_is() -> Result<()> {
    for (body, told) in [
        (
            "f:addStep(steps.Compile{command = 'x', warningPattern = '(%d+)'})",
            "%d means nothing in a regular expression",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('H', {haltOnFailur = true}){command = 'x'})",
            "haltOnFailur is an attribute; did you mean the option haltOnFailure?",
        ),
        (
            "local t = {} for k in pairs{b = 1, a = 2} do t[#t + 1] = k end f:addStep(steps.ShellCommand{command = t})",
            "warning: master.lua:7: builder b",
        ),
        ("c.www.port = 8010", "www.change_hook_dialects.base: its senders prove nothing"),
    ] {
        let found = good(body)?;
        assert!(found.contains("warning: ") && found.contains(told), "{body}: {told} is not in\n{found}");
    }
    let body = "f:addStep(steps.BuildStep:extend('A', {run = function() return 0 end, x = function() end, \
         params = {a = {type = 'string'}, b = {type = 'string'}}}){a = '1', b = '2'})";
    let found = good(body)?;
    assert!(!found.contains("warning"), "{found}");
    Ok(())
}

#[test]
fn arguments_may_be_positional_as_in_buildbot() -> Result<()> {
    good(
        r#"
c.schedulers = {
  schedulers.Periodic{"p", {"b"}, 60, "because"},
  schedulers.Nightly{"n", {"b"}, 5, 3, 1, 2, 0, 1, 2, 3, 4, 5, onlyIfChanged = true},
  schedulers.NightlyTriggerable{"nt", {"b"}, 5, 3, 1, 2, 0},
}
assert(c.schedulers[1].reason == "because" and c.schedulers[2].force_at_hour == 2 and c.schedulers[3].hour == 3)
c.builders[1] = util.BuilderConfig{"b", "local", {"local"}, "bd", "wbd", f, {"t"}}
util.SourceStampFilter{function() return true end, "p"}
"#,
    )?;
    Ok(())
}

/// The named step's result and text.
async fn step(master: &Master, build: i64, name: &str) -> Result<Value> {
    let steps = master.get(&format!("builds/{build}/steps")).await?;
    let found = steps["steps"].as_array().into_iter().flatten().find(|step| step["name"] == name).cloned();
    found.ok_or_else(|| anyhow::anyhow!("no step {name} in {steps}"))
}

#[tokio::test]
async fn what_functions_yield_is_read_as_the_option_wants_it() -> Result<()> {
    let config = format!(
        r#"{HEAD}
local function yields(value) return util.renderer(function() return value end) end
f.workdir = function(stamps) return "dir-" .. #stamps .. "-" .. tostring(stamps[1].branch) end
f:addStep(steps.ShellCommand{{name = "echo", description = yields{{}}, logEnviron = false,
  command = {{"echo", yields{{}}, util.Transform{{function() return {{}} end}}, util.FlattenList{{{{}}}}, yields{{"x", {{}}, {{"y"}}}}}}}})
f:addStep(steps.ShellCommand{{name = "pwd", command = "pwd; exit 4", decodeRC = yields{{[0] = util.FAILURE, [4] = util.WARNINGS}}}})
f:addStep(steps.SetPropertiesFromEnv{{name = "env", variables = yields{{}}}})
f:addStep(steps.ShellSequence{{name = "seq", commands = yields{{util.ShellArg{{command = {{"echo", {{}}}}}}, {{}}}}}})
f:addStep(steps.SetProperty{{property = "seen", value = util.renderer(function(p)
  return {{p.build.number, p.build.builder.tags, p.build.builder.config.name, p.files, p.changes[1].who, p.changes[1].properties.color,
    p.sourcestamps[1].branch}}
end)}})
f:addStep(steps.ShellMixin:extend("Own", {{name = "own", params = {{l = {{type = "list", renderable = true}},
    m = {{type = "map", renderable = true}}, every = {{type = "duration", default = "5m"}},
    rest = {{type = "duration", renderable = true}}, count = {{type = "integer", renderable = true}}}}, run = function(self)
  assert(self.every == 300 and self.rest == 5400 and math.type(self.count) == "integer")
  assert(util.to_json(self.l) == "[]" and self.m["0"] == "zero" and self.timeout == 1200)
  local cmd = self:makeRemoteShellCommand{{command = {{"sh", "-c", "exit 4", {{}}}}, decodeRC = {{[0] = util.FAILURE, [4] = util.WARNINGS}}}}
  self:runCommand(cmd)
  assert(cmd:results() == util.WARNINGS)
  self.build:addStepsAfterCurrentStep{{}}
  self.build:addStepsAfterCurrentStep{{{{}}, {{steps.SetProperty{{name = "added", property = "q", value = 1}}}}}}
  local ok, told = pcall(function() self:makeRemoteShellCommand{{command = {{"a", nil, "b"}}}} end)
  assert(not ok and tostring(told):find("item 2 is nil", 1, true), told)
  local data = lunabot.master.data
  local change = data.get("changes/1")
  assert(change.properties.color == "red" and change.properties:getPropertySource("color") == "Change")
  assert(data.get({{"builds", self.build.buildid, "properties"}}).seen[1] == self.build.number)
  local all = util.getDetailsForBuild(lunabot.master, data.get{{"builds", self.build.buildid}}, {{want_steps = true, want_logs_content = true,
    want_properties = true, want_previous_build = true}})
  assert(all.builder.name == "b" and all.buildset.sourcestamps[1].branch == "main" and all.url == self.build.url)
  assert(all.steps[2].name == "echo" and all.steps[2].logs[1].content.content:find("x y", 1, true) and all.prev_build == nil)
  assert(all.properties.seen and lunabot.master.config.builders[1].name == "b")
  self:addLogForRemoteCommands("helpers")
  self:runMkdir("made")
  local id = data.updates.addChange{{who = "ann", files = {{}}, comments = "c", when_timestamp = lunabot.master.now(), src = "git",
    branch = "elsewhere", category = function(change) return "of " .. change.branch end}}
  assert(data.get("changes/" .. id).category == "of elsewhere")
  return util.SUCCESS
end}}){{l = yields{{}}, m = yields{{[0] = "zero"}}, rest = util.Interpolate "1h 30m", count = yields(2.0)}})
f:addStep(steps.ShellCommand{{name = "if", command = {{"true", "story"}}, doStepIf = function() error("no") end}})
c.builders[1] = util.BuilderConfig{{name = "b", workernames = {{"local"}}, factory = f, tags = {{"t"}}}}
c.schedulers = {{
  schedulers.SingleBranchScheduler{{name = "main", branch = "main", builderNames = {{"b"}}}},
  schedulers.SingleBranchScheduler{{name = "none", branch = "main", builderNames = yields{{}}}},
}}
return c
"#
    );
    let master = Master::start(&config).await?;
    let fields = [
        ("author", "ann"),
        ("comments", "c"),
        ("branch", "main"),
        ("files", r#"["a", "b", "a"]"#),
        ("properties", r#"{"color": "red"}"#),
    ];
    assert_eq!(master.change_hook(&fields).await?, 202);
    let build = master.finished_build(1).await?;
    let steps = master.get("builds/1/steps").await?;
    let errors = master.step_log(1, "own", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 4, "{steps}\n{errors}");
    assert_eq!(step(&master, 1, "own").await?["results"], 0, "{errors}");
    assert_eq!(step(&master, 1, "added").await?["results"], 0);
    assert_eq!(step(&master, 1, "env").await?["results"], 0);
    assert_eq!(step(&master, 1, "seq").await?["results"], 0);
    assert_eq!(step(&master, 1, "pwd").await?["results"], 1, "decodeRC");
    // 05.023: also after an error before the command ran.
    assert_eq!(step(&master, 1, "if").await?["state_string"], "'true story' (exception)");
    // 13.005.
    assert!(master.step_log(1, "own", "helpers").await.is_ok());
    let log = master.step_log(1, "echo", "stdio").await?;
    assert!(log.contains("\nx y\n"), "{log}");
    // 05.035.
    let log = master.step_log(1, "pwd", "stdio").await?;
    assert!(log.contains("/dir-1-main\n"), "{log}");
    let properties = master.get("builds/1/properties").await?;
    let seen = json!([1, ["t"], "b", ["a", "b"], "ann", "red", "main"]);
    assert_eq!(properties["properties"][0]["seen"][0], seen);
    assert_eq!(master.get("buildsets").await?["buildsets"].as_array().map(Vec::len), Some(2));
    Ok(())
}
