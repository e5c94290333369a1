//! A git repository made for one test, with the real git.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A repository with a work tree; gone when dropped.
pub struct Repo {
    dir: TempDir,
}

impl Repo {
    /// Makes a repository with one commit on `main`.
    pub fn new() -> Result<Repo> {
        let repo = Repo { dir: TempDir::new()? };
        repo.git(&["init", "-q", "-b", "main"])?;
        repo.commit("hello.txt", "hello\n", "first")?;
        Ok(repo)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The URL a poller and a Git step take.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Writes a file and commits it; returns the revision.
    pub fn commit(&self, file: &str, content: &str, message: &str) -> Result<String> {
        std::fs::write(self.path().join(file), content)?;
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-q", "-m", message])?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_string())
    }

    /// Runs git in the work tree, apart from the user's own configuration.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("git")
            .args(["-c", "user.name=Ann Author", "-c", "user.email=ann@example.org"])
            .args(args)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .context("running git")?;
        ensure!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}
