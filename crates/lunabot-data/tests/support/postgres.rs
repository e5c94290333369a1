//! A PostgreSQL server of the test's own, or the one that `LUNABOT_TEST_POSTGRES` names.

use super::{Place, TestClock};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server; stopped when dropped.
pub struct Server {
    url: String,
    child: Option<Child>,
    dir: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        if let Ok(url) = std::env::var("LUNABOT_TEST_POSTGRES") {
            return Server { url, child: None, dir };
        }
        let child = spawn(&binaries(), dir.path());
        let url = format!("postgresql://postgres@localhost/postgres?host={}", dir.path().display());
        let server = Server { url, child: Some(child), dir };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        for _ in 0..600 {
            if PgConnection::connect(&self.url).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not answer:\n{log}");
    }

    /// A new, empty database.
    pub async fn place(&self, name: &str) -> Place {
        let mut conn = PgConnection::connect(&self.url).await.unwrap();
        for sql in [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")]
        {
            conn.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        let (base, options) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (server, _) = base.rsplit_once('/').unwrap();
        Place {
            dir: tempfile::tempdir().unwrap(),
            url: format!("{server}/{name}?{options}"),
            clock: TestClock::new(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT);
            let _ = child.wait();
        }
    }
}

/// Debian keeps the server's programs out of the path.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").is_file()).collect();
    found.sort();
    found.pop().expect(
        "PostgreSQL is needed: apt-get install postgresql (tests/run.sh does it), \
         or set LUNABOT_TEST_POSTGRES=postgresql://USER@HOST/NAME",
    )
}

/// As user postgres where the test runs as root, which the server refuses.
fn command(program: PathBuf, dir: &Path) -> Command {
    let mut command = Command::new(program);
    if nix::unistd::getuid().is_root() {
        let user = nix::unistd::User::from_name("postgres").unwrap().expect("the package makes this user");
        nix::unistd::chown(dir, Some(user.uid), Some(user.gid)).unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let log = || std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    command.current_dir("/").stdin(Stdio::null()).stdout(log()).stderr(log());
    command
}

fn spawn(bin: &Path, dir: &Path) -> Child {
    let data = dir.join("data");
    let made = command(bin.join("initdb"), dir)
        .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
        .arg(&data)
        .status()
        .unwrap();
    assert!(made.success(), "{}", std::fs::read_to_string(dir.join("log")).unwrap_or_default());
    command(bin.join("postgres"), dir)
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50", "-k"])
        .arg(dir)
        .arg("-D")
        .arg(&data)
        .spawn()
        .unwrap()
}
