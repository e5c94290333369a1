//! What waits, and what functions of the configuration decide about it.

use anyhow::Result;
use lunabot_tests::{Master, lunabot_binary};
use serde_json::{Value, json};

/// One builder whose requests wait until the file `go` is there, and what else the configuration says.
fn waiting(extra: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{}}
c.workers = {{ worker.LocalWorker{{"local"}} }}
local f = util.BuildFactory{{steps.ShellCommand{{command = {{"true"}}}}}}
local b = {{
  name = "b", workernames = {{"local"}}, factory = f,
  canStartBuild = function() return io.open(lunabot.basedir .. "/go") ~= nil end,
}}
c.builders = {{ b }}
c.schedulers = {{
  schedulers.ForceScheduler{{name = "force", builderNames = {{"b"}}, properties = {{
    util.StringParameter{{name = "pr"}},
  }}}},
}}
c.www = {{ port = 0 }}
{extra}
return c
"#
    )
}

async fn force(master: &Master, pr: &str) -> Result<Value> {
    let answer = master.control("forceschedulers/force", "force", json!({"pr": pr})).await?;
    Ok(answer[1]["1"].clone())
}

async fn results(master: &Master) -> Result<Vec<Value>> {
    let all = master.get("buildrequests?order=buildrequestid").await?;
    Ok(all["buildrequests"].as_array().into_iter().flatten().map(|row| row["results"].clone()).collect())
}

#[tokio::test]
async fn a_function_collapses_and_sets_properties_that_the_build_has() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.collapseRequests = function(_, builder, new, old)
  assert(builder.name == "b" and new.id > old.id)
  if new.properties.pr ~= old.properties.pr then return false end
  return true, {set_properties = {older = old.properties.older and {old.id, old.properties.older} or {old.id}}}
end"#,
    ))
    .await?;
    for pr in ["1", "2", "1", "1"] {
        force(&master, pr).await?;
    }
    assert_eq!(results(&master).await?, [3, -1, 3, -1]);
    std::fs::write(master.dir().join("go"), "")?;
    force(&master, "3").await?;
    master.until("builds?complete=true", |a| a["builds"].as_array().is_some_and(|b| b.len() == 3)).await?;
    let builds = master.get("builds?property=older&order=buildrequestid").await?;
    let older: Vec<&Value> =
        builds["builds"].as_array().into_iter().flatten().map(|b| &b["properties"]).collect();
    assert_eq!(older, [&json!({}), &json!({"older": [[3, [1]], "collapseRequests"]}), &json!({})]);
    Ok(())
}

#[tokio::test]
async fn row_07_003_a_function_is_asked_about_each_older_request() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.collapseRequests = function(_, builder, new, old)
  util.append_file(lunabot.basedir .. "/asked", ("%s %d %d\n"):format(builder.name, new.id, old.id))
  return new.properties.pr == "take" and old.id == 2
end"#,
    ))
    .await?;
    for pr in ["", "", "", "take", ""] {
        force(&master, pr).await?;
    }
    assert_eq!(results(&master).await?, [-1, 3, -1, -1, -1]);
    let asked = std::fs::read_to_string(master.dir().join("asked"))?;
    let pairs: Vec<&str> = asked.lines().map(|line| line.strip_prefix("b ").unwrap_or(line)).collect();
    assert_eq!(pairs, ["2 1", "3 1", "3 2", "4 1", "4 2", "4 3", "5 1", "5 3", "5 4"], "oldest first");
    Ok(())
}

/// The functions of the reference's chapter, in Lua.
#[tokio::test]
async fn row_07_005_functions_see_requests_buildsets_and_the_default_rule() -> Result<()> {
    let sets = r#"local one, two = master.data.get({"buildsets", req1.buildsetid}), master.data.get("buildsets/" .. req2.buildsetid)"#;
    let branches = format!(
        r#"{sets}
  if #one.sourcestamps ~= #two.sourcestamps then return false end
  for i, stamp in ipairs(one.sourcestamps) do
    if stamp.branch ~= two.sourcestamps[i].branch then return false end
  end
  return true"#
    );
    let reasons =
        "return util.BuildRequest.canBeCollapsed(master, req1, req2) and req1.reason == req2.reason";
    let parents = format!("{sets}\n  return one.parent_buildid ~= nil and two.parent_buildid ~= nil");
    for (rule, wanted) in
        [(branches.as_str(), [3, 3, -1, -1]), (reasons, [3, -1, -1, -1]), (&parents, [-1, -1, -1, -1])]
    {
        let text = format!("c.collapseRequests = function(master, builder, req1, req2)\n  {rule}\nend");
        let master = Master::start(&waiting(&text)).await?;
        for (branch, reason) in [("main", "a"), ("main", "a"), ("main", "b"), ("dev", "a")] {
            let fields = json!({"branch": branch, "reason": reason});
            master.control("forceschedulers/force", "force", fields).await?;
        }
        let told = master.get("script_errors").await?;
        assert_eq!(told["script_errors"], json!([]));
        assert_eq!(results(&master).await?, wanted, "{rule}");
    }
    Ok(())
}

#[tokio::test]
async fn row_07_012_functions_see_what_builders_do() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.collapseRequests = false
c.workers = { worker.LocalWorker{"local", max_builds = 1}, worker.LocalWorker{"other"} }
b.workernames, b.canStartBuild = {"local", "other"}, nil
f = util.BuildFactory{steps.ShellCommand{command = "until test -e " .. lunabot.basedir .. "/go; do sleep 0.05; done"}}
b.factory = f
c.prioritizeBuilders = function(master, builders)
  for _, each in ipairs(builders) do
    local oldest, newest = each:getOldestRequestTime(), each:getNewestCompleteTime()
    util.append_file(lunabot.basedir .. "/seen", ("%s builds %d, waits %s, built %s, priority %s\n"):format(
      each.name, #each.building + #each.old_building, oldest == math.huge and "never" or math.type(oldest),
      newest == -math.huge and "never" or math.type(newest), tostring(each:getHighestPriority())))
  end
  local function building(each) return #each.building + #each.old_building > 0 and 1 or 0 end
  return util.sort_by(builders, function(each)
    return {building(each), each:getNewestCompleteTime(), each:getOldestRequestTime()}
  end)
end"#,
    ))
    .await?;
    master.control("forceschedulers/force", "force", json!({"pr": "", "priority": 5})).await?;
    master.until("builds", |all| all["builds"][0].is_object()).await?;
    force(&master, "").await?;
    master.until("builds", |all| all["builds"][1].is_object()).await?;
    std::fs::write(master.dir().join("go"), "")?;
    for build in [1, 2] {
        master.finished_build(build).await?;
    }
    force(&master, "").await?;
    master.finished_build(3).await?;
    let seen = std::fs::read_to_string(master.dir().join("seen"))?;
    for line in [
        "b builds 0, waits integer, built never, priority 5",
        "b builds 1, waits integer, built never, priority 0",
        "b builds 0, waits integer, built integer, priority 0",
    ] {
        assert!(seen.lines().any(|found| found == line), "{line} is not in {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn row_07_015_next_build_sees_all_of_a_request() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.www.change_hook_dialects = { base = true }
c.schedulers[2] = schedulers.AnyBranchScheduler{name = "any", builderNames = {"b"}, properties = {p = 1}, priority = 3}
b.canStartBuild = nil
b.nextBuild = function(builder, requests)
  local r = requests[1]
  util.write_file(lunabot.basedir .. "/seen", util.to_json{
    r.id, r.bsid, builder.name, r.buildername, r.builderid, r.priority, r.submittedAt == r.submitted_at, r.waitedFor,
    r.waited_for, r.reason, r.properties.p, r.properties:getPropertySource("p"), r.source.branch,
    r.sources[""].revision, r.sources[""].repository, r.sources[""].project, r.sources[""].changes[1].who,
    r.changes[1].comments, r.buildset.bsid, r.sources[""].patch == nil,
  })
  return r
end"#,
    ))
    .await?;
    let fields = [
        ("author", "joe"),
        ("comments", "why"),
        ("branch", "main"),
        ("revision", "r1"),
        ("repository", "repo"),
        ("project", "proj"),
    ];
    assert_eq!(master.change_hook(&fields).await?, 202);
    assert_eq!(master.finished_build(1).await?["results"], 0);
    let seen: Value = serde_json::from_str(&std::fs::read_to_string(master.dir().join("seen"))?)?;
    let reason = "The AnyBranchScheduler scheduler named 'any' triggered this build";
    let expected = json!([
        1,
        1,
        "b",
        "b",
        1,
        3,
        true,
        false,
        false,
        reason,
        1,
        "Scheduler",
        "main",
        "r1",
        "repo",
        "proj",
        "joe",
        "why",
        1,
        true
    ]);
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn keys_collapse_also_what_waited_before_a_reload() -> Result<()> {
    let master = Master::start(&waiting("c.collapseRequests = false")).await?;
    for pr in ["1", "", "1", "2", "", "2", "2"] {
        force(&master, pr).await?;
    }
    assert_eq!(results(&master).await?, [-1; 7]);
    let by = r#"c.collapseRequests = util.collapse_by(function(req)
  if req.properties.pr ~= "" then return {req.builderid, req.properties.pr} end
end)"#;
    master.rewrite_config(&waiting(by))?;
    master.signal(nix::sys::signal::Signal::SIGHUP)?;
    master.log_line(|line| line.contains("configuration update complete")).await?;
    force(&master, "2").await?;
    assert_eq!(results(&master).await?, [-1, -1, -1, 3, -1, 3, 3, -1]);
    Ok(())
}

#[tokio::test]
async fn row_07_018_a_function_may_use_an_idle_worker() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.workers[2] = worker.LocalWorker{"other"}
c.builders[2] = { name = "a", workernames = {"local"}, factory = f, tags = {"t"} }
c.schedulers[2] = schedulers.ForceScheduler{name = "more", builderNames = {"a"}}
b.canStartBuild = function(builder, wfb, req)
  local w = wfb.worker
  local rc, stdout, stderr = w:shell{command = {"sh", {"-c"}, false, "mkdir -p sub; echo content > sub/file; echo out; echo err >&2; exit 3"}}
  assert(rc == 3 and stdout:find("out") and stderr:find("err"))
  local stat = w:stat{file = "sub/file"}
  assert(stat.is_file and not stat.is_dir and stat.size == 8 and w:stat{file = "nothing"} == nil)
  assert(w:listdir{dir = "sub"}[1] == "file")
  assert(w:glob{path = "sub/*"}[1]:find("sub/file$"))
  local given = util.RemoteCommand{"shell", {command = {"sh", "-c", "echo hello; exit 5"}}, collectStdout = true,
                                   decodeRC = {[5] = util.WARNINGS}, ignore_updates = {"elapsed"}}
  for _, early in ipairs{function() return given.rc end, function() return given:didFail() end} do
    local ok, why = pcall(early)
    assert(not ok and why:find("has not run yet") and not why:find("remote_command"), why)
  end
  local cmd = w:run(given)
  for _, both in ipairs{cmd, given} do
    assert(both.rc == 5 and both:results() == util.WARNINGS and both:didFail() == false and both.stdout:find("hello"))
    assert(both.updates.rc[1] == 5 and both.updates.elapsed == nil)
  end
  assert(cmd.rc == 5 and cmd.stdout:find("hello") and cmd.stderr == nil)
  assert(cmd:results() == util.WARNINGS and cmd:didFail() == false and cmd.updates.rc[1] == 5)
  local listed = w:run(util.RemoteCommand{"stat", {file = "sub"}})
  assert(#listed.updates.stat[1] == 10 and listed:results() == util.SUCCESS)
  local gone = w:run(util.RemoteCommand{"stat", {file = "nothing"}})
  assert(gone:didFail() and gone.updates.stat == nil)
  local ok, err = pcall(function() return w:run(util.RemoteCommand{"frobnicate"}) end)
  assert(not ok and err:find("has no command frobnicate"), err)
  ok, err = pcall(function() return util.RemoteCommand{"stat", {}, colectStdout = true} end)
  assert(not ok and err:find("did you mean collectStdout"), err)
  local all = w:workerforbuilders()
  assert(#all == 2 and all[1].builder.name == "a" and all[1].builder.tags[1] == "t" and all[2].builder_name == "b")
  assert(not all[1]:isBusy() and not all[2]:isBusy() and #w.builds == 0 and not w:isBusy())
  assert(w.quarantine_timeout == 10 and w.paused == false)
  return true
end"#,
    ))
    .await?;
    force(&master, "").await?;
    let build = master.finished_build(1).await?;
    let told = master.get("script_errors").await?;
    assert_eq!((&build["results"], &told["script_errors"]), (&json!(0), &json!([])));
    Ok(())
}

#[tokio::test]
async fn row_07_019_row_03_043_a_build_runs_on_the_worker_that_was_chosen() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.workers = { worker.LocalWorker{"w1"}, worker.LocalWorker{"w2"}, worker.LocalWorker{"w3"} }
b.workernames, b.canStartBuild = {"w3", "w2", "w1"}, util.enforceChosenWorker
c.select_next_worker = function(_, wfbs) return util.sort_by(wfbs, function(wfb) return wfb.worker.name end)[1] end
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"b"},
                                           properties = { util.WorkerChoiceParameter{} }} }"#,
    ))
    .await?;
    let fields = master.get("forceschedulers/force").await?;
    let all = fields["forceschedulers"][0]["all_fields"].as_array().into_iter().flatten();
    let choices: Vec<&Value> = all.filter(|f| f["name"] == "workername").map(|f| &f["choices"]).collect();
    assert_eq!(choices, [&json!(["-any-", "w1", "w2", "w3"])]);
    for (id, (chosen, ran)) in (1..).zip([("w2", "w2"), ("-any-", "w1"), ("w3", "w3")]) {
        master.control("forceschedulers/force", "force", json!({"workername": chosen})).await?;
        master.finished_build(id).await?;
        let properties = master.get(&format!("builds/{id}/properties")).await?;
        assert_eq!(properties["properties"][0]["workername"][0], ran, "{chosen}");
    }
    Ok(())
}

#[tokio::test]
async fn row_03_025_a_newer_commit_cancels_what_waits_for_its_branch() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.collapseRequests = false
c.www.change_hook_dialects = { base = true }
c.schedulers[2] = schedulers.AnyBranchScheduler{name = "any", builderNames = {"b"}}
c.services = {
  util.OldBuildCanceller{"old", {{{"b"}, util.SourceStampFilter{branch_not_eq = "release"}}}},
  util.FailingBuildsetCanceller{"failing", {{"b", util.null, util.SourceStampFilter{}}}},
}"#,
    ))
    .await?;
    for (revision, branch) in [("1", "main"), ("2", "release"), ("3", "release"), ("4", "main")] {
        let fields = [("author", "joe"), ("comments", "x"), ("revision", revision), ("branch", branch)];
        assert_eq!(master.change_hook(&fields).await?, 202);
    }
    let want = [json!(6), json!(-1), json!(-1), json!(-1)];
    let all = |answer: &Value| {
        let rows = answer["buildrequests"].as_array().into_iter().flatten();
        rows.map(|row| row["results"].clone()).collect::<Vec<_>>()
    };
    master.until("buildrequests?order=buildrequestid", |answer| all(answer) == want).await?;
    let why = master.get("buildrequests?property=cancel_reason&order=buildrequestid&limit=1").await?;
    let text = why["buildrequests"][0]["properties"]["cancel_reason"][0].to_string();
    assert!(text.contains("newer commit"), "{text}");
    Ok(())
}

#[tokio::test]
async fn requests_do_not_wait_for_ever() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
b.ignoreOfflineWorkersTimeout = "1h"
b.canStartBuild = function() return false end
c.lua = {callback_timeout = 5}
c.collapseRequests = function(master, builder, new, old)
  if new.properties.pr == "add" then
    master.data.updates.addBuildset{builderids = {builder.builderid}, requestTimeout = 1}
  end
  return false
end"#,
    ))
    .await?;
    force(&master, "1").await?;
    force(&master, "add").await?;
    master.log_line(|line| line.contains("requestTimeout")).await?;
    let all = results(&master).await?;
    assert_eq!(all.iter().filter(|results| **results == 6).count(), 1, "{all:?}");
    Ok(())
}

#[tokio::test]
async fn requests_of_a_scheduler_expire_as_it_says() -> Result<()> {
    let master = Master::start(&waiting(
        r#"
c.schedulers[2] = schedulers.AnyBranchScheduler{name = "any", builderNames = {"b"}, requestTimeout = 1}
c.www.change_hook_dialects = { base = true }"#,
    ))
    .await?;
    assert_eq!(master.change_hook(&[("author", "a"), ("comments", "c"), ("branch", "main")]).await?, 202);
    let answer = master.until("buildrequests", |all| all["buildrequests"][0]["results"] == 6).await?;
    assert_eq!(answer["meta"]["total"], 1);
    Ok(())
}

#[tokio::test]
async fn what_functions_cost_is_told() -> Result<()> {
    let extra = r#"
b.nextBuild = function(_, requests)
  if #requests > 1 then error("two at once") end
  return requests[1]
end"#;
    let master = Master::start(&waiting(extra)).await?;
    std::fs::write(master.dir().join("go"), "")?;
    for build in [1, 2] {
        force(&master, "1").await?;
        master.finished_build(build).await?;
    }
    let told = master.get("callbacks?callback=canStartBuild").await?;
    let row = &told["callbacks"][0];
    assert_eq!(
        (&row["concerns"], &row["calls"], &row["errors"]),
        (&json!("builder b"), &json!(2), &json!(0))
    );
    assert!(row["total"].as_f64() >= row["busy"].as_f64() && row["slowest"].as_f64() >= row["p99"].as_f64());
    let profile = |args: &'static [&'static str]| {
        let mut command = tokio::process::Command::new(lunabot_binary());
        command.arg("profile").args(args).arg(master.dir()).output()
    };
    let table = String::from_utf8(profile(&["--sort", "calls"]).await?.stdout)?;
    assert!(table.contains("canStartBuild at master.lua:9") && table.contains("builder b"), "{table}");
    let all: Value = serde_json::from_slice(&profile(&["--json"]).await?.stdout)?;
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    let (_, page) = master.text("/health").await?;
    assert!(page.contains("What functions cost") && page.contains("master.lua:9"), "{page}");
    Ok(())
}
