//! How browsers reach the pages (10.001): with TLS, over sockets that systemd holds, below a proxy's prefix.

use crate::workers::certificate_with;
use anyhow::{Context as _, Result, ensure};
use lunabot_tests::{Master, lunabot_binary};
use nix::sys::signal::Signal;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(port: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, util, worker = lunabot.schedulers, lunabot.util, lunabot.worker
return {{
  workers = {{ worker.LocalWorker{{"local"}} }},
  builders = {{ util.BuilderConfig{{name = "b", workernames = {{"local"}}, factory = util.BuildFactory{{}}}} }},
  schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"b"}}}} }},
  www = {{ port = {port:?} }},
}}
"#
    )
}

/// The text at an address.
async fn got(at: &str) -> Result<String> {
    let asked = lunabot_net::http::builder().timeout(PATIENCE).build()?.get(at).send();
    Ok(asked.await?.text().await?)
}

fn tls(dir: &Path) -> String {
    config(&format!("ssl:0:interface=127.0.0.1:privateKey={0}/key.pem:certKey={0}/cert.pem", dir.display()))
}

async fn reloaded(master: &Master, wanted: &str) -> Result<()> {
    master.signal(Signal::SIGHUP)?;
    master.log_line(|said| said.contains(wanted)).await.map(drop)
}

/// A certificate that stands for nobody but `localhost`.
async fn leaf(dir: &Path) -> Result<()> {
    certificate_with(dir, &["-addext", "basicConstraints=critical,CA:FALSE"]).await
}

#[tokio::test]
async fn row_10_001_the_pages_speak_tls_and_a_reload_reads_the_certificate_again() -> Result<()> {
    let (ours, theirs) = (tempfile::tempdir()?, tempfile::tempdir()?);
    leaf(ours.path()).await?;
    leaf(theirs.path()).await?;
    // Relative paths start at the configuration's folder.
    let dir = std::sync::Arc::new(TempDir::new()?);
    for file in ["key.pem", "cert.pem"] {
        std::fs::copy(ours.path().join(file), dir.path().join(file))?;
    }
    std::fs::write(
        dir.path().join("master.lua"),
        config("ssl:0:interface=127.0.0.1:privateKey=key.pem:certKey=cert.pem"),
    )?;
    let master = Master::start_in(dir.clone()).await?;
    let port = master.base().rsplit(':').next().context("a port")?.to_owned();
    ensure!(master.base() == format!("https://127.0.0.1:{port}"), "{}", master.base());
    let at = format!("https://localhost:{port}/livez");
    let trusting = |dir: &Path| -> Result<reqwest::Client> {
        let certificate = reqwest::Certificate::from_pem(&std::fs::read(dir.join("cert.pem"))?)?;
        Ok(lunabot_net::http::builder().tls_certs_only([certificate]).build()?)
    };
    ensure!(trusting(ours.path())?.get(&at).send().await?.text().await? == "ok\n");
    ensure!(trusting(theirs.path())?.get(&at).send().await.is_err());
    // Who speaks no TLS is not served, and disturbs nobody.
    ensure!(got(&format!("http://localhost:{port}/livez")).await.is_err());

    for file in ["key.pem", "cert.pem"] {
        std::fs::copy(theirs.path().join(file), dir.path().join(file))?;
    }
    reloaded(&master, "configuration update complete").await?;
    ensure!(trusting(theirs.path())?.get(&at).send().await?.text().await? == "ok\n");
    ensure!(trusting(ours.path())?.get(&at).send().await.is_err());

    std::fs::write(dir.path().join("cert.pem"), "nonsense")?;
    reloaded(&master, "without making any changes").await?;
    ensure!(master.log().contains("cert.pem holds no certificate"), "{}", master.log());
    ensure!(trusting(theirs.path())?.get(&at).send().await?.text().await? == "ok\n");
    Ok(())
}

#[tokio::test]
async fn row_10_001_a_certificate_that_is_none_ends_the_start() -> Result<()> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), tls(dir.path()))?;
    let ended = Command::new(lunabot_binary()).arg("start").arg(dir.path()).output().await?;
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(!ended.status.success() && told.contains("cannot read") && told.contains("cert.pem"), "{told}");
    Ok(())
}

/// A master that is handed a socket as systemd does it. Its standard input stands for the socket, as a child may have no other.
fn handed(dir: &Path, socket: TcpListener) -> Result<Child> {
    let script =
        "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=pages exec \"$0\" start \"$1\"";
    Ok(Command::new("sh")
        .args(["-c", script])
        .arg(lunabot_binary())
        .arg(dir)
        .env("NO_COLOR", "1")
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?)
}

#[tokio::test]
async fn row_10_001_a_socket_of_systemd_is_served_and_outlives_a_move_away() -> Result<()> {
    let dir = TempDir::new()?;
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let at = format!("http://{}/livez", socket.local_addr()?);
    for port in ["systemd:domain=INET:index=0", "systemd:name=pages"] {
        std::fs::write(dir.path().join("master.lua"), config(port))?;
        // Who comes before the master waits in the socket's queue.
        let early = tokio::spawn({
            let at = at.clone();
            async move { got(&at).await }
        });
        let mut master = handed(dir.path(), socket.try_clone()?)?;
        ensure!(early.await?? == "ok\n");
        let mut said = BufReader::new(master.stderr.take().context("stderr is piped")?).lines();
        let mut log = String::new();
        for (port, reloads) in [("127.0.0.1:0", 1), (port, 2)] {
            std::fs::write(dir.path().join("master.lua"), config(port))?;
            let pid = i32::try_from(master.id().context("it runs")?)?;
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGHUP)?;
            while log.matches("configuration update complete").count() < reloads {
                let line = tokio::time::timeout(PATIENCE, said.next_line()).await?;
                log += &line?.with_context(|| log.clone())?;
            }
        }
        ensure!(got(&at).await? == "ok\n");
        master.kill().await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_10_001_a_socket_that_systemd_does_not_hand_over_is_told() -> Result<()> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), config("systemd:name=www"))?;
    for (by_systemd, wanted) in [(false, "handed over none"), (true, "handed over pages")] {
        let mut start = match by_systemd {
            true => handed(dir.path(), TcpListener::bind("127.0.0.1:0")?)?,
            false => {
                Command::new(lunabot_binary()).arg("start").arg(dir.path()).stderr(Stdio::piped()).spawn()?
            }
        };
        let mut told = String::new();
        let mut stderr = start.stderr.take().context("stderr is piped")?;
        tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut told).await?;
        ensure!(!start.wait().await?.success() && told.contains(wanted), "{told}");
    }
    Ok(())
}
