//! The README's first command: the example `hello` in a fresh clone.

use anyhow::{Context as _, Result};
use lunabot_tests::{Master, project_root};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=trunk"];
    let output = Command::new("git").args(who).args(args).current_dir(dir).output().context("running git")?;
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}

/// A repository that holds the example where ours does, on a free port.
fn clone_with_hello() -> Result<TempDir> {
    let dir = TempDir::new()?;
    let (from, to) = (project_root().join("config-examples/hello"), dir.path().join("config-examples/hello"));
    std::fs::create_dir_all(&to)?;
    let text = std::fs::read_to_string(from.join("master.lua"))?;
    std::fs::write(to.join("master.lua"), text.replace("127.0.0.1:8010", "127.0.0.1:0"))?;
    std::fs::copy(from.join(".gitignore"), to.join(".gitignore"))?;
    std::fs::write(dir.path().join("lib.rs"), "fn main() {}\n")?;
    git(dir.path(), &["init", "-q"])?;
    git(dir.path(), &["add", "-A"])?;
    git(dir.path(), &["commit", "-q", "-m", "first"])?;
    Ok(dir)
}

#[tokio::test]
async fn the_newest_commit_is_built_at_once_and_the_next_when_it_comes() -> Result<()> {
    let dir = Arc::new(clone_with_hello()?);
    let folder = dir.path().join("config-examples/hello");
    let first = git(dir.path(), &["rev-parse", "HEAD"])?;
    let master = Master::start_below(dir.clone(), folder.clone()).await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 0, "{build}");
    assert!(master.step_log(1, "commit", "stdio").await?.contains(&first));
    assert!(master.step_log(1, "count", "stdio").await?.contains("lines of rs"));

    std::fs::write(dir.path().join("notes.txt"), "a line\n")?;
    git(dir.path(), &["add", "-A"])?;
    git(dir.path(), &["commit", "-q", "-m", "See whether it is noticed"])?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    assert!(master.step_log(2, "commit", "stdio").await?.contains("See whether it is noticed"));
    assert_eq!(git(dir.path(), &["status", "--porcelain"])?, "", "what it leaves behind is ignored");

    // A restart builds nothing again.
    let dir = master.kill().await?;
    let master = Master::start_below(dir.clone(), folder).await?;
    std::fs::write(dir.path().join("more.txt"), "another\n")?;
    git(dir.path(), &["add", "-A"])?;
    git(dir.path(), &["commit", "-q", "-m", "Once more"])?;
    assert_eq!(master.finished_build(3).await?["results"], 0);
    assert!(master.step_log(3, "commit", "stdio").await?.contains("Once more"));
    Ok(())
}
