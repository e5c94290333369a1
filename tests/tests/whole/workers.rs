//! Stock `buildbot-worker` processes over both wire protocols (reference 8a–8c).

use anyhow::{Context, Result, ensure};
use lunabot_tests::{Master, PROTOCOLS, Proxy, Release, StockWorker, lunabot_binary};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::path::Path;
use tokio::process::Command;

pub(crate) const PASSWORD: &str = "pa55wörd:x";

/// A master whose workers and steps `lua` makes, with both protocols on free ports.
pub(crate) fn config(lua: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{}}, builders = {{}}, www = {{ port = 0 }} }}
c.protocols = {{ pb = {{ port = "127.0.0.1:0" }}, msgpack_experimental_v7 = {{ port = "tcp:0:interface=127.0.0.1" }} }}
local names = {{}}
local function builder(name, ...)
  local f = util.BuildFactory{{}}
  for _, step in ipairs{{...}} do f:addStep(step) end
  c.builders[#c.builders + 1] = util.BuilderConfig{{name = name, workernames = {{"w1"}}, factory = f}}
  names[#names + 1] = name
end
{lua}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = names}} }}
return c
"#
    )
}

pub(crate) fn worker(options: &str) -> String {
    format!("c.workers[1] = worker.Worker{{\"w1\", \"{PASSWORD}\", {options}}}\n")
}

pub(crate) async fn port(master: &mut Master, protocol: &str) -> Result<u16> {
    let line = master.log_line(|line| line.contains(&format!("workers connect with {protocol} at "))).await?;
    let port = line.rsplit(':').next().context("a port")?;
    Ok(port.trim_matches(|c: char| !c.is_ascii_digit()).parse()?)
}

pub(crate) async fn connected(master: &Master, wanted: bool) -> Result<Value> {
    let is = |answer: &Value| (answer["workers"][0]["connected_to"] != json!([])) == wanted;
    let answer = master.until("workers/w1", is).await?;
    Ok(answer["workers"][0].clone())
}

/// A worker of the master's, attached.
pub async fn attached(master: &mut Master, protocol: &str) -> Result<StockWorker> {
    attached_as(master, Release::CURRENT, protocol, &[]).await
}

/// The same of some release, made with more options.
pub async fn attached_as(
    master: &mut Master,
    release: Release,
    protocol: &str,
    options: &[&str],
) -> Result<StockWorker> {
    let port = port(master, protocol).await?;
    let worker = StockWorker::start_release(release, protocol, port, "w1", PASSWORD, options).await?;
    connected(master, true)
        .await
        .with_context(|| format!("{protocol}: log of the worker:\n{}", worker.log()))?;
    Ok(worker)
}

pub async fn reconfig(master: &Master) -> Result<()> {
    let output = Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output().await?;
    let told = [&output.stdout[..], &output.stderr[..]].concat();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&told));
    Ok(())
}

/// A shell step that says `words`, writes its process id and waits for the gate.
pub(crate) fn gated(gate: &Path, words: &str) -> String {
    let gate = gate.display();
    format!(
        r#"steps.ShellCommand{{name = "wait", command = "echo $$ >> {gate}/pids; echo {words}; until test -e {gate}/open; do sleep 0.05; done; echo after"}}"#
    )
}

pub(crate) fn open(gate: &Path) -> Result<()> {
    Ok(std::fs::write(gate.join("open"), "")?)
}

/// Whether the processes that wrote their ids are all gone, once they are.
pub(crate) async fn gone(gate: &Path) -> Result<()> {
    let pids = std::fs::read_to_string(gate.join("pids"))?;
    let lives = |pid: &str| {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie has ended; who reaps it is not ours to know.
        state
            .rsplit(')')
            .next()
            .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
    };
    let ended = async {
        while pids.lines().any(lives) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, ended).await.with_context(|| format!("still alive: one of {pids}"))
}

pub(crate) async fn said(master: &Master, build: i64, words: &str) -> Result<()> {
    let path = format!("builds/{build}/steps/wait/logs/stdio/contents");
    let has =
        |answer: &Value| answer["logchunks"][0]["content"].as_str().is_some_and(|text| text.contains(words));
    let known = |answer: &Value| {
        !answer["steps"].as_array().is_none_or(Vec::is_empty)
            && answer["steps"].as_array().is_some_and(|all| all.iter().any(|step| step["name"] == "wait"))
    };
    master.until(&format!("builds/{build}/steps"), known).await?;
    let exists = |answer: &Value| answer["logs"].as_array().is_some_and(|all| !all.is_empty());
    master.until(&format!("builds/{build}/steps/wait/logs"), exists).await?;
    master.until(&path, has).await?;
    Ok(())
}

#[tokio::test]
async fn row_08_023_a_build_with_files_over_each_protocol() -> Result<()> {
    for protocol in PROTOCOLS {
        every_command(Release::CURRENT, protocol).await?;
    }
    Ok(())
}

/// Builds with every command there is; `place` is a folder of the master's machine.
fn every_step(place: &str) -> String {
    format!(
        r#"
builder("all",
  steps.ShellCommand{{name = "shell", command = {{"sh", "-c", "echo héllo 世界; echo oops >&2; printf 'a\\rb\\n'; printf unfinished; exit 0"}},
                     env = {{MARK = util.Interpolate("%(worker:numcpus)s-%(worker:system)s")}}}},
  steps.ShellCommand{{name = "env", command = "echo mark=$MARK home=$HOME; pwd", env = {{MARK = util.Interpolate("%(worker:system)s"), HOME = "/x:${{LANG}}"}}, logEnviron = false}},
  steps.ShellCommand{{name = "watched", command = "echo one > w.log; printf 'two\\rthree' >> w.log", logfiles = {{log = "w.log"}}}},
  steps.ShellCommand{{name = "stdin", command = "cat; test -t 1 || echo no terminal", initialStdin = "from the master\n"}},
  steps.ShellCommand{{name = "terminal", command = "test -t 1 && echo a terminal", usePTY = true}},
  steps.ShellCommand{{name = "hidden", command = {{"test", "s3cret", "=", util.Obfuscated{{"s3cret", "<shown>"}}}}}},
  steps.FileDownload{{name = "down", mastersrc = "{place}/source", workerdest = "sub/copy", mode = "0640"}},
  steps.StringDownload{{name = "string", s = "list", workerdest = "text"}},
  steps.FileUpload{{name = "up", workersrc = "sub/copy", masterdest = "{place}/back", keepstamp = true}},
  steps.MultipleFileUpload{{name = "many", workersrcs = {{"t*t", "sub"}}, glob = true, masterdest = "{place}/many"}},
  steps.MakeDirectory{{name = "mkdir", dir = "build/d/e"}},
  steps.CopyDirectory{{name = "copy", src = "build/sub", dest = "build/d/e/sub"}},
  steps.FileExists{{name = "exists", file = "build/d/e/sub/copy"}},
  steps.DirectoryUpload{{name = "dirup", workersrc = "d", masterdest = "{place}/tree", compress = "gz"}},
  steps.RemoveDirectory{{name = "rmdir", dir = "build/d"}},
  steps.FileUpload{{name = "absent", workersrc = "nothing", masterdest = "{place}/nothing", flunkOnFailure = false, haltOnFailure = false}},
  steps.ShellCommand{{name = "missing", command = {{"/nonexistent/program"}}, flunkOnFailure = false}},
  steps.ShellCommand{{name = "slow", command = "echo waiting; sleep 100", timeout = 1, flunkOnFailure = false}},
  steps.ShellCommand{{name = "long", command = "trap 'exit 0' TERM; while :; do echo still; sleep 0.2; done", maxTime = 1, sigtermTime = 5, flunkOnFailure = false}})
"#
    )
}

/// One build with every command, on a worker of that release.
pub(crate) async fn every_command(release: Release, protocol: &str) -> Result<()> {
    let files = tempfile::tempdir()?;
    let at = |name: &str| files.path().join(name);
    std::fs::write(at("source"), [b"\xff\x00binary\n".repeat(100_000), b"list".to_vec()].concat())?;
    let steps = every_step(&files.path().display().to_string());
    let mut master = Master::start(&config(&(worker("") + &steps))).await?;
    let worker = attached_as(&mut master, release, protocol, &[]).await?;
    let row = connected(&master, true).await?;
    let info = &row["workerinfo"];
    assert_eq!(info["system"], "posix", "08.002 {protocol}");
    if release == Release::CURRENT {
        // Old ones that were packed on the way here call themselves after that day.
        assert_eq!(info["version"], release.version(), "08.002 {protocol}");
    }
    assert!(info["environ"].is_null() && info["admin"].is_string(), "{info}");
    assert!(info.get("access_uri").is_some(), "08.002: {info}");
    master.force("all").await?;
    let build = master.finished_build(1).await?;
    let steps = master.get("builds/1/steps").await?;
    let upload = master.step_log(1, "dirup", "stdio").await.unwrap_or_default();
    assert_eq!(build["results"], 0, "{protocol}: {steps:#}\n{upload}\n{}", worker.log());
    let folder = worker.dir().join("all/build");
    for (step, log, wanted) in [
        ("shell", "stdio", "héllo 世界\n"),
        ("shell", "stdio", "oops\n"),
        ("shell", "stdio", "a\nb\n"),
        ("shell", "stdio", "unfinished\n"),
        ("shell", "stdio", "program finished with exit code 0\n"),
        ("shell", "stdio", "(timeout 1200 secs)"),
        ("env", "stdio", "mark=posix home=/x:C.UTF-8\n"),
        ("env", "stdio", &format!("{}\n", folder.display())),
        ("watched", "log", "one\ntwo\nthree\n"),
        ("stdin", "stdio", "from the master\nno terminal\n"),
        ("terminal", "stdio", "a terminal\n"),
        ("hidden", "stdio", "<shown>"),
        ("slow", "stdio", "1 seconds without output"),
        ("long", "stdio", "1 seconds elapsed"),
    ] {
        let text = master.step_log(1, step, log).await?;
        assert!(text.contains(wanted), "{protocol}: {wanted:?} in {log} of {step}:\n{text}");
    }
    let source = std::fs::read(at("source"))?;
    for copy in [folder.join("sub/copy"), at("back"), at("many/sub/copy"), at("tree/e/sub/copy")] {
        assert!(std::fs::read(&copy)? == source, "{}", copy.display());
    }
    for copy in [folder.join("text"), at("many/text")] {
        assert_eq!(std::fs::read(copy)?, b"list");
    }
    assert!(!folder.join("d").exists() && !at("nothing").exists(), "{protocol}");
    let ended = |name: &str| {
        let all = steps["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().find(|step| step["name"] == name).map(|step| step["results"].clone())
    };
    for failing in ["absent", "missing", "slow", "long"] {
        assert_eq!(ended(failing), Some(json!(2)), "{protocol} {failing}: {steps:#}");
    }
    Ok(())
}

#[tokio::test]
async fn row_08_026_output_is_live_and_a_stopped_build_ends_its_programs() -> Result<()> {
    for protocol in PROTOCOLS {
        interrupt(Release::CURRENT, protocol).await?;
    }
    Ok(())
}

/// Output while a command runs, and the end of one that is stopped.
pub(crate) async fn interrupt(release: Release, protocol: &str) -> Result<()> {
    let gate = tempfile::tempdir()?;
    let steps = format!("builder(\"b\", {})", gated(gate.path(), "before"));
    let mut master = Master::start(&config(&(worker("") + &steps))).await?;
    let worker = attached_as(&mut master, release, protocol, &[]).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    master.control("builds/1", "stop", json!({"reason": "enough"})).await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 6, "{protocol}: {}", worker.log());
    gone(gate.path()).await?;
    // The worker is as good as before.
    open(gate.path())?;
    master.force("b").await?;
    assert_eq!(master.finished_build(2).await?["results"], 0, "{protocol}");
    Ok(())
}

#[tokio::test]
async fn row_08_006_a_killed_workers_build_is_built_again_when_it_is_back() -> Result<()> {
    for protocol in PROTOCOLS {
        let gate = tempfile::tempdir()?;
        let steps = format!("builder(\"b\", {})", gated(gate.path(), "before"));
        let mut master = Master::start(&config(&(worker("") + &steps))).await?;
        let worker = attached(&mut master, protocol).await?;
        master.force("b").await?;
        said(&master, 1, "before").await?;
        let dir = worker.kill().await?;
        let build = master.finished_build(1).await?;
        assert_eq!(build["results"], 5, "{protocol}");
        connected(&master, false).await?;
        open(gate.path())?;
        let _worker = StockWorker::start_in(dir)?;
        assert_eq!(master.finished_build(2).await?["results"], 0, "{protocol}");
    }
    Ok(())
}

#[tokio::test]
async fn a_command_whose_connection_was_cut_does_not_run_beside_its_repetition() -> Result<()> {
    for protocol in PROTOCOLS {
        cut(Release::CURRENT, protocol).await?;
    }
    Ok(())
}

/// A connection that breaks under a command: the worker comes back, and its build with it.
pub(crate) async fn cut(release: Release, protocol: &str) -> Result<()> {
    let gate = tempfile::tempdir()?;
    let steps = format!("builder(\"b\", {})", gated(gate.path(), "before"));
    let mut master = Master::start(&config(&(worker("") + &steps))).await?;
    let proxy = Proxy::to(port(&mut master, protocol).await?).await?;
    let worker = StockWorker::start_release(release, protocol, proxy.port(), "w1", PASSWORD, &[]).await?;
    connected(&master, true).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    let first = gate.path().join("pids");
    let alone = std::fs::read_to_string(&first)?;
    proxy.cut();
    assert_eq!(master.finished_build(1).await?["results"], 5, "{protocol}");
    // The worker comes back by itself, and the build with it.
    said(&master, 2, "before").await.with_context(|| format!("{protocol}:\n{}", worker.log()))?;
    std::fs::write(&first, alone)?;
    gone(gate.path()).await.with_context(|| protocol.to_string())?;
    open(gate.path())?;
    assert_eq!(master.finished_build(2).await?["results"], 0, "{protocol}");
    Ok(())
}

#[tokio::test]
async fn row_08_005_the_live_one_of_two_connections_wins() -> Result<()> {
    for protocol in PROTOCOLS {
        let steps = "builder(\"b\", steps.ShellCommand{command = \"pwd\"})";
        let mut master = Master::start(&config(&(worker("") + steps))).await?;
        let first = attached(&mut master, protocol).await?;
        let port = port(&mut master, protocol).await?;
        let mut second = StockWorker::start(protocol, port, "w1", PASSWORD).await?;
        master.log_line(|line| line.contains("is connected already")).await?;
        master.force("b").await?;
        assert_eq!(master.finished_build(1).await?["results"], 0);
        assert!(first.dir().join("b").is_dir() && !second.dir().join("b").exists(), "{protocol}");
        // A silent one loses its seat; the second has gone on trying.
        first.signal(Signal::SIGSTOP)?;
        master.log_line(|line| line.contains("a new one takes its place")).await?;
        connected(&master, true).await?;
        master.force("b").await?;
        assert_eq!(master.finished_build(2).await?["results"], 0);
        assert!(second.runs() && second.dir().join("b").is_dir(), "{protocol}");
        first.signal(Signal::SIGCONT)?;
    }
    Ok(())
}

#[tokio::test]
async fn row_08_012_08_014_a_wrong_password_is_refused_until_it_is_right() -> Result<()> {
    for protocol in PROTOCOLS {
        let steps = "builder(\"b\", steps.ShellCommand{command = \"true\"})";
        let other = "c.workers[1] = worker.Worker{\"w1\", \"something else\"}\n";
        let mut master = Master::start(&config(&(other.to_string() + steps))).await?;
        let port = port(&mut master, protocol).await?;
        let mut stranger = StockWorker::start(protocol, port, "nobody", PASSWORD).await?;
        let mut worker = StockWorker::start(protocol, port, "w1", PASSWORD).await?;
        master.log_line(|line| line.contains("wrong password for worker w1")).await?;
        master.log_line(|line| line.contains("no worker named") && line.contains("nobody")).await?;
        assert!(!master.log().contains(PASSWORD), "no password in the log");
        assert_eq!(connected(&master, false).await?["connected_to"], json!([]));
        master.rewrite_config(&config(&(self::worker("") + steps)))?;
        reconfig(&master).await?;
        connected(&master, true).await.with_context(|| worker.log())?;
        assert!(worker.runs() && stranger.runs(), "{protocol}: a refusal ends no worker");
    }
    Ok(())
}

#[tokio::test]
async fn row_08_001_builders_share_a_worker_up_to_max_builds() -> Result<()> {
    for protocol in PROTOCOLS {
        let gate = tempfile::tempdir()?;
        let step = gated(gate.path(), "before");
        let steps = format!("builder(\"a\", {step})\nbuilder(\"b\", {step})\nbuilder(\"c\", {step})\n");
        let mut master = Master::start(&config(&(worker("max_builds = 2") + &steps))).await?;
        let _worker = attached(&mut master, protocol).await?;
        for name in ["a", "b", "c"] {
            master.force(name).await?;
        }
        said(&master, 1, "before").await?;
        said(&master, 2, "before").await?;
        let builds = master.get("builds?complete=false").await?;
        assert_eq!(builds["builds"].as_array().map(Vec::len), Some(2), "{protocol}: {builds:#}");
        open(gate.path())?;
        for build in 1..=3 {
            assert_eq!(master.finished_build(build).await?["results"], 0, "{protocol}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_08_009_08_010_a_graceful_stop_lets_the_build_end_and_a_kill_does_not() -> Result<()> {
    for protocol in PROTOCOLS {
        stop_and_kill(Release::CURRENT, protocol).await?;
    }
    Ok(())
}

/// The master ends the worker, first gracefully, then at once.
pub(crate) async fn stop_and_kill(release: Release, protocol: &str) -> Result<()> {
    let gate = tempfile::tempdir()?;
    let steps = format!("builder(\"b\", {})", gated(gate.path(), "before"));
    let mut master = Master::start(&config(&(worker("") + &steps))).await?;
    let mut worker = attached_as(&mut master, release, protocol, &[]).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    master.control("workers/1", "stop", json!({})).await?;
    let graceful = |answer: &Value| answer["workers"][0]["graceful"] == true;
    master.until("workers/w1", graceful).await?;
    assert!(worker.runs());
    open(gate.path())?;
    assert_eq!(master.finished_build(1).await?["results"], 0, "{protocol}");
    worker.ended().await?;
    connected(&master, false).await?;
    // Back again it takes builds; killed, it is gone at once.
    std::fs::remove_file(gate.path().join("open"))?;
    let mut worker = attached_as(&mut master, release, protocol, &[]).await?;
    assert_eq!(connected(&master, true).await?["graceful"], false);
    master.force("b").await?;
    said(&master, 2, "before").await?;
    master.control("workers/1", "kill", json!({})).await?;
    assert_eq!(master.finished_build(2).await?["results"], 5, "{protocol}");
    worker.ended().await?;
    Ok(())
}

#[tokio::test]
async fn row_08_009_a_workers_owner_asks_for_a_graceful_stop() -> Result<()> {
    owner_stops(Release::CURRENT).await
}

/// Over PB the worker's owner may end it when its build has.
pub(crate) async fn owner_stops(release: Release) -> Result<()> {
    let gate = tempfile::tempdir()?;
    let steps = format!("builder(\"b\", {})", gated(gate.path(), "before"));
    let mut master = Master::start(&config(&(worker("") + &steps))).await?;
    let mut worker = attached_as(&mut master, release, "pb", &["--allow-shutdown=signal"]).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    worker.signal(Signal::SIGHUP)?;
    master.until("workers/w1", |answer| answer["workers"][0]["graceful"] == true).await?;
    open(gate.path())?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    worker.ended().await?;
    Ok(())
}

#[tokio::test]
async fn row_08_013_a_reload_tells_builders_and_drops_who_is_gone_and_nobody_else() -> Result<()> {
    for protocol in PROTOCOLS {
        let step = "steps.ShellCommand{command = \"true\"}";
        let one = format!("builder(\"a\", {step})\n");
        let two = format!("{one}builder(\"b\", {step})\n");
        let mut master = Master::start(&config(&(worker("") + &one))).await?;
        let worker = attached(&mut master, protocol).await?;
        // Another password and another port: the connection stays.
        let moved = config(&(self::worker("").replace(PASSWORD, "other") + &two))
            .replace("127.0.0.1:0", "localhost:0");
        master.rewrite_config(&moved.replace("tcp:0:interface=127.0.0.1", "tcp:0:interface=localhost"))?;
        reconfig(&master).await?;
        assert!(!master.log().contains("worker detached"), "{}", master.log());
        master.force("b").await?;
        assert_eq!(master.finished_build(1).await?["results"], 0, "{protocol}: {}", worker.log());
        assert!(worker.dir().join("a").is_dir() && worker.dir().join("b").is_dir(), "{protocol}");
        let without = "c.workers[1] = worker.LocalWorker{\"w1\"}\n".to_string() + &two;
        master.rewrite_config(&config(&without))?;
        reconfig(&master).await?;
        master
            .log_line(|line| {
                line.contains("no longer configured: its connection is closed")
                    || line.contains("no longer wanted")
            })
            .await?;
        master.force("b").await?;
        assert_eq!(master.finished_build(2).await?["results"], 0, "{protocol}");
    }
    Ok(())
}

/// What the command says a reload would do.
async fn plan(master: &Master) -> Result<String> {
    let output =
        Command::new(lunabot_binary()).args(["reconfig", "--plan"]).arg(master.dir()).output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A worker of the master's own, and those that connect.
const KINDS: [Option<&str>; 3] = [None, Some("pb"), Some("msgpack_experimental_v7")];

/// The worker `w1` is configured away, and its builder goes to another.
const WITHOUT: &str = r#"
c.workers[1] = worker.LocalWorker{"other"}
c.builders = { util.BuilderConfig{name = "held", workernames = {"other"}, factory = util.BuildFactory{}} }
names = {"held"}
"#;

/// A worker `w1` of this kind, and a builder `held` whose builds wait for the gate.
fn holding(protocol: Option<&str>, gate: &Path) -> String {
    let local = "c.workers[1] = worker.LocalWorker{\"w1\"}\n".to_string();
    let first = if protocol.is_some() { worker("") } else { local };
    let hold = format!("until test -e {}/open; do sleep 0.05; done", gate.display());
    let held = format!("builder(\"held\", steps.ShellCommand{{name = \"hold\", command = {hold:?}}})\n");
    config(&(first + &held))
}

/// A master of that, whose build 1 waits.
async fn held_build(protocol: Option<&str>, gate: &Path) -> Result<(Master, Option<StockWorker>)> {
    let mut master = Master::start(&holding(protocol, gate)).await?;
    let stock = match protocol {
        Some(protocol) => Some(attached(&mut master, protocol).await?),
        None => None,
    };
    master.force("held").await?;
    let holds = |a: &Value| a["steps"].as_array().is_some_and(|s| s.iter().any(|s| s["name"] == "hold"));
    master.until("builds/1/steps", holds).await?;
    Ok((master, stock))
}

#[tokio::test]
async fn a_worker_that_is_configured_away_ends_its_build_first() -> Result<()> {
    let gate = tempfile::tempdir()?;
    for protocol in KINDS {
        let (master, stock) = held_build(protocol, gate.path()).await?;
        master.rewrite_config(&config(WITHOUT))?;
        let told = plan(&master).await?;
        assert!(told.contains("stop worker w1\n"), "{told}");
        assert!(told.contains("worker w1 leaves when held #1 has ended\n"), "{told}");
        assert!(told.contains("interrupt nothing: 1 build goes on"), "{told}");
        reconfig(&master).await?;
        master.force("held").await?;
        assert_eq!(master.finished_build(2).await?["results"], 0, "it runs on the other worker");
        assert_eq!(master.get("builds/1").await?["builds"][0]["complete"], false, "{protocol:?}");

        open(gate.path())?;
        assert_eq!(master.finished_build(1).await?["results"], 0, "{protocol:?}: {}", master.log());
        master.log_line(|line| line.contains("no longer configured: its connection is closed")).await?;
        connected(&master, false).await?;
        drop(stock);
        std::fs::remove_file(gate.path().join("open"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_that_comes_back_while_its_build_runs_goes_on() -> Result<()> {
    let gate = tempfile::tempdir()?;
    for protocol in KINDS {
        let (master, stock) = held_build(protocol, gate.path()).await?;
        master.rewrite_config(&config(WITHOUT))?;
        reconfig(&master).await?;
        master.rewrite_config(&holding(protocol, gate.path()))?;
        reconfig(&master).await?;
        assert_eq!(master.get("builds/1").await?["builds"][0]["complete"], false, "{protocol:?}");

        open(gate.path())?;
        let first = master.finished_build(1).await?;
        assert_eq!(first["results"], 0, "{protocol:?}: {}", master.log());
        master.force("held").await?;
        let second = master.finished_build(2).await?;
        assert_eq!(second["results"], 0, "{protocol:?}: {}", master.log());
        assert_eq!(second["workerid"], first["workerid"], "{protocol:?}: {second}");
        drop(stock);
        std::fs::remove_file(gate.path().join("open"))?;
    }
    Ok(())
}

#[tokio::test]
async fn row_08_033_leftover_folders_go_where_the_worker_is_set_up_so() -> Result<()> {
    for protocol in PROTOCOLS {
        let steps = "builder(\"b\", steps.ShellCommand{command = \"true\"})";
        let mut master = Master::start(&config(&(worker("") + steps))).await?;
        let port = port(&mut master, protocol).await?;
        let options = ["--delete-leftover-dirs"];
        let worker = StockWorker::start_with(protocol, port, "w1", PASSWORD, &options).await?;
        connected(&master, true).await?;
        std::fs::create_dir_all(worker.dir().join("stale/deep"))?;
        let dir = worker.kill().await?;
        connected(&master, false).await?;
        let worker = StockWorker::start_in(dir)?;
        master.force("b").await?;
        assert_eq!(master.finished_build(1).await?["results"], 0);
        assert!(!worker.dir().join("stale").exists() && worker.dir().join("info").is_dir(), "{protocol}");
    }
    Ok(())
}

/// A certificate for `localhost` with its key, made by the real openssl.
pub(crate) async fn certificate(dir: &Path) -> Result<()> {
    certificate_with(dir, &[]).await
}

/// The same with more options of `openssl req`.
pub(crate) async fn certificate_with(dir: &Path, more: &[&str]) -> Result<()> {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"])
        .args(more)
        .current_dir(dir)
        .output()
        .await
        .context("openssl is installed by tests/run.sh")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

#[tokio::test]
async fn row_01_026_workers_connect_with_tls_and_a_reload_reads_the_certificate_again() -> Result<()> {
    let ours = tempfile::tempdir()?;
    certificate(ours.path()).await?;
    let endpoint = format!(
        "ssl:0:interface=127.0.0.1:privateKey={0}/key.pem:certKey={0}/cert.pem",
        ours.path().display()
    );
    let steps = "builder(\"b\", steps.ShellCommand{command = \"true\"})";
    let lua = config(&(worker("") + steps));
    let lua = lua.replace("127.0.0.1:0", &endpoint).replace("tcp:0:interface=127.0.0.1", &endpoint);
    for (build, protocol) in (1..).zip(PROTOCOLS) {
        let mut master = Master::start(&lua).await?;
        let port = port(&mut master, protocol).await?;
        let worker =
            StockWorker::start_tls(protocol, port, "w1", PASSWORD, &ours.path().join("cert.pem")).await?;
        connected(&master, true).await.with_context(|| worker.log())?;
        master.force("b").await?;
        assert_eq!(master.finished_build(1).await?["results"], 0, "{build} {protocol}");
        // Another certificate: who is there stays; who comes anew trusts only the new one.
        certificate(ours.path()).await?;
        reconfig(&master).await?;
        assert!(!master.log().contains("worker detached"));
        let dir = worker.kill().await?;
        let _again = StockWorker::start_tls_in(dir, &ours.path().join("cert.pem"))?;
        connected(&master, false).await?;
        connected(&master, true).await?;
        // One that cannot be read is refused, and nothing changes.
        std::fs::write(ours.path().join("cert.pem"), "nonsense")?;
        let refused = reconfig(&master).await.unwrap_err().to_string();
        assert!(refused.contains("holds no certificate"), "{refused}");
        certificate(ours.path()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_02_009_sendchange_adds_a_change() -> Result<()> {
    let lua = config(&(worker("") + "builder(\"b\", steps.ShellCommand{command = \"true\"})")).replace(
        "return c",
        "c.change_source = { lunabot.changes.PBChangeSource{user = \"ann\", passwd = \"s3cret\", prefix = \"trunk/\",\n\
           change_fn = function(change) change.category = change.branch .. \"/\" .. change.who:sub(1, 3) return change end} }\nreturn c",
    );
    let mut master = Master::start(&lua).await?;
    let port = port(&mut master, "pb").await?;
    let send = |password: &'static str| async move {
        let output = lunabot_tests::sendchange()
            .args(["--master", &format!("127.0.0.1:{port}"), "--auth", &format!("ann:{password}")])
            .args([
                "--who",
                "Ann <ann@example.org>",
                "--branch",
                "main",
                "--revision",
                "0123",
                "--comments",
                "grüße",
            ])
            .args([
                "--property",
                "why:because",
                "--when",
                "1700000000",
                "--vc",
                "git",
                "trunk/a.c",
                "other/b.c",
            ])
            .output()
            .await;
        output.context("tests/run.sh installs buildbot into target/worker-venv")
    };
    let output = send("s3cret").await?;
    assert!(output.status.success(), "{output:?}");
    let answer = master.get("changes").await?;
    let change = &answer["changes"][0];
    for (field, wanted) in [
        ("author", json!("Ann <ann@example.org>")),
        ("branch", json!("main")),
        ("revision", json!("0123")),
        ("comments", json!("grüße")),
        ("files", json!(["a.c"])),
        ("when_timestamp", json!(1_700_000_000)),
        ("category", json!("main/Ann")),
    ] {
        assert_eq!(change[field], wanted, "{field} of {change:#}");
    }
    assert_eq!(change["properties"]["why"], json!(["because", "Change"]));
    assert!(!send("wrong").await?.status.success());
    master.log_line(|line| line.contains("wrong password for change source")).await?;
    assert_eq!(master.get("changes").await?["changes"].as_array().map(Vec::len), Some(1));
    Ok(())
}
