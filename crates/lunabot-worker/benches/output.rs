//! How fast output of one command reaches the master: in bulk, in lines, and in small updates.
//!
//! `cargo bench -p lunabot-worker`. The limit to compare with is the `pipe` group: the same bytes through a
//! pipe, read and thrown away.

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lunabot_proto::{Command, Dict, Transfer, Update};
use lunabot_worker::{MasterSide, TransferError, WorkerCore, WorkerOptions};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{runtime::Runtime, sync::Notify};

/// A master that looks at every update and drops it.
#[derive(Default)]
struct Sink {
    updates: AtomicU64,
    done: Notify,
}

#[async_trait]
impl MasterSide for Sink {
    async fn update(&self, _: &str, updates: Vec<Update>) {
        self.updates.fetch_add(updates.len() as u64, Ordering::Relaxed);
    }

    async fn complete(&self, _: &str, _: Option<String>) {
        self.done.notify_one();
    }

    async fn transfer(&self, _: &str, _: Transfer) -> Result<Bytes, TransferError> {
        Ok(Bytes::new())
    }
}

/// Name, size of the output, and the program.
const PROGRAMS: &[(&str, u64, &str)] = &[
    (
        "short lines",
        100_000_000,
        "yes 'a line of output as compilers print them, not too long' | head -c 100000000",
    ),
    ("no newline", 100_000_000, "head -c 100000000 /dev/zero"),
    ("progress bars", 20_000_000, "yes \"$(printf '12%% done\\r34%% done\\r')\" | head -c 20000000"),
    ("nothing", 1, "exec true"),
];

fn commands(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = std::env::temp_dir().join(format!("lunabot-bench-{}", std::process::id()));
    let core = WorkerCore::new(WorkerOptions::new(&dir)).expect("a worker");
    let mut group = c.benchmark_group("command");
    group.sample_size(10);
    for (name, size, line) in PROGRAMS {
        group.throughput(Throughput::Bytes(*size));
        let args = Dict::new().with("workdir", "build").with("logEnviron", false).with("command", *line);
        group.bench_function(*name, |b| {
            b.iter(|| runtime.block_on(run(&core, args.clone())));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("pipe");
    group.sample_size(10);
    for (name, size, line) in PROGRAMS {
        group.throughput(Throughput::Bytes(*size));
        group.bench_function(*name, |b| b.iter(|| drain(line)));
    }
    drop(core);
    _ = std::fs::remove_dir_all(dir);
}

async fn run(core: &WorkerCore, args: Dict) {
    let sink = Arc::new(Sink::default());
    core.start(Command::new("bench", "shell", args), sink.clone()).expect("a command");
    sink.done.notified().await;
}

fn drain(line: &str) {
    use std::io::Read;
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", line])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut out = child.stdout.take().expect("a pipe");
    let mut buffer = vec![0; 65_536];
    while out.read(&mut buffer).is_ok_and(|length| length > 0) {}
    _ = child.wait();
}

criterion_group!(benches, commands);
criterion_main!(benches);
