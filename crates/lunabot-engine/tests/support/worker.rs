//! A worker played by the test: commands say what they do, some are held open.

use async_trait::async_trait;
use lunabot_engine::worker::{CommandSink, LinkError, WorkerLink};
use lunabot_proto::{Command, Stat, Transfer, Update, Value, WorkerInfo, names};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

pub struct TestWorker {
    info: WorkerInfo,
    /// Held commands by name.
    held: Mutex<HashMap<String, Held>>,
    /// Commands that run, by id.
    open: Mutex<HashMap<String, Arc<dyn CommandSink>>>,
    came: Notify,
    /// Every command: builder, name, words.
    pub started: Mutex<Vec<(String, Command)>>,
    pub builders: Mutex<Vec<(String, String)>>,
    pub answers_pings: AtomicBool,
    /// Pings wait for [`TestWorker::answer_pings`].
    pub pings_wait: AtomicBool,
    pinged: Notify,
    kept: Mutex<Option<Held>>,
    pub takes_builds: AtomicBool,
    /// Held commands do not end when interrupted.
    pub stubborn: AtomicBool,
    pub shut_down: AtomicBool,
    pub disconnected: AtomicBool,
    /// What it never answers: `ping` or `start`.
    silent_at: Mutex<Option<&'static str>>,
}

#[derive(Clone)]
pub struct Held {
    pub id: String,
    sink: Arc<dyn CommandSink>,
}

impl Held {
    pub async fn print(&self, text: &str) {
        self.sink.update(vec![Update::Stdout(text.into())]).await;
    }

    pub async fn end(&self, rc: i64) {
        self.sink.update(vec![Update::Rc(rc)]).await;
        self.sink.complete(None).await;
    }

    pub async fn updates(&self, updates: Vec<Update>) {
        self.sink.update(updates).await;
    }

    pub async fn break_down(&self, text: &str) {
        self.sink.complete(Some(text.into())).await;
    }
}

impl TestWorker {
    pub fn new() -> Arc<Self> {
        let info = WorkerInfo {
            system: "posix".into(),
            basedir: "/w".into(),
            numcpus: 2,
            version: "1".into(),
            worker_commands: names::ALL.iter().map(|name| (name.to_string(), "3.3".to_string())).collect(),
            facts: vec![("admin".into(), "Ada".into())],
            ..WorkerInfo::default()
        };
        Arc::new(TestWorker {
            info,
            held: Mutex::default(),
            open: Mutex::default(),
            came: Notify::new(),
            started: Mutex::default(),
            builders: Mutex::default(),
            answers_pings: AtomicBool::new(true),
            pings_wait: AtomicBool::new(false),
            pinged: Notify::new(),
            kept: Mutex::default(),
            takes_builds: AtomicBool::new(true),
            stubborn: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            disconnected: AtomicBool::new(false),
            silent_at: Mutex::default(),
        })
    }

    pub fn be_silent_at(&self, point: Option<&'static str>) {
        *self.silent_at.lock().unwrap() = point;
    }

    async fn unless_silent_at(&self, point: &str) {
        if *self.silent_at.lock().unwrap() == Some(point) {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the command `hold NAME`.
    pub async fn held(&self, name: &str) -> Held {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let came = self.came.notified();
                if let Some(held) = self.held.lock().unwrap().remove(name) {
                    return held;
                }
                came.await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no command held as {name}"))
    }

    pub fn answer_pings(&self) {
        self.pings_wait.store(false, Ordering::SeqCst);
        self.pinged.notify_waiters();
    }

    /// Keeps a held command for later.
    pub fn keep(&self, held: Held) {
        *self.kept.lock().unwrap() = Some(held);
    }

    pub fn kept(&self) -> Held {
        self.kept.lock().unwrap().take().unwrap()
    }

    /// The words of the shell commands that were started.
    pub fn words(&self) -> Vec<String> {
        let started = self.started.lock().unwrap();
        started.iter().map(|(_, command)| words(command).join(" ")).collect()
    }
}

fn words(command: &Command) -> Vec<String> {
    match command.args.get("command") {
        Some(Value::List(words)) => words.iter().filter_map(|w| Some(w.as_str()?.to_string())).collect(),
        _ => vec![command.name.clone()],
    }
}

async fn act(name: String, words: Vec<String>, sink: Arc<dyn CommandSink>) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let updates = match (name.as_str(), words.as_slice()) {
        (names::SHELL, ["true"]) => vec![Update::Rc(0)],
        (names::SHELL, ["false"]) => vec![Update::Rc(1)],
        (names::SHELL, ["exit", code]) => vec![Update::Rc(code.parse().unwrap())],
        (names::SHELL, ["print", text @ ..]) => {
            vec![Update::Stdout(format!("{}\n", text.join(" "))), Update::Rc(0)]
        }
        (names::MKDIR | names::RMDIR, _) => vec![Update::Rc(0)],
        (names::GLOB, _) => vec![Update::Files(vec!["/w/b/x.c".into()]), Update::Rc(0)],
        (names::LISTDIR, _) => vec![Update::Rc(2)],
        (names::STAT, _) => {
            vec![Update::Stat(Stat { mode: 0o100_644, size: 9, ..Stat::default() }), Update::Rc(0)]
        }
        (names::DOWNLOAD_FILE, _) => {
            let got = sink.transfer(Transfer::Read { length: 100 }).await.unwrap();
            sink.transfer(Transfer::CloseRead).await.unwrap();
            vec![Update::Rc(i64::from(got.is_empty()))]
        }
        (names::UPLOAD_FILE, _) => {
            sink.transfer(Transfer::Write("from the worker".into())).await.unwrap();
            sink.transfer(Transfer::Close).await.unwrap();
            vec![Update::Rc(0)]
        }
        (names::SHELL, ["breaks"]) => return sink.complete(Some("worker trouble".into())).await,
        other => panic!("unknown command {other:?}"),
    };
    sink.update(updates).await;
    sink.complete(None).await;
}

#[async_trait]
impl WorkerLink for TestWorker {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    async fn set_builders(&self, builders: &[(String, String)]) -> Result<(), LinkError> {
        *self.builders.lock().unwrap() = builders.to_vec();
        Ok(())
    }

    async fn ping(&self) -> Result<(), LinkError> {
        let answered = self.pinged.notified();
        if self.pings_wait.load(Ordering::SeqCst) {
            answered.await;
        }
        self.unless_silent_at("ping").await;
        if self.answers_pings.load(Ordering::SeqCst) { Ok(()) } else { Err(LinkError::Lost) }
    }

    async fn start_build(&self, _: &str) -> Result<(), LinkError> {
        self.unless_silent_at("start").await;
        if self.takes_builds.load(Ordering::SeqCst) { Ok(()) } else { Err(LinkError::Refused("no".into())) }
    }

    async fn start_command(
        &self,
        builder: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError> {
        self.started.lock().unwrap().push((builder.into(), command.clone()));
        let words = words(&command);
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["hold", name] => {
                self.held
                    .lock()
                    .unwrap()
                    .insert(name.into(), Held { id: command.id.clone(), sink: sink.clone() });
                let open = (command.id, sink);
                self.open.lock().unwrap().insert(open.0, open.1);
                self.came.notify_waiters();
            }
            ["refuse"] => return Err(LinkError::Refused("refused".into())),
            _ => {
                tokio::spawn(act(command.name, words, sink));
            }
        }
        Ok(())
    }

    async fn interrupt_command(&self, _: &str, command_id: &str, _: &str) -> Result<(), LinkError> {
        let open = self.open.lock().unwrap().remove(command_id);
        if let (Some(sink), false) = (open, self.stubborn.load(Ordering::SeqCst)) {
            sink.update(vec![Update::Rc(-1)]).await;
            sink.complete(None).await;
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), LinkError> {
        self.shut_down.store(true, Ordering::SeqCst);
        self.came.notify_waiters();
        Ok(())
    }

    async fn disconnect(&self) {
        self.disconnected.store(true, Ordering::SeqCst);
    }
}
