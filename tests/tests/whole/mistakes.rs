//! What is wrong with a function's answer, or with how something is called: told with the line, in the user's words,
//! and listed where errors of functions are.

use crate::own_steps::built;
use anyhow::{Context, Result};
use lunabot_tests::{Master, lunabot_binary, running};
use serde_json::{Value, json};
use std::process::Command;

/// Rows of `script_errors` as `callback kind message`.
async fn errors(master: &Master) -> Result<Vec<String>> {
    let all = master.get("script_errors").await?;
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_string();
    let rows = all["script_errors"].as_array().context("rows")?;
    Ok(rows
        .iter()
        .map(|row| format!("{} {} {}", text(row, "callback"), text(row, "kind"), text(row, "message")))
        .collect())
}

#[tokio::test]
async fn answers_that_mean_nothing_are_listed_with_their_line() -> Result<()> {
    for (block, told) in [
        ("f.workdir = function() return 3 end", "workdir nonsense master.lua:"),
        (
            "f:addStep(steps.SetPropertyFromCommand{command = 'true', extract_fn = function() return 3 end})",
            "extract_fn nonsense master.lua:",
        ),
        (
            "f:addStep(steps.ShellCommand{command = util.renderer(function() return nil end)})",
            "renderer nonsense master.lua:",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'true', timeout = util.renderer(function() return 'x' end)})",
            "renderer nonsense master.lua:",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'true', locks = util.renderer(function() return {3} end)})",
            "renderer nonsense master.lua:",
        ),
        (
            "c.builders[1] = c.builders[1]:with{locks = util.renderer(function() return {3} end)}",
            "renderer nonsense master.lua:",
        ),
        (
            "f:addStep(steps.Trigger{schedulerNames = {'x'}, getSchedulersAndProperties = function() return {{}} end})",
            "getSchedulersAndProperties nonsense master.lua:",
        ),
        (
            "f:addStep(steps.Trigger{schedulerNames = {'x'}, getSchedulersAndProperties = function() return {{sched_name = 'nobody'}} end})",
            "getSchedulersAndProperties nonsense master.lua:",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'true', doStepIf = function() return 3 end})",
            "doStepIf nonsense master.lua:",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'true', hideStepIf = function() return '' end})",
            "hideStepIf nonsense master.lua:",
        ),
    ] {
        let more = "c.schedulers[2] = schedulers.Triggerable{name = 'x', builderNames = {'runtests'}}\n";
        let (master, build) = built(&running(&format!("{more}{block}"))).await?;
        // Whether a step is shown says nothing about its work.
        let results = if told.starts_with("hideStepIf") { 0 } else { 4 };
        assert_eq!(build["results"], results, "{block}: {build}");
        let all = errors(&master).await?;
        assert!(all.iter().any(|row| row.starts_with(told)), "{block}: {all:?}");
    }
    Ok(())
}

/// One step `bad` of this body.
fn body(run: &str) -> String {
    running(&format!(
        "f:addStep(steps.BuildStep:extend('Bad', {{name = 'bad', run = function(self)\n{run}\nreturn util.SUCCESS end}}){{}})"
    ))
}

#[tokio::test]
async fn what_is_called_wrongly_says_so_in_the_users_words() -> Result<()> {
    for (run, told) in [
        (
            "self:setProperty('x')",
            "setProperty(name, value, source): value is missing; write util.null for none",
        ),
        ("self.build:setProperty('x')", "setProperty(name, value, source): value is missing"),
        ("self:setStatistic('w', {})", "setStatistic(name, value): value: expected a number, a text"),
        (
            "self:setProgress('tests', 'x')",
            "setProgress(metric, value): value: got the text \"x\", expected a number",
        ),
        ("self:setProgress('tests', {})", "expected a number"),
        (
            "lunabot.master.data.updates.addBuildset{builderids = {1}, properties = {why = util.renderer(print)}}",
            "addBuildset: properties: why: the function at ",
        ),
        (
            "lunabot.master.state.set('x', {util.renderer(function() return 1 end)})",
            "cannot be stored; give what it yields",
        ),
        ("util.sleep('x')", "util.sleep: "),
        ("util.sleep()", "util.sleep: expected seconds or a text such as \"1h 30m\", got nil"),
        ("util.gather(3, function() end)", "takes a list and a function, or a list of functions"),
        ("util.gather({1, 2})", "util.gather: item 1 is no function but a number"),
        ("util.sort_by({1, 2})", "takes a list and a function that gives an item's key"),
        ("util.sort_by({1, 'a'}, function(x) return x end)", "util.sort_by: keys cannot be compared"),
        (
            "lunabot.master.data.updates.addChange{brnch = 'x'}",
            "addChange: brnch: unknown option, did you mean branch?",
        ),
        (
            "lunabot.master.data.updates.addChange{author = 'x', files = 3}",
            "addChange: files: got the number",
        ),
        (
            "table.sort({1, 2}, function() lunabot.master.data.get('builders') end)",
            "cannot wait here, inside a comparator",
        ),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000):rep(100000) .. #t end", "not enough memory"),
        ("util.parse_ini('[a]\\nb = x').a:int('b')", "[a] b is not a whole number: x"),
        ("util.mutex().with(function() end)", "call it with a colon: mutex:with("),
        ("util.spawn(function() end).wait()", "call it with a colon: task:wait()"),
        ("self.build:getProperties().getProperty('x')", "call it with a colon: p:getProperty("),
        ("self.runCommand(util.RemoteCommand{'shell', {}})", "call it with a colon: x:runCommand("),
    ] {
        let (master, build) = built(&body(run)).await?;
        assert_eq!(build["results"], 4, "{run}: {build}");
        let log = master.step_log(1, "bad", "err_text").await.with_context(|| run.to_string())?;
        assert!(log.contains(told) && log.starts_with("master.lua:"), "{run}: {log}");
        for internal in ["lunabot:", "f64", "[string", "key_fn"] {
            assert!(!log.contains(internal), "{run}: {log}");
        }
    }
    let (_, build) =
        built(&body("self:setProperty('x', util.null, 'x') self:setProperty('y', nil, 'x')")).await?;
    assert_eq!(build["results"], 0, "{build}");
    Ok(())
}

#[tokio::test]
async fn row_07_018_commands_for_idle_workers_check_their_options() -> Result<()> {
    for (call, told) in [
        ("shell{comand = 'true'}", "shell: comand: unknown option, did you mean command?"),
        ("shell{command = 'true', timout = 3}", "shell: timout: unknown option, did you mean timeout?"),
        ("shell{workdir = '.'}", "shell: command is missing"),
        ("shell('true')", "takes a table: worker:shell{command = …}"),
        ("stat{path = 'x'}", "stat: path: unknown option"),
        ("glob{}", "glob: path is missing"),
        ("listdir{path = 'x'}", "listdir: path: unknown option"),
    ] {
        let block = format!(
            "c.builders[1] = c.builders[1]:with{{canStartBuild = function(builder, wfb)\nwfb.worker:{call} return true end}}"
        );
        let master = Master::start(&running(&block)).await?;
        master.force("runtests").await?;
        let line = master.log_line(|line| line.contains("callback canStartBuild")).await?;
        assert!(line.contains(told) && line.contains("master.lua:"), "{call}: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn row_07_016_another_worker_than_those_offered_is_named() -> Result<()> {
    let block = r#"
c.builders[1] = c.builders[1]:with{nextWorker = function(builder, wfbs, request) return request end}"#;
    let master = Master::start(&running(block)).await?;
    master.force("runtests").await?;
    let line = master.log_line(|line| line.contains("callback nextWorker")).await?;
    assert!(
        line.contains("nextWorker returned the object buildrequest 1; expected one of the workers"),
        "{line}"
    );
    assert!(line.contains("master.lua:"), "{line}");
    Ok(())
}

#[tokio::test]
async fn row_12_001_a_store_that_answers_nonsense_is_named() -> Result<()> {
    let block = r#"
local Store = secrets.SecretProviderBase:extend("Store", {get = function(self, name) return 3 end})
c.secretsProviders = {Store{}}
f:addStep(steps.ShellCommand{command = {"echo", util.Secret "x"}})"#;
    let config = running(block).replacen("local c", "local secrets = lunabot.secrets\nlocal c", 1);
    let (master, build) = built(&config).await?;
    assert_eq!(build["results"], 4, "{build}");
    let log = master.step_log(1, "shell", "err_text").await?;
    assert!(log.contains("master.lua:") && log.contains("get returned what is no text"), "{log}");
    assert!(errors(&master).await?.iter().any(|row| row.starts_with("get nonsense master.lua:")));
    Ok(())
}

#[tokio::test]
async fn row_03_041_choices_that_cannot_be_found_out_are_told_in_the_form() -> Result<()> {
    let block = r#"
c.schedulers[1] = schedulers.ForceScheduler{name = "force", builderNames = {"runtests"}, properties = {
  util.ChoiceStringParameter{name = "version", strict = false, choices = function() error("no answer") end},
  util.ChoiceStringParameter{name = "odd", strict = false, choices = function() return 3 end},
}}"#;
    let master = Master::start(&running(block)).await?;
    let fields = master.get("forceschedulers/force").await?["forceschedulers"][0]["all_fields"].clone();
    let told = |place: usize| fields[place]["choices_error"].as_str().unwrap_or_default().to_string();
    assert!(told(2).starts_with("master.lua:") && told(2).contains("no answer"), "{fields}");
    assert!(told(3).starts_with("master.lua:") && told(3).contains("choices returned 3"), "{fields}");
    let (status, page) = master.text("/builders/1/force/force").await?;
    assert!(status == 200 && page.contains("no answer") && page.contains("choices returned 3"), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_plan_uses_up_no_number() -> Result<()> {
    let master = Master::start(&running("")).await?;
    let reconfig = |args: &[&str]| -> Result<()> {
        let output = Command::new(lunabot_binary()).arg("reconfig").args(args).arg(master.dir()).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    reconfig(&["--plan"])?;
    reconfig(&["--plan"])?;
    reconfig(&[])?;
    let all = master.get("generations?order=number").await?;
    let numbers: Vec<&Value> =
        all["generations"].as_array().context("rows")?.iter().map(|row| &row["number"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(2)]);
    Ok(())
}

fn checked(block: &str, files: &[(&str, &str)]) -> Result<String> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("master.lua"), running(block))?;
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, text)?;
    }
    let output = Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Plain tables remember no place: it is found in the source, along the path.
#[test]
fn mistakes_of_plain_tables_name_their_line() -> Result<()> {
    for (block, told) in [
        (
            "c.www = { port = 0, change_hook_dialects = {\n  base = true,\n  mine = {}, -- HERE\n} }",
            "www.change_hook_dialects.mine: unknown dialect",
        ),
        (
            "c.www = { port = 0, change_hook_dialects = { g = {\n  class = 5, -- HERE\n} } }",
            "www.change_hook_dialects.g.class: ",
        ),
        (
            "local function app() return 'x' end\nc.www = { port = 0, dashboards = {\n  util.Dashboard{name = 'z', app = app},\n  \
             util.Dashboard{name = 'z', app = app}, -- HERE\n} }",
            "www.dashboards: two dashboards are called z",
        ),
        (
            "local h = util.BuildFactory{}\nc.builders = {\n  { -- HERE\n    name = 'x', workernames = {'nobody'}, factory = h } }",
            "util.BuilderConfig: builder 'x' uses unknown worker 'nobody'",
        ),
        (
            "local h = util.BuildFactory{}\nlocal l = { {name = 'l', workernames = {'local'}, factory = h} }\n\
             c.builders = { l, false,\n  { name = 'y', workernames = {'local'}, factory = h },\n  \
             { name = 'x', workernames = {'nobody'}, factory = h } } -- HERE",
            "util.BuilderConfig: builder 'x' uses unknown worker 'nobody'",
        ),
        (
            "local h = util.BuildFactory{}\nc.builders = { { name = 'x',\n  workernames = 5, -- HERE\n  factory = h } }",
            "builders[1].workernames: ",
        ),
        ("c.lua = {\n  watch = 'x', -- HERE\n}", "lua.watch: got the text \"x\", expected true or false"),
    ] {
        let output = checked(block, &[])?;
        let before = running(block);
        let line = 1 + before.lines().position(|line| line.contains("HERE")).context("the line")?;
        let told = format!("master.lua:{line}: {told}");
        assert!(output.contains(&told), "{block}: {told} is not in {output}");
    }
    let twice = "c.builders = { c.builders[1]:with{name = 'qq'}, c.builders[1]:with{name = 'qq'} }\n\
                 c.schedulers = { schedulers.ForceScheduler{name = 'f', builderNames = {'zzzzzzz'}} }";
    let output = checked(twice, &[])?;
    assert!(output.contains("; there are qq") && !output.contains("qq, qq"), "{output}");
    Ok(())
}

#[test]
fn mistakes_of_the_file_name_their_place() -> Result<()> {
    let plug_in = |text| vec![("lunabot_plugins/steps/Framboozle.lua", text)];
    for (block, files, told) in [
        (
            "f:addStep(steps.Framboozle{})",
            plug_in("return 3"),
            "Framboozle returns a number; it should return its class",
        ),
        (
            "f:addStep(steps.Framboozle{})",
            plug_in("return {}"),
            "Framboozle returns a table; it should return its class",
        ),
        (
            "f:addStep(steps.Framboozle{})",
            plug_in(""),
            "Framboozle returns nothing; it should return its class",
        ),
        (
            "util.load_ini('x.ini').main:int('port')",
            vec![("x.ini", "[main]\nport = many\n")],
            "x.ini: [main] port is not a whole number: many",
        ),
        (
            "util.load_ini('x.ini').main:bool('on')",
            vec![("x.ini", "[main]\non = perhaps\n")],
            "x.ini: [main] on is not a boolean: perhaps",
        ),
        (
            "c.change_source = {lunabot.changes.PollingChangeSource:extend('Mine', {poll = function() end, change_fn = 3}){}}",
            vec![],
            "change_fn: ",
        ),
        (
            "c.change_source = {lunabot.changes.ChangeSource:extend('Mine', {activate = function() end}){category = 3}}",
            vec![],
            "category: ",
        ),
        (
            "local poll = lunabot.changes.GitPoller\nc.change_source = {poll{'https://example.org/a.git'},\npoll{'https://example.org/a.git'}}",
            vec![],
            "changes.GitPoller: the name \"https://example.org/a.git\" is taken by the change source at master.lua:",
        ),
        (
            "f:addStep(steps.BuildStep:extend('Idle', {name = 'idle'}){})",
            vec![],
            "Idle: does nothing by itself: give it a method run",
        ),
        (
            "steps.ShellCommand:extend('X', {getResultSumary = function() end})",
            vec![],
            "getResultSumary is a method of your own; did you mean getResultSummary?",
        ),
        (
            "steps.ShellCommand:extend('X', {get_result_summary = function() end})",
            vec![],
            "did you mean getResultSummary?",
        ),
        (
            "steps.ShellCommand:extend('X', {halt_on_failure = true})",
            vec![],
            "halt_on_failure is an attribute; did you mean the option haltOnFailure?",
        ),
        (
            "steps.ShellCommand:extend('X', {__init__ = function() end})",
            vec![],
            "write init = function(self, args) … end",
        ),
        (
            "steps.ShellCommand:extend('X', {start = function() end})",
            vec![],
            "start is a method of your own, which nothing calls; write run = function(self) … end",
        ),
        (
            "util.LogLineObserver:extend('X', {outLineReceived = 5})",
            vec![],
            "X: outLineReceived: expected a function, got the number 5",
        ),
        (
            "schedulers.BaseBasicScheduler:extend('X', {gotChange = 5})",
            vec![],
            "X: gotChange: expected a function, got the number 5",
        ),
        (
            "lunabot.worker.AbstractLatentWorker:extend('X', {check_instance = 5})",
            vec![],
            "X: check_instance: expected a function, got the number 5",
        ),
        (
            "steps.BuildStep:extend('X', {run = print, addLog = print})",
            vec![],
            "X: self.addLog is something else already; use another name",
        ),
        (
            "f:addStep(steps.ShellCommand{command = {'echo', util.BuildFactory{}}})",
            vec![],
            "command[2]: expected a value, got util.BuildFactory",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'a', env = {A = util.BuildFactory{}}})",
            vec![],
            "env.A: expected a ",
        ),
        (
            "f:addStep(steps.ShellSequence{commands = {util.BuildFactory{}}})",
            vec![],
            "commands[1]: expected a value, got util.BuildFactory",
        ),
        (
            "f:addStep(steps.SetProperty{property = 'a', value = util.ChangeFilter{branch = 'x'}})",
            vec![],
            "value: expected a value, got util.ChangeFilter",
        ),
        ("f:addStep(steps.Assert{f})", vec![], "check: expected a value, got util.BuildFactory"),
        (
            "f:addStep(steps.ShellCommand{command = 'a', observers = {stdio = f}})",
            vec![],
            "observers.stdio: expected an observer, got util.BuildFactory",
        ),
        (
            "f:addStep(steps.ShellCommand{command = 'a', timeout = -5, maxTime = -1})",
            vec![],
            "timeout: expected 0 seconds or more, got -5",
        ),
        ("f:addStep(steps.POST{'http://x', timeout = -5})", vec![], "timeout: expected 0 seconds or more"),
        (
            "c.schedulers[2] = schedulers.Dependent{name = 'p', builderNames = {'one'}, upstream = f}",
            vec![],
            "upstream: expected a scheduler or the name of one, got an object of util.BuildFactory",
        ),
        (
            "local p = util.StringParameter{name = 'a'}\n\
             c.schedulers[2] = schedulers.ForceScheduler{name = 'p', builderNames = {'one'}, properties = {p, p}}",
            vec![],
            "properties: two parameters have the name a",
        ),
        (
            "util.ChoiceStringParameter{name = 'a', choices = {}}",
            vec![],
            "choices: is empty: list what can be chosen",
        ),
        (
            "f:addStep(steps.Git{repourl = 'x', retry = {1}})",
            vec![],
            "retry: expected a list of 2 items, got 1",
        ),
        ("f:addStep(steps.Nope{})", vec![], "steps.Nope: unknown name\n"),
        ("c.configurators = {5}", vec![], "expected a configurator such as util.JanitorConfigurator{…}"),
    ] {
        let output = checked(block, &files)?;
        assert!(output.contains(told) && output.contains("master.lua:"), "{block}: {output}");
    }
    Ok(())
}

/// Classes that lack what they are for are told together, each where it is made, by their own names.
#[test]
fn idle_classes_are_told_by_name_whatever_they_are() -> Result<()> {
    let output = checked(
        r#"
local S = util.BuildbotService:extend("S", {stopService = print})
local P = lunabot.changes.PollingChangeSource:extend("P", {})
local W = lunabot.worker.AbstractLatentWorker:extend("W", {start_instance = print})
local unrelated = util.Property("x")
c.services = { S }
c.change_source = { P{} }
c.workers[#c.workers + 1] = W{"w"}"#,
        &[],
    )?;
    for told in [
        "S: does nothing by itself: give it a method startService",
        "P: does nothing by itself: give it a method poll",
        "W: does nothing by itself: give it a method stop_instance",
    ] {
        assert!(output.contains(told), "{told}: {output}");
    }
    let line = |what: &str| output.lines().find(|line| line.contains(what)).map(str::to_string);
    let (bare, made) = (line("S: does").context("S")?, line("P: does").context("P")?);
    let number = |line: &str| line.split(':').nth(1).and_then(|number| number.trim().parse::<u32>().ok());
    assert_eq!(number(&bare).map(|line| line + 5), number(&made), "the class, and the constructor: {output}");
    Ok(())
}
