//! What a good configuration becomes.

use crate::support::{Folder, RealClock, errors, function, load};
use lunabot_lua::{Host, LoadOptions};
use lunabot_model::Json;
use lunabot_model::config::Collapse;
use serde_json::json;
use std::sync::Arc;

const EXAMPLE: &str = r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

local c = {}
c.title = "Hello"
c.buildbotURL = "http://localhost:8010/"
c.workers = { worker.LocalWorker{"local"}, worker.Worker{"w1", util.Secret "w1", max_builds = 2} }
c.protocols = { pb = { port = 9989 }, msgpack_experimental_v7 = { port = 9990 } }

local f = util.BuildFactory{}
f:addStep(steps.Git{command = "incremental"})
f:addStep(steps.ShellCommand{command = {"make", {"-j", "4"}, false, "test"}, timeout = "1h 30m"})

c.builders = { util.BuilderConfig{name = "runtests", workernames = {"local", "w1"}, factory = f} }
c.schedulers = {
  schedulers.SingleBranchScheduler{name = "all", change_filter = util.ChangeFilter{branch = "main"},
                                   treeStableTimer = 10, builderNames = {"runtests"}},
  schedulers.ForceScheduler{name = "force", builderNames = {"runtests"}},
}
c.www = { port = 8010 }
return c
"#;

#[tokio::test]
async fn the_example_of_the_contract_becomes_a_plain_configuration() {
    let loaded = Folder::new(EXAMPLE).load().await.unwrap();
    let config = loaded.config;
    assert_eq!(config.title, "Hello");
    assert_eq!(config.workers[1].arg("password").unwrap()["$args"]["secret_name"], "w1");
    let steps = &config.builders[0].factory.steps;
    assert_eq!(steps[0].at, "master.lua:12");
    assert_eq!(steps[1].args, json!({"command": ["make", "-j", "4", "test"], "timeout": "1h 30m"}));
    assert_eq!(config.schedulers[0].arg("change_filter").unwrap()["$args"]["branch"], "main");
    assert_eq!(config.builders[0].at, "master.lua:15");
}

#[tokio::test]
async fn values_are_converted_as_the_options_want_them() {
    let loaded = load(
        r#"
f:addStep(steps.ShellCommand("make"))
f:addStep(steps.ShellCommand{{"a", "b"}, decodeRC = {[0] = util.SUCCESS, [1] = util.WARNINGS}, count = 10 / 5,
  env = {PATH = util.null, HOME = util.Interpolate "%(prop:home)s"}, name = util.null})
f.workdir = util.Property("dir") .. "/x"
c.properties = { list = util.list{}, table = {}, float = 2.0, nested = {1, {2}}, text = "x" }
c.builders[2] = { name = "two", workernames = {{"local"}, false}, factory = f:with{workdir = "other"} }
c.schedulers[2] = { schedulers.ForceScheduler{"f2", "two"}, false }
"#,
    )
    .await;
    let factory = &loaded.config.builders[0].factory;
    assert_eq!(factory.steps[0].args, json!({"command": "make"}));
    let args = &factory.steps[1].args;
    assert_eq!(args["decodeRC"], json!({"0": 0, "1": 1}));
    assert_eq!(args["count"], json!(2));
    assert_eq!(args["env"]["PATH"], Json::Null);
    assert_eq!(args["env"]["HOME"]["$kind"], "util.Interpolate");
    let workdir = factory.workdir.as_ref().unwrap().source();
    assert_eq!((&workdir["$kind"], &workdir["$args"]["op"]), (&json!("util.BinaryOp"), &json!("concat")));
    let properties = &loaded.config.properties;
    assert_eq!(
        serde_json::to_string(properties).unwrap(),
        r#"{"float":2.0,"list":[],"nested":[1,[2]],"table":{},"text":"x"}"#
    );
    assert_eq!(loaded.config.builders[1].config.workers(), ["local"]);
    assert_eq!(loaded.config.schedulers.len(), 2);
}

#[tokio::test]
async fn options_and_defaults_are_readable_and_objects_compare_by_identity() {
    load(
        r#"
local s = steps.ShellCommand{command = {"a"}, env = {A = "1"}}
assert(s.command[1] == "a" and s.env.A == "1" and s.haltOnFailure == true and s.name == nil)
assert(s == s and s ~= steps.ShellCommand{"a"})
assert(s:with{name = "x"}.name == "x" and s.name == nil)
local b = c.builders[1]
assert(b.factory == f and b.name == "one" and b.workernames[1] == "local")
assert(tostring(util.null) == "util.null" and util.is_null(util.null))
assert(util.Results[0] == "success" and util.worst_status(util.FAILURE, util.EXCEPTION) == util.EXCEPTION)
"#,
    )
    .await;
}

#[tokio::test]
async fn flat_and_nested_arguments_are_the_same() {
    let loaded = load(
        r#"
local s = steps.ShellCommand{"a"}
c.builders[1] = c.builders[1]:with{factory = util.BuildFactory{s, s}}
c.builders[2] = util.BuilderConfig{name = "two", workername = "local", factory = util.BuildFactory{{s, s}}}
c.builders[3] = util.BuilderConfig{name = "three", workername = "local", factory = util.BuildFactory}
c.schedulers[2] = schedulers.ForceScheduler{"f2", {"two", "three"}}
local auth = util.UserPasswordAuth{["joe"] = "pw"}
assert(auth.users.joe == "pw" and util.UserPasswordAuth{{joe = "pw"}}.users.joe == "pw")
"#,
    )
    .await;
    let steps: Vec<usize> = loaded.config.builders.iter().map(|b| b.factory.steps.len()).collect();
    assert_eq!(steps, [2, 2, 0]);
}

#[tokio::test]
async fn row_05_065_steps_are_added_to_a_factory_one_by_one_or_many() {
    let loaded = load(
        r#"
local function shell(name) return steps.ShellCommand{name} end
local g = util.BuildFactory{steps = {shell "one"}, workdir = "src"}
g:addStep(shell "two")
g:addSteps({shell "three", false, shell "four"})
g.workdir = "other"
c.builders[2] = util.BuilderConfig{name = "two", workername = "local", factory = g}
c.schedulers[2] = schedulers.ForceScheduler{"f2", {"two"}}
"#,
    )
    .await;
    let factory = &loaded.config.builders[1].factory;
    let commands: Vec<_> = factory.steps.iter().map(|step| step.args["command"].clone()).collect();
    assert_eq!(commands, ["one", "two", "three", "four"]);
    assert_eq!(factory.workdir.as_ref().unwrap().source(), "other");
    for (extra, expected) in [
        ("f:addStep('make')", "util.BuildFactory:addStep: step: expected a step, got the text \"make\""),
        ("f:addStep()", "util.BuildFactory:addStep: step: expected a step, got nil"),
        (
            "f:addSteps({steps.ShellCommand{'a'}, 3})",
            "util.BuildFactory:addSteps: step: expected a step, got the number 3",
        ),
        ("f:addSteps(3)", "util.BuildFactory:addSteps: steps: expected a list of steps, got the number 3"),
        ("f:addSteps({steps.ShellCommand{'a'}, nil, steps.ShellCommand{'a'}})", "item 2 is nil"),
        (
            "local g = util.BuildFactory{3}",
            "util.BuildFactory: steps[1]: expected an object, got the number 3",
        ),
    ] {
        let told = errors(extra).await;
        assert!(told.iter().any(|line| line.contains(expected)), "{extra}: {told:#?}");
    }
}

#[tokio::test]
async fn modules_are_found_beside_the_file_and_may_wait() {
    let folder = Folder::new(
        "local m = require 'm'\nlocal n = require 'sub.n'\nassert(m == require 'm')\nerror('m' .. m.x .. n)\n",
    );
    folder.write("m.lua", "local u = require('lunabot').util\nu.sleep(0.01)\nreturn {x = 1}\n");
    folder.write("lua/sub/n.lua", "return ...\n");
    let failure = folder.load().await.err().unwrap();
    assert_eq!(failure.errors[0].to_string(), "master.lua:4: m1sub.n");
    let names: Vec<_> = failure.files.iter().map(|f| f.file_name().unwrap().to_string_lossy()).collect();
    assert_eq!(names, ["master.lua", "m.lua", "n.lua"]);
    let folder = Folder::new("require 'outer'\n");
    for (name, other) in [("outer", "one"), ("one", "two"), ("two", "one")] {
        folder.write(&format!("{name}.lua"), &format!("\nlocal m = require '{other}'\nreturn m\n"));
    }
    let failure = folder.load().await.err().unwrap();
    assert_eq!(failure.errors[0].to_string(), "two.lua:2: module one requires itself, by way of two");
}

#[tokio::test]
async fn a_file_that_waits_for_too_long_is_told_where() {
    let folder =
        Folder::new("local u = require('lunabot').util\nlocal function f()\n  u.sleep(1000000)\nend\nf()\n");
    let options = LoadOptions { clock: Arc::new(RealClock::times(1000)), ..folder.options() };
    let failure = Host::load(options).await.err().unwrap();
    assert_eq!(
        failure.errors[0].to_string(),
        "master.lua:3: loading did not end within 60 s: this waits for too long"
    );
}

#[tokio::test]
async fn pairs_walks_in_order_and_documents_in_theirs() {
    let folder = Folder::new(
        r#"local t, seen = {b = 1, a = 2, [3] = 3, [1] = 4, c = 5}, {}
for k in pairs(t) do seen[#seen + 1] = tostring(k) end
error(table.concat(seen, " "), 0)"#,
    );
    let mut options = folder.options();
    let failure = lunabot_lua::Host::load(options.clone()).await.err().unwrap();
    assert_eq!(failure.errors[0].message, "1 3 a b c");
    options.reverse_pairs = true;
    let failure = lunabot_lua::Host::load(options).await.err().unwrap();
    assert_eq!(failure.errors[0].message, "1 3 c b a");
}

#[tokio::test]
async fn coroutines_of_the_user_and_waits_of_the_host_keep_apart() {
    let (loaded, callback) = function(
        r#"function()
  local thread = coroutine.wrap(function(a)
    util.sleep(0.001)
    local b = coroutine.yield(a + 1)
    for i = 1, 2000000 do end
    return a + b
  end)
  local first = thread(1)
  return { first, thread(10) }
end"#,
    )
    .await;
    assert_eq!(crate::support::call(&loaded, &callback, vec![]).await.unwrap(), json!([2, 11]));
}

async fn print(body: &str) -> String {
    function(body).await.1.fingerprint.clone()
}

#[tokio::test]
async fn fingerprints_follow_what_a_function_does() {
    let base =
        print("(function() local n, t = 5, {a = {1}} return function(m, b) return n + t.a[1] end end)()")
            .await;
    let moved = "\n-- a comment\n(function() local n, t = 5, {a = {1}} return function(x, y) return n +\n t.a[1] end end)()";
    assert_eq!(print(moved).await, base);
    for other in [
        "(function() local n, t = 6, {a = {1}} return function(m, b) return n + t.a[1] end end)()",
        "(function() local n, t = 5, {a = {2}} return function(m, b) return n + t.a[1] end end)()",
        "(function() local n, t = 5, {a = {1}} return function(m, b) return n - t.a[1] end end)()",
    ] {
        assert_ne!(print(other).await, base, "{other}");
    }
    // What is behind objects counts too.
    for behind in [
        "util.re('one')",
        "util.renderer(function() return 'one' end)",
        "util.Transform{function(x) return x .. 'one' end, util.Property 'x'}",
        "util.ChangeFilter{filter_fn = function(ch) return ch.branch == 'one' end}",
        "steps.ShellCommand{command = 'x', doStepIf = function(step) return 'one' end}",
        "steps.ShellCommand{command = 'one'}",
        "steps.ShellCommand:extend('X', {helper = function(self) return 'one' end})",
        "steps.ShellCommand:extend('X', {helper = 'one'}):extend('Y', {})",
        "steps.ShellCommand:extend('X', {helper = 'one'}){command = 'x'}",
        "steps.ShellCommand:extend('X', {params = {k = {type = 'string'}}}){command = 'x', k = 'one'}",
    ] {
        let with =
            |value: &str| format!("(function() local o = {value} return function() return o end end)()");
        assert_eq!(print(&with(behind)).await, print(&with(behind)).await, "{behind}");
        assert_ne!(print(&with(behind)).await, print(&with(&behind.replace("one", "two"))).await, "{behind}");
        // Another class, made before, is none of its business.
        let after =
            with(behind).replacen("local o", "local z = steps.ShellCommand:extend('Z', {}) local o", 1);
        assert_eq!(print(&with(behind)).await, print(&after).await, "{behind}");
    }
    // Circles, the environment and the configuration table end the walk.
    let circle = "(function() local t = {} t.t = t; t.c = c; t.g = _G return function() return t end end)()";
    assert_eq!(print(circle).await, print(circle).await);
    let circle = "(function() local X, o X = steps.ShellCommand:extend('X', {helper = function() return o, X end}) o = X{command = 'x'} return function() return o end end)()";
    assert_eq!(print(circle).await, print(circle).await);
}

#[tokio::test]
async fn row_05_066_with_secrets_wraps_steps_in_both_forms() {
    let loaded = load(
        r#"local s = {{"a", util.Secret "t"}}
f:addSteps({steps.ShellCommand{"one"}, steps.ShellCommand{"two"}}, {withSecrets = s})
f:withSecrets(s, function(g) g:addStep(steps.ShellCommand{"three"}) util.sleep(0) f:addStep(steps.Git{command = "four"}) end)
f:withSecrets(s, {steps.ShellCommand{"five"}})
f:addSteps({steps.ShellCommand{"six"}})"#,
    )
    .await;
    let steps = &loaded.config.builders[0].factory.steps;
    let kinds: Vec<_> = steps.iter().map(|step| step.kind.trim_start_matches("steps.")).collect();
    let (down, gone, shell) = ("DownloadSecretsToWorker", "RemoveWorkerFileSecret", "ShellCommand");
    assert_eq!(kinds, [down, shell, shell, gone, down, shell, "Git", gone, down, shell, gone, shell]);
    assert_eq!(steps[0].args["populated_secret_list"][0][0], "a");
    assert_eq!(steps[0].args["populated_secret_list"][0][1]["$kind"], "util.Secret");
    assert_eq!(steps[3].args["alwaysRun"], true);
    assert_eq!(steps[7].args["populated_secret_list"], steps[4].args["populated_secret_list"]);
}

#[tokio::test]
async fn functions_of_ours_take_arguments_like_functions() {
    let loaded = load(
        r#"
local function key(req) return req.source.branch end
c.collapseRequests = util.collapse_by(key, {compatible = true})
c.builders[2] = { name = "two", workernames = {"local"}, factory = f, collapseRequests = util.collapse_by(key) }
c.builders[3] = { name = "three", workernames = {"local"}, factory = f, collapseRequests = util.collapse_by{key} }
c.schedulers[2] = schedulers.ForceScheduler{name = "more", builderNames = {"two", "three"}}
"#,
    )
    .await;
    let plain = |collapse: Option<&Collapse>| match collapse {
        Some(Collapse::By(by)) => by.args.compatible,
        other => panic!("{other:?}"),
    };
    assert!(plain(loaded.config.collapse_requests.as_ref()));
    for builder in &loaded.config.builders[1..] {
        assert!(!plain(builder.config.collapse_requests.as_ref()));
    }
}
