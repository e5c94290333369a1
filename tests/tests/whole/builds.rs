//! The main job: changes become builds, builds become results and logs.

use anyhow::Result;
use lunabot_tests::{Master, Repo};
use serde_json::json;

/// Polls `repo` and builds every commit on main with a Git step and a command.
fn polling(repo: &Repo) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{}}
c.workers = {{ worker.LocalWorker{{"local"}} }}
c.change_source = {{ changes.GitPoller{{"{url}", branch = "main", pollInterval = 1, pollAtLaunch = true}} }}
local f = util.BuildFactory{{}}
f:addStep(steps.Git{{repourl = "{url}", mode = "incremental"}})
f:addStep(steps.ShellCommand{{name = "show", command = {{"cat", "hello.txt"}}}})
c.builders = {{ util.BuilderConfig{{name = "runtests", workernames = {{"local"}}, factory = f}} }}
c.schedulers = {{
  schedulers.SingleBranchScheduler{{name = "all", change_filter = util.ChangeFilter{{branch = "main"}}, builderNames = {{"runtests"}}}},
  schedulers.ForceScheduler{{name = "force", builderNames = {{"runtests"}}}},
}}
c.www = {{ port = 0, change_hook_dialects = {{ base = true }} }}
return c
"#,
        url = repo.url()
    )
}

#[tokio::test]
async fn a_commit_is_noticed_and_built() -> Result<()> {
    let repo = Repo::new()?;
    let master = Master::start(&polling(&repo)).await?;
    // The first poll only records the heads (02.010); it is over when its state is stored.
    master
        .until("changesources", |a| a["changesources"].as_array().is_some_and(|all| !all.is_empty()))
        .await?;
    let forced =
        master.control("forceschedulers/force", "force", json!({"builderNames": ["runtests"]})).await?;
    assert!(forced[0].is_i64(), "{forced}");
    assert_eq!(master.finished_build(1).await?["results"], 0);
    let revision = repo.commit("hello.txt", "hello again\n", "second")?;
    let build = master.finished_build(2).await?;
    assert_eq!((&build["results"], &build["state_string"]), (&json!(0), &json!("build successful")));
    assert!(master.step_log(2, "show", "stdio").await?.contains("hello again"));
    let changes = master.get("changes").await?;
    assert_eq!(changes["changes"][0]["revision"], revision.as_str());
    assert_eq!(changes["changes"][0]["author"], "Ann Author <ann@example.org>");
    let properties = master.get("builds/2/properties").await?;
    assert_eq!(properties["properties"][0]["got_revision"], json!([revision, "Git"]));
    Ok(())
}

#[tokio::test]
async fn a_pushed_change_is_acknowledged_and_built() -> Result<()> {
    let repo = Repo::new()?;
    let master = Master::start(&polling(&repo)).await?;
    let status =
        master.change_hook(&[("author", "joe"), ("comments", "from outside"), ("branch", "main")]).await?;
    assert_eq!(status, 202);
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 0);
    let changes = master.get("builds/1/changes").await?;
    assert_eq!(changes["changes"][0]["comments"], "from outside");
    Ok(())
}

#[tokio::test]
async fn forced_fields_are_checked_and_their_errors_named() -> Result<()> {
    let repo = Repo::new()?;
    let master = Master::start(&polling(&repo)).await?;
    let params = json!({"builderNames": ["runtests"], "priority": "high"});
    let error = master.control("forceschedulers/force", "force", params).await.unwrap_err().to_string();
    assert!(error.contains("-32602") && error.contains("priority"), "{error}");
    Ok(())
}

#[tokio::test]
async fn row_05_019_functions_of_a_step_see_what_is_built() -> Result<()> {
    let config = r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { workers = { worker.LocalWorker{"local"} }, www = { port = 0, change_hook_dialects = { base = true } } }
local function is(what, test)
  return steps.SetProperty{name = what, property = what, value = "yes", doStepIf = test}
end
local f = util.BuildFactory{
  is("docs only", function(step)
    return util.equal(step.build:allFiles(), {"docs/a.md", "docs/b.md"}) and step:getProperty("docs only") == nil
  end),
  is("told", function(step)
    step:setProperty("who", step.build:blamelist()[1], "here")
    return step:getProperty("who") == "ann" and step.build:getProperty("who") == "ann" and
      step:getProperties():getPropertySource("who") == "here"
  end),
  is("properties", function(step)
    return step:hasProperty("docs only") and not step:hasProperty("nothing") and
      step:getProperty("nothing", "else") == "else" and step.build.properties.who == "ann"
  end),
  is("stamps", function(step)
    local stamp = step.build:getSourceStamp()
    return stamp.branch == "main" and stamp.changes[1].who == "ann" and #step.build:getAllSourceStamps() == 1 and
      step.build:getSourceStamp("other") == nil and step.build:allChanges()[1].comments == "c"
  end),
  is("around", function(step)
    return step.worker.name == "local" and step.build.builder.name == "b" and step.results == nil and
      step:getStatistic("tests", 0) == 0 and not step:hasStatistic("tests")
  end),
}
c.builders = { util.BuilderConfig{name = "b", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.AnyBranchScheduler{name = "any", builderNames = {"b"}} }
return c
"#;
    let master = Master::start(config).await?;
    let fields = [
        ("author", "ann"),
        ("comments", "c"),
        ("branch", "main"),
        ("files", r#"["docs/a.md", "docs/b.md"]"#),
    ];
    assert_eq!(master.change_hook(&fields).await?, 202);
    let build = master.finished_build(1).await?;
    let steps = master.get("builds/1/steps").await?;
    let results: Vec<_> = steps["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| (&step["name"], &step["results"]))
        .collect();
    assert_eq!(build["results"], 0, "{results:?}");
    assert!(results.len() == 6 && results.iter().all(|(_, result)| **result == 0), "{results:?}");
    Ok(())
}

#[tokio::test]
async fn row_13_016_a_function_reads_what_commands_print() -> Result<()> {
    let config = r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { workers = { worker.LocalWorker{"local"} }, www = { port = 0 }, logEncoding = "cp1252" }
local function printing(name, encoding)
  return steps.ShellCommand{
    name = name, command = [[printf 'caf\351 \201\nnext\377'; printf '\351t\351\n' > bytes]],
    logEncoding = encoding, logfiles = {file = "bytes"},
  }
end
local f = util.BuildFactory{
  printing("function", function(bytes)
    return (bytes:gsub("\233", "é"):gsub("\129", "<81>"):gsub("\255", "ÿ"))
  end),
  printing("configured"),
  printing("named", "utf-8"),
  printing("three", function() return 3 end),
}
c.builders = { util.BuilderConfig{name = "b", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"b"}} }
return c
"#;
    let master = Master::start(config).await?;
    master.force("b").await?;
    let build = master.finished_build(1).await?;
    for (step, wanted, file) in [
        ("function", "\ncafé <81>\n", "été"),
        ("configured", "\ncafé \u{81}\n", "été"),
        ("named", "\ncaf\u{fffd} \u{fffd}\n", "\u{fffd}t\u{fffd}"),
    ] {
        let text = master.step_log(1, step, "stdio").await?;
        assert!(text.contains(wanted), "{step}: {text}");
        let text = master.step_log(1, step, "file").await?;
        assert!(text.contains(file), "{step}: {text}");
    }
    assert!(master.step_log(1, "function", "stdio").await?.contains("nextÿ"));
    assert_eq!(build["results"], 4);
    assert!(master.step_log(1, "three", "err_text").await?.contains("logEncoding returned 3; return a text"));
    Ok(())
}

#[tokio::test]
async fn row_05_007_a_build_that_is_not_wanted_is_skipped_without_a_step() -> Result<()> {
    let config = r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { workers = { worker.LocalWorker{"local"} }, www = { port = 0 } }
c.builders = { util.BuilderConfig{
  name = "b", workernames = {"local"}, factory = util.BuildFactory{steps.ShellCommand{command = {"true"}}},
  do_build_if = function(build)
    local what = build:getProperty("reason")
    assert(build.builder.name == "b" and build.worker.name == "local" and #build:allFiles() == 0)
    if what == "fails" then error("cannot say") elseif what == "nonsense" then return "yes" end
    return what == "wanted"
  end,
} }
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"b"}} }
return c
"#;
    let master = Master::start(config).await?;
    for (id, (reason, results, text, steps)) in (1..).zip([
        ("unwanted", 3, "build successful", 0),
        ("wanted", 0, "build successful", 2),
        ("fails", 4, "Build.setupBuild failed", 1),
    ]) {
        master.control("forceschedulers/force", "force", json!({"reason": reason})).await?;
        let build = master.finished_build(id).await?;
        assert_eq!((&build["results"], &build["state_string"]), (&json!(results), &json!(text)), "{reason}");
        let found = master.get(&format!("builds/{id}/steps")).await?["steps"].clone();
        assert_eq!(found.as_array().map(Vec::len), Some(steps), "{found}");
        let request = master.get(&format!("buildrequests/{id}")).await?["buildrequests"][0].clone();
        assert_eq!((&request["complete"], &request["results"]), (&json!(true), &json!(results)));
    }
    assert!(master.step_log(3, "0", "err_text").await?.contains("cannot say"));
    let properties = master.get("builds/1/properties").await?;
    assert_eq!(properties["properties"][0]["reason"][0], "unwanted");
    Ok(())
}
