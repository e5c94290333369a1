//! A master that remembers what it is told, and a worker in a directory of its own.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "this is test code")]

use async_trait::async_trait;
use bytes::Bytes;
use lunabot_proto::{Command, Dict, Transfer, Update};
use lunabot_worker::{MasterSide, TransferError, WorkerCore, WorkerOptions};
use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::Notify;

/// Longer than any command of the tests takes; reaching it fails the test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The environment of the recorded worker.
pub const ENV: [(&str, &str); 5] = [
    ("PATH", "/usr/bin:/bin"),
    ("HOME", "/srv/home"),
    ("LANG", "C.UTF-8"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONPATH", "/srv/cfg"),
];

/// What became of one command.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub updates: Vec<Update>,
    pub transfers: Vec<Transfer>,
    /// Set by `complete`.
    pub completed: Option<Option<String>>,
}

/// A master that answers reads from `source`, and remembers.
#[derive(Default)]
pub struct Recorder {
    pub told: Mutex<HashMap<String, Told>>,
    pub source: Mutex<Bytes>,
    /// Requests that fail from this one on.
    pub refuse_after: Mutex<Option<usize>>,
    changed: Notify,
}

impl Recorder {
    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Told) -> T) -> T {
        let result = act(self.told.lock().unwrap().entry(id.to_owned()).or_default());
        self.changed.notify_waiters();
        result
    }

    pub fn told(&self, id: &str) -> Told {
        self.told.lock().unwrap().get(id).cloned().unwrap_or_default()
    }

    /// Waits until what was told about `id` satisfies `enough`.
    pub async fn wait_for(&self, id: &str, enough: impl Fn(&Told) -> bool) -> Told {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                let told = self.told(id);
                if enough(&told) {
                    return told;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("not told in time: {:?}", self.told(id)))
    }
}

#[async_trait]
impl MasterSide for Recorder {
    async fn update(&self, id: &str, updates: Vec<Update>) {
        self.with(id, |told| {
            assert_eq!(told.completed, None, "an update after complete");
            told.updates.extend(updates);
        });
    }

    async fn complete(&self, id: &str, failure: Option<String>) {
        self.with(id, |told| assert_eq!(told.completed.replace(failure), None, "completed twice"));
    }

    async fn transfer(&self, id: &str, request: Transfer) -> Result<Bytes, TransferError> {
        let count = self.with(id, |told| {
            told.transfers.push(request.clone());
            told.transfers.len()
        });
        if self.refuse_after.lock().unwrap().is_some_and(|after| count > after) {
            return Err(TransferError("no room left".to_owned()));
        }
        let Transfer::Read { length } = request else { return Ok(Bytes::new()) };
        let mut source = self.source.lock().unwrap();
        let length = length.min(source.len());
        Ok(source.split_to(length))
    }
}

/// A worker in a temporary directory.
pub struct Bench {
    pub dir: TempDir,
    pub core: WorkerCore,
    pub master: Arc<Recorder>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(adjust: impl FnOnce(&mut WorkerOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = WorkerOptions::new(dir.path().join("w"));
        options.env = ENV.map(|(name, value)| (name.into(), value.into())).into();
        adjust(&mut options);
        Self { core: WorkerCore::new(options).unwrap(), dir, master: Arc::default() }
    }

    /// The builder's directory of [`Bench::run`].
    pub fn builddir(&self) -> std::path::PathBuf {
        self.core.basedir().join("b")
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.builddir().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn start(&self, id: &str, name: &str, args: Dict) {
        let command = Command::new(id, name, args).in_builddir("b");
        self.core.start(command, self.master.clone()).unwrap();
    }

    pub async fn ended(&self, id: &str) -> Told {
        self.master.wait_for(id, |told| told.completed.is_some()).await
    }

    /// Runs a command to its end.
    pub async fn run(&self, name: &str, args: Dict) -> Told {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        self.start(&id, name, args);
        self.ended(&id).await
    }

    /// Runs a shell command without the environment in its header.
    pub async fn shell(&self, args: Dict) -> Told {
        self.run("shell", shell_args(args)).await
    }
}

/// Adds what every shell command needs.
pub fn shell_args(args: Dict) -> Dict {
    let mut all = Dict::new().with("workdir", "build").with("logEnviron", false);
    for (key, value) in args {
        all.insert(key, value);
    }
    all
}

impl Told {
    pub fn text(&self, key: &str) -> String {
        let text = |update: &Update| match update {
            Update::Header(t) | Update::Stdout(t) | Update::Stderr(t) | Update::Log { text: t, .. }
                if update.key() == key =>
            {
                Some(t.clone())
            }
            _ => None,
        };
        self.updates.iter().filter_map(text).collect()
    }

    pub fn rc(&self) -> Option<i64> {
        let rcs: Vec<_> = self
            .updates
            .iter()
            .filter_map(|u| if let Update::Rc(rc) = u { Some(*rc) } else { None })
            .collect();
        assert!(rcs.len() <= 1, "several rc: {rcs:?}");
        rcs.first().copied()
    }

    pub fn failure(&self) -> Option<String> {
        self.completed.clone().flatten()
    }

    pub fn keys(&self) -> Vec<&str> {
        self.updates.iter().map(Update::key).collect()
    }

    pub fn files(&self) -> Vec<String> {
        let find = |u: &Update| if let Update::Files(files) = u { Some(files.clone()) } else { None };
        let mut files = self.updates.iter().find_map(find).expect("no files");
        files.sort();
        files
    }

    /// The blocks that were sent, and how many.
    pub fn sent(&self) -> (Vec<u8>, usize) {
        let block = |t: &Transfer| match t {
            Transfer::Write(block) | Transfer::WriteDirectory(block) => Some(block.clone()),
            _ => None,
        };
        let blocks: Vec<_> = self.transfers.iter().filter_map(block).collect();
        (blocks.concat(), blocks.len())
    }
}

/// State and processor time of a process (`None` if there is none).
fn stat(pid: i32) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.to_owned();
    // User and system time are the 14th and 15th field, counted from 1.
    Some((state, fields.skip(10).take(2).collect::<Vec<_>>().join(" ")))
}

/// Whether a process of that id is there and not a zombie.
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

async fn until(what: &str, mut enough: impl FnMut() -> bool) {
    let wait = async {
        while !enough() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// Waits, with a bound, until a process is gone.
pub async fn gone(pid: i32) {
    until("a process that ends", || !alive(pid)).await;
}

/// Waits, with a bound, until a process has been asleep at fifty looks in a row without using any time.
pub async fn stalled(pid: i32) {
    let (mut last, mut looks) = (None, 0);
    until("a process that waits", || {
        let now = stat(pid).filter(|(state, _)| state == "S");
        looks = if now.is_some() && now == last { looks + 1 } else { 0 };
        last = now;
        looks == 50
    })
    .await;
}
