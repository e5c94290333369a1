//! Real repositories, a real clock, and a script host for tests.
#![allow(dead_code, reason = "each test binary uses a part")]

use lunabot_model::script::{CallSite, ScriptErrorKind};
use lunabot_model::{Arg, BoxFuture, Callback, Clock, Json, Mono, ScriptError, ScriptHost, Time};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// The machine's time.
#[derive(Debug)]
pub struct RealClock(tokio::time::Instant);

impl RealClock {
    pub fn new() -> Self {
        RealClock(tokio::time::Instant::now())
    }
}

impl Clock for RealClock {
    fn now(&self) -> Time {
        Time::from_secs(1_700_000_000) + self.0.elapsed()
    }
    fn mono(&self) -> Mono {
        Mono(self.0.elapsed())
    }
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(self.0 + deadline.0))
    }
}

/// A repository with a work tree, in a folder of its own.
pub struct Repo {
    pub dir: tempfile::TempDir,
}

impl Repo {
    pub fn new() -> Self {
        let repo = Repo { dir: tempfile::tempdir().unwrap() };
        repo.git(&["init", "--quiet", "-b", "main"]);
        repo
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Runs git and gives its output.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_with_input(args, None)
    }

    pub fn git_with_input(&self, args: &[&str], message_file: Option<&Path>) -> String {
        let mut command = Command::new("git");
        command
            .current_dir(self.path())
            .args(["-c", "user.name=Joe Ö", "-c", "user.email=joe@example.org"])
            .args(args);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        if let Some(file) = message_file {
            command.arg("-F").arg(file);
        }
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    /// Writes a file and commits it; the commit's name.
    pub fn commit(&self, file: &str, message: &str) -> String {
        let path = self.path().join(file);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{old}{message}\n")).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
        self.head()
    }

    /// Commits with a message of any bytes.
    pub fn commit_bytes(&self, file: &str, message: &[u8]) -> String {
        std::fs::write(self.path().join(file), message).unwrap();
        self.git(&["add", "--all"]);
        let side = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(side.path(), message).unwrap();
        self.git_with_input(&["commit", "--quiet"], Some(side.path()));
        self.head()
    }

    /// How many commits the repository in `dir` holds on its HEAD.
    pub fn depth(dir: &Path) -> String {
        let output =
            Command::new("git").current_dir(dir).args(["rev-list", "--count", "HEAD"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }
}

/// An executable script.
pub fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Waits until `done` gives something, for half a minute at most.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut done: impl FnMut() -> F) -> T {
    for _ in 0..1500 {
        if let Some(value) = done().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}

type Function = Box<dyn Fn(&str, Vec<Json>) -> Result<Json, String> + Send + Sync>;

/// Functions of the configuration, written in Rust: called with the option's name and the arguments.
pub struct Functions {
    function: Function,
    pub nonsense: Mutex<Vec<String>>,
}

impl Functions {
    pub fn new(function: impl Fn(&str, Vec<Json>) -> Result<Json, String> + Send + Sync + 'static) -> Self {
        Functions { function: Box::new(function), nonsense: Mutex::default() }
    }
}

impl ScriptHost for Functions {
    fn call<'a>(
        &'a self,
        _: &'a Callback,
        site: CallSite,
        args: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        let values = args.into_iter().map(|arg| match arg {
            Arg::Value(value) => value,
            Arg::Bytes(bytes) => serde_json::json!(bytes),
            Arg::Object(object) => object.fields,
            other => panic!("unexpected argument {other:?}"),
        });
        let answer = (self.function)(&site.callback, values.collect());
        let raised =
            |message| ScriptError { kind: ScriptErrorKind::Raise, message, traceback: String::new() };
        Box::pin(async move { answer.map_err(raised) })
    }
    fn nonsense(&self, _: &Callback, _: CallSite, message: &str) {
        self.nonsense.lock().unwrap().push(message.into());
    }
    fn generation(&self) -> u64 {
        1
    }
}

/// A function in a configuration; its fingerprint is its name.
pub fn function(name: &str) -> Json {
    serde_json::json!({"$fn": {"id": 1, "generation": 1, "fingerprint": name, "at": "master.lua:1"}})
}
