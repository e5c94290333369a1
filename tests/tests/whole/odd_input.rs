//! What functions, programs and people give a build that it cannot use: each has its outcome, and the master goes on.

use anyhow::{Context, Result};
use lunabot_tests::{Master, lunabot_binary};
use serde_json::{Value, json};

/// One builder `b` of these steps, forced with the property `text`.
fn config(steps: &str, extra: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{ worker.LocalWorker{{"local"}} }}, www = {{ port = 0, change_hook_dialects = {{ base = true }} }} }}
local function boom() error("boom") end
local function shell(options)
  options.command = options.command or {{"true"}}
  options.alwaysRun, options.logEnviron = true, false
  return steps.ShellCommand(options)
end
c.builders = {{ util.BuilderConfig{{name = "b", workernames = {{"local"}}, factory = util.BuildFactory{{
{steps}
}}}} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"b"}}, properties = {{
  util.StringParameter{{name = "text"}},
}}}} }}
{extra}
return c
"#
    )
}

/// Steps of a build: name → results.
async fn steps(master: &Master, build: i64) -> Result<Vec<(String, Value)>> {
    let steps = master.get(&format!("builds/{build}/steps")).await?;
    let rows = steps["steps"].as_array().context("steps")?;
    Ok(rows.iter().map(|s| (s["name"].as_str().unwrap_or_default().into(), s["results"].clone())).collect())
}

/// Each step is EXCEPTION, with a reason in its log that names the line or what would be right.
#[tokio::test]
async fn functions_that_fail_or_answer_nonsense_end_their_step() -> Result<()> {
    let table = [
        ("command", r#"shell{name = "command", command = {"echo", util.renderer(boom)}}"#, "boom"),
        (
            "words",
            r#"shell{name = "words", command = util.renderer(function() return {"a", {b = 1}} end)}"#,
            "command",
        ),
        (
            "env",
            r#"shell{name = "env", env = {X = util.renderer(function() return {a = 1} end)}}"#,
            "env: X must be a text",
        ),
        (
            "workdir",
            r#"shell{name = "workdir", workdir = util.renderer(function() return 3 end)}"#,
            "workdir",
        ),
        (
            "transform",
            r#"shell{name = "transform", env = {X = util.Transform{function() return nil .. "x" end}}}"#,
            "concatenate",
        ),
        (
            "forever",
            r#"shell{name = "forever", env = {X = util.renderer(function() while true do end end)}}"#,
            "computed longer than 0.2 s",
        ),
        (
            "text if",
            r#"shell{name = "text if", doStepIf = function() return "yes" end}"#,
            "doStepIf returned \"yes\"",
        ),
        ("bad if", r#"shell{name = "bad if", doStepIf = boom}"#, "boom"),
        ("bad hide", r#"shell{name = "bad hide", hideStepIf = boom}"#, "boom"),
        (
            "extract",
            r#"steps.SetPropertyFromCommand{name = "extract", alwaysRun = true, command = {"true"}, extract_fn = function() return "text" end}"#,
            "extract_fn returned",
        ),
        (
            "keys",
            r#"steps.SetPropertyFromCommand{name = "keys", alwaysRun = true, command = {"true"}, extract_fn = function() return {"a"} end}"#,
            "extract_fn returned",
        ),
        (
            "value",
            r#"steps.SetProperty{name = "value", alwaysRun = true, property = "x", value = util.renderer(boom)}"#,
            "boom",
        ),
        ("assert", r#"steps.Assert{name = "assert", alwaysRun = true, check = util.renderer(boom)}"#, "boom"),
        ("locks", r#"shell{name = "locks", locks = util.renderer(function() return {"db"} end)}"#, "lock"),
    ];
    let declared: String = table.iter().map(|(_, step, _)| format!("{step},\n")).collect();
    let last = "shell{name = \"last\", command = {\"echo\", \"still here\"}},";
    let limits = "c.lua = { callback_cpu_seconds = 0.2 }";
    let master = Master::start(&config(&format!("{declared}{last}"), limits)).await?;
    master.force("b").await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 4);
    let found = steps(&master, 1).await?;
    assert_eq!(found.len(), table.len() + 2, "{found:?}");
    for (number, (name, _, told)) in (1..).zip(table) {
        // Whether a step is shown says nothing about its work.
        let results = if name == "bad hide" { 0 } else { 4 };
        assert_eq!(found[number], (name.to_string(), json!(results)));
        // A name with a blank is no part of a path.
        let logs = master.get(&format!("builds/1/steps/{number}/logs?type=t")).await?;
        let log = logs["logs"][0]["logid"].as_i64().with_context(|| format!("no err.text of {name}"))?;
        let (_, text) = master.text(&format!("/api/v2/logs/{log}/raw_inline")).await?;
        assert!(text.contains(told), "{name}: {text}");
    }
    assert!(master.step_log(1, "last", "stdio").await?.contains("still here"));
    Ok(())
}

/// A scheduler whose functions fail builds nothing for that change, says why, and builds the next.
#[tokio::test]
async fn a_scheduler_whose_renderer_fails_goes_on_with_the_next_change() -> Result<()> {
    let extra = r#"c.schedulers[2] = schedulers.AnyBranchScheduler{name = "any", builderNames = {"b"}, properties = {
  x = util.renderer(function(p) if p.changes[1].branch == "bad" then error("no such branch") end return 1 end),
}}"#;
    let master = Master::start(&config("", extra)).await?;
    for branch in ["bad", "good"] {
        assert_eq!(master.change_hook(&[("author", "a"), ("comments", "c"), ("branch", branch)]).await?, 202);
    }
    let build = master.finished_build(1).await?;
    let properties = master.get("builds/1/properties").await?;
    assert_eq!((&build["results"], &properties["properties"][0]["branch"][0]), (&json!(0), &json!("good")));
    let errors = master.get("script_errors").await?;
    assert!(errors.to_string().contains("no such branch"), "{errors}");
    assert_eq!(master.get("buildsets").await?["meta"]["total"], 1);
    Ok(())
}

/// A megabyte goes in by a form and by a program's output, and comes out whole where it fits.
#[tokio::test]
async fn properties_of_a_megabyte_are_kept_whole() -> Result<()> {
    let master = Master::start(&config(
        r#"steps.SetPropertyFromCommand{property = "big", command = "yes $(head -c 999 /dev/zero | tr '\\0' x) | head -n 1000"},
steps.StringDownload{util.Property "big", workerdest = "big"},
steps.StringDownload{util.Property "text", workerdest = "text"},
shell{name = "sizes", command = "wc -c < big; wc -c < text"},
shell{name = "too long", command = {"echo", util.Property "big"}},
steps.SetProperty{property = "after", value = "yes", alwaysRun = true},"#,
        "",
    ))
    .await?;
    let text = "y".repeat(1_000_000);
    master.control("forceschedulers/force", "force", json!({"builderNames": ["b"], "text": text})).await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 2, "a word of a megabyte is more than a command may have: {build}");
    let sizes = master.step_log(1, "sizes", "stdio").await?;
    assert!(sizes.contains("\n999999\n1000000\n"), "{sizes}");
    let found = steps(&master, 1).await?;
    assert!(found.contains(&("too long".into(), json!(2))), "{found:?}");
    let said = master.step_log(1, "5", "stdio").await?;
    assert!(
        said.to_lowercase().contains("argument list too long"),
        "{}",
        said.chars().rev().take(300).collect::<String>()
    );
    let properties = master.get("builds/1/properties").await?["properties"][0].clone();
    assert_eq!(properties["text"][0], json!(text));
    assert_eq!(properties["big"][0].as_str().map(str::len), Some(999_999));
    assert_eq!(properties["after"][0], "yes");
    let (status, page) = master.text("/builders/b/builds/1").await?;
    assert!(status == 200 && page.len() < 200_000, "{status}: a page of {} bytes", page.len());
    let again = master.control("builds/1", "rebuild", json!({})).await?;
    assert!(again[0].is_i64(), "{again}");
    let rebuilt = master.finished_build(2).await?;
    assert_eq!(rebuilt["results"], 2);
    Ok(())
}

/// More than a request may hold is refused, and nothing is built.
#[tokio::test]
async fn a_form_that_is_too_large_is_refused() -> Result<()> {
    let master = Master::start(&config("", "")).await?;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "force", "params": {"text": "y".repeat(5 << 20)}});
    let url = format!("{}/api/v2/forceschedulers/force", master.base());
    let http = lunabot_net::http::builder().build()?;
    let answer = http.post(url).json(&body).send().await?;
    assert_eq!(answer.status(), 413);
    assert_eq!(master.get("buildsets").await?["meta"]["total"], 0);
    Ok(())
}

async fn reconfig(master: &Master) -> Result<String> {
    let output =
        tokio::process::Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output().await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A build of the old configuration holds a lock that a build of the new one wants: it is one lock, and its count is
/// the new configuration's.
#[tokio::test]
async fn row_05_063_builds_of_two_configurations_share_a_lock() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let gate = dir.path().display().to_string();
    let configured = |count: u32, text: &str| {
        let body = format!(
            r#"
local db = util.MasterLock{{"db", maxCount = {count}}}
local names = {{}}
c.builders, c.workers = {{}}, {{}}
for _, name in ipairs{{"one", "two", "three"}} do
  c.workers[#c.workers + 1] = worker.LocalWorker{{name}}
  c.builders[#c.builders + 1] = util.BuilderConfig{{name = name, workernames = {{name}}, factory = util.BuildFactory{{
    shell{{name = "hold", locks = {{db}}, command = "echo {text}; touch {gate}/at." .. name .. "; until test -e {gate}/" .. name .. "; do sleep 0.05; done"}},
  }}}}
  names[#names + 1] = name
end
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = names}} }}"#
        );
        config("", &body)
    };
    let holds = |build: i64| format!("builds/{build}/steps/hold");
    let acquired = |answer: &Value| answer["steps"][0]["locks_acquired_at"].is_i64();
    let waiting = |answer: &Value| {
        answer["steps"][0]["state_string"].as_str().is_some_and(|s| s.contains("waiting for"))
    };

    let master = Master::start(&configured(1, "old")).await?;
    master.force("one").await?;
    master.until("builds/1/steps", |all| all["steps"][1]["locks_acquired_at"].is_i64()).await?;
    master.rewrite_config(&configured(1, "new"))?;
    reconfig(&master).await?;
    master.force("two").await?;
    master
        .until("builds/2/steps", |all| {
            all["steps"][1]["state_string"].as_str().is_some_and(|s| s.contains("waiting"))
        })
        .await?;
    assert!(!acquired(&master.get(&holds(2)).await?), "the old build has it");
    // One more is let in by the next configuration, while both wait or hold.
    master.rewrite_config(&configured(2, "newest"))?;
    reconfig(&master).await?;
    master.until(&holds(2), acquired).await?;
    master.force("three").await?;
    master
        .until("builds/3/steps", |all| {
            all["steps"][1]["state_string"].as_str().is_some_and(|s| s.contains("waiting"))
        })
        .await?;
    assert!(waiting(&master.get(&holds(3)).await?));
    std::fs::write(dir.path().join("one"), "")?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    master.until(&holds(3), acquired).await?;
    for (build, name) in [(2, "two"), (3, "three")] {
        std::fs::write(dir.path().join(name), "")?;
        assert_eq!(master.finished_build(build).await?["results"], 0);
    }
    for (build, text) in [(1, "old"), (2, "new"), (3, "newest")] {
        assert!(master.step_log(build, "hold", "stdio").await?.contains(&format!("\n{text}\n")), "{build}");
    }
    Ok(())
}
