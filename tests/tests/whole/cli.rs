//! The commands a user types, on the real program (reference 16a).

use anyhow::{Context as _, Result};
use lunabot_tests::lunabot_binary;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// Longer than any command takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command printed and how it ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn lunabot(args: &[&str], dir: &Path) -> Result<Ran> {
    let mut command = Command::new(lunabot_binary());
    command.args(args).arg(dir).env("NO_COLOR", "1").kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.context("it never ends")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

/// A master's folder; a daemon left in it is stopped.
struct Home(TempDir);

impl Home {
    /// With the sample that `create-master` lays down, on any free port.
    async fn created() -> Result<Home> {
        let home = Home(TempDir::new()?);
        let ran = lunabot(&["create-master"], &home.dir()).await?;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let text = std::fs::read_to_string(home.config())?;
        let free =
            text.replace("c.www = { port = \"127.0.0.1:8010\" }", "c.www = { port = \"127.0.0.1:0\" }");
        assert_ne!(text, free, "the sample says where its pages are");
        std::fs::write(home.config(), free)?;
        Ok(home)
    }

    /// A folder that `create-master` has to make.
    fn dir(&self) -> PathBuf {
        self.0.path().join("ci")
    }

    fn config(&self) -> PathBuf {
        self.dir().join("master.lua")
    }

    fn pid(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.dir().join("lunabot.pid"))?.trim().to_string())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("lunabot.log")).unwrap_or_default()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::process::Command::new(lunabot_binary()).arg("stop").arg(self.dir()).output();
    }
}

#[tokio::test]
async fn a_stranger_finds_the_way() -> Result<()> {
    let output = Command::new(lunabot_binary()).arg("--help").output().await?;
    let help = String::from_utf8(output.stdout)?;
    for word in ["create-master", "checkconfig", "start", "stop", "restart", "reconfig", "completions", "man"]
    {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
    let version = Command::new(lunabot_binary()).arg("version").output().await?;
    assert!(String::from_utf8(version.stdout)?.starts_with("lunabot 0."));
    let man = Command::new(lunabot_binary()).arg("man").output().await?;
    assert!(String::from_utf8(man.stdout)?.contains(".TH lunabot"));
    let shell = Command::new(lunabot_binary()).args(["completions", "bash"]).output().await?;
    assert!(String::from_utf8(shell.stdout)?.contains("_lunabot()"));
    Ok(())
}

#[tokio::test]
async fn create_master_lays_down_what_works_and_overwrites_nothing() -> Result<()> {
    let home = Home::created().await?;
    let ran = lunabot(&["checkconfig"], &home.dir()).await?;
    assert_eq!((ran.code, ran.out.trim(), ran.err.trim()), (Some(0), "Config file is good!", ""));
    let before = std::fs::read_to_string(home.config())?;
    let again = lunabot(&["create-master"], &home.dir()).await?;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("exists already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(home.config())?, before);
    Ok(())
}

#[tokio::test]
async fn checkconfig_tells_every_mistake_at_once() -> Result<()> {
    let home = Home::created().await?;
    let text = std::fs::read_to_string(home.config())?;
    let broken = "c.titel = 'x'\nc.builders[1] = c.builders[1]:with{workernames = {\"gone\"}}\nreturn c";
    std::fs::write(home.config(), text.replace("return c", broken))?;
    let ran = lunabot(&["checkconfig"], &home.dir()).await?;
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    for part in ["Configuration Errors:", "titel", "gone", "master.lua"] {
        assert!(ran.err.contains(part), "{part} is missing in\n{}", ran.err);
    }
    std::fs::write(home.config(), "return {")?;
    let ran = lunabot(&["checkconfig"], &home.config()).await?;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("master.lua:1"), "{}", ran.err);
    let nowhere = lunabot(&["checkconfig"], &home.dir().join("nowhere")).await?;
    assert!(nowhere.code == Some(1) && nowhere.err.contains("create-master"), "{}", nowhere.err);
    Ok(())
}

#[tokio::test]
async fn a_daemon_starts_once_reloads_and_stops() -> Result<()> {
    let home = Home::created().await?;
    let started = lunabot(&["start", "--daemon"], &home.dir()).await?;
    assert_eq!(started.code, Some(0), "{}\n{}", started.err, home.log());
    assert!(started.out.contains("http://127.0.0.1:"), "it says where its pages are: {}", started.out);
    let pid = home.pid()?;
    assert!(home.log().contains("BuildMaster is running"), "{}", home.log());

    let second = lunabot(&["start"], &home.dir()).await?;
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains(&format!("process {pid}")), "{}", second.err);
    let status = lunabot(&["status"], &home.dir()).await?;
    assert!(status.code == Some(0) && status.out.contains(&pid), "{}{}", status.out, status.err);

    let text = std::fs::read_to_string(home.config())?;
    let more = "c.builders[2] = c.builders[1]:with{name = \"second\"}\n\
        c.schedulers[2] = schedulers.ForceScheduler{name = \"force2\", builderNames = {\"second\"}}\nreturn c";
    std::fs::write(home.config(), text.replace("return c", more))?;
    let plan = lunabot(&["reconfig", "--plan"], &home.dir()).await?;
    assert!(plan.code == Some(0) && plan.out.contains("start builder second"), "{}{}", plan.out, plan.err);
    let reconfig = lunabot(&["reconfig"], &home.dir()).await?;
    assert_eq!(reconfig.code, Some(0), "{}{}", reconfig.out, reconfig.err);
    for line in ["started builder second", "started scheduler force2", "configuration update complete"] {
        assert!(reconfig.out.contains(line), "{line} is missing in\n{}", reconfig.out);
    }

    let restarted = lunabot(&["restart"], &home.dir()).await?;
    assert_eq!(restarted.code, Some(0), "{}\n{}", restarted.err, home.log());
    assert_ne!(home.pid()?, pid);
    let stopped = lunabot(&["stop", "--clean"], &home.dir()).await?;
    assert!(stopped.code == Some(0) && stopped.out.contains("is dead"), "{}{}", stopped.out, stopped.err);
    assert!(!home.dir().join("lunabot.pid").exists() && !home.dir().join("lunabot.sock").exists());
    assert!(home.log().contains("BuildMaster is stopped"), "{}", home.log());
    let idle = lunabot(&["stop"], &home.dir()).await?;
    assert!(idle.code == Some(0) && idle.out.contains("no master runs"), "{}", idle.out);
    assert_eq!(lunabot(&["reconfig"], &home.dir()).await?.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_cannot_start_says_why() -> Result<()> {
    let home = Home::created().await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let text = std::fs::read_to_string(home.config())?;
    std::fs::write(home.config(), text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")))?;
    let ran = lunabot(&["start", "--daemon"], &home.dir()).await?;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains(&format!("127.0.0.1:{port}")) && ran.err.contains("in use"), "{}", ran.err);
    std::fs::write(home.config(), text.replace("c.title", "c.titel"))?;
    let ran = lunabot(&["start", "--daemon"], &home.dir()).await?;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("titel") && ran.err.contains("master.lua:"), "{}", ran.err);
    assert!(!home.dir().join("lunabot.pid").exists());
    Ok(())
}

#[tokio::test]
async fn what_a_killed_master_left_behind_hinders_nobody() -> Result<()> {
    let home = Home::created().await?;
    std::fs::write(home.dir().join("lunabot.pid"), "1\n")?;
    std::fs::write(home.dir().join("lunabot.sock"), "")?;
    let ran = lunabot(&["start", "--daemon"], &home.dir()).await?;
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.err, home.log());
    assert_eq!(lunabot(&["stop"], &home.dir()).await?.code, Some(0));
    Ok(())
}
