//! A master of either kind, in a folder of its own, and its REST API.

use anyhow::{Context as _, Result, bail, ensure};
use lunabot_tests::project_root;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;

/// The release that is compared with.
const VERSION: &str = "4.3.0";
/// Between looks at something that has no event.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 600;

/// A running master; killed when dropped.
pub struct Peer {
    pub dir: TempDir,
    master: Child,
    _worker: Child,
    base: String,
    http: reqwest::Client,
}

impl Peer {
    pub async fn lunabot(folder: &Path, python: &str) -> Result<Peer> {
        let bin = installed(python)?;
        let dir = TempDir::new()?;
        std::fs::copy(folder.join("master.lua"), dir.path().join("master.lua"))?;
        let program = std::env::current_exe()?.with_file_name("lunabot");
        ensure!(program.is_file(), "build it first: cargo build -p lunabot");
        let mut command = Command::new(program);
        command.arg("start").arg(dir.path());
        Self::start(folder, dir, command, &bin).await.context("starting Lunabot")
    }

    pub async fn buildbot(folder: &Path, python: &str) -> Result<Peer> {
        let bin = installed(python)?;
        let dir = TempDir::new()?;
        let made =
            Command::new(bin.join("buildbot")).args(["create-master", "-q"]).arg(dir.path()).status()?;
        ensure!(made.success(), "buildbot create-master failed");
        std::fs::copy(folder.join("master.cfg"), dir.path().join("master.cfg"))?;
        let mut command = Command::new(bin.join("buildbot"));
        command.args(["start", "--nodaemon"]).arg(dir.path()).current_dir(dir.path());
        Self::start(folder, dir, command, &bin).await.context("starting Buildbot")
    }

    async fn start(folder: &Path, dir: TempDir, mut command: Command, bin: &Path) -> Result<Peer> {
        let (port, pb) = (free_port()?, free_port()?);
        command.env("SCENARIO", folder.join("scenario.json"));
        command.env("PORT", port.to_string()).env("PB_PORT", pb.to_string());
        let master = spawn(command, &dir.path().join("output.txt"))?;
        let place = dir.path().join("worker");
        let address = format!("127.0.0.1:{pb}");
        let mut create = Command::new(bin.join("buildbot-worker"));
        create.args(["create-worker", "-q"]).arg(&place).args([&address, "local", "pass"]);
        ensure!(create.status()?.success(), "buildbot-worker create-worker failed");
        let mut work = Command::new(bin.join("buildbot-worker"));
        work.args(["start", "--nodaemon"]).arg(&place).current_dir(&place);
        let worker = spawn(work, &dir.path().join("worker.txt"))?;
        let http = lunabot_net::http::builder().no_proxy().build()?;
        let base = format!("http://127.0.0.1:{port}/api/v2/");
        let mut peer = Peer { dir, master, _worker: worker, base, http };
        peer.serves().await?;
        Ok(peer)
    }

    async fn serves(&mut self) -> Result<()> {
        for _ in 0..LOOKS {
            let connected = |workers: &Value| {
                workers["workers"][0]["connected_to"].as_array().is_some_and(|c| !c.is_empty())
            };
            if self.get("workers").await.is_ok_and(|workers| connected(&workers)) {
                return Ok(());
            }
            if let Some(status) = self.master.try_wait()? {
                bail!("it ended with {status}:\n{}", self.output());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("it does not serve:\n{}", self.output())
    }

    fn output(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        format!("{}{}", read("output.txt"), read("twistd.log"))
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let response =
            self.http.get(format!("{}{path}", self.base)).header("accept", "application/json").send().await?;
        ensure!(response.status().is_success(), "GET {path}: {}", response.status());
        Ok(response.json().await?)
    }

    /// The text of a log, with its channels.
    pub async fn contents(&self, log: i64) -> Result<String> {
        let found = self.get(&format!("logs/{log}/contents")).await?;
        Ok(found["logchunks"][0]["content"].as_str().unwrap_or_default().to_string())
    }

    pub async fn control(&self, path: &str, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let reply: Value =
            self.http.post(format!("{}{path}", self.base)).json(&body).send().await?.json().await?;
        match reply.get("error").filter(|error| !error.is_null()) {
            Some(error) => bail!("{method} {path}: {error}"),
            None => Ok(reply["result"].clone()),
        }
    }

    /// Reads until the answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        for _ in 0..LOOKS {
            let answer = self.get(path).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("{path} never became what was wanted:\n{}", self.output())
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts a program whose output goes into a file.
fn spawn(mut command: Command, output: &Path) -> Result<Child> {
    let output = std::fs::File::create(output)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    Ok(tokio::process::Command::from(command).kill_on_drop(true).spawn()?)
}

/// The folder with Buildbot's programs, installed there if it is not.
fn installed(python: &str) -> Result<PathBuf> {
    let venv = project_root().join("target/peers").join(format!("buildbot-{VERSION}"));
    let bin = venv.join("bin");
    if bin.join("buildbot").is_file() {
        return Ok(bin);
    }
    eprintln!("installing Buildbot {VERSION} into {}", venv.display());
    let run = |program: &Path, args: &[&str]| -> Result<()> {
        let status = Command::new(program).args(args).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{} {args:?} failed", program.display());
        Ok(())
    };
    run(Path::new(python), &["-m", "venv", &venv.to_string_lossy()])?;
    let packages = ["buildbot", "buildbot-worker", "buildbot-www"].map(|name| format!("{name}=={VERSION}"));
    run(&bin.join("pip"), &["install", "-q", &packages[0], &packages[1], &packages[2]])?;
    Ok(bin)
}
