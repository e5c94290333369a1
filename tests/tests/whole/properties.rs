//! Where properties come from, and what renders them outside of builds (04.006, 04.008, 04.040).

use anyhow::{Context, Result};
use lunabot_tests::{Master, Repo};
use serde_json::{Value, json};

const HEAD: &str = r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { workers = {}, builders = {}, schedulers = {}, www = { port = 0, change_hook_dialects = { base = true } } }
"#;

/// Value and source of each property.
async fn properties(master: &Master, build: i64) -> Result<Value> {
    Ok(master.get(&format!("builds/{build}/properties")).await?["properties"][0].clone())
}

#[tokio::test]
async fn row_04_006_each_property_says_where_it_comes_from() -> Result<()> {
    let config = format!(
        r#"{HEAD}
c.properties = {{ global = 1 }}
c.workers = {{ worker.LocalWorker{{"w", properties = {{ of_worker = 1 }}, defaultProperties = {{ of_worker_by_default = 1 }}}} }}
local f = util.BuildFactory{{
  steps.SetProperty{{name = "setter", property = "set", value = "x", doStepIf = function(step)
    step:setProperty("told", 1, "here")
    step:setProperty("untold", 1)
    return true
  end}},
  steps.SetPropertyFromCommand{{property = "read", command = {{"echo", "x"}}}},
  steps.SetPropertiesFromEnv{{variables = {{"PATH"}}}},
  steps.TreeSize{{}},
  steps.Trigger{{schedulerNames = {{"child"}}, waitForFinish = true, set_properties = {{ from_trigger = 1 }}}},
}}
c.builders = {{
  util.BuilderConfig{{name = "b", workernames = {{"w"}}, factory = f, properties = {{ of_builder = 1 }},
                     defaultProperties = {{ by_default = 1 }}}},
  util.BuilderConfig{{name = "c", workernames = {{"w"}}, factory = util.BuildFactory{{}}}},
}}
c.schedulers = {{
  schedulers.AnyBranchScheduler{{name = "any", builderNames = {{"b"}}, properties = {{ of_scheduler = 1 }}}},
  schedulers.Triggerable{{name = "child", builderNames = {{"c"}}}},
  schedulers.ForceScheduler{{name = "force", builderNames = {{"c"}}, properties = {{util.IntParameter{{name = "forced", default = 1}}}}}},
}}
return c
"#
    );
    let master = Master::start(&config).await?;
    let fields =
        [("author", "ann"), ("comments", "c"), ("branch", "main"), ("properties", r#"{"of_change": 1}"#)];
    assert_eq!(master.change_hook(&fields).await?, 202);
    master.force("c").await?;
    let builds = master
        .until("builds?complete=true", |all| all["builds"].as_array().is_some_and(|all| all.len() == 3))
        .await?;
    let mut all = serde_json::Map::new();
    for build in builds["builds"].as_array().context("builds")? {
        assert_eq!(build["results"], 0, "{build}");
        let found = properties(&master, build["buildid"].as_i64().context("id")?).await?;
        all.extend(found.as_object().context("properties")?.clone());
    }
    for (name, source) in [
        ("global", "master.lua"),
        ("of_change", "Change"),
        ("of_scheduler", "Scheduler"),
        ("scheduler", "Scheduler"),
        ("forced", "Force Build Form"),
        ("reason", "Force Build Form"),
        ("from_trigger", "Trigger"),
        ("of_builder", "Builder"),
        ("by_default", "Builder"),
        ("buildername", "Builder"),
        ("of_worker", "Worker"),
        ("of_worker_by_default", "Worker"),
        ("builddir", "Worker"),
        ("buildnumber", "Build"),
        ("owners", "Build"),
        ("set", "setter"),
        ("read", "SetPropertyFromCommand Step"),
        ("PATH", "WorkerEnvironment"),
        ("tree-size-KiB", "treesize"),
        ("told", "here"),
        ("untold", "Unknown"),
    ] {
        assert_eq!(all.get(name).map(|property| &property[1]), Some(&json!(source)), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn row_04_008_steps_set_properties_of_known_names() -> Result<()> {
    let repo = Repo::new()?;
    repo.git(&["tag", "-a", "v1", "-m", "one"])?;
    let base = repo.git(&["rev-parse", "HEAD"])?.trim().to_string();
    let tip = repo.commit("hello.txt", "hello\nagain\n", "second")?;
    let config = format!(
        r#"{HEAD}
c.workers = {{ worker.LocalWorker{{"w"}} }}
c.builders = {{ util.BuilderConfig{{name = "b", workernames = {{"w"}}, factory = util.BuildFactory{{
  steps.Git{{repourl = "{url}", mode = "full", method = "clobber", getDescription = true}},
  steps.GitDiffInfo{{compareToRef = "{base}"}},
  steps.Compile{{command = "echo 'a.c:1: warning: one'; echo 'b.c:2: warning: two'", haltOnFailure = false}},
  steps.TreeSize{{}},
}}}} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"b"}}}} }}
return c
"#,
        url = repo.url()
    );
    let master = Master::start(&config).await?;
    let fields = json!({"builderNames": ["b"], "reason": "why not", "username": "Ann <ann@x.y>"});
    master.control("forceschedulers/force", "force", fields).await?;
    assert_eq!(master.finished_build(1).await?["results"], 0, "{}", master.log());
    let found = properties(&master, 1).await?;
    let described = found["commit-description"][0].as_str().context("commit-description")?;
    assert_eq!(described, format!("v1-1-g{}", &tip[..described.len() - "v1-1-g".len()]));
    assert!(found["tree-size-KiB"][0].as_i64() > Some(0), "{found}");
    for (name, value) in [
        ("got_revision", json!([tip, "Git"])),
        ("diffinfo-merge-base-commit", json!([base, "GitDiffInfo"])),
        ("warnings-count", json!([2, "WarningCountingShellCommand"])),
        ("reason", json!(["why not", "Force Build Form"])),
        ("owner", json!(["Ann <ann@x.y>", "Force Build Form"])),
        ("owners", json!([["Ann <ann@x.y>"], "Build"])),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    Ok(())
}

/// A scheduler renders against what it is about to build; passwords know secrets.
#[tokio::test]
async fn row_04_040_renderables_outside_of_builds() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let secret = dir.path().join("hook");
    std::fs::write(&secret, "s3cret")?;
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let config = format!(
        r#"{HEAD}
c.secretsProviders = {{ lunabot.secrets.SecretInAFile{{"{secrets}"}} }}
c.www.change_hook_auth = {{ util.UserPasswordAuth{{ joe = util.Secret "hook" }} }}
c.workers = {{ worker.LocalWorker{{"w"}} }}
for _, name in ipairs{{"main", "other"}} do
  c.builders[#c.builders + 1] = util.BuilderConfig{{name = name, workernames = {{"w"}}, factory = util.BuildFactory{{}}}}
end
c.schedulers = {{ schedulers.AnyBranchScheduler{{
  name = "any",
  builderNames = util.renderer(function(p) return {{p.sourcestamps[1].branch}} end),
  priority = function(names, changes) return #names * 10 + #changes[""] end,
  properties = {{
    where = util.Interpolate "%(src::branch)s of %(prop:kind:-none)s",
    who = util.renderer(function(p) return p.changes[1].who end),
    both = {{util.Property "kind", {{deep = util.Property "missing"}}}},
  }},
}} }}
return c
"#,
        secrets = dir.path().display()
    );
    let master = Master::start(&config).await?;
    assert_eq!(master.change_hook(&[("author", "ann"), ("branch", "main")]).await?, 401);
    let http = lunabot_net::http::builder().build()?;
    let hook = http.post(format!("{}/change_hook/base", master.base())).basic_auth("joe", Some("s3cret"));
    let form = "author=ann&branch=main&comments=c&properties=%7B%22kind%22%3A%22k%22%7D";
    let hook = hook.header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(hook.send().await?.status(), 202);
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 0);
    let request = master.get("buildrequests/1").await?["buildrequests"][0].clone();
    assert_eq!(request["priority"], 11);
    let found = properties(&master, 1).await?;
    for (name, value) in [
        ("buildername", json!("main")),
        ("where", json!("main of k")),
        ("who", json!("ann")),
        ("both", json!(["k", {"deep": null}])),
    ] {
        assert_eq!(found[name][0], value, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn rows_06_001_04_027_numbers_are_words_of_commands() -> Result<()> {
    let config = format!(
        r#"{HEAD}
c.workers = {{ worker.LocalWorker{{"w"}} }}
local echo = {{"echo", util.Property("buildnumber"), 5, 1.5, 2.0, {{util.Property("cpus"), util.Property("jobs")}}, true, false}}
local f = util.BuildFactory{{
  steps.ShellCommand{{name = "shell", command = echo}},
  steps.MasterShellCommand{{name = "here", command = echo}},
  steps.SetPropertyFromCommand{{name = "set", property = "read", command = echo}},
  steps.ShellSequence{{name = "sequence", commands = {{util.ShellArg{{command = echo}}}}}},
  steps.ShellMixin:extend("Own", {{name = "own", run = function(self)
    local cmd = self:makeRemoteShellCommand{{command = {{"echo", 1, 2.5}}, collectStdout = true}}
    self:runCommand(cmd)
    assert(cmd.stdout == "1 2.5\n", cmd.stdout)
    return cmd:results()
  end}}){{}},
  steps.ShellCommand{{name = "nil", command = {{"echo", util.Property("nope")}}}},
}}
c.builders = {{ util.BuilderConfig{{name = "b", workernames = {{"w"}}, factory = f, properties = {{cpus = 4, jobs = {{7, 0.5}}}}}} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"b"}}}} }}
return c
"#
    );
    let master = Master::start(&config).await?;
    master.force("b").await?;
    let build = master.finished_build(1).await?;
    let told = master.step_log(1, "nil", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 4, "{told}");
    assert!(told.contains("a word of the command is nil"), "{told}");
    for (step, log) in [("shell", "stdio"), ("here", "stdio"), ("sequence", "stdio")] {
        let text = master.step_log(1, step, log).await?;
        assert!(text.contains("1 5 1.5 2.0 4 7 0.5 True"), "{step}: {text}");
    }
    assert_eq!(properties(&master, 1).await?["read"][0], "1 5 1.5 2.0 4 7 0.5 True");
    assert_eq!(master.get("builds/1/steps/own").await?["steps"][0]["results"], 0);
    Ok(())
}
