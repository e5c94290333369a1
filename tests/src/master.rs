//! A `lunabot start` process in a folder of its own.

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::StreamExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Longer than anything a test waits for on a busy machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Said in the log before the address of the pages.
const PAGES: &str = "the pages are at ";

/// The program under test, built beside the tests.
pub fn lunabot_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.ancestors().find(|dir| dir.join("lunabot").is_file());
    profile
        .map(|dir| dir.join("lunabot"))
        .expect("cargo build --bins comes before the tests; tests/run.sh does it")
}

/// The program, to which other file systems are shown than its surroundings have: `mounts` is run by a shell before it.
pub fn mounted(mounts: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &format!("set -e; {mounts}; exec \"$@\""), "sh"]);
    command.arg(lunabot_binary());
    command
}

/// A running master. Killed when dropped.
pub struct Master {
    dir: Arc<TempDir>,
    /// Where it runs: `dir` or a folder in it.
    folder: PathBuf,
    child: Child,
    base: String,
    log: Arc<Mutex<String>>,
    lines: watch::Receiver<usize>,
    http: reqwest::Client,
}

impl Master {
    /// Writes `master.lua` into a new folder and starts it. `port = 0` is what `c.www` should say.
    pub async fn start(config: &str) -> Result<Master> {
        let dir = Arc::new(TempDir::new()?);
        std::fs::write(dir.path().join("master.lua"), config)?;
        Self::start_in(dir).await
    }

    /// Starts one that logs what `filter` (`LUNABOT_LOG`) says.
    pub async fn start_logging(config: &str, filter: &str) -> Result<Master> {
        let dir = Arc::new(TempDir::new()?);
        std::fs::write(dir.path().join("master.lua"), config)?;
        let folder = dir.path().to_owned();
        let mut start = Command::new(lunabot_binary());
        start.arg("start").arg(&folder).env("LUNABOT_LOG", filter);
        Self::start_by(start, dir, folder).await
    }

    /// Starts a master in an existing folder, e.g. after a kill.
    pub async fn start_in(dir: Arc<TempDir>) -> Result<Master> {
        let folder = dir.path().to_owned();
        Self::start_below(dir, folder).await
    }

    /// Starts a master in a folder somewhere below `dir`.
    pub async fn start_below(dir: Arc<TempDir>, folder: PathBuf) -> Result<Master> {
        let mut start = Command::new(lunabot_binary());
        start.arg("start").arg(&folder);
        Self::start_by(start, dir, folder).await
    }

    /// Starts a master with file systems of its own, see [`mounted`].
    pub async fn start_mounted(dir: Arc<TempDir>, folder: PathBuf, mounts: &str) -> Result<Master> {
        let mut start = mounted(mounts);
        start.arg("start").arg(&folder);
        Self::start_by(start, dir, folder).await
    }

    async fn start_by(mut start: Command, dir: Arc<TempDir>, folder: PathBuf) -> Result<Master> {
        let mut child = start
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting lunabot")?;
        let (log, lines) = collect(child.stderr.take().context("stderr is piped")?);
        let mut master = Master {
            dir,
            folder,
            child,
            base: String::new(),
            log,
            lines,
            http: lunabot_net::http::builder().build()?,
        };
        let line = master.log_line(|line| line.contains(PAGES)).await?;
        let url = line.split(PAGES).nth(1).and_then(|rest| rest.split([' ', '"']).next()).context("a URL")?;
        master.base = url.trim_end_matches('/').replace("http://localhost", "http://127.0.0.1");
        Ok(master)
    }

    pub fn dir(&self) -> &Path {
        &self.folder
    }

    /// Keeps the folder alive beyond this process.
    pub fn shared_dir(&self) -> Arc<TempDir> {
        self.dir.clone()
    }

    /// `http://127.0.0.1:PORT`, or with `https` where the configuration says so.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A path as the process sees it, which may have file systems of its own.
    pub fn sees(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub fn pid(&self) -> i32 {
        self.child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default()
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// Waits for a line of the log that `wanted` accepts, seen from the start.
    pub async fn log_line(&self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        line_of(&self.log, &self.lines, wanted).await
    }

    /// GET below `/api/v2`.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let (status, body) = self.try_get(path).await?;
        ensure!(status == 200, "GET {path}: {status} {body}");
        Ok(body)
    }

    /// GET below `/api/v2` with its status, whatever it is.
    pub async fn try_get(&self, path: &str) -> Result<(u16, Value)> {
        let url = format!("{}/api/v2/{path}", self.base);
        let response = self.http.get(url).header("accept", "application/json").send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_str(&response.text().await?).unwrap_or(Value::Null)))
    }

    /// Any page or file, as text.
    pub async fn text(&self, path: &str) -> Result<(u16, String)> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// A control action; the `result`, or the error object as an error.
    pub async fn control(&self, path: &str, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let url = format!("{}/api/v2/{path}", self.base);
        let response = self.http.post(url).json(&body).send().await?;
        let reply: Value = response.json().await?;
        match reply.get("error") {
            Some(error) => bail!("{error}"),
            None => Ok(reply["result"].clone()),
        }
    }

    /// Forces a build of `builder` through the scheduler `force`; the id of its request.
    pub async fn force(&self, builder: &str) -> Result<i64> {
        let answer =
            self.control("forceschedulers/force", "force", json!({"builderNames": [builder]})).await?;
        let request = answer[1].as_object().and_then(|map| map.values().next()).and_then(Value::as_i64);
        request.with_context(|| format!("no request in {answer}"))
    }

    /// Posts a change to the base hook; returns the status.
    pub async fn change_hook(&self, fields: &[(&str, &str)]) -> Result<u16> {
        let form: String = fields.iter().map(|(k, v)| format!("{k}={}&", urlencode(v))).collect();
        let request = self.http.post(format!("{}/change_hook/base", self.base));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        Ok(request.send().await?.status().as_u16())
    }

    /// Reads `path` now and after each event of the master until `wanted` accepts the answer.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let search = async {
            let mut events = Box::pin(self.events().await?);
            loop {
                last = self.get(path).await?;
                if wanted(&last) {
                    return anyhow::Ok(last.clone());
                }
                events.next().await.context("the event stream ended")?;
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        match found {
            Ok(found) => found.with_context(|| format!("log of lunabot:\n{}", self.log())),
            Err(_) => {
                bail!("{path} never became what was wanted; last: {last:#}\nlog of lunabot:\n{}", self.log())
            }
        }
    }

    /// Events of one pattern from now on.
    pub async fn listen(&self, pattern: &str) -> Result<Events> {
        let response = self.http.get(format!("{}/sse/listen/{pattern}", self.base)).send().await?;
        ensure!(response.status().is_success(), "events: {}", response.status());
        let mut events = Events { response, text: String::new() };
        events.block().await.context("the handshake")?;
        Ok(events)
    }

    /// Pieces of the stream of builds', requests' and changes' events.
    async fn events(&self) -> Result<impl futures::Stream<Item = ()> + use<>> {
        let response = self.http.get(format!("{}/sse/listen/*/*/*", self.base)).send().await?;
        ensure!(response.status().is_success(), "events: {}", response.status());
        Ok(response.bytes_stream().filter_map(|piece| async move { piece.ok().map(|_| ()) }))
    }

    /// Waits until build `id` is complete.
    pub async fn finished_build(&self, id: i64) -> Result<Value> {
        let done = |answer: &Value| answer["builds"][0]["complete"] == true;
        let answer = self.until(&format!("builds?buildid={id}"), done).await?;
        Ok(answer["builds"][0].clone())
    }

    /// The text of a step's log.
    pub async fn step_log(&self, build: i64, step: &str, slug: &str) -> Result<String> {
        let (status, text) =
            self.text(&format!("/api/v2/builds/{build}/steps/{step}/logs/{slug}/raw_inline")).await?;
        ensure!(status == 200, "log {slug} of step {step} of build {build}: {status} {text}");
        Ok(text)
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal)?)
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(mut self) -> Result<Arc<TempDir>> {
        self.stop_at_once().await?;
        Ok(self.dir.clone())
    }

    /// The same where the master is somebody else's.
    pub async fn stop_at_once(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for the process to end by itself; its exit code.
    pub async fn ended(&mut self) -> Result<Option<i32>> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        Ok(status.with_context(|| format!("lunabot does not end; log:\n{}", self.log()))??.code())
    }

    /// The most memory the process ever had resident, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        peak_memory(self.pid())
    }

    pub fn rewrite_config(&self, config: &str) -> Result<()> {
        Ok(std::fs::write(self.dir().join("master.lua"), config)?)
    }
}

/// A stream of events.
pub struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    /// The message of the next event.
    pub async fn next(&mut self) -> Result<Value> {
        loop {
            let block = self.block().await?;
            let data: String = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            if let Ok(event) = serde_json::from_str::<Value>(&data) {
                return Ok(event["message"].clone());
            }
        }
    }

    /// The next lines up to an empty one.
    async fn block(&mut self) -> Result<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Ok(block);
            }
            let piece =
                tokio::time::timeout(PATIENCE, self.response.chunk()).await.context("no event came")??;
            self.text.push_str(std::str::from_utf8(&piece.context("the event stream ended")?)?);
        }
    }
}

/// The most memory that a process ever had resident, in bytes.
pub(crate) fn peak_memory(pid: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

fn urlencode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Waits for a line of a gathered log that `wanted` accepts, seen from the start.
pub(crate) async fn line_of(
    log: &Mutex<String>,
    lines: &watch::Receiver<usize>,
    wanted: impl Fn(&str) -> bool,
) -> Result<String> {
    let text = || log.lock().map(|log| log.clone()).unwrap_or_default();
    let mut lines = lines.clone();
    let search = async {
        loop {
            lines.mark_unchanged();
            if let Some(line) = text().lines().find(|line| wanted(line)) {
                return Ok(line.to_string());
            }
            if lines.changed().await.is_err() {
                return Err(anyhow!("lunabot ended"));
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| Err(anyhow!("no such line")));
    found.with_context(|| format!("log of lunabot:\n{}", text()))
}

/// Gathers a stream into one text, and counts its lines.
pub(crate) fn collect(
    stream: impl tokio::io::AsyncRead + Unpin + Send + 'static,
) -> (Arc<Mutex<String>>, watch::Receiver<usize>) {
    let log = Arc::new(Mutex::new(String::new()));
    let (count, counted) = watch::channel(0);
    let writer = log.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(mut log) = writer.lock() {
                log.push_str(&line);
                log.push('\n');
            }
            count.send_modify(|n| *n += 1);
        }
    });
    (log, counted)
}
