//! Workers that a test plays: they take commands as real ones do, and answer what they were told to.

use super::answers::{Answer, Answers, Said, wire};
use super::command::Seen;
use super::shared::{Ran, Shared};
use super::usual;
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_engine::worker::{CommandSink, LinkError, WorkerLink};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Clock as _, Json, glob};
use lunabot_proto::{Command, FailureReason, Stat, Transfer, Update, WorkerInfo, names};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// Of the bytes of a download, at once.
const BLOCK: usize = 64 * 1024;

/// One worker of the configuration. It may be connected or not.
pub struct SimWorker {
    pub name: String,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: Answers,
    /// Contents by path; `None`: there is no such file.
    files: BTreeMap<String, Option<String>>,
    link: Option<Arc<Link>>,
}

impl SimWorker {
    pub fn new(name: &str, shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(SimWorker { name: name.into(), shared: shared.clone(), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn answer(&self, table: &Json) -> Result<(), String> {
        self.state().answers.add(table)
    }

    /// Command lines that it was to answer, and that no command was like.
    pub fn unfit(&self) -> Vec<String> {
        self.state().answers.unfit().to_vec()
    }

    /// `{path = "content"}`; false: there is no such file.
    pub fn files(&self, table: &Json) -> Result<(), String> {
        let wanted = "files takes a table: {[\"build/version.txt\"] = \"1.2\", [\"build/core\"] = false}";
        for (path, content) in table.as_object().ok_or(wanted)? {
            let content = match content {
                Json::String(text) => Some(text.clone()),
                Json::Bool(false) | Json::Null => None,
                other => return Err(format!("files: {path}: expected a text or false, got {other}")),
            };
            self.state().files.insert(path.clone(), content);
        }
        Ok(())
    }

    /// The content of a file that a test has given, or a build has sent.
    pub fn file(&self, path: &str) -> Option<String> {
        self.state().files.get(path).cloned().flatten()
    }

    pub fn is_connected(&self) -> bool {
        self.state().link.is_some()
    }

    /// Connects, unless it is.
    pub async fn connect(self: &Arc<Self>) -> Result<(), String> {
        if self.is_connected() {
            return Ok(());
        }
        let link = Arc::new_cyclic(|this| Link {
            worker: self.clone(),
            info: info(),
            open: Mutex::default(),
            this: this.clone(),
        });
        self.state().link = Some(link.clone());
        let attached = self.shared.engine.worker_attached(&self.name, link).await;
        attached.map_err(|error| {
            self.state().link = None;
            format!("{}: {error}", self.name)
        })
    }

    /// Loses its connection, if it has one.
    pub async fn disconnect(&self) {
        let Some(link) = self.state().link.take() else { return };
        link.interrupt_all();
        let link: Arc<dyn WorkerLink> = link;
        self.shared.engine.worker_detached(&self.name, &link).await;
    }

    /// What the test has for a command.
    async fn said(&self, seen: &Seen, command: &Command, at: &Ran) -> Answer {
        self.state().answers.see(&seen.line);
        self.shared.common().see(&seen.line);
        let own = self.state().answers.of(&seen.line);
        let said = own.or_else(|| self.shared.common().of(&seen.line));
        let (wanted, place) = match said {
            Some(Said::Answer(answer)) => return answer,
            None => return usual::answer(&seen.line, at.revision.as_deref()),
            Some(Said::Ask(function)) => {
                let place = function.at.clone();
                let mut about = seen.to_json(command);
                about["worker"] = self.name.as_str().into();
                about["builder"] = at.builder.as_str().into();
                about["build"] = at.build.into();
                about["step"] = at.step_name.as_str().into();
                let site = CallSite::new("answers", format!("worker {}", self.name));
                match self.shared.host.call(&function, site, vec![Arg::Value(about)]).await {
                    Ok(told) => (Answer::read(&told), format!("{place}: ")),
                    // It tells its place itself.
                    Err(error) => (Err(error.message), String::new()),
                }
            }
        };
        wanted.unwrap_or_else(|error| {
            self.shared.problem(format!("{place}the answer to `{}`: {error}", seen.line));
            Answer::default()
        })
    }

    /// The content of the file that a command is about; `Err`: there is none.
    fn content(&self, seen: &Seen) -> Result<Option<String>, ()> {
        let state = self.state();
        match state.files.iter().find(|(path, _)| seen.is_about(path)) {
            Some((_, Some(content))) => Ok(Some(content.clone())),
            Some((_, None)) => Err(()),
            None if usual::is_missing(&seen.path) => Err(()),
            None => Ok(None),
        }
    }

    fn paths(&self) -> Vec<String> {
        self.state()
            .files
            .iter()
            .filter(|(_, content)| content.is_some())
            .map(|(path, _)| path.clone())
            .collect()
    }
}

fn info() -> WorkerInfo {
    WorkerInfo {
        system: "posix".into(),
        basedir: "/worker".into(),
        numcpus: 4,
        version: env!("CARGO_PKG_VERSION").into(),
        worker_commands: names::ALL.iter().map(|name| ((*name).to_string(), "3.3".to_string())).collect(),
        ..WorkerInfo::default()
    }
}

/// One connection of a simulated worker.
pub struct Link {
    worker: Arc<SimWorker>,
    info: WorkerInfo,
    /// Commands that run, by id.
    open: Mutex<HashMap<String, Arc<Notify>>>,
    this: Weak<Link>,
}

impl Link {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interrupt_all(&self) {
        self.open().drain().for_each(|(_, stop)| stop.notify_one());
    }

    async fn act(self: Arc<Self>, builder: String, command: Command, sink: Arc<dyn CommandSink>) {
        let shared = self.worker.shared.clone();
        let _busy = shared.busy();
        let stop = Arc::new(Notify::new());
        self.open().insert(command.id.clone(), stop.clone());
        let seen = Seen::of(&command, |text| shared.records.conceal(&text).into_owned());
        let (place, at) = shared.note(&self.worker.name, &builder, &seen.line).await;
        let answer = self.worker.said(&seen, &command, &at).await;
        let lost = answer.lost;
        let rc = tokio::select! {
            biased;
            // Interrupted.
            () = stop.notified() => Some(-1),
            rc = self.play(&command, &seen, answer, &sink) => rc,
        };
        self.open().remove(&command.id);
        if lost {
            shared.ended(place, None);
            self.worker.disconnect().await;
            return;
        }
        shared.ended(place, rc);
        if let Some(rc) = rc {
            sink.update(vec![Update::Rc(rc)]).await;
            sink.complete(None).await;
        }
    }

    /// Does what was said; gives the exit status, or `None` where the command broke.
    async fn play(
        &self,
        command: &Command,
        seen: &Seen,
        answer: Answer,
        sink: &Arc<dyn CommandSink>,
    ) -> Option<i64> {
        let takes = answer.seconds.map(lunabot_model::Duration::std).unwrap_or_default();
        let takes = if answer.hangs { Duration::MAX } else { takes };
        if let Some((limit, reason)) = too_long(command, takes) {
            self.wait(limit).await;
            let header = format!("command timed out: {} seconds, attempting to kill\n", limit.as_secs());
            sink.update(vec![Update::Header(header), Update::FailureReason(reason)]).await;
            return Some(-1);
        }
        self.wait(takes).await;
        if answer.lost {
            return None;
        }
        if let Some(text) = answer.breaks {
            sink.complete(Some(text)).await;
            return None;
        }
        let mut news = Vec::new();
        if command.name == names::SHELL {
            // So that a log tells what was run.
            news.push(Update::Header(format!("{}\n", seen.line.trim_end())));
        }
        let lines = |text: String| if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" };
        for (text, update) in [
            (answer.header, Update::Header as fn(String) -> Update),
            (answer.stdout, Update::Stdout),
            (answer.stderr, Update::Stderr),
        ] {
            news.extend((!text.is_empty()).then(|| update(lines(text))));
        }
        news.extend(answer.logs.into_iter().map(|(name, text)| Update::Log { name, text: lines(text) }));
        news.extend(
            answer.updates.iter().map(|(key, value)| Update::Other { key: key.clone(), value: wire(value) }),
        );
        let told = !answer.updates.is_empty();
        sink.update(news).await;
        if answer.rc != 0 || told {
            return Some(answer.rc);
        }
        Some(self.files(command, seen, sink).await)
    }

    /// What commands for files do.
    async fn files(&self, command: &Command, seen: &Seen, sink: &Arc<dyn CommandSink>) -> i64 {
        const NO_SUCH_FILE: i64 = 2;
        match command.name.as_str() {
            names::STAT => {
                let Ok(content) = self.worker.content(seen) else { return NO_SUCH_FILE };
                let size = content.map_or(0, |text| text.len() as u64);
                let stat = Stat { mode: 0o100_644, nlink: 1, size, ..Stat::default() };
                sink.update(vec![Update::Stat(stat)]).await;
                0
            }
            names::GLOB => {
                let found = self.worker.paths().into_iter();
                let below = format!("*/{}", seen.path);
                let found =
                    found.filter(|path| glob::matches(&seen.path, path) || glob::matches(&below, path));
                sink.update(vec![Update::Files(found.collect())]).await;
                0
            }
            names::LISTDIR => {
                let folder = format!("{}/", seen.path.trim_end_matches('/'));
                let paths = self.worker.paths();
                let names = paths.iter().filter_map(|path| path.strip_prefix(&folder)?.split('/').next());
                let names: std::collections::BTreeSet<String> = names.map(str::to_owned).collect();
                sink.update(vec![Update::Files(names.into_iter().collect())]).await;
                0
            }
            names::UPLOAD_FILE | names::UPLOAD_FILE_MSGPACK => self.upload(seen, sink).await,
            names::UPLOAD_DIRECTORY | names::UPLOAD_DIRECTORY_MSGPACK => {
                // The end of an archive without files.
                let sent = sink.transfer(Transfer::WriteDirectory(Bytes::from_static(&[0; 1024]))).await;
                let unpacked = sink.transfer(Transfer::Unpack).await;
                i64::from(sent.is_err() || unpacked.is_err())
            }
            names::DOWNLOAD_FILE | names::DOWNLOAD_FILE_MSGPACK => self.download(seen, sink).await,
            _ => 0,
        }
    }

    async fn upload(&self, seen: &Seen, sink: &Arc<dyn CommandSink>) -> i64 {
        let content = self.worker.content(seen);
        let mut failed = content.is_err();
        if let Ok(content) = &content {
            let block = Bytes::from(content.clone().unwrap_or_default());
            failed = sink.transfer(Transfer::Write(block)).await.is_err();
        }
        failed |= sink.transfer(Transfer::Close).await.is_err();
        if content.is_err() {
            sink.update(vec![Update::Stderr(format!("Cannot open file '{}' for upload\n", seen.path))]).await;
        }
        i64::from(failed)
    }

    async fn download(&self, seen: &Seen, sink: &Arc<dyn CommandSink>) -> i64 {
        let mut content = Vec::new();
        let ended = loop {
            match sink.transfer(Transfer::Read { length: BLOCK }).await {
                Ok(block) if block.is_empty() => break Ok(()),
                Ok(block) => content.extend_from_slice(&block),
                Err(error) => break Err(error),
            }
        };
        let closed = sink.transfer(Transfer::CloseRead).await;
        let content = String::from_utf8_lossy(&content).into_owned();
        self.worker.state().files.insert(seen.path.clone(), Some(content));
        i64::from(ended.is_err() || closed.is_err())
    }

    /// Waits on the virtual clock; meanwhile there is nothing to do.
    async fn wait(&self, length: Duration) {
        if length > Duration::ZERO {
            let shared = &self.worker.shared;
            let _idle = shared.waits();
            shared.clock.sleep(length).await;
        }
    }
}

/// A worker ends commands that run for too long, or say nothing for too long.
fn too_long(command: &Command, takes: Duration) -> Option<(Duration, FailureReason)> {
    let limit = |name: &str| {
        let seconds = command.args.get(name).filter(|_| command.name == names::SHELL)?.as_f64()?;
        Duration::try_from_secs_f64(seconds).ok().filter(|limit| *limit < takes)
    };
    let silent = limit("timeout").map(|limit| (limit, FailureReason::TimeoutWithoutOutput));
    let whole = limit("maxTime").map(|limit| (limit, FailureReason::Timeout));
    silent.into_iter().chain(whole).min_by_key(|(limit, _)| *limit)
}

#[async_trait]
impl WorkerLink for Link {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    async fn set_builders(&self, _: &[(String, String)]) -> Result<(), LinkError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn start_build(&self, _: &str) -> Result<(), LinkError> {
        Ok(())
    }

    async fn start_command(
        &self,
        builder: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError> {
        let this = self.this.upgrade().ok_or(LinkError::Lost)?;
        tokio::spawn(this.act(builder.into(), command, sink));
        Ok(())
    }

    async fn interrupt_command(&self, _: &str, command_id: &str, _: &str) -> Result<(), LinkError> {
        if let Some(stop) = self.open().get(command_id) {
            stop.notify_one();
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), LinkError> {
        self.disconnect().await;
        Ok(())
    }

    async fn disconnect(&self) {
        let worker = self.worker.clone();
        // The engine may be waiting for this very call.
        tokio::spawn(leave(worker));
    }
}

async fn leave(worker: Arc<SimWorker>) {
    worker.disconnect().await;
}
