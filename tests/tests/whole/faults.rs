//! What may go wrong around a master: ports, databases, git servers, disks.

use anyhow::{Context, Result};
use lunabot_tests::{Master, lunabot_binary};
use serde_json::json;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

/// One builder that a forced build or a pushed change starts; `extra` is Lua placed before the end.
fn config(port: u16, extra: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local f = util.BuildFactory{{}}
f:addStep(steps.ShellCommand{{name = "run", command = "echo hello"}})
local c = {{}}
c.workers = {{ worker.LocalWorker{{"local"}} }}
c.builders = {{ util.BuilderConfig{{name = "one", workernames = {{"local"}}, factory = f}} }}
c.schedulers = {{
  schedulers.AnyBranchScheduler{{name = "any", builderNames = {{"one"}}}},
  schedulers.ForceScheduler{{name = "force", builderNames = {{"one"}}}},
}}
c.www = {{ port = {port}, change_hook_dialects = {{ base = true }} }}
{extra}
return c
"#
    )
}

#[tokio::test]
async fn a_port_in_use_is_named_and_the_start_fails() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let port = taken.local_addr()?.port();
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("master.lua"), config(port, ""))?;
    let output = Command::new(lunabot_binary()).arg("start").arg(dir.path()).output().await?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains(&port.to_string()), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_git_server_that_never_answers_holds_up_nobody() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("git://{}/x.git", silent.local_addr()?);
    let poller = format!(
        "c.change_source = {{ changes.GitPoller{{\"{url}\", pollInterval = 1, pollAtLaunch = true}} }}"
    );
    let mut master = Master::start(&config(0, &poller)).await?;
    let (_connection, _) = silent.accept().await.context("the poller connects")?;
    assert_eq!(master.change_hook(&[("author", "joe"), ("comments", "c")]).await?, 202);
    assert_eq!(master.finished_build(1).await?["results"], 0);
    // It can be stopped in the middle of that poll, and takes its git with it.
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    assert_eq!(master.ended().await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_database_locked_by_somebody_else_delays_and_loses_nothing() -> Result<()> {
    let master = Master::start(&config(0, "")).await?;
    let mut other = Command::new("sqlite3")
        .arg(master.dir().join("state.sqlite"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("sqlite3 is installed by tests/run.sh")?;
    let mut input = other.stdin.take().context("piped")?;
    input.write_all(b".timeout 5000\nBEGIN IMMEDIATE;\nSELECT 'locked';\n").await?;
    let mut lines = tokio::io::BufReader::new(other.stdout.take().context("piped")?);
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await?;
    assert_eq!(line.trim(), "locked");

    let push = master.change_hook(&[("author", "joe"), ("comments", "while locked")]);
    let release = async {
        // Reading goes on while writing waits.
        assert_eq!(master.get("changes").await?["changes"], json!([]));
        input.write_all(b"COMMIT;\n.quit\n").await?;
        anyhow::Ok(())
    };
    let (status, released) = tokio::join!(push, release);
    released?;
    assert_eq!(status?, 202);
    assert_eq!(master.finished_build(1).await?["results"], 0);
    other.wait().await?;
    Ok(())
}

#[tokio::test]
async fn a_second_term_ends_builds_with_retry_and_the_next_start_goes_on() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let hold = format!("until test -e {}/open; do sleep 0.05; done", gate.path().display());
    let extra = format!("f:addStep(steps.ShellCommand{{name = \"hold\", command = {hold:?}}})");
    let mut master = Master::start(&config(0, &extra)).await?;
    master.force("one").await?;
    master
        .until("builds/1/steps", |a| {
            a["steps"].as_array().is_some_and(|s| s.iter().any(|s| s["name"] == "hold"))
        })
        .await?;
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    master.log_line(|line| line.contains("stopping")).await?;
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    master.ended().await?;
    std::fs::write(gate.path().join("open"), "")?;
    let master = Master::start_in(master.shared_dir()).await?;
    assert_eq!(
        master.get("builds/1").await?["builds"][0]["results"],
        5,
        "the interrupted build ended with RETRY"
    );
    let build = master.finished_build(2).await?;
    assert_eq!((&build["results"], &build["number"]), (&json!(0), &json!(2)));
    assert_eq!(build["buildrequestid"], 1);
    Ok(())
}

/// Writes into a new file until there is no room.
fn fill(path: &std::path::Path) -> Result<()> {
    let mut filler = std::fs::File::create(path)?;
    let block = [7; 4096];
    loop {
        match std::io::Write::write_all(&mut filler, &block) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_delays_and_loses_nothing() -> Result<()> {
    let dir = Arc::new(tempfile::tempdir()?);
    let folder = dir.path().join("master");
    std::fs::create_dir(&folder)?;
    let noise = "f:addStep(steps.ShellCommand{name = \"noise\", command = \"test ! -e go || head -c 12000000 /dev/urandom | base64\", workdir = \".\"})";
    std::fs::write(dir.path().join("master.lua"), config(0, noise))?;
    let (outer, inner) = (dir.path().display(), folder.display());
    let mounts = format!("mount -t tmpfs -o size=96m none {inner}; cp {outer}/master.lua {inner}");
    let master = Master::start_mounted(dir.clone(), folder.clone(), &mounts).await?;
    master.force("one").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);

    std::fs::write(master.sees(&folder.join("workers/local/one/go")), "")?;
    let filler = master.sees(&folder.join("filler"));
    fill(&filler)?;
    let force = master.force("one");
    let release = async {
        master.log_line(|line| line.contains("the disk is full: free space")).await?;
        // Reading goes on while writing waits.
        assert_eq!(master.get("builds/1").await?["builds"][0]["results"], 0);
        std::fs::remove_file(&filler)?;
        anyhow::Ok(())
    };
    let (forced, released) = tokio::join!(force, release);
    released?;
    // Whoever asks may be told; what was asked for is done all the same, once there is room.
    if let Err(told) = forced {
        assert!(told.to_string().contains("the disk is full"), "{told}");
    }
    assert_eq!(master.finished_build(2).await?["results"], 0);
    let log = master.step_log(2, "noise", "stdio").await?;
    let noise = log.lines().filter(|line| line.len() == 76).count();
    assert_eq!(noise, 16_000_000 / 76, "every line of the output is there");
    Ok(())
}
