//! Buildbot's own worker, as it comes from PyPI.

use crate::project_root;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Longer than anything a test waits for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The protocols a stock worker speaks, as `c.protocols` calls them.
pub const PROTOCOLS: [&str; 2] = ["pb", "msgpack_experimental_v7"];

/// A release of `buildbot-worker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release(&'static str);

impl Release {
    /// The one that Buildbot 4.3 brings, and that most tests use.
    pub const CURRENT: Release = Release("4.3.0");

    /// An older one, which tests/run.sh installs below target/old-workers.
    pub const fn old(version: &'static str) -> Self {
        Release(version)
    }

    pub fn version(self) -> &'static str {
        self.0
    }

    fn program(self) -> Command {
        if self == Self::CURRENT {
            return program("buildbot-worker");
        }
        let venv = std::env::var_os("LUNABOT_OLD_WORKERS")
            .map_or_else(|| project_root().join("target/old-workers"), PathBuf::from);
        in_venv(&venv.join(self.0), "buildbot-worker")
    }
}

/// A `buildbot-worker` process in a folder of its own. Killed when dropped.
pub struct StockWorker {
    dir: Arc<TempDir>,
    child: Child,
}

impl StockWorker {
    /// Makes a worker that connects to `port` of this machine, and starts it.
    pub async fn start(protocol: &str, port: u16, name: &str, password: &str) -> Result<StockWorker> {
        Self::start_with(protocol, port, name, password, &[]).await
    }

    /// With more options of `buildbot-worker create-worker`.
    pub async fn start_with(
        protocol: &str,
        port: u16,
        name: &str,
        password: &str,
        options: &[&str],
    ) -> Result<StockWorker> {
        Self::start_release(Release::CURRENT, protocol, port, name, password, options).await
    }

    /// Of any release.
    pub async fn start_release(
        release: Release,
        protocol: &str,
        port: u16,
        name: &str,
        password: &str,
        options: &[&str],
    ) -> Result<StockWorker> {
        let master = format!("127.0.0.1:{port}");
        let dir = Self::make(release, protocol, &master, name, password, options).await?;
        Self::start_release_in(release, dir)
    }

    /// Over TLS, as a machine that trusts `certificate`, which is one for `localhost`.
    pub async fn start_tls(
        protocol: &str,
        port: u16,
        name: &str,
        password: &str,
        certificate: &Path,
    ) -> Result<StockWorker> {
        let master = format!("localhost:{port}");
        let dir = Self::make(Release::CURRENT, protocol, &master, name, password, &["--use-tls"]).await?;
        Self::start_tls_in(dir, certificate)
    }

    /// Starts it again in the folder of an earlier one.
    pub fn start_in(dir: Arc<TempDir>) -> Result<StockWorker> {
        Self::start_release_in(Release::CURRENT, dir)
    }

    /// [`StockWorker::start_in`] for any release.
    pub fn start_release_in(release: Release, dir: Arc<TempDir>) -> Result<StockWorker> {
        Self::run(dir, &mut release.program())
    }

    /// [`StockWorker::start_in`] for one made by [`StockWorker::start_tls`].
    pub fn start_tls_in(dir: Arc<TempDir>, certificate: &Path) -> Result<StockWorker> {
        Self::run(dir, program("buildbot-worker").env("SSL_CERT_FILE", certificate))
    }

    async fn make(
        release: Release,
        protocol: &str,
        master: &str,
        name: &str,
        password: &str,
        options: &[&str],
    ) -> Result<Arc<TempDir>> {
        let dir = Arc::new(TempDir::new()?);
        let mut create = release.program();
        create.args(["create-worker", "--quiet"]);
        // What they all speak; old ones cannot be asked for it.
        if protocol != PROTOCOLS[0] {
            create.args(["--protocol", protocol]);
        }
        create.args(options).arg(dir.path()).args([master, name, password]);
        let made = create.output().await.with_context(|| {
            format!("tests/run.sh installs buildbot-worker {} below target/", release.version())
        })?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(dir)
    }

    fn run(dir: Arc<TempDir>, program: &mut Command) -> Result<StockWorker> {
        // What a process that was killed left behind.
        let _ = std::fs::remove_file(dir.path().join("twistd.pid"));
        let child = program
            .args(["start", "--nodaemon"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(StockWorker { dir, child })
    }

    /// Its base directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// SIGKILL, and waits for the end; its folder.
    pub async fn kill(mut self) -> Result<Arc<TempDir>> {
        self.child.kill().await?;
        Ok(self.dir.clone())
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).context("it runs")?;
        Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal)?)
    }

    /// Waits for the process to end by itself; its exit code.
    pub async fn ended(&mut self) -> Result<Option<i32>> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        Ok(status.with_context(|| format!("the worker does not end; its log:\n{}", self.log()))??.code())
    }

    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("twistd.log")).unwrap_or_default()
    }
}

/// `buildbot sendchange`.
pub fn sendchange() -> Command {
    buildbot("sendchange")
}

/// A command of Buildbot's own client.
pub fn buildbot(what: &str) -> Command {
    let mut command = program("buildbot");
    command.arg(what).kill_on_drop(true);
    command
}

/// A program of Buildbot's.
pub(crate) fn program(name: &str) -> Command {
    in_venv(&venv(), name)
}

/// Where tests/run.sh has installed Buildbot, unless told otherwise.
pub(crate) fn venv() -> PathBuf {
    std::env::var_os("LUNABOT_WORKER_VENV")
        .map_or_else(|| project_root().join("target/worker-venv"), PathBuf::from)
}

fn in_venv(venv: &Path, name: &str) -> Command {
    let mut command = Command::new(venv.join("bin").join(name));
    command.env_remove("PYTHONPATH").env("LANG", "C.UTF-8");
    command
}
