//! Bad configurations and what is said about them.

use crate::support::{Folder, HEAD_LINES, errors};

/// `extra` → its only error; `@` stands for the line counted from the first of `extra`.
async fn check(extra: &str, expected: &str) {
    let told = errors(extra).await;
    let mut text = expected.to_string();
    for line in 1..9 {
        text = text.replace(&format!("@{line}"), &(HEAD_LINES + line).to_string());
    }
    assert_eq!(told, [text], "\n{extra}");
}

#[tokio::test]
async fn mistakes_are_told_with_place_path_and_remedy() {
    let table = [
        (
            "f:addStep(steps.ShellCommand{command = {}, timout = 3})",
            "master.lua:@1: steps.ShellCommand: timout: unknown option, did you mean timeout?",
        ),
        (
            "f:addStep(\n  steps.ShellCommand{command = 3})",
            "master.lua:@2: steps.ShellCommand: command: expected a text or a list of texts, got the number 3",
        ),
        (
            "f:addStep(steps.ShellCommand{command = {'a', 3}})",
            "master.lua:@1: steps.ShellCommand: command[2]: expected a text, got the number 3",
        ),
        (
            "f:addStep(steps.ShellCommand{command = {'a', nil, 'b'}})",
            "master.lua:@1: steps.ShellCommand: command: item 2 is nil (write `x or false` for an item that may be missing)",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', maxTime = 3})",
            "master.lua:@1: steps.ShellCommand: maxTime: not supported yet",
        ),
        (
            "c.collapseRequests = util.collapse_by(3)",
            "master.lua:@1: util.collapse_by: fn: expected a function, got the number 3",
        ),
        (
            "c.collapseRequests = util.collapse_by(print, {compatibel = true})",
            "master.lua:@1: util.collapse_by: compatibel: unknown option, did you mean compatible?",
        ),
        (
            "c.collapseRequests = 3",
            "master.lua:@1: collapseRequests: expected true, false, a function, or util.collapse_by(function(req) … end)",
        ),
        (
            "c.builders[1] = c.builders[1]:with{properties = {a = util.Interpolate{1}}}",
            "master.lua:@1: util.Interpolate: fmtstring: expected a text, got the number 1",
        ),
        ("f:addStep(steps.ShellCommand{})", "master.lua:@1: steps.ShellCommand: command is missing"),
        (
            "f:addStep(steps.ShellCommand{'a', timeout = '3 x'})",
            "master.lua:@1: steps.ShellCommand: timeout: unknown unit in \"x\"; units are w d h m s",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', mode = 755})",
            "master.lua:@1: steps.ShellCommand: mode: expected a text, got a number; Lua has no octal numbers, write mode = \"0755\"",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', count = 1.5})",
            "master.lua:@1: steps.ShellCommand: count: expected a whole number, got the number 1.5",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', name = function() end})",
            "master.lua:@1: steps.ShellCommand: name: takes no function; expected a text",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', name = util.Property 'x'})",
            "master.lua:@1: steps.ShellCommand: name: expected a text, got util.Property, but this option is not rendered",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', 'b'})",
            "master.lua:@1: steps.ShellCommand: takes 1 positional argument (command), got 2",
        ),
        (
            "f:addStep(steps.ShellCommand('a', 'b'))",
            "master.lua:@1: steps.ShellCommand: takes one table: write steps.ShellCommand{a, b, k = v}",
        ),
        (
            "f:addStep(steps:ShellCommand{'a'})",
            "master.lua:@1: steps.ShellCommand: is called with a dot, not a colon: steps.ShellCommand{…}",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', command = 'b'})",
            "master.lua:@1: steps.ShellCommand: command: given twice: by its position and by its name",
        ),
        (
            "f:addStep(steps.ShellComand{'a'})",
            "master.lua:@1: steps.ShellComand: unknown name, did you mean steps.ShellCommand?",
        ),
        (
            "f:addStep(steps.Trigger{schedulerNames = {'x'}})",
            "master.lua:@1: steps.Trigger: not supported yet",
        ),
        ("util.LdapUserInfo{}", "master.lua:@1: util.LdapUserInfo: not supported yet"),
        (
            "util.watch('x', print)",
            "master.lua:@1: util.watch: works in what runs (activate, startService …), not while the configuration is loaded",
        ),
        (
            "util.watch('x')",
            "master.lua:@1: takes a path and a function: util.watch(\"path\", function(path) … end)",
        ),
        ("util.BaseParameter:extend('P', {})", "master.lua:@1: util.BaseParameter: not supported yet"),
        (
            "f:addStep(worker.Worker{'x'})",
            "master.lua:@1: util.BuildFactory:addStep: step: expected a step, got worker.Worker",
        ),
        ("f.addStep(steps.ShellCommand{'a'})", "master.lua:@1: call it with a colon: x:addStep(…)"),
        (
            "f:addSteps({steps.ShellCommand{'a'}}, {withSecret = {}})",
            "master.lua:@1: addSteps has no option withSecret; there is withSecrets",
        ),
        (
            "f:withSecrets({{'a', print}}, {steps.ShellCommand{'a'}})",
            "master.lua:@1: steps.DownloadSecretsToWorker: populated_secret_list[1][2]: takes no function; expected a text",
        ),
        (
            "f:withSecrets({{'a', 'b'}})",
            "master.lua:@1: withSecrets takes secrets, and a function that adds steps: f:withSecrets({{\"path\", util.Secret \"name\"}}, function() f:addStep(…) end)",
        ),
        (
            "local F = steps.Git:extend('F', {})",
            "master.lua:@1: steps.Git: extending steps.Git is not supported yet",
        ),
        (
            "c.builders[1].name = 'x'",
            "master.lua:@1: util.BuilderConfig: options do not change after it is made; X:with{name = …} makes a changed copy",
        ),
        (
            "local x = c.builders[1].nam",
            "master.lua:@1: util.BuilderConfig has no option nam, did you mean name?",
        ),
        ("c.www = {\n  prot = 8010}", "master.lua:@2: www.prot: unknown option, did you mean port?"),
        ("c.tittle = 'x'", "master.lua:@1: tittle: unknown configuration key, did you mean title?"),
        (
            "c.properties = {a = {1, x = 2}}",
            "master.lua:@1: properties.a: mixes items 1…n and names (x); use one of both",
        ),
        (
            "c.builders[1] = c.builders[1]:with{workernames = {'locl'}}",
            "master.lua:@1: util.BuilderConfig: builder 'one' uses unknown worker 'locl', did you mean 'local'?",
        ),
        (
            "local t = setmetatable({}, {__gc = print})",
            "master.lua:@1: __gc is not possible here: nothing could stop it; use a <close> variable",
        ),
        (
            "os.exit(1)",
            "master.lua:@1: os.exit is not possible in a configuration; raise an error to refuse to load",
        ),
        (
            "os.execute 'ls'",
            "master.lua:@1: os.execute would block the master; use util.process{command = …}",
        ),
        (
            "local m = lunabot.master",
            "master.lua:@1: lunabot.master works inside callbacks; while the file is loaded nothing runs yet",
        ),
        ("local m = lunabot.step", "master.lua:@1: lunabot.step: unknown name, did you mean lunabot.steps?"),
        ("local x = nil + 1", "master.lua:@1: attempt to perform arithmetic on a nil value"),
        ("x = = 1", "master.lua:@1: unexpected symbol near '='"),
        ("error 'my own'", "master.lua:@1: my own"),
        ("\nerror({code = 1})", "master.lua:@2: {\"code\":1}"),
        ("\nerror()", "master.lua:@2: an error without a text was raised"),
        (
            "f:addStep(steps.ShellCommand{'a'}, steps.ShellCommand{'b'})",
            "master.lua:@1: addStep takes one step; for several write f:addSteps{s1, s2}",
        ),
        ("local x = f:with({}, {})", "master.lua:@1: with takes one table: X:with{name = …}"),
        (
            "steps.ShellCommand:extend('E', {}, {})",
            "master.lua:@1: extend takes a name and a table: Base:extend(\"Name\", {…})",
        ),
        (
            "f.buildClass = util.BuildFactory{}",
            "master.lua:@1: util.BuildFactory: buildClass: expected a class that extends util.Build, got util.BuildFactory",
        ),
        (
            "local x = util.BuildFactory{buildClass = util.ChangeFilter{}}",
            "master.lua:@1: util.BuildFactory: buildClass: expected a class that extends util.Build, got util.ChangeFilter",
        ),
        ("c.properties = {a = f}", "master.lua:@1: properties.a: expected a value, got util.BuildFactory"),
        (
            "c.builders[1] = c.builders[1]:with{properties = {a = {b = f}}}",
            "master.lua:@1: util.BuilderConfig: properties.a.b: expected a value, got util.BuildFactory",
        ),
        (
            "c.lua = {callback_cpu_seconds = 0}",
            "master.lua:@1: lua.callback_cpu_seconds: expected more than 0 seconds and at most a year",
        ),
        (
            "c.lua = {callback_cpu_seconds = 1e300}",
            "master.lua:@1: lua.callback_cpu_seconds: expected more than 0 seconds and at most a year",
        ),
        (
            "c.lua = {callback_timeout = -1}",
            "master.lua:@1: lua.callback_timeout: expected more than 0 seconds and at most a year",
        ),
        (
            "c.lua = {memory_limit = 1}",
            "master.lua:@1: lua.memory_limit: expected bytes or a text such as \"512 MB\", and at least 16 MB, got 1",
        ),
        (
            "c.lua = {memory_limit = 'lots'}",
            "master.lua:@1: lua.memory_limit: expected bytes or a text such as \"512 MB\", and at least 16 MB, got \"lots\"",
        ),
        (
            "util.now(5)",
            "master.lua:@1: util.now takes a table: util.now{tz = \"Europe/Berlin\"}, got the number 5",
        ),
        ("util.list(5)", "master.lua:@1: util.list takes a list: util.list{a, b}, got the number 5"),
        ("util.md5()", "master.lua:@1: util.md5 takes a text, got nil"),
        (
            "util.format_time('x')",
            "master.lua:@1: util.format_time takes seconds since 1970 first, got the text \"x\"",
        ),
        ("util.timedelta{days = 'x'}", "master.lua:@1: util.timedelta: days: expected a number, got a text"),
        ("util.read_file()", "master.lua:@1: argument 1: expected a text, got nothing"),
        ("util.fail('a\\xff')", "master.lua:@1: a\u{fffd}"),
        (
            "f:addStep(steps.ShellCommand{'a', ['b\\nc'] = 1})",
            "master.lua:@1: steps.ShellCommand: b\\nc: unknown option",
        ),
    ];
    for (extra, expected) in table {
        check(extra, expected).await;
    }
}

#[tokio::test]
async fn all_mistakes_are_told_at_once_and_in_order() {
    let told = errors(
        r#"f:addStep(steps.ShellCommand{command = {"a"}, timout = 1, haltOnFailur = true})
f:addStep(steps.Framboozel{})
c.builders[2] = util.BuilderConfig{name = "two", workernames = {"nobody"}, factory = f}
c.builders[3] = util.BuilderConfig{name = "one", workernames = {"local"}, factory = f}
c.schedulers[2] = schedulers.ForceScheduler{name = "f2", builderNames = {"two", "thre"}}
c.www = {prot = 1}
c.tittle = "x"
"#,
    )
    .await;
    let starts = [
        "master.lua:8: steps.ShellCommand: haltOnFailur: unknown option, did you mean haltOnFailure?",
        "master.lua:8: steps.ShellCommand: timout: unknown option, did you mean timeout?",
        "master.lua:9: steps.Framboozel: unknown name",
        "master.lua:10: util.BuilderConfig: builder 'two' uses unknown worker 'nobody'",
        "master.lua:11: util.BuilderConfig: builder name 'one' used multiple times, first at master.lua:6",
        "master.lua:12: schedulers.ForceScheduler: Unknown builder 'thre' in scheduler 'f2'",
        "master.lua:13: www.prot: unknown option, did you mean port?",
        "master.lua:14: tittle: unknown configuration key, did you mean title?",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
    }
}

#[tokio::test]
async fn what_follows_from_a_told_mistake_is_not_told_again() {
    let told = errors("c.workers = { worker.DockerLatentWorker{'local'} }").await;
    assert_eq!(told, ["master.lua:8: worker.DockerLatentWorker: not supported yet"]);
    let told = errors("c.builders[1] = util.BuilderConfig{name = 'one', workernames = 3, factory = f}").await;
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test]
async fn files_that_cannot_be_run_say_why() {
    let table = [
        (
            "return 3",
            "master.lua: must return the configuration table (`return c`), it returned the number 3",
        ),
        ("local x", "master.lua: must return the configuration table (`return c`), it returned nil"),
        ("require 'nowhere'", "master.lua:1: module nowhere not found; looked for"),
        ("require 'bad'", "bad.lua:2: unexpected symbol near '='"),
        ("require 'raises'", "raises.lua:1: no"),
        ("while true do pcall(error) end", "the file computes for more than 10 s"),
    ];
    for (text, start) in table.iter().take(5) {
        let folder = Folder::new(text);
        folder.write("bad.lua", "\nx = = 3\n");
        folder.write("raises.lua", "error 'no'");
        let failure = folder.load().await.err().unwrap();
        assert!(failure.errors[0].to_string().starts_with(start), "{failure}");
    }
}

/// What will not come says what stands for it.
#[tokio::test]
async fn row_06_028_withdrawn_names_say_what_to_use_instead() {
    let told = errors("local x = {steps.CVS{}, steps.Darcs{}, steps.Monotone{}}").await;
    assert_eq!(told.len(), 3, "{told:?}");
    for name in ["CVS", "Darcs", "Monotone"] {
        let line = told.iter().find(|line| line.contains(&format!("steps.{name}: is not supported")));
        assert!(line.is_some_and(|line| line.contains("steps.Git")), "{name}: {told:?}");
    }
}
