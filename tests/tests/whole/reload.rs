//! Reloading: all or nothing, and only what differs (lua-api § 5, 01.010, 16.026).

use anyhow::{Context, Result};
use lunabot_tests::{Master, lunabot_binary};
use serde_json::{Value, json};
use std::process::Output;
use tokio::process::Command;

/// A builder per `(name, command)`, one worker for all.
fn config(builders: &[(&str, &str)], extra: &str) -> String {
    let mut lua = String::from(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { workers = { worker.LocalWorker{"local"} }, builders = {}, www = { port = 0 } }
local names = {}
local function builder(name, command)
  local f = util.BuildFactory{}
  f:addStep(steps.ShellCommand{name = "run", command = command})
  f:addStep(steps.ShellCommand{name = "after", command = "echo after"})
  c.builders[#c.builders + 1] = util.BuilderConfig{name = name, workernames = {"local"}, factory = f}
  names[#names + 1] = name
end
"#,
    );
    for (name, command) in builders {
        lua.push_str(&format!("builder({name:?}, {command:?})\n"));
    }
    lua.push_str("c.schedulers = { schedulers.ForceScheduler{name = \"force\", builderNames = names} }\n");
    format!("{lua}{extra}\nreturn c\n")
}

async fn reconfig(master: &Master) -> Result<(Output, String)> {
    let output = Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output().await?;
    let told = [&output.stdout[..], &output.stderr[..]].concat();
    Ok((output, String::from_utf8_lossy(&told).into_owned()))
}

fn names(builders: &Value) -> Vec<&str> {
    let all = builders["builders"].as_array().map(Vec::as_slice).unwrap_or_default();
    let active = all.iter().filter(|b| b["masterids"] != json!([]));
    active.filter_map(|b| b["name"].as_str()).collect()
}

#[tokio::test]
async fn a_reload_touches_what_differs_and_a_running_build_ends_as_it_began() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let hold = format!("until test -e {}/open; do sleep 0.05; done", gate.path().display());
    let master = Master::start(&config(&[("held", &hold)], "")).await?;
    master.force("held").await?;
    master
        .until("builds/1/steps", |a| {
            a["steps"].as_array().is_some_and(|s| s.iter().any(|s| s["name"] == "run"))
        })
        .await?;

    master.rewrite_config(&config(&[("held", "echo new"), ("second", "echo second")], ""))?;
    let (output, told) = reconfig(&master).await?;
    assert!(output.status.success(), "{told}\n{}", master.log());
    assert!(told.contains("second"), "what was added is named: {told}");
    assert_eq!(names(&master.get("builders").await?), ["held", "second"]);

    std::fs::write(gate.path().join("open"), "")?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    assert!(!master.step_log(1, "run", "stdio").await?.contains("echo new"));
    master.force("held").await?;
    master.finished_build(2).await?;
    assert!(master.step_log(2, "run", "stdio").await?.contains("echo new"));
    master.log_line(|line| line.contains("configuration update complete")).await?;
    Ok(())
}

#[tokio::test]
async fn mistakes_leave_the_old_configuration_and_are_told_everywhere() -> Result<()> {
    let master = Master::start(&config(&[("one", "true")], "")).await?;
    let broken = config(&[("one", "true"), ("two", "true")], "c.tittle = 'x'\nc.www.prot = 1");
    master.rewrite_config(&broken)?;
    let (output, told) = reconfig(&master).await?;
    assert_eq!(output.status.code(), Some(1), "{told}");
    for part in ["master.lua:", "tittle", "title", "www.prot", "port"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    assert_eq!(names(&master.get("builders").await?), ["one"]);
    let generations = master.get("generations").await?;
    let rows = generations["generations"].as_array().context("rows")?;
    assert!(rows.iter().any(|g| g["current"] == true && g["errors"] == json!([])), "{generations}");
    assert!(rows.iter().any(|g| g["current"] == false && g["errors"] != json!([])), "{generations}");
    let (status, page) = master.text("/health").await?;
    assert!(status == 200 && page.contains("tittle"), "{page}");

    // A signal does the same, and says so in the log (16.026).
    master.signal(nix::sys::signal::Signal::SIGHUP)?;
    master.log_line(|line| line.contains("configuration update aborted without making any changes")).await?;
    master.force("one").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    Ok(())
}

#[tokio::test]
async fn a_reload_without_a_difference_changes_nothing() -> Result<()> {
    let text = config(&[("one", "true")], "c.canary = nil");
    let master = Master::start(&text).await?;
    master.rewrite_config(&format!("-- a comment more\n{text}"))?;
    let (output, told) = reconfig(&master).await?;
    assert!(output.status.success(), "{told}");
    for word in
        ["started builder", "changed builder", "stopped builder", "changed scheduler", "changed worker"]
    {
        assert!(!told.to_lowercase().contains(word), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_port_is_taken_and_the_old_one_let_go_while_the_master_runs() -> Result<()> {
    let builders = [("one", "echo one")];
    let master = Master::start(&config(&builders, "")).await?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    master.rewrite_config(&config(&builders, &format!("c.www.port = {port}")))?;
    let (output, told) = reconfig(&master).await?;
    assert!(output.status.success(), "{told}\n{}", master.log());
    let http = lunabot_net::http::builder().no_proxy().build()?;
    let answer = http.get(format!("http://127.0.0.1:{port}/api/v2/builders")).send().await?;
    assert_eq!(names(&answer.json().await?), ["one"]);
    assert!(master.get("builders").await.is_err(), "nobody listens at the old port any more");
    Ok(())
}

/// What the command says a reload would do; whether it would.
async fn plan(master: &Master) -> Result<(bool, String)> {
    let output =
        Command::new(lunabot_binary()).args(["reconfig", "--plan"]).arg(master.dir()).output().await?;
    let told = [&output.stdout[..], &output.stderr[..]].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&told).into_owned()))
}

/// What a reload says; whether it came about.
async fn reloaded(master: &Master) -> Result<(bool, String)> {
    let (output, told) = reconfig(master).await?;
    Ok((output.status.success(), told))
}

#[tokio::test]
async fn a_plan_refuses_what_the_reload_refuses_with_the_same_lines() -> Result<()> {
    let builders = [("one", "echo one")];
    let master = Master::start(&config(&builders, "")).await?;
    let taken = [std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?];
    let at = taken.iter().map(|port| Ok(port.local_addr()?)).collect::<Result<Vec<_>>>()?;
    let text = config(
        &builders,
        &format!("c.www.port = \"{}\"\nc.protocols = {{ pb = {{\n  port = \"{}\" }} }}", at[0], at[1]),
    );
    master.rewrite_config(&text.replace(&at[0].to_string(), "unix:pages"))?;
    for (ok, told) in [plan(&master).await?, reloaded(&master).await?] {
        assert!(!ok && !master.dir().join("pages").exists(), "{told}");
    }
    master.rewrite_config(&text)?;
    let line = |part: &str| text.lines().position(|line| line.contains(part)).map_or(0, |line| line + 1);
    let wanted = [
        format!("master.lua:{}: www.port: ", line("c.www.port")),
        format!("master.lua:{}: protocols.pb.port: ", line("  port = ")),
    ];
    let (would, planned) = plan(&master).await?;
    let (did, told) = reconfig(&master).await?;
    for (ok, told) in [(would, planned), (did.status.success(), told)] {
        assert!(!ok, "{told}");
        for wanted in &wanted {
            let found = told.lines().find(|line| line.starts_with(wanted.as_str()));
            assert!(found.is_some_and(|line| line.contains("already in use")), "{wanted}: {told}");
        }
    }
    drop(taken);
    let other = config(&builders, "c.db = { db_url = \"sqlite:///other.sqlite\" }");
    master.rewrite_config(&other)?;
    let line = other.lines().position(|line| line.contains("db_url")).map_or(0, |line| line + 1);
    let (would, planned) = plan(&master).await?;
    assert!(
        !would && planned.contains(&format!("master.lua:{line}: db.db_url: cannot be changed")),
        "{planned}"
    );
    // Nothing is left of the attempts.
    master.rewrite_config(&text)?;
    assert!(plan(&master).await?.0 && reconfig(&master).await?.0.status.success(), "{}", master.log());
    Ok(())
}

#[tokio::test]
async fn a_place_of_this_master_is_no_move_or_is_told_to_be_its_own() -> Result<()> {
    let free = [std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?];
    let ports = free.iter().map(|port| Ok(port.local_addr()?.port())).collect::<Result<Vec<_>>>()?;
    drop(free);
    let [www, pb] = [ports[0], ports[1]];
    let at = |port: u16| format!("tcp:{port}:interface=127.0.0.1");
    let config = |www: &str, protocol: &str, port: &str| {
        config(
            &[("one", "true")],
            &format!("c.www.port = {www:?}\nc.protocols = {{ {protocol} = {{ port = {port:?} }} }}"),
        )
    };
    let master = Master::start(&config("0", "pb", "127.0.0.1:0")).await?;
    let serves = config(&format!("127.0.0.1:{www}"), "pb", &at(pb));
    for text in [&serves, &config(&at(www), "pb", &format!("127.0.0.1:{pb}"))] {
        master.rewrite_config(text)?;
        assert!(plan(&master).await?.0, "{}", master.log());
        let (good, told) = reloaded(&master).await?;
        assert!(good, "{told}");
    }
    for (text, wanted) in [
        (config(&www.to_string(), "pb", &at(pb)), vec![("www.port", "www.port")]),
        (
            config(&at(pb), "pb", &at(www)),
            vec![("www.port", "protocols.pb.port"), ("protocols.pb.port", "www.port")],
        ),
        (
            config(&at(www), "msgpack_experimental_v7", &at(pb)),
            vec![("protocols.msgpack_experimental_v7.port", "protocols.pb.port")],
        ),
    ] {
        master.rewrite_config(&text)?;
        for (good, told) in [plan(&master).await?, reloaded(&master).await?] {
            for (option, has) in &wanted {
                let line = told.lines().find(|line| line.contains(&format!(": {option}: ")));
                let own =
                    format!("this master itself listens there, for {has}; such a change needs a restart");
                assert!(!good && line.is_some_and(|line| line.contains(&own)), "{option}: {told}");
            }
        }
    }
    // A socket file is there while it is served, under whichever name of it.
    for path in ["pages".into(), master.dir().join("pages").display().to_string()] {
        master.rewrite_config(&config(&format!("unix:{path}"), "pb", &at(pb)))?;
        assert!(plan(&master).await?.0, "{}", master.log());
        let (good, told) = reloaded(&master).await?;
        assert!(good && master.dir().join("pages").exists(), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_that_a_removed_builder_leaves_waiting_are_told() -> Result<()> {
    let master = Master::start(&config(&[("gone", "true"), ("stays", "true")], "")).await?;
    master.control("workers/local", "pause", json!({"reason": "disk"})).await?;
    master.force("gone").await?;
    master.force("gone").await?;
    master.rewrite_config(&config(&[("stays", "true")], ""))?;
    let wanted = "of builder gone wait";
    let (would, planned) = plan(&master).await?;
    assert!(
        would && planned.contains(wanted) && planned.contains("configure the builder again"),
        "{planned}"
    );
    let (did, told) = reconfig(&master).await?;
    assert!(did.status.success() && told.contains(wanted), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_reload_says_which_upvalue_of_which_method_changed() -> Result<()> {
    let more = |greeting: &str, rest: &str| {
        let class = format!(
            r#"
local GREETING, other = "{greeting}", {{}}
local Noter = lunabot.changes.ChangeSource:extend("Noter", {{
  activate = function(self) self.said = {{GREETING, other}} end,
  deactivate = function(self) {rest} end,
}})
c.change_source = {{ Noter{{name = "noter"}} }}
local Greets = steps.BuildStep:extend("Greets", {{run = function(self) self:addCompleteLog("x", GREETING) return util.SUCCESS end}})
c.builders[1].factory:addStep(Greets{{}})
"#
        );
        config(&[("one", "true")], &class)
    };
    let master = Master::start(&more("hello", "")).await?;
    master.rewrite_config(&more("goodbye", ""))?;
    let (_, told) = reconfig(&master).await?;
    let why = "changed change source noter: upvalue GREETING of `activate` changed (master.lua:";
    assert!(told.contains(why), "{told}");
    assert!(
        told.contains("changed builder one: upvalue GREETING of `factory.steps[3].run` changed ("),
        "{told}"
    );
    master.rewrite_config(&more("goodbye", "self.said = nil"))?;
    let (_, told) = reconfig(&master).await?;
    assert!(told.contains("changed change source noter: function `deactivate` (master.lua:"), "{told}");
    let (_, told) = reconfig(&master).await?;
    assert!(
        told.contains("nothing") || told.contains("unchanged") && !told.contains("changed change"),
        "{told}"
    );
    Ok(())
}
