//! A worker that is killed leaves programs running; the next one in its directory ends them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lunabot_proto::{Command, Dict};
use lunabot_worker::{WorkerCore, WorkerOptions};
use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
    sync::Arc,
};
use support::{Recorder, alive, gone};

const BASEDIR: &str = "LUNABOT_TEST_ORPHANS_BASEDIR";

/// Not a test of its own: the process that is killed by the test below.
#[tokio::test(flavor = "multi_thread")]
async fn doomed_worker() {
    let Some(basedir) = std::env::var_os(BASEDIR) else { return };
    let core = WorkerCore::new(WorkerOptions::new(basedir)).unwrap();
    let master = Arc::new(Recorder::default());
    let line = "sleep 1000 & echo $! $$ ready; wait";
    let args = Dict::new().with("workdir", "build").with("command", line);
    core.start(Command::new("x", "shell", args), master.clone()).unwrap();
    let told = master.wait_for("x", |told| told.text("stdout").contains("ready")).await;
    writeln!(std::io::stdout(), "PIDS {}", told.text("stdout").trim()).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_left_is_killed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut doomed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "doomed_worker", "--nocapture"])
        .env(BASEDIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(doomed.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.contains("PIDS")).unwrap();
    let pids: Vec<i32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(pids.len(), 2, "{line}");
    doomed.kill().unwrap();
    doomed.wait().unwrap();
    assert!(pids.iter().all(|pid| alive(*pid)), "the system ends them by itself here: {pids:?}");
    let core = WorkerCore::new(WorkerOptions::new(dir.path())).unwrap();
    for pid in pids {
        gone(pid).await;
    }
    drop(core);
    assert_eq!(std::fs::read_dir(dir.path().join("info/.running")).unwrap().count(), 0);
}
