//! `lunabot test`: tests of a configuration with a simulated master, on the real program (lua-api § 6).

use anyhow::{Context as _, Result};
use lunabot_tests::{lunabot_binary, project_root};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// Longer than any of them takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn told(&self) -> String {
        format!("exit status {:?}\n{}{}", self.code, self.out, self.err)
    }
}

async fn lunabot_test(args: &[&str], dir: &Path) -> Result<Ran> {
    let mut command = Command::new(lunabot_binary());
    command.arg("test").args(args).current_dir(dir).env("TZ", "UTC").kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.context("it never ends")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

const CONFIG: &str = r#"local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {}
c.workers = { worker.Worker{"w1", util.Secret "w1"}, worker.Worker{"w2", "pw"} }
c.protocols = { pb = { port = 0 } }
local f = util.BuildFactory{
  steps.ShellCommand{name = "test", command = {"make", "test"}, haltOnFailure = true},
  steps.ShellCommand{name = "token", command = {"login", util.Secret "token"}},
}
c.builders = {
  util.BuilderConfig{name = "linux", workernames = {"w1"}, factory = f},
  util.BuilderConfig{name = "bsd", workernames = {"w2"}, factory = f,
    canStartBuild = function(builder, wfb, request) return request.properties:getProperty("go") ~= false end},
}
c.schedulers = {
  schedulers.SingleBranchScheduler{name = "main", change_filter = util.ChangeFilter{branch = "main"}, treeStableTimer = 60, builderNames = {"linux"}},
  schedulers.Nightly{name = "night", hour = 3, minute = 30, tz = "UTC", builderNames = {"bsd"}},
  schedulers.ForceScheduler{name = "force", builderNames = {"linux", "bsd"}},
}
"#;

/// A folder with a configuration and a file of tests.
fn folder(more: &str, tests: &str) -> Result<TempDir> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), format!("{CONFIG}{more}\nreturn c\n"))?;
    std::fs::write(
        dir.path().join("master_test.lua"),
        format!("local t = require \"lunabot.test\"\n{tests}"),
    )?;
    Ok(dir)
}

/// The files of a folder, which stay what they are.
fn files(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}

async fn passes(more: &str, tests: &str) -> Result<()> {
    let dir = folder(more, tests)?;
    let ran = lunabot_test(&[], dir.path()).await?;
    anyhow::ensure!(ran.code == Some(0), "{}", ran.told());
    assert_eq!(files(dir.path())?, ["master.lua", "master_test.lua"], "nothing is written beside them");
    Ok(())
}

#[tokio::test]
async fn the_examples_pass_their_tests() -> Result<()> {
    let mut count = 0;
    for entry in std::fs::read_dir(project_root().join("config-examples"))? {
        let path = entry?.path();
        let before = files(&path)?;
        let ran = lunabot_test(&[], &path).await?;
        anyhow::ensure!(ran.code == Some(0), "{}: {}", path.display(), ran.told());
        assert!(ran.out.contains("ok ") && ran.out.contains(", 0 failed"), "{}", ran.told());
        assert_eq!(files(&path)?, before);
        count += 1;
    }
    assert!(count >= 5, "there are examples");
    Ok(())
}

#[tokio::test]
async fn timers_fire_at_their_time_and_commands_take_theirs() -> Result<()> {
    passes(
        "",
        r#"
t.test("a stable tree", function(m)
  local begun = m:now()
  m:change{branch = "main", files = {"a.c"}}
  m:change{branch = "other", files = {"a.c"}}
  m:advance("59s")
  t.equal(#m:builds(), 0)
  m:answers{["make test"] = {seconds = 30}}
  m:advance(1)
  t.equal(m:build("linux").complete, false)
  t.equal(m:build().started_at, begun + 60)
  m:run_until_idle()
  t.equal(m:now(), begun + 90)
  t.equal(m:build("linux").complete_at, begun + 90)
end)
t.test("the night", {at = "2024-03-31T03:29:00Z"}, function(m)
  m:advance(59)
  t.equal(#m:builds(), 0)
  m:advance("3d")
  local starts = {}
  for i, build in ipairs(m:builds("bsd")) do starts[i] = os.date("!%d %H:%M", build.started_at) end
  t.same(starts, {"31 03:30", "01 03:30", "02 03:30"})
end)
t.test("a command that says nothing for too long", function(m)
  m:answers{["make test"] = {hangs = true}}
  m:force{builder = "linux"}
  m:advance(1199)
  t.equal(m:build().complete, false)
  m:advance(2)
  t.equal(m:build().result, "failure")
  t.matches(m:log(m:build(), "test"), "timed out")
end)
t.test("a build is stopped", function(m)
  m:answers{["make test"] = {seconds = "1h"}}
  m:force{builder = "linux", owner = "ann"}
  m:control("stop", {reason = "enough"}, "builds/1")
  t.equal(m:build().result, "cancelled")
  t.equal(m:build().properties.owner, "ann")
end)
"#,
    )
    .await
}

#[tokio::test]
async fn workers_answer_get_lost_and_come_back() -> Result<()> {
    passes(
        "",
        r#"
t.test("answers", function(m)
  m:answers{["make *"] = {rc = 0, stdout = "all"}}
  m:worker("w1"):answers{["make test"] = function(command)
    t.equal(command.builder .. " " .. command.step .. " " .. command.words[2], "linux test test")
    return 3
  end}
  m:force()
  t.equal(m:build("linux").result, "failure")
  t.equal(m:build("bsd").result, "success")
  t.equal(m:build("bsd").worker, "w2")
  t.equal(m:log(m:build("bsd"), "test"), "make test\nall\nprogram finished with exit code 0\n")
  t.equal(m:step(m:build("linux"), "test").result, "failure")
  t.matches(t.error(function() m:step(m:build("linux"), "tset") end), "no step tset; it has test")
  t.same(m:worker("w1"):commands(), {{line = "make test", builder = "linux", step = "test", rc = 3}})
end)
t.test("a lost worker", function(m)
  m:worker("w1"):answers{["make test"] = {{seconds = 5, lost = true}, 0}}
  m:request{builder = "linux"}
  m:advance(5)
  t.equal(m:build("linux").result, "retry")
  t.equal(m:worker("w1"):connected(), false)
  t.equal(m:pending()[1].builder, "linux")
  t.matches(m:pending()[1].why[1], "w1 is not connected")
  m:worker("w1"):connect()
  t.equal(m:build("linux").result, "success")
  t.same(m:pending(), {})
end)
t.test("a function of the configuration refuses", function(m)
  m:request{builder = "bsd", properties = {go = false}}
  t.same(m:builds(), {})
  t.matches(m:pending()[1].why[1], "canStartBuild returned false")
end)
t.test("secrets are made up and hidden", function(m)
  m:secret("token", "hunter2")
  m:request{builder = "linux"}
  t.same(m:build().commands, {"make test", "login <token>"})
  local shown = m:log(m:build(), "token")
  t.matches(shown, "login <token>")
  t.equal(shown:find("hunter2"), nil)
  m:secret("token", false)
  m:request{builder = "linux"}
  t.equal(m:build().result, "exception")
end)
"#,
    )
    .await
}

#[tokio::test]
async fn instances_come_and_go_and_own_steps_are_answered() -> Result<()> {
    let more = r#"
local Cloud = worker.AbstractLatentWorker:extend("Cloud", {
  params = { image = {type = "string", required = true} },
  start_instance = function(self, build)
    local res = util.http.post{"https://cloud.example.org/start", json = {image = self.image}}
    return {id = res:json().id}
  end,
  stop_instance = function(self, fast) util.http.post{"https://cloud.example.org/stop/" .. self.instance.id} end,
})
local Count = steps.BuildStep:extend("Count", {
  run = function(self)
    local cmd = util.RemoteCommand{"glob", {path = "*.c"}}
    self:runCommand(cmd)
    self:setProperty("files", #cmd.updates.files[1], "Count")
    self:setProperty("version", self:getFileContentFromWorker("version.txt"), "Count")
    return util.SUCCESS
  end,
})
table.insert(c.workers, Cloud{"cloud", "pw", image = "debian", build_wait_timeout = 600})
table.insert(c.builders, util.BuilderConfig{name = "own", workernames = {"cloud"}, factory = util.BuildFactory{Count{name = "count"}}})
table.insert(c.schedulers, schedulers.Triggerable{name = "own", builderNames = {"own"}})
"#;
    passes(
        more,
        r#"
local asked = {}
t.on_http(function(request) asked[#asked + 1] = request.method .. " " .. request.url; return {json = {id = 7}} end)
t.test("an instance is started for a build and stopped ten minutes after it", function(m)
  m:worker("cloud"):files{["a.c"] = "", ["b.c"] = "", ["version.txt"] = "1.2"}
  t.equal(m:worker("cloud"):connected(), false)
  m:request{builder = "own"}
  t.equal(m:worker("cloud"):connected(), true)
  t.same(asked, {"POST https://cloud.example.org/start"})
  m:advance(599)
  t.equal(#asked, 1)
  m:advance(1)
  t.same(asked, {"POST https://cloud.example.org/start", "POST https://cloud.example.org/stop/7"})
  t.equal(m:worker("cloud"):connected(), false)
  t.equal(m:build().properties.files, 2)
  t.equal(m:build().properties.version, "1.2")
  t.equal(m:build().result, "success")
end)
"#,
    )
    .await
}

#[tokio::test]
async fn source_steps_hear_what_they_need() -> Result<()> {
    let more = r#"
local sources = {
  git = steps.Git{repourl = "https://example.org/x.git"}, github = steps.GitHub{repourl = "https://example.org/x.git"},
  hg = steps.Mercurial{repourl = "https://example.org/hg", mode = "full", method = "fresh"},
  svn = steps.SVN{repourl = "https://example.org/svn", mode = "full", method = "copy"},
  bzr = steps.Bzr{repourl = "https://example.org/bzr"}, p4 = steps.P4{p4base = "//depot/x", p4port = "p4:1666"},
}
for name, step in pairs(sources) do
  table.insert(c.builders, util.BuilderConfig{name = name, workernames = {"w1"}, factory = util.BuildFactory{step}})
  table.insert(c.schedulers, schedulers.Triggerable{name = name, builderNames = {name}})
end
"#;
    passes(
        more,
        r#"
local COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
t.test("sources", function(m)
  for _, name in ipairs{"git", "github", "hg", "svn", "bzr", "p4"} do
    m:request{builder = name}
    t.equal(m:build(name).result, "success", name)
  end
  for name, revision in pairs{git = COMMIT, hg = COMMIT, svn = "17", bzr = "17", p4 = "17"} do
    m:request{builder = name, revision = revision}
    t.equal(m:build(name).result, "success", name)
    t.equal(m:build(name).properties.got_revision, revision, name)
  end
end)
"#,
    )
    .await
}

#[tokio::test]
async fn nothing_reaches_outside() -> Result<()> {
    let more = r#"
table.insert(f.steps and c.builders, util.BuilderConfig{name = "out", workernames = {"w1"}, factory = util.BuildFactory{
  steps.MasterShellCommand{name = "on master", command = "touch MUST-NOT-BE; exit 1"},
  steps.POST{name = "tell", url = "http://127.0.0.1:9/x"},
  steps.FileDownload{name = "down", mastersrc = "nowhere.txt", workerdest = "here.txt"},
  steps.FileUpload{name = "up", workersrc = "a.txt", masterdest = "a.txt"},
  steps.SetProperty{name = "asked", property = "answer", value = util.renderer(function(props)
    return util.http.get{"http://127.0.0.1:9/"}:json().n .. util.process("date").stdout
  end)},
}})
c.schedulers[3] = schedulers.ForceScheduler{name = "force", builderNames = {"linux", "bsd", "out"}}
"#;
    let tests = r#"
t.on_http(function(request) return {json = {n = request.method}} end)
t.on_process(function(command) return {stdout = " " .. command} end)
t.test("played", function(m)
  m:force{builder = "out"}
  local build = m:build("out")
  t.equal(build.result, "success")
  t.equal(build.properties.answer, "GET date")
  t.same(build.steps[2].commands, {"POST http://127.0.0.1:9/x"})
  t.matches(m:worker("w1"):file("here.txt"), "nowhere.txt")
end)
t.test("and may fail", function(m)
  m:answers{["touch*"] = 1}
  m:force{builder = "out"}
  t.equal(m:build("out").result, "failure")
  t.equal(m:build("out").steps[1].result, "failure")
end)
"#;
    passes(more, tests).await?;
    let silent = tests.replace("t.on_http(", "local function unused() end; (unused)(");
    let dir = folder(more, &silent)?;
    let ran = lunabot_test(&["--filter", "played"], dir.path()).await?;
    assert_eq!(ran.code, Some(1), "{}", ran.told());
    assert!(ran.out.contains("a test asks no server; answer it: t.on_http("), "{}", ran.told());
    Ok(())
}

/// Their functions run, and what they deliver can be asked for; what fails is tried again by the virtual clock.
#[tokio::test]
async fn reporters_report() -> Result<()> {
    let more = r#"
local reporters = lunabot.reporters
c.services = {
  reporters.Reporter{name = "chat", generators = {reporters.BuildStatusGenerator{mode = "failing"}}, send = function(reports)
    local build = reports[1].builds[1]
    local text = ("%s #%d: %s"):format(build.builder.name, build.number, util.statusToString(build.results))
    local res = util.http.post{"https://chat.example.org/hook", json = {text = text}}
    if res.status ~= 200 then util.fail("the chat is down") end
  end},
  reporters.ReporterBase:extend("Slow", {sendMessage = function(self, reports)
    util.sleep(50)
    self:setState("last", reports[1].body)
  end}){name = "slow", generators = {reporters.BuildStartEndStatusGenerator{}}},
}
"#;
    let tests = r#"
local told, status = {}, 200
t.on_http(function(request)
  table.insert(told, request.json.text)
  return {status = status}
end)
t.test("the chat hears of failures", function(m)
  m:answers{["make test"] = {1, 0}}
  m:force{builder = "linux"}
  m:force{builder = "linux"}
  t.same(told, {"linux #1: failure"})
  local report = m:reports("chat")[1]
  t.equal(#m:reports("chat"), 1)
  t.equal(report.reporter, "chat")
  t.equal(report.result, "failure")
  t.matches(report.body, "failed 'make test'")
  t.equal(report.builds[1].properties.owner, "somebody")
  t.same(m:reports("slow"), {})
  m:advance("3m")
  t.equal(#m:reports("slow"), 4)
  t.equal(#m:reports(), 5)
  t.error(function() return report.worker2 end, "worker2")
  t.error(function() m:reports("chatt") end, "there is no reporter chatt, did you mean chat?")
end)
t.test("a chat that is down hears of it later", function(m)
  status = 503
  m:answers{["make test"] = 1}
  m:force{builder = "linux"}
  t.equal(#told, 1)
  m:advance(10)
  t.equal(#told, 4, "after 1, 2 and 4 seconds")
  t.same(m:reports("chat"), {})
  status = 200
  m:advance("1m")
  t.equal(#m:reports("chat"), 1)
end)
t.test("wrong", function(m)
  m:answers{["make test"] = 1}
  m:force{builder = "linux"}
  t.fail("look")
end)
"#;
    let dir = folder(more, tests)?;
    let ran = lunabot_test(&[], dir.path()).await?;
    assert!(ran.code == Some(1) && ran.out.contains("2 passed, 1 failed"), "{}", ran.told());
    assert!(ran.out.contains("chat reported: Buildbot failure in "), "{}", ran.told());
    Ok(())
}

/// Reports that wait for a reporter that is being made do nothing meanwhile.
#[tokio::test]
async fn a_reporter_that_takes_its_time_to_begin_is_waited_for() -> Result<()> {
    let more = r#"
table.insert(c.schedulers, schedulers.SingleBranchScheduler{name = "both", change_filter = util.ChangeFilter{branch = "both"}, builderNames = {"linux", "bsd"}})
c.services = {
  lunabot.reporters.ReporterBase:extend("Slow", {
    before_start = function() util.sleep(5) end,
    sendMessage = function() end,
  }){name = "slow", generators = {lunabot.reporters.BuildStartEndStatusGenerator{}}},
}
"#;
    passes(
        more,
        r#"
t.test("two reports at once", function(m)
  m:change{branch = "both", files = {"a.c"}}
  t.equal(#m:builds(), 2)
  t.same(m:reports("slow"), {})
  m:advance("1m")
  t.equal(#m:reports("slow"), 4)
end)
"#,
    )
    .await
}

#[tokio::test]
async fn failures_say_where_what_and_what_had_happened() -> Result<()> {
    let tests = r#"t.test("wrong", function(m)
  m:answers{["make test"] = {rc = 2, stdout = "broken"}}
  m:change{branch = "main", author = "ann", files = {"src/a.c"}}
  m:advance(60)
  t.equal(m:build("linux").result, "success", "the build of main")
end)
t.test("right", function(m) t.truthy(m:now()) end)
t.test("lists", function(m) t.same({{n = 1}, {n = 2}}, {{n = 1}, {n = 3}}) end)
local function helper(m) t.fail("from a helper") end
t.test("helped", function(m)
  helper(m)
end)
t.test("mistaken", function(m) m:force{bilder = "linux"} end)
t.test("nobody", function(m) m:worker("w3") end)
t.test("misspelt", function(m) m:advanse(3) end)
t.test("bad answer", function(m)
  m:answers{["make test"] = {rcc = 1}}
end)
"#;
    let dir = folder("", tests)?;
    let ran = lunabot_test(&[], dir.path()).await?;
    assert_eq!(ran.code, Some(1), "{}", ran.told());
    for wanted in [
        "FAILED wrong (master_test.lua:2)\n  master_test.lua:6: the build of main: expected \"success\", had \"failure\"\n",
        "  change 1 on main by ann: src/a.c\n",
        "  build linux/1 on w1: failure, failed 'make test'",
        "      $ make test\n",
        "ok right\n",
        "master_test.lua:9: [2].n: expected 3, had 2\n",
        "master_test.lua:10: from a helper\n",
        "master_test.lua:12",
        "master_test.lua:14: force: bilder: unknown option, did you mean builder?\n",
        "master_test.lua:15: there is no worker w3; there are w1, w2\n",
        "master_test.lua:16: simulated master has no advanse, did you mean advance?\n",
        "master_test.lua:18: answers: make test: ",
        "1 passed, 7 failed\n",
    ] {
        assert!(ran.out.contains(wanted), "{wanted} is missing in\n{}", ran.told());
    }
    let quiet = lunabot_test(&["-q", "--filter", "right"], dir.path()).await?;
    assert_eq!((quiet.code, quiet.out.as_str()), (Some(0), ""), "{}", quiet.told());
    Ok(())
}

#[tokio::test]
async fn a_step_that_computes_is_waited_for() -> Result<()> {
    let more = r#"
local function compute(seconds)
  local begun = os.clock()
  while os.clock() - begun < seconds do end
end
f:addStep(steps.BuildStep:extend("Compute", {run = function(self)
  for _ = 1, 2 do
    compute(0.4)
    util.sleep(1)
  end
  compute(0.4)
  -- Where it cannot be interrupted, shortly before it waits.
  table.sort({2, 1}, function(a, b) compute(0.05) return a < b end)
  util.sleep(1)
  return util.WARNINGS
end}){name = "compute"})
"#;
    passes(
        more,
        r#"
t.test("computes", function(m)
  m:request{builder = "linux"}
  m:advance(1)
  t.equal(m:build().complete, false)
  m:advance(2)
  t.equal(m:step(m:build(), "compute").result, "warnings")
  t.equal(m:build().complete_at, m:build().started_at + 3)
end)
"#,
    )
    .await
}

/// Nothing else happens by which it would be asked.
#[tokio::test]
async fn a_function_that_was_suspended_is_asked_again_when_it_may_be() -> Result<()> {
    let more = r#"
local asked = 0
c.lua = {callback_cpu_seconds = 0.02}
c.collapseRequests = false
c.builders[1] = c.builders[1]:with{canStartBuild = function()
  asked = asked + 1
  while asked <= 5 do end
  return true
end}
"#;
    passes(
        more,
        r#"
t.test("suspended", function(m)
  m:request{builder = "linux"}
  m:advance(20)
  t.equal(#m:pending(), 1)
  m:advance(300)
  t.equal(#m:pending(), 0)
end)
"#,
    )
    .await
}

#[tokio::test]
async fn what_a_test_misspells_is_told() -> Result<()> {
    let tests = r#"t.test("answers", function(m)
  m:answers{["make tset"] = 1, ["make *"] = 0}
  m:worker("w2"):answers{["login"] = 1, ["logout"] = 1}
  m:force()
  t.equal(m:build("linux").result, "success")
end)
t.test("field", function(m) m:force() t.equal(m:build().reslt, "failure") end)
t.test("step", function(m) m:force() t.equal(m:build().steps[1].sate_string, nil) end)
t.test("request", function(m) t.truthy(m:request{builder = "linux"}) t.equal(m:requests()[1].bilder, nil) end)
t.test("builder", function(m) m:builds("linuks") end)
t.test("forced", function(m) m:force{builder = "linuks"} end)
t.test("scheduler", function(m) m:force{scheduler = "forse"} end)
t.test("change", function(m) m:change{brnch = "main"} end)
t.test("property", function(m) m:force{builder = "linux", properties = {colour = 3}} end)
t.test("param", function(m) m:force{builder = "linux", params = {raeson = "x"}} end)
t.test("one step", function(m) m:force() t.equal(m:step(m:build(), "test").reslt, nil) end)
t.test("command", function(m) m:force() t.equal(m:worker("w1"):commands()[1].lne, nil) end)
t.test("absent", function(m)
  m:answers{["make test"] = {seconds = 5}}
  m:force{builder = "linux"}
  t.equal(m:build().result, nil)
  t.same(m:worker("w1"):commands()[1].rc, nil)
  local build = m:build()
  t.same(m:step(build, "test").name, "test")
  t.same(m:step(build, "test").results, nil)
  t.equal(#m:log(build, "test") >= 0, true)
  t.same({build.steps[1]}, {build.steps[1]})
  m:run_until_idle()
end)
"#;
    let dir = folder("", tests)?;
    let ran = lunabot_test(&[], dir.path()).await?;
    assert_eq!(ran.code, Some(1), "{}", ran.told());
    for wanted in [
        "ok answers\n  warning: answers: login: no command of w2 was like this, did you mean login <token>?\n",
        "  warning: answers: make tset: no command was like this, did you mean make test?\n",
        "master_test.lua:8: the build has no reslt, did you mean result?\n",
        "master_test.lua:9: the step has no sate_string, did you mean state_string?\n",
        "master_test.lua:10: the request has no bilder, did you mean builder?\n",
        "master_test.lua:11: there is no builder linuks, did you mean linux?\n",
        "master_test.lua:12: force: there is no builder linuks, did you mean linux?\n",
        "master_test.lua:13: force: there is no ForceScheduler forse, did you mean force?\n",
        "master_test.lua:14: change: brnch: unknown option, did you mean branch?\n",
        "master_test.lua:15: force: the form of force has no field colour; it has owner, username, reason, priority, ",
        "master_test.lua:16: force: the form of force has no field raeson, did you mean reason?; it has ",
        "master_test.lua:17: the step has no reslt, did you mean result?\n",
        "master_test.lua:18: the command has no lne, did you mean line?\n",
        "ok absent\n",
        "2 passed, 11 failed\n",
    ] {
        assert!(ran.out.contains(wanted), "{wanted} is missing in\n{}", ran.told());
    }
    assert!(!ran.out.contains("make *"), "{}", ran.told());
    Ok(())
}

#[tokio::test]
async fn what_does_not_end_is_ended_and_the_others_go_on() -> Result<()> {
    let tests = r#"local util = require("lunabot").util
t.test("loops", function(m) while true do end end)
t.test("sleeps", function(m) util.sleep(5) end)
t.test("builds for ever", function(m)
  m:answers{["make test"] = {seconds = "30d"}}
  m:worker("w1"):answers{["make test"] = {seconds = 1000}}
  m:force{builder = "linux"}
  m:run_until_idle("10m")
end)
t.test("goes on", function(m) t.equal(1, 1) end)
"#;
    let dir = folder("", tests)?;
    let ran = lunabot_test(&[], dir.path()).await?;
    assert_eq!(ran.code, Some(1), "{}", ran.told());
    for wanted in [
        "computed longer than 1 s without waiting",
        "master_test.lua:4: waits for what never comes: the clock goes on in m:advance",
        "master_test.lua:9: after 10 m",
        "builds still run: build linux/1 on w1: runs",
        "ok goes on\n",
        "1 passed, 3 failed\n",
    ] {
        assert!(ran.out.contains(wanted), "{wanted} is missing in\n{}", ran.told());
    }
    Ok(())
}

#[tokio::test]
async fn who_calls_it_wrongly_is_told() -> Result<()> {
    let dir = TempDir::new()?;
    let empty = lunabot_test(&[], dir.path()).await?;
    assert_eq!(empty.code, Some(2), "{}", empty.told());
    assert!(empty.err.contains("holds no files NAME_test.lua"), "{}", empty.told());
    std::fs::write(dir.path().join("x_test.lua"), "")?;
    let alone = lunabot_test(&[], dir.path()).await?;
    assert_eq!(alone.code, Some(2), "{}", alone.told());
    assert!(alone.err.contains("--config FILE"), "{}", alone.told());
    let dir = folder("", "t.test(\"one\", function() end)\nt.tset(\"two\")\n")?;
    let misspelt = lunabot_test(&[], dir.path()).await?;
    assert_eq!(misspelt.code, Some(1), "{}", misspelt.told());
    assert!(misspelt.out.contains("master_test.lua:3: lunabot.test has no tset"), "{}", misspelt.told());
    let dir = folder("", "t.test(\" \", function() end)\n")?;
    let nameless = lunabot_test(&[], dir.path()).await?;
    assert_eq!(nameless.code, Some(1), "{}", nameless.told());
    assert!(nameless.out.contains("master_test.lua:2: t.test: a test needs a name"), "{}", nameless.told());
    let dir = folder("c.buildrs = {}", "t.test(\"one\", function() end)\n")?;
    let broken = lunabot_test(&[], dir.path()).await?;
    assert_eq!(broken.code, Some(1), "{}", broken.told());
    assert!(broken.out.contains("buildrs") && broken.out.contains("builders"), "{}", broken.told());
    let dir = folder("", "t.test(\"one\", function() end)\n")?;
    let none = lunabot_test(&["--filter", "two"], dir.path()).await?;
    assert_eq!(none.code, Some(2), "{}", none.told());
    let elsewhere = folder("require \"lunabot.test\"", "")?;
    let config = Command::new(lunabot_binary()).arg("checkconfig").arg(elsewhere.path()).output().await?;
    assert!(
        String::from_utf8_lossy(&config.stderr).contains("lunabot.test is there for `lunabot test` alone")
    );
    Ok(())
}
