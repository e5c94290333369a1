//! Builds that start builds: Triggerable and the Trigger step (03.021, 06.045–06.050).

use anyhow::{Context, Result};
use lunabot_tests::Master;
use serde_json::{Value, json};

/// A builder `parent` with one Trigger step of these options, and what it may trigger: `good`, `bad` and `held`, which
/// builds until the file `open` is there.
fn config(gate: &std::path::Path, trigger: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{ worker.LocalWorker{{"local"}} }}, builders = {{}}, www = {{ port = 0 }} }}
c.buildbotURL = "http://ci.example.org/"
local function builder(name, step)
  c.builders[#c.builders + 1] = util.BuilderConfig{{name = name, workernames = {{"local"}}, factory = util.BuildFactory{{step}}}}
end
builder("good", steps.ShellCommand{{command = {{"true"}}}})
builder("bad", steps.ShellCommand{{command = {{"false"}}}})
builder("held", steps.ShellCommand{{command = "until test -e {gate}/open; do sleep 0.05; done"}})
c.builders[#c.builders + 1] = util.BuilderConfig{{name = "parent", workernames = {{"local"}}, factory = util.BuildFactory{{
  steps.SetProperty{{property = "got_revision", value = "r7"}},
  steps.SetProperty{{property = "flavour", value = "sweet"}},
  steps.Trigger{{{trigger}}},
}}}}
c.schedulers = {{
  schedulers.Triggerable{{name = "good", builderNames = {{"good"}}, properties = {{mine = "the scheduler's"}}}},
  schedulers.Triggerable{{name = "bad", builderNames = {{"bad"}}, reason = "badly needed", priority = 9}},
  schedulers.Triggerable{{name = "held", builderNames = {{"held"}}}},
  schedulers.Triggerable{{name = "both", builderNames = {{"good", "bad"}}}},
  schedulers.ForceScheduler{{name = "force", builderNames = {{"parent"}}}},
}}
return c
"#,
        gate = gate.display()
    )
}

async fn start(trigger: &str) -> Result<(Master, tempfile::TempDir)> {
    let gate = tempfile::tempdir()?;
    Ok((Master::start(&config(gate.path(), trigger)).await?, gate))
}

fn reconfig(master: &Master, config: &str) -> Result<()> {
    master.rewrite_config(config)?;
    let output = std::process::Command::new(lunabot_tests::lunabot_binary())
        .arg("reconfig")
        .arg(master.dir())
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The Trigger step of a build.
async fn step(master: &Master, build: i64) -> Result<Value> {
    let steps = master.get(&format!("builds/{build}/steps")).await?;
    let steps = steps["steps"].as_array().context("steps")?;
    Ok(steps.iter().find(|step| step["name"] == "trigger").context("the step")?.clone())
}

fn urls(step: &Value) -> Vec<String> {
    let urls = step["urls"].as_array().cloned().unwrap_or_default();
    urls.iter().map(|url| format!("{} {}", url["name"], url["url"]).replace('"', "")).collect()
}

#[tokio::test]
async fn rows_03_021_06_045_06_046_06_048_to_06_050_a_parent_waits_and_takes_the_worst_result() -> Result<()>
{
    let options = r#"schedulerNames = {"good", "bad"}, waitForFinish = true, copy_properties = {"flavour", "unset"},
        set_properties = {mine = "the step's", target = util.Interpolate "%(prop:flavour)s target"}"#;
    let (master, _gate) = start(options).await?;
    master
        .control("forceschedulers/force", "force", json!({"builderNames": ["parent"], "priority": 4}))
        .await?;
    let parent = master.finished_build(1).await?;
    assert_eq!(parent["results"], 2, "{parent}");
    let step = step(&master, 1).await?;
    assert_eq!(step["results"], 2);
    assert_eq!(step["state_string"], "triggered good, bad, 1 success, 1 failure");
    let urls = urls(&step);
    assert_eq!(
        urls[..2],
        ["good #2 http://ci.example.org/#/buildrequests/2", "bad #3 http://ci.example.org/#/buildrequests/3"]
    );
    assert!(
        urls.iter().any(|url| url.starts_with("success: good #1 http://ci.example.org/#/builders/")),
        "{urls:?}"
    );
    assert!(urls.iter().any(|url| url.starts_with("failure: bad #1 ")), "{urls:?}");

    let sets = master.get("buildsets?order=bsid").await?;
    let (good, bad) = (&sets["buildsets"][1], &sets["buildsets"][2]);
    assert_eq!(
        (&good["parent_buildid"], &good["parent_relationship"]),
        (&json!(1), &json!("Triggered from"))
    );
    assert_eq!(good["reason"], "The Triggerable scheduler named 'good' triggered this build");
    assert_eq!(bad["reason"], "badly needed");
    assert_eq!(good["sourcestamps"][0]["revision"], "r7", "what the parent has built (06.045)");
    let properties = master.get("buildsets/2/properties").await?;
    let properties = &properties["properties"][0];
    assert_eq!(properties["flavour"], json!(["sweet", "Trigger"]));
    assert_eq!(properties["target"], json!(["sweet target", "Trigger"]));
    assert_eq!(properties["mine"], json!(["the scheduler's", "Scheduler"]), "03.007");
    assert_eq!(properties["scheduler"], json!(["good", "Scheduler"]));
    assert!(properties.get("unset").is_none(), "{properties}");
    let requests = master.get("buildrequests?order=buildrequestid").await?;
    let priority = |index: usize| requests["buildrequests"][index]["priority"].as_i64();
    assert_eq!((priority(1), priority(2)), (Some(4), Some(9)), "06.049");
    assert_eq!(requests["buildrequests"][1]["waited_for"], true);
    Ok(())
}

#[tokio::test]
async fn row_06_046_without_waiting_and_with_unimportant_schedulers() -> Result<()> {
    let (master, gate) = start(r#"schedulerNames = {"held"}"#).await?;
    master.force("parent").await?;
    let parent = master.finished_build(1).await?;
    assert_eq!(parent["results"], 0);
    assert_eq!(step(&master, 1).await?["state_string"], "triggered held");
    let requests = master.get("buildrequests/2").await?;
    assert_eq!(
        (&requests["buildrequests"][0]["complete"], &requests["buildrequests"][0]["waited_for"]),
        (&json!(false), &json!(false))
    );
    std::fs::write(gate.path().join("open"), "")?;
    master.finished_build(2).await?;

    let options = r#"schedulerNames = {"both", "bad"}, waitForFinish = true, unimportantSchedulerNames = {"both", "bad"},
        parent_relationship = "checked by", set_properties = {reason = "because"},
        sourceStamps = {{codebase = "", branch = "dev", revision = 12}}"#;
    reconfig(&master, &config(gate.path(), options))?;
    master.force("parent").await?;
    assert_eq!(master.finished_build(3).await?["results"], 0);
    assert_eq!(step(&master, 3).await?["state_string"], "triggered both, bad, 1 success, 2 failures");
    let sets = master.get("buildsets?order=-bsid&limit=1").await?;
    let set = &sets["buildsets"][0];
    assert_eq!((&set["parent_relationship"], &set["reason"]), (&json!("checked by"), &json!("because")));
    let stamp = &set["sourcestamps"][0];
    assert_eq!((&stamp["branch"], &stamp["revision"]), (&json!("dev"), &json!("12")));
    Ok(())
}

#[tokio::test]
async fn row_06_051_a_function_says_what_to_trigger() -> Result<()> {
    let options = r#"schedulerNames = {"good", "bad"}, waitForFinish = true, copy_properties = {"flavour"},
        getSchedulersAndProperties = function(step)
          local all = {}
          for _, name in ipairs(step.schedulerNames) do
            local own = {who = step:getProperty("flavour"), from = util.Interpolate "%(prop:buildername)s",
                         none = step:getProperty("none", "no"), on = step.build.worker.name}
            all[#all + 1] = {sched_name = name, props_to_set = own, unimportant = name == "bad"}
          end
          all[#all + 1] = {sched_name = "good"}
          return all
        end"#;
    let (master, _gate) = start(options).await?;
    master.force("parent").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0, "bad is unimportant");
    assert_eq!(step(&master, 1).await?["state_string"], "triggered good, bad, good, 2 successes, 1 failure");
    let of = async |set: i64| master.get(&format!("buildsets/{set}/properties")).await;
    let first = &of(2).await?["properties"][0];
    let values = ["who", "from", "none", "on"].map(|name| first[name][0].as_str().unwrap_or_default());
    assert_eq!(values, ["sweet", "parent", "no", "local"]);
    assert!(first.get("flavour").is_none(), "its own properties stand in place of the options'");
    assert_eq!(of(4).await?["properties"][0]["flavour"], json!(["sweet", "Trigger"]));

    for (function, wanted) in [
        ("function(step) return {'good'} end", "getSchedulersAndProperties returned"),
        ("function(step) return {{sched_name = 'god'}} end", "did you mean 'good'?"),
        ("function(step) return {{schedname = 'good'}} end", "did you mean sched_name?"),
    ] {
        let (master, _gate) = start(&format!("getSchedulersAndProperties = {function}")).await?;
        master.force("parent").await?;
        assert_eq!(master.finished_build(1).await?["results"], 4);
        let text = master.step_log(1, "trigger", "err_text").await?;
        assert!(text.contains(wanted), "{function}: {text}");
    }
    let (master, _gate) = start("getSchedulersAndProperties = function() return {} end").await?;
    master.force("parent").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    assert_eq!(master.get("buildsets").await?["meta"]["total"], 1, "nothing but the forced one");
    Ok(())
}

#[tokio::test]
async fn row_06_047_an_interrupted_parent_cancels_what_it_triggered() -> Result<()> {
    let (master, _gate) = start(r#"schedulerNames = {"held"}, waitForFinish = true"#).await?;
    master.force("parent").await?;
    master.until("builds/2/steps", |all| all["steps"].as_array().is_some_and(|s| s.len() > 1)).await?;
    master.control("builds/1", "stop", json!({"reason": "enough"})).await?;
    assert_eq!(master.finished_build(2).await?["results"], 6);
    assert_eq!(master.finished_build(1).await?["results"], 6);
    let step = step(&master, 1).await?;
    assert_eq!((&step["results"], &step["state_string"]), (&json!(6), &json!("interrupted")));
    let requests = master.get("buildrequests/2").await?;
    assert_eq!(requests["buildrequests"][0]["results"], 6);
    let text = master.finished_build(2).await?["state_string"].to_string();
    assert!(text.contains("parent build was interrupted"), "{text}");
    Ok(())
}

#[tokio::test]
async fn row_06_045_what_cannot_be_triggered_is_said() -> Result<()> {
    let (master, _gate) =
        start(r#"schedulerNames = {util.Interpolate "goo%(prop:nothing)s"}, waitForFinish = true"#).await?;
    master.force("parent").await?;
    assert_eq!(master.finished_build(1).await?["results"], 4);
    let text = master.step_log(1, "trigger", "err_text").await?;
    assert!(text.contains("there is no scheduler 'goo', did you mean 'good'?"), "{text}");
    assert_eq!(master.get("buildsets").await?["meta"]["total"], 1, "nothing was triggered");

    for (trigger, wanted) in [
        (r#"schedulerNames = {"god"}"#, "steps.Trigger: unknown scheduler 'god', did you mean 'good'?"),
        (r#"schedulerNames = {"force"}"#, "is a schedulers.ForceScheduler, which cannot be triggered"),
        ("", "name at least one Triggerable"),
        (
            r#"schedulerNames = {"good"}, alwaysUseLatest = true, updateSourceStamp = false"#,
            "cannot be combined with alwaysUseLatest",
        ),
        (
            r#"schedulerNames = {"good"}, alwaysUseLatest = true, sourceStamp = {branch = "x"}"#,
            "cannot be combined with sourceStamp",
        ),
        (r#"schedulerNames = {"good"}, sourceStamps = {{brnch = "x"}}"#, "did you mean branch?"),
        (
            r#"schedulerNames = {"good"}, unimportantSchedulerNames = {"bad"}"#,
            "'bad' is not among schedulerNames",
        ),
    ] {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("master.lua"), config(dir.path(), trigger))?;
        let output = std::process::Command::new(lunabot_tests::lunabot_binary())
            .arg("checkconfig")
            .arg(dir.path())
            .output()?;
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success() && told.contains(wanted), "{trigger}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_disabled_triggerable_is_not_triggered_03_003() -> Result<()> {
    let (master, _gate) = start(r#"schedulerNames = {"good", "bad"}, waitForFinish = true"#).await?;
    let all = master.get("schedulers?name=bad").await?;
    let path = format!("schedulers/{}", all["schedulers"][0]["schedulerid"]);
    master.control(&path, "enable", json!({"enabled": false})).await?;
    master.force("parent").await?;
    assert_eq!(master.finished_build(1).await?["results"], 4);
    assert!(master.step_log(1, "trigger", "err_text").await?.contains("scheduler 'bad' is disabled"));
    assert_eq!(master.get("buildsets").await?["meta"]["total"], 1);
    Ok(())
}

#[tokio::test]
async fn waiting_triggers_go_on_over_a_reload() -> Result<()> {
    let (master, gate) = start(r#"schedulerNames = {"held"}, waitForFinish = true"#).await?;
    master.force("parent").await?;
    master.until("builds/2/steps", |all| all["steps"].as_array().is_some_and(|s| s.len() > 1)).await?;
    let without = config(gate.path(), r#"schedulerNames = {"good"}"#)
        .replace(r#"schedulers.Triggerable{name = "held", builderNames = {"held"}},"#, "")
        .replace(r#"builderNames = {"parent"}}"#, r#"builderNames = {"parent", "held"}}"#);
    reconfig(&master, &without)?;
    std::fs::write(gate.path().join("open"), "")?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    assert_eq!(master.finished_build(1).await?["results"], 0);
    assert_eq!(step(&master, 1).await?["state_string"], "triggered held, 1 success");
    Ok(())
}

#[tokio::test]
async fn after_a_kill_the_parent_is_built_again_and_its_children_only_once() -> Result<()> {
    let (master, gate) = start(r#"schedulerNames = {"held"}, waitForFinish = true"#).await?;
    master.force("parent").await?;
    master.until("builds/2/steps", |all| all["steps"].as_array().is_some_and(|s| s.len() > 1)).await?;
    let dir = master.kill().await?;
    std::fs::write(gate.path().join("open"), "")?;
    let master = Master::start_in(dir).await?;
    let done = |all: &Value| {
        all["buildrequests"]
            .as_array()
            .is_some_and(|all| all.len() == 3 && all.iter().all(|r| r["complete"] == true))
    };
    let all = master.until("buildrequests?order=buildrequestid", done).await?;
    let results: Vec<i64> =
        all["buildrequests"].as_array().into_iter().flatten().filter_map(|r| r["results"].as_i64()).collect();
    assert_eq!(
        results,
        [0, 6, 0],
        "the parent; its first child, which nobody waits for any more; the second"
    );
    let builds = master.get("builds?order=buildid").await?;
    let results: Vec<i64> =
        builds["builds"].as_array().into_iter().flatten().filter_map(|b| b["results"].as_i64()).collect();
    assert_eq!(results, [5, 5, 0, 0], "{builds}");
    Ok(())
}

/// A secret in a property that is handed on is used by the child, and shown nowhere: neither by the API, nor in a log, nor
/// in the database.
#[tokio::test]
async fn row_04_039_a_secret_that_is_handed_on_stays_a_secret() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("token"), "tr0ub4dor-and-3")?;
    for (path, mode) in [(dir.path().join("token"), 0o600), (dir.path().to_path_buf(), 0o700)] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    let config = format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{ worker.LocalWorker{{"local"}}, worker.LocalWorker{{"other"}} }}, www = {{ port = 0 }} }}
c.secretsProviders = {{ lunabot.secrets.SecretInAFile{{"{secrets}"}} }}
local function shows(name)
  return steps.ShellCommand{{name = name, command = {{"sh", "-c", "echo \"$1\"; echo ${{#1}} letters", "sh", util.Property(name)}}}}
end
local function encoded(s) return util.base64_encode(s) end
c.builders = {{
  util.BuilderConfig{{name = "child", workernames = {{"local"}}, factory = util.BuildFactory{{
    shows "whole", shows "part", shows "own", steps.LogRenderable{{content = util.Property "deep"}},
  }}}},
  util.BuilderConfig{{name = "parent", workernames = {{"other"}}, factory = util.BuildFactory{{
    steps.SetProperty{{property = "part", value = util.Interpolate "100%% Bearer %(secret:token)s"}},
    steps.Trigger{{schedulerNames = {{"child"}}, waitForFinish = true, copy_properties = {{"part"}}, set_properties = {{
      whole = util.Secret "token", deep = {{list = {{util.Secret "token"}}}}, reason = util.Interpolate "for %(secret:token)s",
    }}}},
    steps.Trigger{{name = "encodes", schedulerNames = {{"child"}}, set_properties = {{
      bad = util.Transform{{encoded, util.Secret "token"}},
    }}}},
  }}}},
}}
c.schedulers = {{
  schedulers.Triggerable{{name = "child", builderNames = {{"child"}}, properties = {{own = util.Secret "token"}}}},
  schedulers.ForceScheduler{{name = "force", builderNames = {{"parent"}}}},
}}
return c
"#,
        secrets = dir.path().display()
    );
    let mut master = Master::start(&config).await?;
    master.force("parent").await?;
    assert_eq!(master.finished_build(1).await?["results"], 4);
    assert_eq!(master.finished_build(2).await?["results"], 0);
    let trouble = master.step_log(1, "encodes", "err_text").await?;
    assert!(trouble.contains("the property bad holds <token> in an encoded form"), "{trouble}");
    for (step, lines) in [
        ("whole", "\n<token>\n15 letters\n"),
        ("part", "\n100% Bearer <token>\n27 letters\n"),
        ("own", "\n<token>\n15 letters\n"),
    ] {
        let log = master.step_log(2, step, "stdio").await?;
        assert!(log.contains(lines), "{log}");
    }
    let properties = master.get("builds/2/properties").await?["properties"][0].clone();
    assert_eq!(properties["part"], json!(["100% Bearer <token>", "Trigger"]));
    assert_eq!(properties["deep"][0], json!({"list": ["<token>"]}));
    assert_eq!(properties["own"][0], "<token>");
    let sets = master.get("buildsets/2").await?;
    assert_eq!(sets["buildsets"][0]["reason"], "for <token>");
    for path in ["buildsets/2/properties", "buildrequests?property=*", "builds?property=*", "builds/2/steps"]
    {
        let text = master.get(path).await?.to_string();
        assert!(!text.contains("tr0ub4dor"), "{path}: {text}");
    }
    let handed = master.get("buildsets/2/properties").await?["properties"][0].clone();
    assert_eq!((&handed["part"][0], &handed["own"][0]), (&json!("100% Bearer <token>"), &json!("<token>")));
    let again = master.control("builds/2", "rebuild", json!({})).await?;
    assert!(again[0].is_i64(), "{again}");
    assert_eq!(master.finished_build(3).await?["results"], 0);
    assert!(master.step_log(3, "part", "stdio").await?.contains("\n100% Bearer <token>\n27 letters\n"));
    assert!(!master.log().contains("tr0ub4dor"));
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    master.ended().await?;
    for entry in std::fs::read_dir(master.dir())? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            assert!(!bytes.windows(9).any(|part| part == b"tr0ub4dor"), "{} holds it", path.display());
        }
    }
    Ok(())
}
