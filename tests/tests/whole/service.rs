//! The master as a service: what it tells systemd, signals, files that are watched.

use anyhow::{Context as _, Result};
use lunabot_tests::{Master, lunabot_binary, mounted};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::Command;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A builder whose one step runs `command`; `extra` is Lua placed before the end.
fn config(command: &str, extra: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local f = util.BuildFactory{{steps.ShellCommand{{name = "run", command = {command:?}}}}}
local c = {{}}
c.workers = {{ worker.LocalWorker{{"local"}} }}
c.builders = {{ util.BuilderConfig{{name = "one", workernames = {{"local"}}, factory = f}} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"one"}}}} }}
c.www = {{ port = 0 }}
{extra}
return c
"#
    )
}

/// Waits for a message of the service that contains `wanted`.
async fn told(socket: &UnixDatagram, wanted: &str) -> Result<String> {
    let search = async {
        let mut buffer = vec![0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.contains(wanted) {
                return anyhow::Ok(message);
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.with_context(|| format!("never told {wanted}"))?
}

#[tokio::test]
async fn systemd_is_told_of_start_life_reload_and_end() -> Result<()> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), config("true", ""))?;
    let socket = UnixDatagram::bind(dir.path().join("notify"))?;
    let mut child = Command::new(lunabot_binary())
        .arg("start")
        .arg(dir.path())
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "300000")
        .env_remove("WATCHDOG_PID")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id().context("it runs")?)?);
    told(&socket, "READY=1").await?;
    told(&socket, "WATCHDOG=1").await?;
    kill(pid, Signal::SIGHUP)?;
    assert!(told(&socket, "RELOADING=1").await?.contains("MONOTONIC_USEC="));
    told(&socket, "READY=1").await?;
    kill(pid, Signal::SIGTERM)?;
    told(&socket, "STOPPING=1").await?;
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.context("it ends")??;
    assert!(status.success(), "{status}");
    Ok(())
}

/// The fields of an entry as it is sent to a journal: `NAME=value` lines, or a name, a length and the value.
fn journal_fields(mut entry: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&entry[..end]).into_owned();
        entry = &entry[end + 1..];
        if let Some((name, value)) = line.split_once('=') {
            fields.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let (length, rest) = entry.split_first_chunk::<8>()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        fields.insert(line, String::from_utf8_lossy(value).into_owned());
        entry = rest.strip_prefix(b"\n")?;
    }
    Some(fields)
}

#[tokio::test]
async fn the_journal_gets_fields_and_standard_error_stays_silent() -> Result<()> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), config("true", ""))?;
    let journal = dir.path().join("journal");
    std::fs::create_dir(&journal)?;
    let socket = UnixDatagram::bind(journal.join("socket"))?;
    let place = "/run/systemd/journal";
    let mounts =
        format!("mount -t tmpfs none /run; mkdir -p {place}; mount --bind {} {place}", journal.display());
    let child = mounted(&mounts)
        .args(["start", "--log-format", "journald"])
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let serving = told(&socket, "http://").await?;
    let fields = journal_fields(serving.as_bytes()).context("fields of a journal")?;
    assert_eq!((fields["PRIORITY"].as_str(), fields["SYSLOG_IDENTIFIER"].as_str()), ("5", "lunabot"));
    assert_eq!(fields["TARGET"], "lunabot::master::web");
    assert!(fields["MESSAGE"].starts_with("the pages are at http://"), "{fields:?}");
    kill(Pid::from_raw(i32::try_from(child.id().context("it runs")?)?), Signal::SIGTERM)?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.context("it ends")??;
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Ok(())
}

#[tokio::test]
async fn without_a_journal_the_start_says_what_to_do() -> Result<()> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), config("true", ""))?;
    let mut start = mounted("mount -t tmpfs none /run");
    let output = start.args(["start", "--log-format", "journald"]).arg(dir.path()).output().await?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("try --log-format human"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_clean_stop_waits_for_the_build() -> Result<()> {
    let gate = TempDir::new()?;
    let hold = format!("until test -e {}/open; do sleep 0.05; done", gate.path().display());
    let mut master = Master::start(&config(&hold, "")).await?;
    master.force("one").await?;
    let runs = |a: &serde_json::Value| a["steps"][0]["started_at"].is_i64();
    master.until("builds/1/steps", runs).await?;
    master.signal(Signal::SIGUSR1)?;
    master.log_line(|line| line.contains("waiting for running builds")).await?;
    std::fs::write(gate.path().join("open"), "")?;
    assert_eq!(master.ended().await?, Some(0));
    let master = Master::start_in(master.shared_dir()).await?;
    assert_eq!(master.get("builds/1").await?["builds"][0]["results"], 0);
    Ok(())
}

#[tokio::test]
async fn control_c_ends_at_once_and_the_build_is_repeated() -> Result<()> {
    let gate = TempDir::new()?;
    let hold = format!("until test -e {}/open; do sleep 0.05; done", gate.path().display());
    let mut master = Master::start(&config(&hold, "")).await?;
    master.force("one").await?;
    let runs = |a: &serde_json::Value| a["steps"][0]["started_at"].is_i64();
    master.until("builds/1/steps", runs).await?;
    master.signal(Signal::SIGINT)?;
    assert_eq!(master.ended().await?, Some(0));
    assert!(master.log().contains("BuildMaster is stopped"), "{}", master.log());
    std::fs::write(gate.path().join("open"), "")?;
    let master = Master::start_in(master.shared_dir()).await?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    assert_eq!(master.get("builds/1").await?["builds"][0]["results"], 5);
    Ok(())
}

#[tokio::test]
async fn a_watched_configuration_is_loaded_when_it_changes() -> Result<()> {
    let watching = "c.lua = { watch = true }";
    let master = Master::start(&config("true", watching)).await?;
    master.rewrite_config(&config("true", &format!("{watching}\nc.title = 'Other'")))?;
    master.log_line(|line| line.contains("configuration update complete")).await?;
    let rows = master.get("generations").await?;
    assert_eq!(rows["generations"].as_array().map(Vec::len), Some(2), "{rows}");
    assert_eq!(rows["generations"][1]["current"], true, "{rows}");
    Ok(())
}
