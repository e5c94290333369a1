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
