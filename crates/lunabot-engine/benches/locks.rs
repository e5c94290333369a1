//! What a request for locks costs when many wait: the time for each must not grow with their number (05.064).
//!
//! Each build asks ten times, one request after the other, for two of a few locks; all builds ask at once. The time per
//! element (one request) is to be the same in each row.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lunabot_engine::locks::{Claim, Holder, Key, Locks, News};
use lunabot_model::locks::{LockCounts, LockId, LockMode, LockScope, LockUse};
use std::collections::VecDeque;
use std::hint::black_box;

const REQUESTS: u64 = 10;

/// Name, count and how it is used by most.
const LOCKS: &[(&str, u32, LockMode)] = &[
    ("database", 1, LockMode::Counting),
    ("licence", 20, LockMode::Counting),
    ("board", 5, LockMode::Exclusive),
    ("disk", 300, LockMode::Counting),
];

fn lock(index: u64) -> (LockId, u32, LockMode) {
    let (name, max, mode) = LOCKS[index as usize % LOCKS.len()];
    (LockId { scope: LockScope::Master, name: name.into() }, max, mode)
}

fn known() -> Locks {
    let mut locks = Locks::default();
    for index in 0..LOCKS.len() as u64 {
        let (lock, max, mode) = lock(index);
        let counts = LockCounts { max, ..LockCounts::default() };
        locks.learn(1, &LockUse { lock, counts, mode, count: 1, at: String::new() });
    }
    locks
}

/// Two different locks for each request.
fn claims(request: u64) -> Vec<Claim> {
    let claim = |index| {
        let (lock, _, mode) = lock(index);
        Claim { key: Key { lock, worker: None }, mode, count: 1 }
    };
    vec![claim(request), claim(request + 1 + request % 3)]
}

/// All builds ask, and each that has its locks gives them back and asks again.
fn run(mut locks: Locks, builds: u64) -> u64 {
    let mut left = vec![REQUESTS; builds as usize];
    let mut holding = VecDeque::new();
    let mut granted = 0;
    let ask = |locks: &mut Locks, build: u64, round: u64| {
        locks.ask(Holder::Step(build), claims(build * 7 + round), &[]);
    };
    for build in 0..builds {
        ask(&mut locks, build, REQUESTS);
    }
    loop {
        for (holder, news) in locks.take_news() {
            if let (Holder::Step(build), News::Granted) = (holder, news) {
                holding.push_back(build);
            }
        }
        let Some(build) = holding.pop_front() else { return granted };
        granted += 1;
        locks.give_up(Holder::Step(build));
        locks.take_freed();
        left[build as usize] -= 1;
        if left[build as usize] > 0 {
            ask(&mut locks, build, left[build as usize]);
        }
    }
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("locks");
    group.sample_size(10);
    for builds in [250, 500, 1000, 2000, 4000] {
        group.throughput(Throughput::Elements(builds * REQUESTS));
        group.bench_with_input(BenchmarkId::new("builds", builds), &builds, |b, builds| {
            b.iter_batched(
                known,
                |locks| {
                    assert_eq!(black_box(run(locks, *builds)), builds * REQUESTS, "nobody is left waiting");
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
