//! What steps of classes of the configuration lend from others: a checkout's program, steps for their parts (lua-api § 3).

use super::own_steps::{built, steps};
use anyhow::Result;
use lunabot_tests::{Repo, documented, running};
use serde_json::{Value, json};

#[tokio::test]
async fn a_source_step_asks_its_program_and_tells_what_it_found() -> Result<()> {
    let repo = Repo::new()?;
    repo.commit("more.txt", "more\n", "second")?;
    let config = documented("customization/steps.md", "What a checkout finds out", "")?;
    let (master, build) = built(&config.replace("https://example.org/hello.git", &repo.url())).await?;
    assert_eq!(build["results"], 0, "{build}");
    assert_eq!(steps(&master, 1).await?[0], ("git".into(), 0, "updated, not released".into()));
    let told = master.get("builds/1/properties").await?["properties"][0].clone();
    assert_eq!(told["commit-count"], json!(["2", "Described"]));

    let block = format!(
        r#"
f:addStep(steps.Git:extend("Ask", {{run = function(self)
  assert(steps.Git.run(self) == util.SUCCESS)
  self:updateSourceProperty("tag", "v1", "tests")
  assert(self:vccmd{{"hash-object", "--stdin"}} == 0)
  local hash = self:vccmd({{"hash-object", {{"--stdin"}}, false}}, {{collectStdout = true, initialStdin = "x\n"}})
  self:setProperty("hash", util.strip(hash), "Ask")
  for _, wrong in ipairs{{5, {{{{}}, 5}}}} do
    local ok, why = pcall(self.vccmd, self, wrong)
    assert(not ok and tostring(why):find("args: expected a list of texts", 1, true), tostring(why))
  end
  self:vccmd{{"frobnicate"}}
end}}){{repourl = "{url}", codebase = "", name = "ask", flunkOnFailure = false, haltOnFailure = false}})
f:addStep(steps.BuildStep:extend("None", {{run = function(self)
  local ok, why = pcall(self.vccmd, self, {{"x"}})
  return not ok and tostring(why):find("this is no source step", 1, true) and util.SUCCESS or util.FAILURE
end}}){{name = "none"}})
"#,
        url = repo.url()
    );
    let (master, build) = built(&running(&block)).await?;
    let log = master.step_log(1, "ask", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 0, "{build} {log}");
    assert_eq!(steps(&master, 1).await?[0].1, 2, "{log}");
    assert!(master.step_log(1, "ask", "stdio").await?.contains("frobnicate failed"));
    let told = master.get("builds/1/properties").await?["properties"][0].clone();
    assert_eq!(told["tag"], json!(["v1", "tests"]));
    assert_eq!(told["hash"][0], "587be6b4c3f93f93c489c0111bba5596147a26cb");
    Ok(())
}

#[tokio::test]
async fn parts_of_a_step_are_steps() -> Result<()> {
    let config = documented("customization/steps.md", "Parts that are shown as steps", "")?;
    let (master, build) = built(&config).await?;
    assert_eq!(build["results"], 2, "{build}");
    let told = steps(&master, 1).await?;
    let told: Vec<_> =
        told.iter().map(|(name, results, text)| (name.as_str(), *results, text.as_str())).collect();
    assert_eq!(
        told,
        [("matrix", 2, "finished (failure)"), ("lua 5.1", 2, "tested (failure)"), ("lua 5.4", 0, "tested")]
    );
    let part = master.get("builds/1/steps?order=number").await?["steps"][2].clone();
    assert_eq!(part["urls"], json!([{"name": "manual", "url": "https://www.lua.org/manual/5.1"}]));
    let logs = master.get(&format!("steps/{}/logs", part["stepid"])).await?;
    assert_eq!((&logs["logs"][0]["slug"], &logs["logs"][0]["complete"]), (&json!("stdio"), &json!(true)));
    let (_, text) = master.text(&format!("/api/v2/logs/{}/raw", logs["logs"][0]["logid"])).await?;
    assert!(text.contains("program finished with exit code 1"), "{text}");
    Ok(())
}

#[tokio::test]
async fn parts_that_are_left_end_with_their_step_and_faults_in_them_are_its_own() -> Result<()> {
    let block = r#"
local Bad = util.LogLineObserver:extend("Bad", {outLineReceived = function() error("bad line") end})
local Parts = steps.BuildStep:extend("Parts", {run = function(self)
  local left = self:startSubStep{name = "left", description = "going on"}
  left:addLog("notes"):addStdout("kept\n")
  local over = self:startSubStep{name = "left"}
  over:finish(util.SKIPPED)
  for i, wrong in ipairs{
    function() over:addURL("x", "y") end, function() over:finish(util.SUCCESS) end, function() left:finish(17) end,
    function() self:startSubStep{} end, function() self:startSubStep{name = ""} end,
    function() self:startSubStep{name = "x", frob = 1} end, function() left:runCommand() end,
  } do
    local ok, why = pcall(wrong)
    assert(not ok)
    self:addURL((tostring(why):gsub("^[^:]*:%d+: ", "")), "http://x/" .. i)
  end
  local broken = self:startSubStep{name = "broken"}
  broken:addLogObserver("stdio", Bad{})
  broken:addLog("stdio"):addStdout("x\n")
  local ok, why = pcall(broken.finish, broken, util.SUCCESS)
  assert(not ok and tostring(why):find("bad line", 1, true), tostring(why))
  return util.WARNINGS
end})
f:addStep(Parts{name = "parts"})
"#;
    let (master, build) = built(&running(block)).await?;
    let log = master.step_log(1, "parts", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 0, "{build} {log}");
    let told = steps(&master, 1).await?;
    let told: Vec<_> =
        told.iter().map(|(name, results, text)| (name.as_str(), *results, text.as_str())).collect();
    assert_eq!(
        told,
        [
            ("parts", 1, "finished (warnings)"),
            ("left", 1, "going on (warnings)"),
            ("left_1", 3, "finished (skipped)"),
            ("broken", 4, "finished (exception)"),
        ]
    );
    let row = master.get("builds/1/steps/parts").await?;
    let names: Vec<&str> = row["steps"][0]["urls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|url: &Value| url["name"].as_str())
        .collect();
    for (name, wanted) in names.iter().zip([
        "the step has ended",
        "the step has ended",
        "finish(result): result: 17 is no result; write util.SUCCESS and the like",
        "startSubStep(options): options",
        "startSubStep(options): name must not be empty",
        "startSubStep(options): options",
        "substep has no runCommand",
    ]) {
        assert!(name.starts_with(wanted), "{name} {wanted}");
    }
    assert_eq!(names.len(), 7, "{names:?}");
    Ok(())
}
