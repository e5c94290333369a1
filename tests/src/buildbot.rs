//! Buildbot's own master, as it comes from PyPI.

use crate::stock_worker::program;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;

/// Between looks at something that has no event here.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 900;

/// A running Buildbot master with a REST API and a port for workers. Killed when dropped.
pub struct Buildbot {
    dir: TempDir,
    child: Child,
    base: String,
    workers: u16,
    http: reqwest::Client,
}

impl Buildbot {
    /// Starts one whose configuration is `python`, which finds the numbers of its ports as `WWW` and `WORKERS`.
    pub async fn start(python: &str) -> Result<Buildbot> {
        let dir = TempDir::new()?;
        let made = program("buildbot").args(["create-master", "-q"]).arg(dir.path()).output().await;
        let made = made.context("tests/run.sh installs buildbot into target/worker-venv")?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (www, workers) = (free_port()?, free_port()?);
        let config = format!("WWW = {www}\nWORKERS = {workers}\n{python}");
        std::fs::write(dir.path().join("master.cfg"), config)?;
        let mut command = program("buildbot");
        command.args(["start", "--nodaemon"]).arg(dir.path()).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn()?;
        let http = lunabot_net::http::builder().no_proxy().build()?;
        let base = format!("http://127.0.0.1:{www}/api/v2/");
        Ok(Buildbot { dir, child, base, workers, http })
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until it has taken its configuration whole.
    pub async fn running(&self) -> Result<()> {
        for _ in 0..LOOKS {
            if self.log().contains("BuildMaster is running") {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("Buildbot does not start:\n{}", self.log())
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        self.base.trim_end_matches("/api/v2/")
    }

    /// The port for workers.
    pub fn port(&self) -> u16 {
        self.workers
    }

    /// Where workers connect.
    pub fn address(&self) -> String {
        format!("ws://127.0.0.1:{}", self.workers)
    }

    /// `127.0.0.1:PORT` of its pages.
    pub fn web(&self) -> String {
        self.base.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("twistd.log")).unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = self.http.get(format!("{}{path}", self.base)).header("accept", "application/json");
        let response = request.send().await?;
        ensure!(response.status().is_success(), "GET {path}: {}", response.status());
        Ok(response.json().await?)
    }

    /// A control action.
    pub async fn control(&self, path: &str, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.http.post(format!("{}{path}", self.base)).json(&body);
        let reply: Value = request.send().await?.json().await?;
        match reply.get("error").filter(|error| !error.is_null()) {
            Some(error) => bail!("{method} {path}: {error}"),
            None => Ok(reply["result"].clone()),
        }
    }

    /// Reads until the answer is as wanted.
    pub async fn until(&mut self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        for _ in 0..LOOKS {
            // It may not serve yet.
            if let Ok(answer) = self.get(path).await {
                if wanted(&answer) {
                    return Ok(answer);
                }
                last = answer;
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("Buildbot ended with {status}:\n{}", self.log());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("{path} never became what was wanted; last: {last:#}\n{}", self.log())
    }

    /// The text of a step's log.
    pub async fn step_log(&self, build: i64, step: &str) -> Result<String> {
        let found = self.get(&format!("builds/{build}/steps/{step}/logs/stdio/contents")).await?;
        Ok(found["logchunks"][0]["content"].as_str().unwrap_or_default().to_string())
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
