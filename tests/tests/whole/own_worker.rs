//! `lunabot create-worker` and `lunabot worker`: our own worker, against our master and against Buildbot's (16b, 8c).

use crate::workers::{PASSWORD, certificate, config, connected, gated, gone, open, port, said, worker};
use anyhow::{Context, Result, ensure};
use lunabot_tests::{Buildbot, Master, OwnWorker, Proxy, lunabot_binary};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::termios::tcgetattr;
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

const PROTOCOL: &str = "msgpack_experimental_v7";
/// A command that ends at once.
const TRUE: &str = "steps.ShellCommand{command = \"true\"}";

/// The address of the master's port for msgpack workers.
async fn address(master: &mut Master) -> Result<String> {
    Ok(format!("ws://127.0.0.1:{}", port(master, PROTOCOL).await?))
}

/// A worker of the master's, attached.
async fn attached(master: &mut Master, options: &[&str]) -> Result<OwnWorker> {
    let worker = OwnWorker::start(&address(master).await?, "w1", PASSWORD, options).await?;
    connected(master, true).await.with_context(|| format!("log of the worker:\n{}", worker.log()))?;
    Ok(worker)
}

fn one_builder(steps: &str) -> String {
    config(&(worker("") + &format!("builder(\"b\", {steps})")))
}

#[tokio::test]
async fn row_08_023_row_08_029_a_build_with_files_in_both_directions() -> Result<()> {
    let files = tempfile::tempdir()?;
    let place = files.path().display().to_string();
    let source = [b"\xff\x00binary\n".repeat(200_000), b"end".to_vec()].concat();
    std::fs::write(files.path().join("source"), &source)?;
    let mut master = Master::start(&config(
        &(worker("")
            + &format!(
                r#"
builder("all",
  steps.ShellCommand{{name = "shell", command = {{"sh", "-c", "echo héllo 世界; echo oops >&2; printf 'a\\rb\\n'; printf '\\377bad\\n'; printf unfinished"}},
                     env = {{MARK = util.Interpolate("%(worker:numcpus)s")}}}},
  steps.ShellCommand{{name = "env", command = "echo mark=$MARK; pwd; umask", env = {{MARK = util.Interpolate("%(worker:numcpus)s-%(worker:system)s")}}, logEnviron = false}},
  steps.FileDownload{{name = "down", mastersrc = "{place}/source", workerdest = "sub/copy", mode = "0640"}},
  steps.StringDownload{{name = "string", s = "list", workerdest = "text"}},
  steps.FileUpload{{name = "up", workersrc = "sub/copy", masterdest = "{place}/back", keepstamp = true}},
  steps.MakeDirectory{{name = "mkdir", dir = "build/d/e"}},
  steps.CopyDirectory{{name = "copy", src = "build/sub", dest = "build/d/e/sub"}},
  steps.FileExists{{name = "exists", file = "build/d/e/sub/copy"}},
  steps.MultipleFileUpload{{name = "multi", workersrcs = {{"*.none", "te*t"}}, masterdest = "{place}/many", glob = true}},
  steps.DirectoryUpload{{name = "dirup", workersrc = "d", masterdest = "{place}/tree", compress = "gz"}},
  steps.RemoveDirectory{{name = "rmdir", dir = "build/d"}},
  steps.ShellCommand{{name = "missing", command = {{"/nonexistent/program"}}, flunkOnFailure = false}},
  steps.ShellCommand{{name = "slow", command = "echo waiting; sleep 100", timeout = 1, flunkOnFailure = false}})
"#
            )),
    ))
    .await?;
    let worker = attached(&mut master, &["--numcpus", "7", "--umask", "027"]).await?;
    let info = &connected(&master, true).await?["workerinfo"].clone();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"), "08.002");
    assert!(info["host"].as_str().is_some_and(|host| host.contains("linux")), "08.022: {info}");
    assert!(info["environ"].is_null() && info["admin"].is_string(), "{info}");
    master.force("all").await?;
    let build = master.finished_build(1).await?;
    let steps = master.get("builds/1/steps").await?;
    assert_eq!(build["results"], 0, "{steps:#}\n{}", worker.log());
    let log = master.step_log(1, "shell", "stdio").await?;
    let wanted = ["héllo 世界\n", "oops\n", "a\nb\n", "\u{fffd}bad\n", "unfinished\n", "(timeout 1200 secs)"];
    for wanted in wanted.into_iter().chain(["program finished with exit code 0\n"]) {
        assert!(log.contains(wanted), "{wanted:?} in\n{log}");
    }
    let log = master.step_log(1, "env", "stdio").await?;
    let folder = worker.dir().join("all/build");
    assert!(log.contains("mark=7-posix\n") && log.contains("0027\n"), "{log}");
    assert!(log.contains(&format!("{}\n", folder.display())), "{log}");
    assert_eq!(std::fs::read(folder.join("sub/copy"))?, source);
    assert_eq!(std::fs::metadata(folder.join("sub/copy"))?.permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read(files.path().join("back"))?, source);
    assert_eq!(std::fs::read(files.path().join("many/text"))?, b"list");
    assert!(files.path().join("tree/e/sub/copy").is_file() && !folder.join("d").exists());
    let result = |name: &str| {
        let all = steps["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().find(|step| step["name"] == name).map(|step| step["results"].clone())
    };
    assert_eq!((result("missing"), result("slow")), (Some(json!(2)), Some(json!(2))), "{steps:#}");
    assert!(master.step_log(1, "slow", "stdio").await?.contains("1 seconds without output"));
    assert!(!worker.log().contains(PASSWORD), "no password in the log");
    Ok(())
}

#[tokio::test]
async fn row_08_026_output_is_live_and_a_stopped_build_ends_its_programs() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let mut master = Master::start(&one_builder(&gated(gate.path(), "before"))).await?;
    let worker = attached(&mut master, &[]).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    master.control("builds/1", "stop", json!({"reason": "enough"})).await?;
    assert_eq!(master.finished_build(1).await?["results"], 6, "{}", worker.log());
    gone(gate.path()).await?;
    // The worker is as good as before.
    open(gate.path())?;
    master.force("b").await?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    Ok(())
}

#[tokio::test]
async fn it_comes_back_to_a_master_that_was_away() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let lua = one_builder(TRUE).replace("tcp:0:", &format!("tcp:{taken}:"));
    // The worker is first.
    let worker =
        OwnWorker::start(&format!("127.0.0.1:{taken}"), "w1", PASSWORD, &["--maxdelay", "1"]).await?;
    worker.log_line(|line| line.contains("cannot reach the master") && line.contains("trying again")).await?;
    let master = Master::start(&lua).await?;
    connected(&master, true).await?;
    let dir = master.kill().await?;
    worker
        .log_line(|line| {
            line.contains("closed the connection") || line.contains("connection to the master broke")
        })
        .await?;
    let master = Master::start_in(dir).await?;
    connected(&master, true).await.with_context(|| worker.log())?;
    master.force("b").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    Ok(())
}

#[tokio::test]
async fn a_lost_connection_ends_commands_and_the_build_is_built_again_alone() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let mut master = Master::start(&one_builder(&gated(gate.path(), "before"))).await?;
    let proxy = Proxy::to(port(&mut master, PROTOCOL).await?).await?;
    let address = format!("127.0.0.1:{}", proxy.port());
    let worker = OwnWorker::start(&address, "w1", PASSWORD, &["--maxdelay", "1"]).await?;
    connected(&master, true).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    let pids = gate.path().join("pids");
    let first = std::fs::read_to_string(&pids)?;
    proxy.cut();
    assert_eq!(master.finished_build(1).await?["results"], 5);
    said(&master, 2, "before").await.with_context(|| worker.log())?;
    std::fs::write(&pids, first)?;
    gone(gate.path()).await?;
    open(gate.path())?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    Ok(())
}

#[tokio::test]
async fn killed_itself_it_ends_what_it_left_running_even_without_a_master() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let mut master = Master::start(&one_builder(&gated(gate.path(), "before"))).await?;
    let worker = attached(&mut master, &[]).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    let dir = worker.kill().await?;
    assert_eq!(master.finished_build(1).await?["results"], 5);
    master.kill().await?;
    let _worker = OwnWorker::start_in(dir)?;
    gone(gate.path()).await
}

#[tokio::test]
async fn row_08_012_a_wrong_password_is_told_and_a_right_one_taken_without_a_restart() -> Result<()> {
    let mut master = Master::start(&one_builder(TRUE)).await?;
    let address = address(&mut master).await?;
    let mut worker = OwnWorker::start(&address, "w1", "wr0ng", &["--maxdelay", "1"]).await?;
    let told = worker.log_line(|line| line.contains("refuses the login") && line.contains("w1")).await?;
    assert!(told.contains("trying again"), "{told}");
    std::fs::write(worker.password_file(), PASSWORD)?;
    connected(&master, true).await?;
    assert!(worker.runs() && !worker.log().contains("wr0ng") && !worker.log().contains(PASSWORD));
    Ok(())
}

#[tokio::test]
async fn it_gives_up_where_it_is_told_to() -> Result<()> {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut worker = OwnWorker::start(&nobody, "w1", "x", &["--maxretries", "1", "--maxdelay", "1"]).await?;
    assert_eq!(worker.ended().await?, Some(1));
    worker.log_line(|line| line.contains("gave up after 2 tries")).await?;
    Ok(())
}

#[tokio::test]
async fn row_08_005_a_second_worker_of_the_name_is_told_why_it_may_not_come_in() -> Result<()> {
    let mut master = Master::start(&one_builder(TRUE)).await?;
    let mut first = attached(&mut master, &[]).await?;
    let second = OwnWorker::start(&address(&mut master).await?, "w1", PASSWORD, &[]).await?;
    second.log_line(|line| line.contains("another worker of this name")).await?;
    master.force("b").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    assert!(first.runs() && first.dir().join("b").is_dir() && !second.dir().join("b").exists());
    // Nor may a second one run in the folder of the first.
    let again = Command::new(lunabot_binary()).arg("worker").arg(first.dir()).output().await?;
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && told.contains("already runs here"), "{told}");
    Ok(())
}

#[tokio::test]
async fn row_08_009_row_08_010_the_master_ends_it_when_its_build_has_ended_or_at_once() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let mut master = Master::start(&one_builder(&gated(gate.path(), "before"))).await?;
    let mut worker = attached(&mut master, &[]).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    master.control("workers/1", "stop", json!({})).await?;
    master.until("workers/w1", |answer| answer["workers"][0]["graceful"] == true).await?;
    assert!(worker.runs());
    open(gate.path())?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    assert_eq!(worker.ended().await?, Some(0));
    worker.log_line(|line| line.contains("stopped by the master")).await?;
    connected(&master, false).await?;
    std::fs::remove_file(gate.path().join("open"))?;
    let mut worker = attached(&mut master, &[]).await?;
    master.force("b").await?;
    said(&master, 2, "before").await?;
    master.control("workers/1", "kill", json!({})).await?;
    assert_eq!(master.finished_build(2).await?["results"], 5);
    assert_eq!(worker.ended().await?, Some(0));
    gone(gate.path()).await
}

#[tokio::test]
async fn row_16_021_its_owner_ends_it_gracefully_or_at_once() -> Result<()> {
    for (how, options) in [("hangup", &[][..]), ("stamp", &["--allow-shutdown", "file"])] {
        let gate = tempfile::tempdir()?;
        let mut master = Master::start(&one_builder(&gated(gate.path(), "before"))).await?;
        let mut worker = attached(&mut master, options).await?;
        master.force("b").await?;
        said(&master, 1, "before").await?;
        if how == "hangup" {
            worker.signal(Signal::SIGHUP)?;
        } else {
            std::fs::write(worker.dir().join("shutdown.stamp"), "")?;
        }
        master.until("workers/w1", |answer| answer["workers"][0]["graceful"] == true).await?;
        assert!(worker.runs());
        open(gate.path())?;
        assert_eq!(master.finished_build(1).await?["results"], 0, "{how}");
        assert_eq!(worker.ended().await?, Some(0));
        // SIGTERM does not wait for builds.
        std::fs::remove_file(gate.path().join("open"))?;
        let mut worker = attached(&mut master, options).await?;
        master.force("b").await?;
        said(&master, 2, "before").await?;
        worker.signal(Signal::SIGTERM)?;
        assert_eq!(worker.ended().await?, Some(0));
        gone(gate.path()).await?;
        assert_eq!(master.finished_build(2).await?["results"], 5, "{how}");
    }
    Ok(())
}

#[tokio::test]
async fn row_16_021_without_a_connection_it_ends_at_once() -> Result<()> {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        let mut worker = OwnWorker::start(&nobody, "w1", "x", &[]).await?;
        worker.log_line(|line| line.contains("trying again")).await?;
        worker.signal(signal)?;
        assert_eq!(worker.ended().await?, Some(0), "{signal}");
    }
    Ok(())
}

#[tokio::test]
async fn row_16_019_tls_is_checked_against_the_owners_file() -> Result<()> {
    let (ours, theirs) = (tempfile::tempdir()?, tempfile::tempdir()?);
    certificate(ours.path()).await?;
    certificate(theirs.path()).await?;
    let endpoint = format!(
        "ssl:0:interface=127.0.0.1:privateKey={0}/key.pem:certKey={0}/cert.pem",
        ours.path().display()
    );
    let mut master =
        Master::start(&one_builder(TRUE).replace("tcp:0:interface=127.0.0.1", &endpoint)).await?;
    let port = port(&mut master, PROTOCOL).await?;
    let (ca, other) = (ours.path().join("cert.pem"), theirs.path().join("cert.pem"));
    let (ca, other) = (ca.display().to_string(), other.display().to_string());
    for (address, options, told) in [
        (format!("wss://localhost:{port}"), &["--ca-file", &other][..], "home-made"),
        // The certificate is one for another name.
        (format!("wss://127.0.0.1:{port}"), &["--ca-file", &ca], "not valid for name"),
        (format!("ws://localhost:{port}"), &[], "wss:// or ws://"),
    ] {
        let worker = OwnWorker::start(&address, "w1", PASSWORD, options).await?;
        worker.log_line(|line| line.contains(told)).await.with_context(|| address.clone())?;
    }
    let options = ["--ca-file", &ca, "--use-tls"];
    let worker = OwnWorker::start(&format!("localhost:{port}"), "w1", PASSWORD, &options).await?;
    connected(&master, true).await.with_context(|| worker.log())?;
    master.force("b").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    // The files are read at the start, and said to be wrong there.
    let dir = worker.kill().await?;
    std::fs::write(ours.path().join("cert.pem"), "nonsense")?;
    let mut worker = OwnWorker::start_in(dir)?;
    assert_eq!(worker.ended().await?, Some(1));
    worker.log_line(|line| line.contains("holds no certificate")).await?;
    Ok(())
}

#[tokio::test]
async fn it_survives_what_builds_do_to_it() -> Result<()> {
    let steps = r#"
steps.ShellCommand{name = "suicide", command = "kill -9 0", flunkOnFailure = false},
steps.ShellCommand{name = "binary", command = "head -c 3000000 /dev/urandom"},
steps.ShellCommand{name = "daemon", command = "sleep 20 &"},
steps.ShellCommand{name = "nobody", command = "cd /; rm -rf \"$BASE\"", env = {BASE = util.Interpolate("%(worker:basedir)s")}},
steps.ShellCommand{name = "again", command = "pwd"}"#;
    let mut master = Master::start(&one_builder(steps)).await?;
    let mut worker = attached(&mut master, &["--maxdelay", "1"]).await?;
    for build in 1..=2 {
        master.force("b").await?;
        let done = master.finished_build(build).await?;
        assert_eq!(
            done["results"],
            0,
            "{:#}\n{}",
            master.get(&format!("builds/{build}/steps")).await?,
            worker.log()
        );
        assert!(master.step_log(build, "again", "stdio").await?.contains("/w/b/build"));
    }
    // Its folder is gone, and so is its configuration; it goes on with what it knows.
    assert!(
        worker.runs() && worker.dir().join("b/build").is_dir() && !worker.dir().join("worker.toml").exists()
    );
    master.kill().await?;
    worker.log_line(|line| line.contains("trying again")).await?;
    assert!(worker.runs());
    Ok(())
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_does_not_fill_its_memory() -> Result<()> {
    const LINES: usize = 2_000_000;
    let lua = one_builder(&format!(
        "steps.ShellCommand{{name = \"flood\", command = \"yes {} | head -n {LINES}\"}}",
        "x".repeat(99)
    ))
    .replace("return c", "c.logMaxSize = 1000000\nreturn c");
    let mut master = Master::start(&lua).await?;
    let worker = attached(&mut master, &[]).await?;
    let idle = worker.peak_memory()?;
    master.force("b").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0, "{}", worker.log());
    let peak = worker.peak_memory()?;
    // 200 MB went through.
    assert!(peak < idle + 24_000_000, "{idle} grew to {peak} bytes");
    Ok(())
}

#[tokio::test]
async fn a_master_that_falls_silent_is_noticed() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let mut master = Master::start(&one_builder(&gated(gate.path(), "before"))).await?;
    let worker = attached(&mut master, &["--keepalive", "1", "--maxdelay", "1"]).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    master.signal(Signal::SIGSTOP)?;
    worker.log_line(|line| line.contains("does not answer any more")).await?;
    gone(gate.path()).await?;
    master.signal(Signal::SIGCONT)?;
    open(gate.path())?;
    assert_eq!(master.finished_build(2).await?["results"], 0, "{}", worker.log());
    Ok(())
}

#[tokio::test]
async fn what_is_no_master_is_told_and_tried_again() -> Result<()> {
    for (answer, told) in [
        (&b"\x06\x80hello, no HTTP here\r\n\r\n"[..], "answers no WebSocket"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
        (b"HTTP/1.1 400 Bad request\r\n\r\n", "HTTP status 400"),
        (b"", "answers no WebSocket"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let worker =
            OwnWorker::start(&listener.local_addr()?.to_string(), "w1", "x", &["--maxdelay", "1"]).await?;
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(answer).await?;
        }
        worker.log_line(|line| line.contains(told) && line.contains("trying again")).await?;
    }
    Ok(())
}

struct Ran {
    ok: bool,
    told: String,
}

async fn create(dir: &Path, args: &[&str], input: &str) -> Result<Ran> {
    let mut command = Command::new(lunabot_binary());
    command.arg("create-worker").arg(dir.join("w")).args(args).current_dir(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // One that is refused does not read it.
    let _ = child.stdin.take().context("piped")?.write_all(input.as_bytes()).await;
    let output = child.wait_with_output().await?;
    let told = [&output.stdout[..], &output.stderr[..]].concat();
    Ok(Ran { ok: output.status.success(), told: String::from_utf8_lossy(&told).into_owned() })
}

fn mode(path: &Path) -> Result<u32> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o777)
}

#[tokio::test]
async fn row_16_019_create_worker_lays_down_a_folder_and_overwrites_nothing() -> Result<()> {
    let home = tempfile::tempdir()?;
    let ran =
        create(home.path(), &["ci.example.org:9990", "w\"1", "-", "--keepalive", "5"], "hush hush\n").await?;
    ensure!(ran.ok, "{}", ran.told);
    assert!(ran.told.contains("next: lunabot worker") && !ran.told.contains("hush"), "{}", ran.told);
    let dir = home.path().join("w");
    assert_eq!((mode(&dir.join("worker.toml"))?, mode(&dir.join("password"))?), (0o600, 0o600));
    assert_eq!(std::fs::read_to_string(dir.join("password"))?, "hush hush\n");
    assert!(dir.join("info/admin").is_file() && dir.join("info/host").is_file());
    let text = std::fs::read_to_string(dir.join("worker.toml"))?;
    assert!(
        text.contains("name = \"w\\\"1\"") && text.contains("\nkeepalive = 5\n") && !text.contains('@'),
        "{text}"
    );
    let again = create(home.path(), &["other", "w2", "-"], "x\n").await?;
    assert!(!again.ok && again.told.contains("exists already"), "{}", again.told);
    assert_eq!(std::fs::read_to_string(dir.join("worker.toml"))?, text);
    assert_eq!(std::fs::read_to_string(dir.join("password"))?, "hush hush\n");
    Ok(())
}

#[tokio::test]
async fn row_16_019_a_typed_password_is_not_shown_and_the_terminal_is_left_as_it_was() -> Result<()> {
    for (typed, signal) in [("hush h\u{fc}sh\n", None), ("hus\x03", Some(2))] {
        let home = tempfile::tempdir()?;
        let terminal = nix::pty::openpty(None, None)?;
        let before = tcgetattr(&terminal.slave)?;
        let mut create = Command::new(lunabot_binary());
        create.arg("create-worker").arg(home.path().join("w")).args(["h", "w1", "-"]);
        create.stdin(terminal.slave.try_clone()?).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = create.kill_on_drop(true).spawn()?;
        let mut asked = [0; "password of worker w1: ".len()];
        let stderr = child.stderr.as_mut().context("a pipe")?;
        stderr.read_exact(&mut asked).await?;
        assert_eq!(&asked, b"password of worker w1: ");
        std::fs::File::from(terminal.master.try_clone()?).write_all(typed.as_bytes())?;
        let ended = child.wait_with_output().await?;
        assert_eq!(ended.status.signal(), signal, "{typed:?}: {ended:?}");
        assert_eq!(tcgetattr(&terminal.slave)?, before, "{typed:?}");
        let kept = std::fs::read_to_string(home.path().join("w/password"));
        assert_eq!(kept.ok(), signal.is_none().then(|| typed.to_owned()), "{typed:?}");
        // Whatever the terminal shows of it would be here.
        fcntl(&terminal.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut shown = [0; 64];
        let count = nix::unistd::read(&terminal.master, &mut shown).unwrap_or(0);
        assert_eq!(&shown[..count], b"", "{typed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn row_16_019_what_create_worker_cannot_use_is_told_and_nothing_is_made() -> Result<()> {
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("secret"), "s3cret\n")?;
    std::fs::write(home.path().join("empty"), "\n")?;
    for (args, told) in [
        (&["pb://h", "w1", "secret"][..], "scheme pb"),
        (&["joe:s3cret@h", "w1", "secret"], "'@'"),
        (&["h", "a:b", "secret"], "no colon"),
        (&["h", "w1", "absent"], "cannot read the password"),
        (&["h", "w1", "empty"], "holds no password"),
        (&["h", "w1", "-"], "no password was given"),
        (&["h", "w1", "secret", "--umask", "9"], "octal"),
        (&["h", "w1", "secret", "--ca-file", "secret"], "--use-tls"),
        (&["wss://h", "w1", "secret", "--ca-file", "absent"], "cannot find absent"),
        (&["h", "w1", "secret", "--allow-shutdown", "maybe"], "possible values"),
    ] {
        let ran = create(home.path(), args, "").await?;
        assert!(!ran.ok && ran.told.contains(told) && !ran.told.contains("s3cret"), "{args:?}: {}", ran.told);
        assert!(!home.path().join("w").exists(), "{args:?}");
    }
    let ran = create(home.path(), &["h", "w1", "secret"], "").await?;
    assert!(ran.ok && ran.told.contains("chmod 600"), "{}", ran.told);
    let text = std::fs::read_to_string(home.path().join("w/worker.toml"))?;
    let secret = home.path().canonicalize()?.join("secret");
    assert!(text.contains(&format!("password_file = \"{}\"", secret.display())), "{text}");
    // Wrong by hand, it says where.
    std::fs::write(home.path().join("w/worker.toml"), text.replace("name =", "nam ="))?;
    let output = Command::new(lunabot_binary()).arg("worker").arg(home.path().join("w")).output().await?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.contains("worker.toml") && told.contains("unknown field `nam`"),
        "{told}"
    );
    let output = Command::new(lunabot_binary()).arg("worker").arg(home.path()).output().await?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("lunabot create-worker"));
    Ok(())
}

/// Buildbot's configuration with one builder whose steps are `steps`.
fn python(steps: &str) -> String {
    format!(
        r#"
from buildbot.plugins import schedulers, steps, util, worker
c = BuildmasterConfig = {{}}
c["buildbotNetUsageData"] = None
c["workers"] = [worker.Worker("w1", "{PASSWORD}")]
c["protocols"] = {{"msgpack_experimental_v7": {{"port": WORKERS}}}}
factory = util.BuildFactory([{steps}])
c["builders"] = [util.BuilderConfig(name="b", workernames=["w1"], factory=factory)]
c["schedulers"] = [schedulers.ForceScheduler(name="force", builderNames=["b"])]
c["www"] = {{"port": "tcp:%d:interface=127.0.0.1" % WWW}}
c["buildbotURL"] = "http://localhost/"
c["db"] = {{"db_url": "sqlite:///state.sqlite"}}
"#
    )
}

async fn serves(buildbot: &mut Buildbot, worker: &OwnWorker) -> Result<()> {
    let here =
        |answer: &Value| answer["workers"][0]["connected_to"].as_array().is_some_and(|c| !c.is_empty());
    buildbot.until("workers", here).await.with_context(|| worker.log())?;
    Ok(())
}

async fn built(buildbot: &mut Buildbot, number: i64) -> Result<Value> {
    let path = format!("builds/{number}");
    let answer = buildbot.until(&path, |answer| answer["builds"][0]["complete"] == true).await?;
    Ok(answer["builds"][0].clone())
}

#[tokio::test]
async fn row_08_032_it_works_for_buildbots_own_master() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let place = gate.path().display().to_string();
    let wait = format!(
        "touch {place}/runs; echo $$ >> {place}/pids; until test -e {place}/open; do sleep 0.05; done"
    );
    std::fs::write(gate.path().join("source"), "from the master\n")?;
    let steps = format!(
        r#"
steps.ShellCommand(name="shell", command="echo héllo 世界; echo oops >&2; printf 'a\\rb\\n'; printf 'x%.0s' $(seq 10000); printf unfinished", env={{"A": "b"}}),
steps.ShellCommand(name="make", command="mkdir -p d/e; head -c 100000 /dev/urandom > d/e/f; touch t"),
steps.FileUpload(name="up", workersrc="d/e/f", masterdest="{place}/up"),
steps.DirectoryUpload(name="dirup", workersrc="d", masterdest="{place}/tree"),
steps.MakeDirectory(name="mkdir", dir="build/made"),
steps.CopyDirectory(name="copy", src="build/d", dest="build/made/d"),
steps.FileExists(name="exists", file="build/made/d/e/f"),
steps.RemoveDirectory(name="rmdir", dir="build/made"),
steps.ShellCommand(name="slow", command="echo waiting; sleep 100", timeout=1, flunkOnFailure=False, haltOnFailure=False),
steps.ShellCommand(name="wait", command="{wait}"),
steps.FileDownload(name="down", mastersrc="{place}/source", workerdest="copy"),
"#
    );
    let mut buildbot = Buildbot::start(&python(&steps)).await?;
    let mut worker = OwnWorker::start(&buildbot.address(), "w1", PASSWORD, &["--maxdelay", "1"]).await?;
    serves(&mut buildbot, &worker).await?;
    let force = json!({"builderNames": ["b"]});
    buildbot.control("forceschedulers/force", "force", force.clone()).await?;
    let waits = |answer: &Value| {
        answer["steps"].as_array().is_some_and(|all| all.iter().any(|step| step["name"] == "wait"))
    };
    buildbot.until("builds/1/steps", waits).await.with_context(|| worker.log())?;
    let steps = buildbot.get("builds/1/steps").await?;
    let result = |name: &str| {
        let all = steps["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().find(|step| step["name"] == name).map(|step| step["results"].clone())
    };
    for name in ["shell", "make", "up", "dirup", "mkdir", "copy", "exists", "rmdir"] {
        assert_eq!(result(name), Some(json!(0)), "{name}: {steps:#}\n{}", worker.log());
    }
    assert_eq!(result("slow"), Some(json!(2)), "{steps:#}");
    let log = buildbot.step_log(1, "shell").await?;
    for wanted in ["héllo 世界\n", "oops\n", "oa\n", "ob\n", "unfinished\n"] {
        assert!(log.contains(wanted), "{wanted:?} in\n{log}");
    }
    let long: usize =
        log.lines().filter(|line| line.starts_with("ox")).map(|line| line.matches('x').count()).sum();
    assert_eq!(long, 10_000, "no text is lost:\n{log}");
    let sent = std::fs::read(worker.dir().join("b/build/d/e/f"))?;
    assert_eq!(std::fs::read(gate.path().join("up"))?, sent);
    assert_eq!(std::fs::read(gate.path().join("tree/e/f"))?, sent);
    // An interrupt ends the command.
    buildbot.control("builds/1", "stop", json!({"reason": "enough"})).await?;
    assert_eq!(built(&mut buildbot, 1).await?["results"], 6);
    gone(gate.path()).await?;
    // The next build gets to the download, which that master cannot do: that is told, and no empty file taken for it.
    open(gate.path())?;
    buildbot.control("forceschedulers/force", "force", force).await?;
    assert_ne!(built(&mut buildbot, 2).await?["results"], 0);
    let steps = buildbot.get("builds/2/steps/down").await?;
    assert_ne!(steps["steps"][0]["results"], 0, "{steps:#}");
    // It knows no graceful end: the worker ends by itself when nothing has run for a while.
    worker.signal(Signal::SIGHUP)?;
    assert_eq!(worker.ended().await?, Some(0), "{}", worker.log());
    Ok(())
}
