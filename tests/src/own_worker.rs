//! `lunabot worker`: our own worker, as a process of its own.

use crate::lunabot_binary;
use crate::master::{collect, line_of, peak_memory};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Longer than anything a test waits for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker process in a folder of its own. Killed when dropped.
pub struct OwnWorker {
    dir: Arc<TempDir>,
    child: Child,
    log: Arc<Mutex<String>>,
    lines: watch::Receiver<usize>,
}

impl OwnWorker {
    /// Lays one down that connects to `master`, and starts it. `options` are those of `create-worker`.
    pub async fn start(master: &str, name: &str, password: &str, options: &[&str]) -> Result<OwnWorker> {
        Self::start_in(Self::make(master, name, password, options).await?)
    }

    /// Lays one down.
    pub async fn make(master: &str, name: &str, password: &str, options: &[&str]) -> Result<Arc<TempDir>> {
        let dir = Arc::new(TempDir::new()?);
        let secret = dir.path().join("secret");
        std::fs::write(&secret, format!("{password}\n"))?;
        let mut create = Command::new(lunabot_binary());
        create.arg("create-worker").arg("--quiet").args(options);
        create.arg(Self::below(&dir)).args([master, name]).arg(secret);
        let made = create.output().await?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(dir)
    }

    /// Starts it, perhaps again.
    pub fn start_in(dir: Arc<TempDir>) -> Result<OwnWorker> {
        let mut child = Command::new(lunabot_binary())
            .arg("worker")
            .arg(Self::below(&dir))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting lunabot worker")?;
        let (log, lines) = collect(child.stderr.take().context("stderr is piped")?);
        Ok(OwnWorker { dir, child, log, lines })
    }

    fn below(dir: &TempDir) -> PathBuf {
        dir.path().join("w")
    }

    /// Its base directory.
    pub fn dir(&self) -> PathBuf {
        Self::below(&self.dir)
    }

    /// The file that holds its password.
    pub fn password_file(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    pub fn pid(&self) -> i32 {
        self.child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// Waits for a line of the log that `wanted` accepts, seen from the start.
    pub async fn log_line(&self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        line_of(&self.log, &self.lines, wanted).await
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.pid()), signal)?)
    }

    /// SIGKILL, and waits for the end; its folder.
    pub async fn kill(mut self) -> Result<Arc<TempDir>> {
        self.child.kill().await?;
        Ok(self.dir.clone())
    }

    /// Waits for the process to end by itself; its exit code.
    pub async fn ended(&mut self) -> Result<Option<i32>> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        Ok(status.with_context(|| format!("the worker does not end; its log:\n{}", self.log()))??.code())
    }

    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The most memory the process ever had resident, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        peak_memory(self.pid())
    }
}
