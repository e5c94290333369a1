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
            Arg::Properties(_, properties) => serde_json::to_value(properties).unwrap(),
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

/// A Subversion repository, and a checkout of its root with the folders trunk, branches and tags.
pub struct SvnRepo {
    dir: tempfile::TempDir,
}

/// A server of an [`SvnRepo`], ended when dropped.
pub struct SvnServer {
    child: std::process::Child,
    port: u16,
}

impl SvnRepo {
    pub fn new() -> Self {
        let repo = SvnRepo { dir: tempfile::tempdir().unwrap() };
        run(repo.path(), "svnadmin", &["create", "repo"]);
        let folders = ["trunk", "branches", "tags"].map(|name| repo.url(name));
        let mut args = vec!["mkdir", "--quiet", "-m", "layout"];
        args.extend(folders.iter().map(String::as_str));
        repo.svn(&args);
        run(repo.path(), "svn", &["checkout", "--quiet", &repo.url(""), "tree"]);
        repo
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self, folder: &str) -> String {
        format!("file://{}/repo/{folder}", self.path().display()).trim_end_matches('/').to_string()
            + if folder.ends_with('/') { "/" } else { "" }
    }

    /// Runs svn in the checkout.
    pub fn svn(&self, args: &[&str]) -> String {
        let tree = self.path().join("tree");
        run(if tree.exists() { &tree } else { self.path() }, "svn", args)
    }

    /// Writes a file of the checkout.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path().join("tree").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.svn(&["add", "--quiet", "--force", "--parents", file]);
    }

    /// Commits what was written; the revision's number.
    pub fn commit(&self, message: &str) -> String {
        self.svn(&["commit", "--quiet", "--username", "joe", "--force-log", "-m", message]);
        self.svn(&["update", "--quiet"]);
        self.svn(&["info", "--show-item", "revision"])
    }

    /// Serves the repository to one user.
    pub fn serve(&self, user: &str, password: &str) -> SvnServer {
        let conf = self.path().join("repo/conf");
        std::fs::write(
            conf.join("svnserve.conf"),
            "[general]\nanon-access = none\nauth-access = write\npassword-db = passwd\n",
        )
        .unwrap();
        std::fs::write(conf.join("passwd"), format!("[users]\n{user} = {password}\n")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = self.path().join("repo").display().to_string();
        let child = Command::new("svnserve")
            .args([
                "--daemon",
                "--foreground",
                "--listen-host",
                "127.0.0.1",
                "--listen-port",
                &port.to_string(),
                "--root",
                &root,
            ])
            .spawn()
            .unwrap();
        let server = SvnServer { child, port };
        for _ in 0..1500 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("svnserve does not answer")
    }
}

impl SvnServer {
    pub fn url(&self, folder: &str) -> String {
        format!("svn://127.0.0.1:{}/{folder}", self.port)
    }
}

impl Drop for SvnServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program and gives its output.
pub fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).current_dir(dir).args(args).env("LC_ALL", "C.UTF-8").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// A Mercurial repository, in a folder of its own.
pub struct HgRepo {
    dir: tempfile::TempDir,
}

impl HgRepo {
    pub fn new() -> Self {
        let repo = HgRepo { dir: tempfile::tempdir().unwrap() };
        repo.hg(&["init", "."]);
        repo
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        self.path().file_name().unwrap().to_string_lossy().into_owned()
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Runs hg in the repository.
    pub fn hg(&self, args: &[&str]) -> String {
        let mut all = vec!["--config", "ui.username=Joe Ö <joe@example.org>", "--encoding", "UTF-8"];
        all.extend(args);
        run(self.path(), "hg", &all)
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    /// Commits all there is; the revision's name.
    pub fn commit(&self, message: &str) -> String {
        self.hg(&["commit", "--addremove", "--quiet", "-m", message]);
        self.hg(&["identify", "--id", "--debug"])
    }
}

/// A branch of Bazaar with a work tree.
pub struct BzrRepo {
    dir: tempfile::TempDir,
}

impl BzrRepo {
    pub fn new() -> Self {
        let repo = BzrRepo { dir: tempfile::tempdir().unwrap() };
        repo.brz(&["init", "--quiet", "trunk"]);
        repo
    }

    /// The folder that branches lie in.
    pub fn base(&self) -> String {
        format!("file://{}", self.dir.path().display())
    }

    pub fn url(&self) -> String {
        format!("{}/trunk", self.base())
    }

    /// Runs brz in the folder that branches lie in.
    pub fn brz(&self, args: &[&str]) -> String {
        let mut command = Command::new("brz");
        command.current_dir(self.dir.path()).args(args);
        command
            .env("BRZ_EMAIL", "Joe Ö <joe@example.org>")
            .env("LC_ALL", "C.UTF-8")
            .env("BRZ_LOG", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "brz {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    /// Commits all there is in a branch; the revision's number.
    pub fn commit(&self, branch: &str, message: &str) -> String {
        self.brz(&["add", "--quiet", branch]);
        self.brz(&["commit", "--quiet", "-m", message, branch]);
        self.brz(&["revno", branch])
    }
}
