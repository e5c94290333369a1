//! Patches that are tried before they are committed: Buildbot's clients and ours, over PB and ssh (03.022, 03.023, 16.009).

use crate::workers::{certificate, reconfig};
use anyhow::{Context as _, Result, ensure};
use lunabot_tests::{Master, PROTOCOLS, StockWorker, buildbot, lunabot_binary};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// Longer than any command takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whose program it is.
const CLIENTS: [&str; 2] = ["buildbot", "lunabot"];

fn client(whose: &str, what: &str) -> Command {
    match whose {
        "buildbot" => buildbot(what),
        _ => {
            let mut command = Command::new(lunabot_binary());
            command.arg(what).kill_on_drop(true);
            command
        }
    }
}

async fn ran(command: &mut Command) -> Result<(Output, String)> {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.context("it never ends")??;
    let told = [&output.stdout[..], &output.stderr[..]].concat();
    Ok((output, String::from_utf8_lossy(&told).into_owned()))
}

fn run(dir: &Path, program: &str, args: &[&str]) -> Result<()> {
    let output = std::process::Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .context(program.to_string())?;
    ensure!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A repository of each kind, `KIND-repo`, and a work tree of it, `KIND`, with a file `f`.
fn repositories() -> Result<TempDir> {
    let dir = TempDir::new()?;
    let at = |name: &str| dir.path().join(name);
    run(dir.path(), "git", &["init", "-q", "--bare", "-b", "main", "git-repo"])?;
    run(dir.path(), "git", &["clone", "-q", &at("git-repo").display().to_string(), "git"])?;
    std::fs::write(at("git/f"), "one\n")?;
    let git = |args: &[&str]| {
        run(&at("git"), "git", &[&["-c", "user.name=Ann", "-c", "user.email=ann@example.org"], args].concat())
    };
    git(&["checkout", "-q", "-B", "main"])?;
    git(&["add", "-A"])?;
    git(&["commit", "-q", "-m", "first"])?;
    git(&["push", "-q", "-u", "origin", "main"])?;
    // Not yet known to others.
    std::fs::write(at("git/local"), "local\n")?;
    git(&["add", "-A"])?;
    git(&["commit", "-q", "-m", "second"])?;

    run(dir.path(), "svnadmin", &["create", "svn-repo"])?;
    run(dir.path(), "svn", &["checkout", "-q", &format!("file://{}", at("svn-repo").display()), "svn"])?;
    std::fs::write(at("svn/f"), "one\n")?;
    run(&at("svn"), "svn", &["add", "-q", "f"])?;
    run(&at("svn"), "svn", &["commit", "-q", "--force-log", "-m", "first"])?;
    run(&at("svn"), "svn", &["update", "-q"])?;

    run(dir.path(), "hg", &["init", "hg-repo"])?;
    std::fs::write(at("hg-repo/f"), "one\n")?;
    run(&at("hg-repo"), "hg", &["commit", "-q", "-A", "-m", "first", "-u", "ann"])?;
    run(dir.path(), "hg", &["clone", "-q", "hg-repo", "hg"])?;
    Ok(dir)
}

/// Builders `git`, `svn`, `hg` that show the file `f`, one that fails and one that nobody runs.
const CONFIG: &str = r#"
local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = { www = { port = "127.0.0.1:0" }, builders = {} }
c.workers = { worker.LocalWorker{"local"}, worker.Worker{"away", "pw"} }
c.protocols = { pb = { port = "127.0.0.1:0" } }
c.secretsProviders = { lunabot.secrets.SecretInAFile{"SECRETS"} }
local function builder(name, step, where)
  local f = util.BuildFactory{}
  f:addStep(step)
  f:addStep(steps.ShellCommand{name = "show", command = "cat f; od -An -tx1 f"})
  c.builders[#c.builders + 1] = util.BuilderConfig{name = name, workernames = {where or "local"}, factory = f}
end
builder("git", steps.Git{repourl = "DIR/git-repo", mode = "incremental"})
builder("svn", steps.SVN{repourl = "file://DIR/svn-repo", mode = "incremental"})
builder("hg", steps.Mercurial{repourl = "DIR/hg-repo", mode = "incremental"})
builder("bad", steps.ShellCommand{command = "false", haltOnFailure = true})
builder("idle", steps.ShellCommand{command = "true"}, "away")
builder("slow", steps.ShellCommand{command = "until test -e DIR/open; do sleep 0.05; done; touch f"})
builder("other", steps.ShellCommand{command = "true"})
c.schedulers = {
  schedulers.Try_Userpass{name = "try", builderNames = {"git", "svn", "hg", "bad", "idle", "slow"},
    userpass = {{"alice", util.Secret "alice"}, {"bob", "b0b"}}, properties = {own = "yes"}},
  schedulers.Try_Jobdir{"jobs", {"git", "bad", "slow"}, "jobdir"},
  schedulers.ForceScheduler{name = "force", builderNames = {"other"}},
}
return c
"#;

fn config(dir: &TempDir) -> Result<String> {
    let secrets = dir.path().join("secrets");
    std::fs::create_dir(&secrets)?;
    std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o700))?;
    std::fs::write(secrets.join("alice"), "s3cret")?;
    std::fs::set_permissions(secrets.join("alice"), std::fs::Permissions::from_mode(0o600))?;
    let text = CONFIG.replace("DIR", &dir.path().display().to_string());
    Ok(text.replace("SECRETS", &secrets.display().to_string()))
}

async fn port(master: &mut Master, words: &str) -> Result<u16> {
    let line = master.log_line(|line| line.contains(words)).await?;
    let port = line.rsplit(':').next().context("a port")?;
    Ok(port.trim_matches(|c: char| !c.is_ascii_digit()).parse()?)
}

/// `try` over PB, by alice.
fn try_at(whose: &str, port: u16, args: &[&str], dir: &Path) -> Command {
    let mut command = client(whose, "try");
    command.args([
        "--connect=pb",
        "--username=alice",
        "--passwd=s3cret",
        &format!("--master=127.0.0.1:{port}"),
    ]);
    command.args(args).current_dir(dir);
    command
}

async fn newest_build(master: &Master) -> Result<Value> {
    Ok(master.get("builds?order=-buildid&limit=1&property=*").await?["builds"][0].clone())
}

#[tokio::test]
async fn row_03_023_patches_of_git_svn_and_hg_are_built_for_both_clients() -> Result<()> {
    let dir = repositories()?;
    let mut master = Master::start(&config(&dir)?).await?;
    let port = port(&mut master, "workers connect with pb at ").await?;
    for whose in CLIENTS {
        for vc in ["git", "svn", "hg"] {
            let tree = dir.path().join(vc);
            std::fs::write(tree.join("f"), format!("one\ntwo {whose} ü\n"))?;
            let mut args =
                vec!["--wait", "-b", vc, "--who", "Ann", "--comment", "soon", "--properties", "a=1,b=2"];
            let vc_arg = format!("--vc={vc}");
            args.push(&vc_arg);
            let diff = dir.path().join("svn.diff");
            let diff_arg = format!("--diff={}", diff.display());
            if (whose, vc) == ("buildbot", "svn") {
                // Buildbot's client asks svn for the revision b'1' and gets no patch.
                let made = std::process::Command::new("svn").arg("diff").current_dir(&tree).output()?;
                std::fs::write(&diff, made.stdout)?;
                args.push(&diff_arg);
            }
            let (output, told) = ran(&mut try_at(whose, port, &args, &tree)).await?;
            assert!(output.status.success(), "{whose} {vc}: {told}\n{}", master.log());
            assert!(told.contains(&format!("{vc}: success (build successful)")), "{whose} {vc}: {told}");
            let build = newest_build(&master).await?;
            let id = build["buildid"].as_i64().context("a build")?;
            let shown = master.step_log(id, "show", "stdio").await?;
            assert!(shown.contains(&format!("two {whose} ü")), "{whose} {vc}: {shown}");
            assert_eq!(build["properties"]["a"], json!(["1", "try build"]));
            assert_eq!(build["properties"]["own"], json!(["yes", "Scheduler"]));
            let set = master.get("buildsets?order=-bsid&limit=1").await?["buildsets"][0].clone();
            assert_eq!(set["reason"], "'try' job by user Ann (soon)");
            let patch = &set["sourcestamps"][0]["patch"];
            assert_eq!(
                (&patch["author"], &patch["comment"]),
                (&json!("Ann"), &json!("soon")),
                "{whose} {vc}"
            );
        }
    }
    // A patch that is no UTF-8 arrives byte by byte (06.015).
    for vc in ["git", "svn", "hg"] {
        let tree = dir.path().join(vc);
        std::fs::write(tree.join("f"), b"one\nbin \xff\n")?;
        let args = ["--wait", "-b", vc, "--vc", vc];
        let (output, told) = ran(&mut try_at("lunabot", port, &args, &tree)).await?;
        let id = newest_build(&master).await?["buildid"].as_i64().context("a build")?;
        assert!(output.status.success(), "{vc}: {told}\n{}", master.step_log(id, vc, "stdio").await?);
        let shown = master.step_log(id, "show", "stdio").await?;
        assert!(shown.contains("62 69 6e 20 ff 0a"), "{vc}: {shown}");
    }
    Ok(())
}

#[tokio::test]
async fn row_03_023_row_06_015_patches_are_applied_on_stock_workers() -> Result<()> {
    let dir = repositories()?;
    let lua = config(&dir)?.replace("worker.LocalWorker{\"local\"}", "worker.Worker{\"local\", \"pw\"}").replace(
        "pb = { port = \"127.0.0.1:0\" }",
        "pb = { port = \"127.0.0.1:0\" }, msgpack_experimental_v7 = { port = \"tcp:0:interface=127.0.0.1\" }",
    );
    for protocol in PROTOCOLS {
        let mut master = Master::start(&lua).await?;
        let door = port(&mut master, &format!("workers connect with {protocol} at ")).await?;
        let _worker = StockWorker::start(protocol, door, "local", "pw").await?;
        let port = port(&mut master, "workers connect with pb at ").await?;
        for vc in ["git", "svn", "hg"] {
            let tree = dir.path().join(vc);
            std::fs::write(tree.join("f"), format!("one\ntwo {protocol}\n"))?;
            let args = ["--wait", "-b", vc, "--vc", vc, "--who", "Ann"];
            let (output, told) = ran(&mut try_at("lunabot", port, &args, &tree)).await?;
            let id = newest_build(&master).await?["buildid"].as_i64().context("a build")?;
            let log = master.step_log(id, vc, "stdio").await?;
            assert!(output.status.success(), "{protocol} {vc}: {told}\n{log}");
            let shown = master.step_log(id, "show", "stdio").await?;
            assert!(shown.contains(&format!("two {protocol}\n")), "{protocol} {vc}: {shown}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_03_023_row_16_009_what_clients_are_told() -> Result<()> {
    let dir = repositories()?;
    let mut master = Master::start(&config(&dir)?).await?;
    let port = port(&mut master, "workers connect with pb at ").await?;
    let tree = dir.path().join("git");
    std::fs::write(tree.join("f"), "two\n")?;
    let offered = ["git", "svn", "hg", "bad", "idle"];
    for (whose, args, code, words) in [
        ("buildbot", &["--get-builder-names"][..], 0, &offered[..]),
        ("lunabot", &["--get-builder-names"], 0, &offered),
        ("buildbot", &["--vc=none", "-b", "bad", "--wait"], 1, &["bad: failure"]),
        (
            "lunabot",
            &["--vc=none", "-b", "bad", "--wait"],
            1,
            &["bad: shell: failure", "bad: failure (failed"],
        ),
        ("lunabot", &["--vc=none", "-b", "bad", "--wait", "--quiet"], 1, &["bad: failure (failed"]),
        ("lunabot", &["--vc=none", "-b", "bad"], 0, &["delivered; not waiting"]),
        // Buildbot's client ends with 0 here.
        ("buildbot", &["--vc=none", "-b", "other", "--wait"], 0, &["does not have the builder"]),
        (
            "lunabot",
            &["--vc=none", "-b", "other", "--wait"],
            1,
            &["does not offer other", "--get-builder-names"],
        ),
        (
            "lunabot",
            &["--vc=git", "-b", "git", "--dryrun"],
            0,
            &["Branch: main", "Patch, level 1:", "+two", "+local"],
        ),
        (
            "lunabot",
            &["--vc=git", "--branch=main", "--baserev=HEAD", "-n"],
            0,
            &["Patch, level 1:\ndiff --git a/f b/f"],
        ),
        ("lunabot", &["--vc=cvs", "-b", "git"], 1, &["work trees of cvs are not read", "--diff=FILE"]),
        ("lunabot", &["--vc=got", "-b", "git"], 1, &["--vc=got is not known"]),
        ("lunabot", &["-b", "git"], 1, &["--vc says what the work tree is"]),
        ("lunabot", &["--vc=none", "--property=a"], 1, &["a property is NAME=VALUE"]),
        ("lunabot", &["--diff=none.patch"], 1, &["--diff none.patch"]),
        ("lunabot", &["--vc=none", "--passwd=wrong"], 1, &["refuses the user name or the password"]),
        ("lunabot", &["--vc=none", "--username=eve"], 1, &["refuses the user name or the password"]),
        ("lunabot", &["--vc=none", "--username=bob", "--passwd=b0b", "-b", "bad"], 0, &["delivered"]),
    ] {
        let mut command = match whose {
            "lunabot"
                if args.iter().any(|arg| arg.starts_with("--passwd") || arg.starts_with("--username")) =>
            {
                let mut command = client(whose, "try");
                let user = args.iter().any(|arg| arg.starts_with("--username"));
                let password = args.iter().any(|arg| arg.starts_with("--passwd"));
                command.args(["--connect=pb", &format!("--master=127.0.0.1:{port}")]).args(args);
                command.args((!user).then_some("--username=alice"));
                command.args((!password).then_some("--passwd=s3cret"));
                command
            }
            _ => try_at(whose, port, args, &tree),
        };
        let (output, told) = ran(&mut command).await?;
        assert_eq!(output.status.code(), Some(code), "{whose} {args:?}: {told}\n{}", master.log());
        for word in words {
            assert!(told.contains(word), "{whose} {args:?}: {told} lacks {word}");
        }
    }
    // Buildbot's client never ends when it is refused.
    let mut refused = client("buildbot", "try");
    refused.args(["--connect=pb", "--username=alice", "--passwd=nope", "--get-builder-names"]);
    let mut refused = refused.arg(format!("--master=127.0.0.1:{port}")).spawn()?;
    let wrong = |line: &str| line.contains("wrong password for scheduler try");
    master.log_line(wrong).await?;
    refused.kill().await?;
    Ok(())
}

#[tokio::test]
async fn row_03_023_a_waiting_client_learns_that_its_request_was_cancelled() -> Result<()> {
    let dir = repositories()?;
    let mut master = Master::start(&config(&dir)?).await?;
    let port = port(&mut master, "workers connect with pb at ").await?;
    for whose in CLIENTS {
        let mut command = try_at(whose, port, &["--vc=none", "-b", "idle", "--wait"], dir.path());
        let ended = tokio::spawn(async move { ran(&mut command).await });
        let waits = |answer: &Value| answer["buildrequests"][0]["buildrequestid"].is_i64();
        let open = master.until("buildrequests?complete=false", waits).await?;
        let request = &open["buildrequests"][0]["buildrequestid"];
        master.control(&format!("buildrequests/{request}"), "cancel", json!({"reason": "not now"})).await?;
        let (output, told) = ended.await??;
        assert_eq!(output.status.code(), Some(1), "{whose}: {told}");
        assert!(told.contains("idle: cancelled (never built)"), "{whose}: {told}");
    }
    Ok(())
}

/// A client that waits for a build of `slow` which runs.
async fn waiting(
    master: &mut Master,
    whose: &str,
    dir: &TempDir,
) -> Result<JoinHandle<Result<(Output, String)>>> {
    let port = port(master, "workers connect with pb at ").await?;
    let mut command = try_at(whose, port, &["--vc=none", "-b", "slow", "--wait"], dir.path());
    let ended = tokio::spawn(async move { ran(&mut command).await });
    let runs = |answer: &Value| answer["builds"][0]["buildid"].is_i64();
    master.until("builds?complete=false", runs).await?;
    Ok(ended)
}

#[tokio::test]
async fn row_03_023_a_waiting_client_outlives_reloads() -> Result<()> {
    let dir = repositories()?;
    let lua = config(&dir)?;
    let mut master = Master::start(&lua).await?;
    for whose in CLIENTS {
        let ended = waiting(&mut master, whose, &dir).await?;
        // The scheduler anew, then without the builder that is waited for.
        for (before, after) in [("own = \"yes\"", "own = \"no\""), ("\"idle\", \"slow\"", "\"idle\"")] {
            master.rewrite_config(&lua.replace(before, after))?;
            reconfig(&master).await?;
        }
        std::fs::write(dir.path().join("open"), "")?;
        let (output, told) = ended.await??;
        assert!(output.status.success(), "{whose}: {told}\n{}", master.log());
        assert!(told.contains("slow: success (build successful)"), "{whose}: {told}");
        std::fs::remove_file(dir.path().join("open"))?;
        master.rewrite_config(&lua)?;
        reconfig(&master).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_16_009_what_becomes_of_a_waiting_client_whose_master_stops() -> Result<()> {
    let dir = repositories()?;
    let mut master = Master::start(&config(&dir)?).await?;
    // A master that is stopped lets running builds end, and tells.
    for whose in CLIENTS {
        let ended = waiting(&mut master, whose, &dir).await?;
        master.signal(Signal::SIGTERM)?;
        master.log_line(|line| line.contains("stopping")).await?;
        std::fs::write(dir.path().join("open"), "")?;
        let (output, told) = ended.await??;
        assert!(output.status.success(), "{whose}: {told}\n{}", master.log());
        assert!(told.contains("slow: success (build successful)"), "{whose}: {told}");
        master.ended().await?;
        std::fs::remove_file(dir.path().join("open"))?;
        master = Master::start_in(master.shared_dir()).await?;
    }
    // One that vanishes tells nothing; the client says what that means, and it is so.
    let ended = waiting(&mut master, "lunabot", &dir).await?;
    let home = master.kill().await?;
    let (output, told) = ended.await??;
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("has closed the connection; it has the job, and its builds go on"), "{told}");
    let master = Master::start_in(home).await?;
    std::fs::write(dir.path().join("open"), "")?;
    assert_eq!(master.finished_build(3).await?["results"], 5);
    assert_eq!(master.finished_build(4).await?["results"], 0);
    Ok(())
}

#[tokio::test]
async fn row_03_022_jobs_are_built_once_across_reloads() -> Result<()> {
    let dir = repositories()?;
    let lua = config(&dir)?;
    let master = Master::start(&lua).await?;
    let jobdir = master.dir().join("jobdir");
    for part in ["new", "tmp"] {
        std::fs::create_dir_all(jobdir.join(part))?;
    }
    let lay_job = |name: &str, jobdir: &Path| {
        lay(jobdir, name, &netstrings(&["3", name, "main", "", "0", "", "R", "P", "Eve", "bad"]))
    };
    // Each is there while the scheduler is replaced.
    let other = "{\"git\", \"bad\"}";
    for (job, list) in [("one", other), ("two", "{\"git\", \"bad\", \"slow\"}"), ("three", other)] {
        master.rewrite_config(&lua.replace("{\"git\", \"bad\", \"slow\"}", list))?;
        lay_job(job, &jobdir)?;
        reconfig(&master).await?;
    }
    // A job of another folder, where the scheduler now looks.
    let moved = master.dir().join("moved");
    for part in ["new", "tmp"] {
        std::fs::create_dir_all(moved.join(part))?;
    }
    lay_job("four", &moved)?;
    for build in 1..=3 {
        master.finished_build(build).await?;
    }
    master.rewrite_config(&lua.replace("\"jobdir\"", "\"moved\""))?;
    reconfig(&master).await?;
    master.finished_build(4).await?;
    let sets = master.get("buildsets?order=bsid").await?;
    let mut ids: Vec<_> =
        sets["buildsets"].as_array().context("a list")?.iter().map(|set| &set["external_idstring"]).collect();
    ids.sort_by_key(ToString::to_string);
    assert_eq!(json!(ids), json!(["four", "one", "three", "two"]));
    Ok(())
}

/// A program that is called as ssh is, and does at once what it is to do elsewhere.
fn fake_ssh(dir: &TempDir) -> Result<PathBuf> {
    let path = dir.path().join("ssh");
    let script = "#!/bin/sh\nwhile [ \"$1\" != host ]; do shift; done\nshift\nexec \"$@\"\n";
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn over_ssh(whose: &str, server: &Path, ssh: &Path, jobdir: &Path, args: &[&str], tree: &Path) -> Command {
    let mut command = client(whose, "try");
    command.args(["--connect=ssh", "--host=host", "--username=ann", "--port=2222", "--ssh"]).arg(ssh);
    command.arg("--buildbotbin").arg(server).arg("--jobdir").arg(jobdir).args(args).current_dir(tree);
    command
}

/// The program behind a command.
fn program(command: &Command) -> PathBuf {
    command.as_std().get_program().into()
}

#[tokio::test]
async fn row_03_022_jobs_in_a_folder_are_built_whoever_lays_them_there() -> Result<()> {
    let dir = repositories()?;
    let ssh = fake_ssh(&dir)?;
    let tree = dir.path().join("git");
    let home = std::sync::Arc::new(TempDir::new()?);
    let jobdir = home.path().join("jobdir");
    let mut built = 0;
    for (whose, server) in [("buildbot", "lunabot"), ("lunabot", "buildbot"), ("lunabot", "lunabot")] {
        std::fs::write(tree.join("f"), format!("one\ntwo {whose} {server}\n"))?;
        let server_program = program(&client(server, "tryserver"));
        let args = ["--vc=git", "-b", "git", "--who=Ann", "--comment=not told", "--property=a=1"];
        if built == 0 && server == "lunabot" {
            // The first comes while no master runs.
            std::fs::write(home.path().join("master.lua"), config(&dir)?)?;
        }
        for part in ["new", "cur", "tmp"] {
            std::fs::create_dir_all(jobdir.join(part))?;
        }
        let (output, told) = ran(&mut over_ssh(whose, &server_program, &ssh, &jobdir, &args, &tree)).await?;
        assert!(output.status.success(), "{whose} {server}: {told}");
        assert!(told.contains("job has been delivered"), "{told}");
        let master = Master::start_in(home.clone()).await?;
        built += 1;
        let build = master.finished_build(built).await?;
        assert_eq!(build["results"], 0, "{whose} {server}: {}", master.log());
        let shown = master.step_log(built, "show", "stdio").await?;
        assert!(shown.contains(&format!("two {whose} {server}")), "{shown}");
        let set = master.get("buildsets?order=-bsid&limit=1").await?["buildsets"][0].clone();
        assert_eq!(set["reason"], "'try' job by user Ann");
        assert!(set["external_idstring"].as_str().is_some_and(|id| !id.is_empty()), "{set}");
        // Taken once: the next master does not build it again.
        assert_eq!(std::fs::read_dir(jobdir.join("new"))?.count(), 0);
        assert_eq!(std::fs::read_dir(jobdir.join("cur"))?.count(), usize::try_from(built)?);
        let laid = newest(&jobdir)?;
        master.kill().await?;
        // As if it had been killed before it could move the file: the next master moves it, and builds nothing.
        std::fs::rename(jobdir.join("cur").join(&laid), jobdir.join("new").join(&laid))?;
    }
    Ok(())
}

/// The newest file of `cur/`.
fn newest(jobdir: &Path) -> Result<std::ffi::OsString> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(jobdir.join("cur"))? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.file_name()));
    }
    Ok(files.into_iter().max().context("a file")?.1)
}

fn netstrings(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("{}:{part},", part.len())).collect()
}

fn lay(jobdir: &Path, name: &str, content: &str) -> Result<()> {
    std::fs::write(jobdir.join("tmp").join(name), content)?;
    Ok(std::fs::rename(jobdir.join("tmp").join(name), jobdir.join("new").join(name))?)
}

#[tokio::test]
async fn row_03_022_old_jobs_are_read_and_bad_ones_put_aside() -> Result<()> {
    let dir = repositories()?;
    let master = Master::start(&config(&dir)?).await?;
    let jobdir = master.dir().join("jobdir");
    for part in ["new", "tmp"] {
        std::fs::create_dir_all(jobdir.join(part))?;
    }
    for (name, content, why) in [
        ("noise", "hello".to_string(), "not made of netstrings"),
        ("future", netstrings(&["7", "{}"]), "version \"7\" of job files is not known"),
        ("foreign", netstrings(&["1", "j", "", "", "0", "", "svn"]), "builder 'svn' is not offered"),
    ] {
        lay(&jobdir, name, &content)?;
        let told =
            |line: &str| line.contains(&format!("the job file {name} was not taken")) && line.contains(why);
        master.log_line(told).await?;
    }
    std::fs::create_dir(jobdir.join("new/folder"))?;
    master.log_line(|line| line.contains("folder was not taken: it is no plain file")).await?;
    lay(&jobdir, "old", &netstrings(&["2", "j2", "main", "", "0", "", "R", "P", "bad"]))?;
    assert_eq!(master.finished_build(1).await?["results"], 2);
    // The same name again is another job.
    lay(&jobdir, "old", &netstrings(&["3", "j3", "main", "", "0", "", "R", "P", "Eve", "bad"]))?;
    assert_eq!(master.finished_build(2).await?["results"], 2);
    let sets = master.get("buildsets?order=bsid").await?;
    assert_eq!(sets["buildsets"][1]["reason"], "'try' job by user Eve");
    assert_eq!(sets["buildsets"][0]["external_idstring"], "j2");
    for name in ["noise", "future", "foreign", "folder"] {
        assert!(jobdir.join("bad").join(name).exists(), "{name}");
    }
    let mut server = client("lunabot", "tryserver");
    let server = server.arg("--jobdir").arg(&jobdir).stdin(std::process::Stdio::null());
    let (output, told) = ran(server).await?;
    assert!(output.status.code() == Some(1) && told.contains("no try job: it holds nothing"), "{told}");
    Ok(())
}

#[tokio::test]
async fn row_02_009_row_16_008_changes_come_in_at_a_port_of_their_own() -> Result<()> {
    let lua = r#"
local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local f = util.BuildFactory{steps.ShellCommand{command = "true"}}
return {
  www = { port = "127.0.0.1:0" },
  workers = { worker.LocalWorker{"local"} },
  builders = { util.BuilderConfig{name = "b", workernames = {"local"}, factory = f} },
  schedulers = { schedulers.Try_Userpass{name = "try", builderNames = {"b"}, port = "127.0.0.1:0",
    userpass = { ann = "tr1" }} },
  change_source = changes.PBChangeSource{port = "127.0.0.1:0", user = "bob", passwd = "s3cret"},
}
"#;
    let mut master = Master::start(lua).await?;
    let port = port(&mut master, "clients connect with pb at ").await?;
    let sources = master.get("changesources").await?;
    assert_eq!(sources["changesources"][0]["name"], "PBChangeSource:127.0.0.1:0");
    for (whose, args, code, words) in [
        ("buildbot", &["--auth=bob:s3cret", "--who=Ann", "a.c"][..], 0, "change sent"),
        (
            "lunabot",
            &[
                "--auth=bob:s3cret",
                "--who=Ann",
                "-R",
                "repo",
                "-P",
                "pro",
                "-b",
                "main",
                "-C",
                "cat",
                "-r",
                "12",
                "-p",
                "why:be:cause",
                "-c",
                "grüße",
                "-w",
                "1700000000",
                "-l",
                "http://x/",
                "-s",
                "svn",
                "a.c",
                "b.c",
            ],
            0,
            "change sent successfully",
        ),
        ("lunabot", &["--auth=bob:wrong", "--who=Ann"], 1, "refuses the user name or the password"),
        ("lunabot", &["--auth=change:changepw", "--who=Ann"], 1, "refuses the user name or the password"),
        ("lunabot", &["--auth=bob:s3cret"], 1, "--who names the author"),
        ("lunabot", &["--auth=bob", "--who=Ann"], 1, "no terminal to ask at"),
        ("lunabot", &["--auth=bob:s3cret", "--who=Ann", "-s", "rcs"], 1, "--vc=rcs is not known"),
        ("lunabot", &["--auth=bob:s3cret", "--who=Ann", "-p", "x"], 1, "a property is NAME:VALUE"),
        ("lunabot", &["--auth=bob:s3cret", "--who=Ann", "-F", "none.txt"], 1, "--logfile none.txt"),
    ] {
        let mut command = client(whose, "sendchange");
        command.arg(format!("--master=127.0.0.1:{port}")).args(args).stdin(std::process::Stdio::null());
        let (output, told) = ran(&mut command).await?;
        assert_eq!(output.status.code(), Some(code), "{whose} {args:?}: {told}");
        assert!(told.contains(words), "{whose} {args:?}: {told}");
    }
    let all = master.get("changes?order=changeid").await?;
    let change = &all["changes"][1];
    assert_eq!(all["changes"].as_array().map(Vec::len), Some(2), "{all}");
    for (field, wanted) in [
        ("author", json!("Ann")),
        ("repository", json!("repo")),
        ("project", json!("pro")),
        ("branch", json!("main")),
        ("category", json!("cat")),
        ("revision", json!("12")),
        ("comments", json!("grüße")),
        ("when_timestamp", json!(1_700_000_000)),
        ("revlink", json!("http://x/")),
        ("files", json!(["a.c", "b.c"])),
        ("properties", json!({"why": ["be:cause", "Change"]})),
    ] {
        assert_eq!(change[field], wanted, "{field} of {change:#}");
    }
    // The same port serves the scheduler, and no worker.
    let mut names = client("lunabot", "try");
    names.args(["--connect=pb", "--username=ann", "--passwd=tr1", "--get-builder-names"]);
    let (output, told) = ran(names.arg(format!("--master=127.0.0.1:{port}"))).await?;
    assert!(output.status.success() && told == "b\n", "{told}");
    let mut nobody = client("lunabot", "sendchange");
    nobody.args(["--master=127.0.0.1:1", "--who=Ann"]);
    let (output, told) = ran(&mut nobody).await?;
    assert!(output.status.code() == Some(1) && told.contains("cannot connect to 127.0.0.1:1"), "{told}");
    Ok(())
}

#[tokio::test]
async fn row_16_015_options_come_from_the_file() -> Result<()> {
    let dir = TempDir::new()?;
    std::fs::create_dir_all(dir.path().join(".buildbot"))?;
    let sub = dir.path().join("sub");
    std::fs::create_dir(&sub)?;
    let options = "try_connect = 'pb'\ntry_vc = 'none'\ntry_builders = ['a', 'b']\n";
    std::fs::write(dir.path().join(".buildbot/options"), options)?;
    let (output, told) = ran(client("lunabot", "try").arg("--dryrun").current_dir(&sub)).await?;
    assert!(output.status.success() && told.contains("Builders: a, b"), "{told}");
    std::fs::write(dir.path().join(".buildbot/options"), "import os\n")?;
    let (output, told) = ran(client("lunabot", "try").arg("--dryrun").current_dir(&sub)).await?;
    assert!(output.status.code() == Some(1) && told.contains("options:1: only lines such as"), "{told}");
    Ok(())
}

#[tokio::test]
async fn row_03_023_names_and_ports_that_others_have_are_mistakes() -> Result<()> {
    let dir = TempDir::new()?;
    for (declared, wanted) in [
        ("schedulers = try({ann = \"x\"}), change_source = pb{}", None),
        ("schedulers = try({w1 = \"x\"})", Some("the name \"w1\" is that of the worker at master.lua:")),
        (
            "schedulers = try({change = \"x\"}), change_source = pb{}",
            Some(
                "schedulers.Try_Userpass: userpass: the name \"change\" is that of the PBChangeSource at master.lua:",
            ),
        ),
        ("schedulers = try({w1 = \"x\"}, 9999)", None),
        (
            "schedulers = try({ann = \"x\"}, \"127.0.0.1:9989\")",
            Some("is the port of `protocols.pb` already"),
        ),
        ("schedulers = try({ann = \"x\"}, 9989)", None),
        ("change_source = {pb{}, pb{user = \"x\", port = 9999}}", None),
        ("change_source = {pb{}, pb{user = \"x\"}}", Some("give one a name")),
        (
            "change_source = {pb{}, pb{name = \"two\"}}",
            Some("changes.PBChangeSource: user: the name \"change\""),
        ),
        (
            "change_source = pb{}, protocols = {}, workers = {worker.LocalWorker{\"w1\"}}",
            Some("port: is missing"),
        ),
        ("change_source = pb{port = 9999}, protocols = {}, workers = {worker.LocalWorker{\"w1\"}}", None),
    ] {
        let lua = format!(
            r#"
local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local pb = changes.PBChangeSource
local function try(users, port)
  return {{ schedulers.Try_Userpass{{name = "try", builderNames = {{"b"}}, userpass = users, port = port}} }}
end
local f = util.BuildFactory{{steps.ShellCommand{{command = "true"}}}}
local c = {{
  www = {{ port = 0 }}, workers = {{ worker.Worker{{"w1", "pw"}} }}, protocols = {{ pb = {{ port = 9989 }} }},
  schedulers = {{ schedulers.ForceScheduler{{name = "f", builderNames = {{"b"}}}} }},
  builders = {{ util.BuilderConfig{{name = "b", workernames = {{"w1"}}, factory = f}} }},
}}
for name, value in pairs{{ {declared} }} do c[name] = value end
return c
"#
        );
        std::fs::write(dir.path().join("master.lua"), lua)?;
        let (output, told) = ran(client("lunabot", "checkconfig").arg(dir.path())).await?;
        assert_eq!(output.status.success(), wanted.is_none(), "{declared}: {told}");
        assert!(told.contains(wanted.unwrap_or_default()), "{declared}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn row_16_008_row_16_009_clients_connect_with_tls() -> Result<()> {
    let dir = TempDir::new()?;
    certificate(dir.path()).await?;
    let lua = config(&dir)?.replace(
        "pb = { port = \"127.0.0.1:0\" }",
        &format!(
            "pb = {{ port = \"ssl:0:interface=127.0.0.1:privateKey={0}/key.pem:certKey={0}/cert.pem\" }}",
            dir.path().display()
        ),
    );
    let lua = lua.replace("return c", "c.change_source = { changes.PBChangeSource{} }\nreturn c");
    let mut master = Master::start(&lua).await?;
    let port = port(&mut master, "workers connect with pb at ").await?;
    let ca_file = format!("--ca-file={}", dir.path().join("cert.pem").display());
    let login = ["--connect=pb", "--username=alice", "--passwd=s3cret"];
    let try_args = [&login[..], &["--vc=none", "-b", "bad", "--wait", &ca_file]].concat();
    let there = format!("tls:localhost:{port}");
    for (what, master, args, code, words) in [
        ("sendchange", there.clone(), &["--who=Ann", &ca_file, "a.c"][..], 0, "change sent successfully"),
        ("try", there.clone(), &try_args, 1, "bad: failure"),
        ("sendchange", there, &["--who=Ann"], 1, "name it or its authority with ca_file"),
        ("sendchange", format!("tls:127.0.0.1:{port}"), &["--who=Ann", &ca_file], 1, "no TLS with 127.0.0.1"),
        (
            "sendchange",
            format!("localhost:{port}"),
            &["--who=Ann", &ca_file],
            1,
            "--ca-file has no meaning without TLS",
        ),
        ("try", format!("localhost:{port}:"), &try_args, 1, "named HOST:PORT, or tls:HOST:PORT"),
    ] {
        let (output, told) =
            ran(client("lunabot", what).arg(format!("--master={master}")).args(args)).await?;
        assert_eq!(output.status.code(), Some(code), "{what} {master} {args:?}: {told}");
        assert!(told.contains(words), "{what} {master} {args:?}: {told}");
    }
    assert_eq!(master.get("changes").await?["changes"].as_array().map(Vec::len), Some(1));
    Ok(())
}

/// Buildbot's own master.
struct Peer {
    dir: TempDir,
    _child: tokio::process::Child,
}

const PEER: &str = r#"
from buildbot.plugins import *
f = util.BuildFactory([steps.ShellCommand(command='true')])
c = BuildmasterConfig = {
    'workers': [worker.LocalWorker('w')], 'buildbotNetUsageData': None,
    'protocols': {'pb': {'port': 'tcp:0:interface=127.0.0.1'}},
    'builders': [util.BuilderConfig(name='b', workernames=['w'], factory=f)],
    'schedulers': [schedulers.Try_Userpass(name='try', builderNames=['b'], port='tcp:0:interface=127.0.0.1',
                                           userpass=[('alice', 's3cret')])],
    'change_source': [changes.PBChangeSource(port='tcp:0:interface=127.0.0.1')],
}
"#;

impl Peer {
    async fn start() -> Result<Peer> {
        let dir = TempDir::new()?;
        let (output, told) = ran(buildbot("create-master").arg("-q").arg(dir.path())).await?;
        ensure!(output.status.success(), "{told}");
        std::fs::write(dir.path().join("master.cfg"), PEER)?;
        let mut start = buildbot("start");
        let start = start.arg("--nodaemon").arg(dir.path());
        let start = start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Ok(Peer { _child: start.spawn()?, dir })
    }

    /// The port that clients and changes share; it is known when the master runs.
    async fn port(&self) -> Result<u16> {
        for _ in 0..1200 {
            let log = std::fs::read_to_string(self.dir.path().join("twistd.log")).unwrap_or_default();
            ensure!(!log.contains("startup failed"), "{log}");
            let port = log.lines().find_map(|line| line.split("PBServerFactory starting on ").nth(1));
            if let (Some(port), true) = (port, log.contains("BuildMaster is running")) {
                return Ok(port.trim().parse()?);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("Buildbot's master does not start")
    }
}

#[tokio::test]
async fn row_16_008_row_16_009_our_client_works_with_buildbots_master() -> Result<()> {
    let peer = Peer::start().await?;
    let port = peer.port().await?;
    let args = ["--vc=none", "--wait", "-b", "b", "--who=Ann"];
    let (output, told) = ran(&mut try_at("lunabot", port, &args, peer.dir.path())).await?;
    assert!(output.status.success() && told.contains("b: success (build successful)"), "{told}");
    let (output, told) = ran(&mut try_at("lunabot", port, &["--get-builder-names"], peer.dir.path())).await?;
    assert!(output.status.success() && told == "b\n", "{told}");
    let mut send = client("lunabot", "sendchange");
    let (output, told) = ran(send.args(["--who=Ann", &format!("--master=127.0.0.1:{port}"), "a.c"])).await?;
    assert!(output.status.success() && told.contains("change sent successfully"), "{told}");
    Ok(())
}
