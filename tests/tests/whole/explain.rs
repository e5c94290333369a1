//! Why is it not starting? The command, the API and the pages say which rule was asked and what it answered (lua-api § 6).

use crate::own_configurators::{checked, reconfig};
use crate::workers::{PASSWORD, gated, open, port};
use anyhow::{Context, Result, ensure};
use lunabot_tests::{Master, StockWorker, lunabot_binary, running};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// Builders, each of which waits for something else.
fn config(gate: &Path) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ builders = {{}}, www = {{ port = 0 }}, collapseRequests = false }}
c.protocols = {{ pb = {{ port = "127.0.0.1:0" }} }}
c.workers = {{
  worker.Worker{{"away", "{PASSWORD}"}}, worker.Worker{{"one", "{PASSWORD}", max_builds = 1}},
  worker.LocalWorker{{"local"}}, worker.LocalWorker{{"still"}}, worker.LocalWorker{{"ill"}},
  worker.LocalWorker{{"odd"}},
}}
local db = util.MasterLock{{"db"}}
local names = {{}}
local function builder(name, on, options)
  options.name, options.workernames = name, {{on}}
  options.factory = util.BuildFactory{{options.step or steps.ShellCommand{{command = {{"true"}}}}}}
  options.step = nil
  c.builders[#c.builders + 1] = options
  names[#names + 1] = name
end
local wait = {wait}
builder("away", "away", {{}})
builder("holder", "local", {{locks = {{db}}, step = wait}})
builder("locked", "local", {{locks = {{db}}}})
builder("computed", "local", {{locks = function() return {{db}} end}})
builder("long", "one", {{step = wait}})
builder("full", "one", {{}})
builder("zfull", "one", {{collapseRequests = true}})
builder("still", "still", {{}})
builder("ill", "ill", {{canStartBuild = function(_, wfb)
  wfb.worker:putInQuarantine(3600)
  return false
end}})
builder("odd", "odd", {{locks = function() error("no such lock") end}})
builder("refused", "local", {{
  canStartBuild = function() return false end,
}})
builder("failing", "local", {{canStartBuild = function() error("no licence") end}})
builder("picky", "local", {{nextBuild = function(_, requests) return nil end}})
builder("choosy", "local", {{nextWorker = function() end}})
c.schedulers = {{
  schedulers.ForceScheduler{{name = "force", builderNames = names}},
  schedulers.AnyBranchScheduler{{name = "old", builderNames = {{"away"}}, requestTimeout = "12h", ignoreOfflineWorkersTimeout = "1h"}},
}}
c.www.change_hook_dialects = {{ base = true }}
return c
"#,
        wait = gated(gate, "here"),
    )
}

async fn explanation(master: &Master, request: i64) -> Result<Value> {
    let answer = master.get(&format!("buildrequests/{request}/explanation")).await?;
    Ok(answer["explanations"][0].clone())
}

/// Asks again until the summary is this. What a function says is no event.
async fn sums_up(master: &Master, request: i64, summary: &str) -> Result<Value> {
    until_told(master, request, summary, |told| told == summary).await
}

/// Until it begins like this.
async fn sums_up_so(master: &Master, request: i64, begins: &str) -> Result<Value> {
    until_told(master, request, begins, |told| told.starts_with(begins)).await
}

async fn until_told(
    master: &Master,
    request: i64,
    wanted: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<Value> {
    let mut told = Value::Null;
    let asking = async {
        while !told["summary"].as_str().is_some_and(&fits) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            told = explanation(master, request).await?;
        }
        anyhow::Ok(())
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), asking).await;
    ended.with_context(|| format!("never `{wanted}`: {told:#}\n{}", master.log()))??;
    Ok(told)
}

fn of_rule(answers: &Value, rule: &str) -> Value {
    answers.as_array().into_iter().flatten().find(|one| one["rule"] == rule).cloned().unwrap_or_default()
}

async fn explain(arguments: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(lunabot_binary()).arg("explain").args(arguments).output().await?;
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// The line on which the text is, as the master names it.
fn line_of(config: &str, text: &str) -> Result<String> {
    let number = config.lines().position(|line| line.contains(text)).context("a line")?;
    Ok(format!("master.lua:{}", number + 1))
}

#[tokio::test]
async fn every_rule_that_keeps_a_request_waiting_is_named() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let config = config(gate.path());
    let mut master = Master::start(&config).await?;
    let pb = port(&mut master, "pb").await?;
    let _one = StockWorker::start("pb", pb, "one", PASSWORD).await?;
    let here = |answer: &Value| answer["workers"][0]["connected_to"] != json!([]);
    master.until("workers/one", here).await?;
    master.control("workers/still", "pause", json!({"reason": "disk"})).await?;

    // Workers.
    let away = master.force("away").await?;
    let told = sums_up(&master, away, "worker away is not connected").await?;
    ensure!(told["since"].is_i64() && told["state"] == "pending", "{told:#}");
    let worker = of_rule(&told["answers"], "worker");
    ensure!(worker["worker"] == "away" && worker["blocks"] == true && worker["since"].is_i64(), "{told:#}");
    let still = master.force("still").await?;
    sums_up(&master, still, "worker still is paused: disk").await?;
    let ill = master.force("ill").await?;
    let told =
        sums_up_so(&master, ill, "worker ill is in quarantine (a function put it there) until ").await?;
    let worker = of_rule(&told["answers"], "worker");
    let left = worker["until"].as_i64().zip(worker["since"].as_i64()).map(|(until, since)| until - since);
    ensure!(left.is_some_and(|left| (3599..=3601).contains(&left)), "{told:#}");
    let refused = of_rule(&told["history"], "canStartBuild");
    ensure!(refused["text"] == "returned false" && refused["worker"] == "ill", "{told:#}");

    let odd = master.force("odd").await?;
    let ended = |answer: &Value| answer["buildrequests"][0]["complete"] == true;
    master.until(&format!("buildrequests/{odd}"), ended).await?;
    let odd = master.force("odd").await?;
    let quarantined = "worker odd is in quarantine (it could not be prepared: builder odd: ";
    let told = sums_up_so(&master, odd, quarantined).await?;
    let line = format!("{}: no such lock) until ", line_of(&config, "no such lock")?);
    ensure!(told["summary"].as_str().is_some_and(|text| text.contains(&line)), "{told:#}");

    // Builds that run, and what they hold.
    let (long, holder) = (master.force("long").await?, master.force("holder").await?);
    for request in [long, holder] {
        master
            .until(&format!("buildrequests/{request}"), |a| a["buildrequests"][0]["claimed"] == true)
            .await?;
    }
    let holds = |answer: &Value| {
        answer["steps"].as_array().is_some_and(|all| all.iter().any(|s| s["name"] == "wait"))
    };
    let running =
        master.until(&format!("buildrequests/{holder}/builds"), |a| a["builds"][0].is_object()).await?;
    master.until(&format!("builds/{}/steps", running["builds"][0]["buildid"]), holds).await?;
    let locked = master.force("locked").await?;
    let told = sums_up(&master, locked, "lock \"db\" is held by holder #1 on local").await?;
    ensure!(told["since"].is_i64() && of_rule(&told["history"], "lock")["blocks"] == true, "{told:#}");
    let computed = master.force("computed").await?;
    sums_up(&master, computed, "lock \"db\" is held by holder #1 on local for worker local").await?;
    let full = master.force("full").await?;
    let told =
        sums_up(&master, full, "worker one has all builds it may have (max_builds = 1): long #1").await?;
    ensure!(told["since"].is_i64(), "{told:#}");
    let next = master.force("long").await?;
    let told = sums_up(&master, next, "worker one has a build of this builder: long #1").await?;
    ensure!(told["since"].is_i64(), "{told:#}");
    let (first, zfull) = (master.force("zfull").await?, master.force("zfull").await?);
    let told =
        sums_up(&master, zfull, "worker one has all builds it may have (max_builds = 1): long #1").await?;
    let behind = of_rule(&told["answers"], "queue");
    let text = "2 other builders that may use the same workers go before: full, long";
    ensure!(behind["text"] == text, "{told:#}");

    // What is over.
    let told =
        sums_up(&master, first, &format!("collapseRequests collapsed it into request {zfull}")).await?;
    ensure!(told["collapsed_into"] == zfull && told["state"] == "complete", "{told:#}");
    master.control(&format!("buildrequests/{next}"), "cancel", json!({"reason": "enough"})).await?;
    sums_up(&master, next, "cancelled: enough").await?;
    sums_up(&master, holder, "holder #1 is running").await?;

    // Functions of the configuration.
    for (builder, summary, text) in [
        (
            "refused",
            "canStartBuild returned false for worker local",
            "canStartBuild = function() return false",
        ),
        ("picky", "nextBuild returned nil", "nextBuild = function"),
        ("choosy", "nextWorker returned nil", "nextWorker = function"),
    ] {
        let request = master.force(builder).await?;
        sums_up(&master, request, &format!("{summary} ({})", line_of(&config, text)?)).await?;
    }
    let failing = master.force("failing").await?;
    let at = line_of(&config, "no licence")?;
    sums_up(&master, failing, &format!("canStartBuild failed: {at}: no licence for worker local ({at})"))
        .await?;

    // What ends a request that waits.
    let fields = [("author", "ann"), ("comments", "x"), ("revision", "1"), ("branch", "main")];
    ensure!(master.change_hook(&fields).await? == 202);
    let made = |answer: &Value| answer["buildrequests"].as_array().is_some_and(|all| all.len() == 2);
    let made = master.until("builders/away/buildrequests?order=-buildrequestid", made).await?;
    let timed = made["buildrequests"][0]["buildrequestid"].as_i64().context("an id")?;
    let told = sums_up(&master, timed, "worker away is not connected").await?;
    let ends = of_rule(&told["answers"], "ignoreOfflineWorkersTimeout");
    ensure!(ends["until"].is_i64() && ends["blocks"] == false, "{told:#}");
    let ahead = of_rule(&told["answers"], "queue");
    ensure!(ahead["text"] == format!("1 request of the builder goes before it: {away}"), "{told:#}");

    by_every_door(&master, locked).await?;

    // One that could start then: its worker comes.
    let _away = StockWorker::start("pb", pb, "away", PASSWORD).await?;
    sums_up(&master, away, "away #1 ended with success").await?;

    // A clean stop: what runs goes on, nothing new starts.
    master.signal(nix::sys::signal::Signal::SIGUSR1)?;
    let told = sums_up(&master, full, "the master is stopping: it starts no new builds").await?;
    ensure!(told["since"].is_i64(), "{told:#}");
    open(gate.path())?;
    ensure!(master.ended().await? == Some(0));
    Ok(())
}

/// The same answer from the command, by folder and by address, the API and the pages.
async fn by_every_door(master: &Master, request: i64) -> Result<()> {
    let (id, folder) = (request.to_string(), master.dir().display().to_string());
    let (id, folder) = (id.as_str(), folder.as_str());
    let summary = "lock \"db\" is held by holder #1 on local";
    for arguments in [&[id, folder][..], &[id, "--url", master.base()]] {
        let (ok, text) = explain(arguments).await?;
        let head = format!("request {id} of builder locked has waited for ");
        ensure!(
            ok && text.contains(&head) && text.contains(summary) && text.contains("over time:"),
            "{text}"
        );
        let (_, json) = explain(&[arguments, &["--json"]].concat()).await?;
        let json: Value = serde_json::from_str(&json)?;
        ensure!(json["summary"] == explanation(master, request).await?["summary"], "{json:#}");
    }
    for (arguments, wanted) in [
        (&["999", folder][..], "there is no request 999"),
        (&["999", "--url", master.base()], "not found"),
        (&[id, "--url", "http://127.0.0.1:1"], "cannot ask http://127.0.0.1:1/api/v2/"),
    ] {
        let (ok, text) = explain(arguments).await?;
        ensure!(!ok && text.contains(wanted), "{wanted}: {text}");
    }
    let (status, _) = master.try_get("buildrequests/999/explanation").await?;
    ensure!(status == 404);
    for page in [format!("/buildrequests/{id}"), "/pending".into(), "/builders/locked".into()] {
        let (status, text) = master.text(&page).await?;
        ensure!(status == 200 && text.contains("is held by holder #1 on local"), "{page}: {text}");
    }
    let spec = master.get("application.spec?path=buildrequests/n:buildrequestid/explanation").await?;
    ensure!(spec["specs"][0]["type"] == "explanation", "{spec}");
    let openapi: Value = serde_json::from_str(&master.text("/api/openapi.json").await?.1)?;
    ensure!(openapi["paths"]["/api/v2/buildrequests/{buildrequestid}/explanation"].is_object());
    Ok(())
}

#[tokio::test]
async fn a_build_tells_which_configuration_made_it() -> Result<()> {
    let gate = tempfile::tempdir()?;
    open(gate.path())?;
    let master = Master::start(&config(gate.path())).await?;
    let built = async |master: &Master| {
        let request = master.force("holder").await?;
        let done = |answer: &Value| answer["builds"][0]["complete"] == true;
        let answer = master.until(&format!("buildrequests/{request}/builds"), done).await?;
        anyhow::Ok(answer["builds"][0].clone())
    };
    let first = built(&master).await?;
    let current = master.get("generations?current=true").await?;
    ensure!(first["generation"] == current["generations"][0]["content_hash"], "{first} {current}");
    master.rewrite_config(&format!("{}\n-- changed\n", config(gate.path())))?;
    crate::workers::reconfig(&master).await?;
    let second = built(&master).await?;
    let current = master.get("generations?current=true").await?;
    ensure!(second["generation"] == current["generations"][0]["content_hash"], "{second} {current}");
    ensure!(second["generation"] != first["generation"]);
    let hash = first["generation"].as_str().context("a hash")?;
    let same = master.get(&format!("builds?generation={hash}")).await?;
    ensure!(same["meta"]["total"] == 1, "{same}");
    let (_, page) = master.text("/builders/holder/builds/2").await?;
    ensure!(page.contains("generation 2"), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_worker_in_its_downtime_says_so_until_it_has_none() -> Result<()> {
    let (right, wrong) = (r#""daily 00:00-24:00", tz = "Europe/Berlin""#, r#""wed 8-10""#);
    let config = |times: &str| {
        running(&format!(
            "c.workers = {{ worker.LocalWorker{{\"local\", downtime = {times}}} }}\n\
             f:addStep(steps.ShellCommand{{command = \"true\"}})"
        ))
    };
    let (_, told) = checked(&config(&format!("{{{wrong}}}")))?;
    let place = line_of(&config("{}"), "LocalWorker{\"local\", downtime")?;
    let wanted = format!("{place}: worker.LocalWorker: downtime: \"wed 8-10\": \"8\" is no time of day");
    ensure!(told.contains(&wanted) && told.contains("mon-fri 22:00-06:00"), "{told}");
    let master = Master::start(&config(&format!("{{{right}}}"))).await?;
    let request = master.force("runtests").await?;
    let told = sums_up_so(&master, request, "worker local is in its downtime until ").await?;
    let answer = of_rule(&told["answers"], "worker");
    ensure!(answer["text"] == "is in its downtime" && answer["until"].is_i64(), "{answer:#}");
    for page in ["/workers", "/workers/local"] {
        let (_, text) = master.text(page).await?;
        ensure!(text.contains("in its downtime"), "{page}: {text}");
    }
    let (_, page) = master.text("/workers/local").await?;
    // Just after midnight it is a day less.
    let ends = page.contains("in 8 days") || page.contains("in 7 days");
    ensure!(page.contains("In its downtime, which ends ") && ends, "{page}");
    master.rewrite_config(&config("nil"))?;
    reconfig(&master)?;
    ensure!(master.finished_build(1).await?["results"] == 0);
    let (_, page) = master.text("/workers/local").await?;
    ensure!(!page.contains("downtime"), "{page}");
    Ok(())
}

#[tokio::test]
async fn what_prioritize_builders_does_with_a_builder_is_told() -> Result<()> {
    let sorted = "return util.sort_by(builders, function(b) return b.name end)";
    let others = "says who goes first once a worker is free: 1 other builder that may use the same workers waits as well: high";
    let failed = "failed: master.lua:LINE: cannot prioritize; builders go by the default order";
    let nonsense = "failed: prioritizeBuilders returned 3; expected a list of builders; builders go by the default order";
    let cases = [(sorted, others), ("error(\"cannot prioritize\")", failed), ("return 3", nonsense)];
    for (body, text) in cases {
        prioritized(body, text).await?;
    }
    Ok(())
}

/// What is told of a builder behind a busy worker, with this body of `prioritizeBuilders`.
async fn prioritized(body: &str, text: &str) -> Result<()> {
    let gate = tempfile::tempdir()?;
    let config = running(&format!(
        r#"
c.workers = {{ worker.LocalWorker{{"local", max_builds = 1}} }}
f:addStep({wait})
local function builder(name) return util.BuilderConfig{{name = name, workernames = {{"local"}}, factory = util.BuildFactory{{}}}} end
c.builders = {{ c.builders[1], builder "low", builder "high" }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"runtests", "low", "high"}}}} }}
c.prioritizeBuilders = function(_, builders)
  {body}
end
"#,
        wait = gated(gate.path(), "here"),
    ));
    let text = text.replace("master.lua:LINE", &line_of(&config, body)?);
    let master = Master::start(&config).await?;
    let first = master.force("runtests").await?;
    master.until(&format!("buildrequests/{first}"), |a| a["buildrequests"][0]["claimed"] == true).await?;
    let (low, _) = (master.force("low").await?, master.force("high").await?);
    let mut told = Value::Null;
    let asking = async {
        while of_rule(&told["answers"], "prioritizeBuilders")["text"] != text.as_str() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            told = explanation(&master, low).await?;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(Duration::from_secs(60), asking).await {
        Ok(asked) => asked?,
        Err(_) => anyhow::bail!("{told:#}"),
    }
    ensure!(of_rule(&told["answers"], "prioritizeBuilders")["at"].is_string(), "{told:#}");
    Ok(())
}
