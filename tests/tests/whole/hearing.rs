//! Functions that hear events: `master.mq.subscribe` (lua-api § 2, § 5).

use anyhow::Result;
use lunabot_tests::{Master, documented, lunabot_binary, running};
use serde_json::{Value, json};

/// The changes' comments, sorted.
fn comments(answer: &Value) -> Vec<&str> {
    let all = answer["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<&str> = all.iter().filter_map(|change| change["comments"].as_str()).collect();
    all.sort_unstable();
    all
}

async fn reconfig(master: &Master) -> Result<()> {
    let output =
        tokio::process::Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output().await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn a_function_hears_of_builds_until_its_configuration_is_gone() -> Result<()> {
    let step = "f:addStep(steps.ShellCommand{command = {\"true\"}})";
    let config = documented("helpers.md", "Hearing what happens", step)?;
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    master.finished_build(1).await?;
    master.until("changes", |answer| comments(answer) == ["build 1 of builder 1 went well"]).await?;
    // The new generation hears; the old one does so no more.
    master.rewrite_config(&config.replace("went well", "went on"))?;
    reconfig(&master).await?;
    master.force("runtests").await?;
    master.finished_build(2).await?;
    let both = ["build 1 of builder 1 went well", "build 2 of builder 1 went on"];
    master.until("changes", |answer| comments(answer) == both).await?;
    Ok(())
}

#[tokio::test]
async fn subscriptions_stop_mistakes_are_told_and_errors_end_one_call() -> Result<()> {
    let block = r#"
f:addStep(steps.BuildStep:extend("Hear", {name = "hear", run = function(self)
  local mq, heard, state = lunabot.master.mq, {}, lunabot.master.state
  for wrong, told in pairs{["build/*/finished"] = "did you mean builds/*/finished?", zzz = "nothing is announced as zzz"} do
    local ok, why = pcall(mq.subscribe, wrong, print)
    assert(not ok and tostring(why):find(told, 1, true), tostring(why))
  end
  local ok, why = pcall(mq.subscribe, "builds/*/finished")
  assert(not ok and tostring(why):find("takes a topic and a function", 1, true), tostring(why))
  ok, why = pcall(mq.subscribe, mq, "builds/*/finished", print)
  assert(not ok and tostring(why):find("a dot, not a colon", 1, true), tostring(why))
  local all = mq.subscribe({"changes", util.null, "new"}, function(key, change)
    heard[#heard + 1] = key[1] .. " " .. change.comments .. " " .. change.properties.color
    if change.comments == "bad" then error("oh no") end
  end)
  local once
  once = mq.subscribe("changes/*/new", function(_, change)
    once:stop()
    once:stop()
    heard[#heard + 1] = "once " .. change.comments
  end)
  for _, comments in ipairs{"bad", "good"} do
    lunabot.master.data.updates.addChange{author = "a", comments = comments, properties = {color = "red"}}
  end
  while #heard < 3 do util.sleep(0.01) end
  all:stop()
  lunabot.master.data.updates.addChange{author = "a", comments = "unheard"}
  local last
  local seen = mq.subscribe("changes/*/new", function(_, change) last = change.comments end)
  lunabot.master.data.updates.addChange{author = "a", comments = "the end"}
  while last ~= "the end" do util.sleep(0.01) end
  seen:stop()
  table.sort(heard)
  assert(table.concat(heard, ", ") == "changes bad red, changes good red, once bad", table.concat(heard, ", "))
  return util.SUCCESS
end}){})
"#;
    let master = Master::start(&running(block)).await?;
    master.force("runtests").await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 0, "{}", master.step_log(1, "hear", "err_text").await.unwrap_or_default());
    let errors = master.get("script_errors").await?;
    let error = &errors["script_errors"][0];
    assert_eq!(
        (&error["callback"], &error["concerns"]),
        (&json!("mq.subscribe"), &json!("changes/*/new")),
        "{errors}"
    );
    assert!(error["message"].as_str().is_some_and(|text| text.contains("oh no")), "{errors}");
    Ok(())
}

/// Threads of interpreters.
fn interpreters(master: &Master) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", master.pid()))? {
        // One that ends meanwhile is none.
        let name = std::fs::read_to_string(thread?.path().join("comm")).unwrap_or_default();
        all.extend(name.starts_with("lua-").then(|| name.trim().to_owned()));
    }
    Ok(all)
}

#[tokio::test]
async fn a_configuration_that_nothing_needs_any_more_is_gone() -> Result<()> {
    let block = r#"
f:addStep(steps.ShellCommand{command = {"true"}, doStepIf = function() return true end})
c.schedulers[2] = schedulers.SingleBranchScheduler{name = "all", change_filter = util.ChangeFilter{filter_fn = function() return true end}, builderNames = {"runtests"}}
c.builders[1] = c.builders[1]:with{canStartBuild = function() return lunabot.master.now() > 0 end}
c.change_source = { changes.ChangeSource:extend("Hears", {activate = function(self)
  self.master.mq.subscribe("builds/*/finished", function() end)
end}){name = "hears"} }
"#;
    let config = running(block);
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    master.finished_build(1).await?;
    for number in 2..5 {
        master.rewrite_config(&format!("{config}-- {number}\n"))?;
        reconfig(&master).await?;
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while interpreters(&master)? != [format!("lua-{number}")] {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        });
        anyhow::ensure!(waited.await.is_ok(), "{:?} after generation {number}", interpreters(&master)?);
    }
    Ok(())
}
