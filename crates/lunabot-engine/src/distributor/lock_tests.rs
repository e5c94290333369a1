//! Locks among the distributor's decisions: events in, effects out.

use super::builder::{Asks, BuilderSetup, Waiting};
use super::locks::{BuilderLocks, LockSetup};
use super::machine::{Answer, Effect, Event, Machine, Question};
use super::worker::WorkerSetup;
use crate::build::Outcome;
use crate::locks::client::Ask;
use crate::locks::{Holder, News};
use lunabot_model::locks::{LockCounts, LockId, LockMode, LockScope, LockUse};
use lunabot_model::{Mono, Results};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

const NOW: Mono = Mono(Duration::ZERO);

fn used(scope: LockScope, name: &str, max: u32) -> LockUse {
    let lock = LockId { scope, name: name.into() };
    let counts = LockCounts { max, ..LockCounts::default() };
    LockUse { lock, counts, mode: LockMode::Counting, count: 1, at: String::new() }
}

fn master(name: &str) -> LockUse {
    used(LockScope::Master, name, 1)
}

/// Builders with their locks, each on all workers; workers 1 and 2, connected.
fn machine(builders: &[(i64, BuilderLocks)], workers: &[(i64, Vec<LockUse>)]) -> Machine {
    let ids: Vec<i64> = workers.iter().map(|(id, _)| *id).collect();
    let setup =
        |id: i64| BuilderSetup { id, name: format!("b{id}"), workers: ids.clone(), asks: Asks::default() };
    let fixed = builders.iter().filter_map(|(_, locks)| match locks {
        BuilderLocks::Fixed(uses) => Some(uses.clone()),
        BuilderLocks::Computed => None,
    });
    let locks = LockSetup {
        generation: 1,
        all: fixed.flatten().chain(workers.iter().flat_map(|(_, uses)| uses.clone())).collect(),
        builders: builders.iter().cloned().collect(),
        workers: workers.iter().map(|(id, uses)| (*id, (format!("w{id}").into(), uses.clone()))).collect(),
    };
    let mut machine = Machine::new(1);
    let worker = |id: &i64| {
        (
            WorkerSetup {
                id: *id,
                name: format!("w{id}"),
                max_builds: None,
                latent: false,
                asks_compatible: false,
                downtime: None,
            },
            false,
        )
    };
    machine.handle(
        NOW,
        Event::Configured {
            builders: builders.iter().map(|(id, _)| setup(*id)).collect(),
            workers: ids.iter().map(worker).collect(),
            prioritize: false,
            locks,
        },
    );
    for id in ids {
        machine.handle(NOW, Event::Attached(id));
    }
    machine
}

fn request(machine: &mut Machine, id: i64, builder: i64) -> Vec<Effect> {
    machine.handle(
        NOW,
        Event::Waiting(vec![Waiting { id, builder, priority: 0, submitted_at: id, parent: None }]),
    )
}

fn ask(holder: Holder, builder: i64, worker: i64, uses: Vec<LockUse>) -> Event {
    let worker_name = format!("w{worker}").into();
    Event::AskLocks(Ask { holder, builder, worker, worker_name, uses, generation: 1 })
}

fn ended(builder: i64, worker: i64) -> Event {
    Event::Ended {
        builder,
        worker,
        outcome: Outcome { results: Results::Success, unprepared: false },
        why: None,
    }
}

/// The worker of the build that `effects` claims a request for.
fn started(machine: &mut Machine, effects: &[Effect]) -> Option<(i64, i64)> {
    let claim = |effect: &Effect| if let Effect::Claim(id) = effect { Some(*id) } else { None };
    let id = effects.iter().find_map(claim)?;
    let start = machine.handle(NOW, Event::Claimed { request: id, ours: true });
    match start[..] {
        [Effect::Start { builder, worker, .. }] => Some((builder, worker)),
        _ => panic!("{start:?}"),
    }
}

#[test]
fn row_07_017_computed_locks_are_asked_for_and_looked_at_for_each_request() {
    let mut machine = machine(&[(1, BuilderLocks::Computed), (2, BuilderLocks::Computed)], &[(1, vec![])]);
    let answer = |machine: &mut Machine, effects: &[Effect], uses: Vec<LockUse>| match effects {
        [.., Effect::Ask { id, question: Question::Locks { .. } }] => {
            machine.handle(NOW, Event::Answered { question: *id, answer: Answer::Locks(uses) })
        }
        other => panic!("{other:?}"),
    };
    let asked = request(&mut machine, 1, 1);
    let effects = answer(&mut machine, &asked, vec![master("a")]);
    assert_eq!(started(&mut machine, &effects), Some((1, 1)));
    let asked = request(&mut machine, 2, 2);
    assert!(answer(&mut machine, &asked, vec![master("a")]).is_empty(), "promised to the other build");
    let asked = machine.handle(NOW, ended(1, 1));
    let effects = answer(&mut machine, &asked, vec![master("a")]);
    assert_eq!(started(&mut machine, &effects), Some((2, 1)));
}

#[test]
fn row_07_016_a_worker_whose_locks_are_taken_is_passed_over() {
    let locked = vec![used(LockScope::Worker, "l", 1)];
    let fixed = || BuilderLocks::Fixed(Vec::new());
    let mut machine =
        machine(&[(1, fixed()), (2, fixed()), (3, fixed())], &[(1, locked.clone()), (2, locked)]);
    let places: Vec<_> = [(11, 1), (12, 2)]
        .iter()
        .map(|(id, builder)| {
            let effects = request(&mut machine, *id, *builder);
            started(&mut machine, &effects).unwrap()
        })
        .collect();
    assert_ne!(places[0].1, places[1].1);
    assert!(request(&mut machine, 13, 3).is_empty());
    let effects = machine.handle(NOW, ended(places[1].0, places[1].1));
    assert_eq!(started(&mut machine, &effects), Some((3, places[1].1)));
}

#[test]
fn row_05_059_a_request_that_wants_a_lock_alone_is_not_overtaken_for_ever() {
    let shared = || BuilderLocks::Fixed(vec![used(LockScope::Master, "l", 2)]);
    let alone = LockUse { mode: LockMode::Exclusive, ..used(LockScope::Master, "l", 2) };
    let free = vec![(1, vec![]), (2, vec![])];
    let mut machine = machine(&[(1, shared()), (2, BuilderLocks::Fixed(vec![alone])), (3, shared())], &free);
    let start = |machine: &mut Machine, id: i64, builder: i64| {
        let effects = request(machine, id, builder);
        started(machine, &effects)
    };
    let first = start(&mut machine, 11, 1).unwrap();
    assert_eq!(start(&mut machine, 12, 2), None, "one build holds it");
    assert_eq!(start(&mut machine, 13, 3), None, "there is enough of it, but another goes before");
    let effects = machine.handle(NOW, ended(first.0, first.1));
    let second = started(&mut machine, &effects).unwrap();
    assert_eq!(second.0, 2);
    let effects = machine.handle(NOW, ended(second.0, second.1));
    assert_eq!(started(&mut machine, &effects).unwrap().0, 3);
}

#[derive(Debug, Clone)]
enum Move {
    Request(i64),
    /// The build in this place of the list asks for its locks.
    Ask(usize),
    End(usize),
    StepAsks,
    StepEnds(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1i64..5).prop_map(Move::Request),
        3 => any::<usize>().prop_map(Move::Ask),
        3 => any::<usize>().prop_map(Move::End),
        1 => Just(Move::StepAsks),
        1 => any::<usize>().prop_map(Move::StepEnds),
    ];
    prop::collection::vec(one, 1..80)
}

/// Builder 1 and 2 have the lock a, builder 3 a lock of each worker, builder 4 none.
fn locks_of(builder: i64) -> Vec<LockUse> {
    match builder {
        1 | 2 => vec![master("a")],
        3 => vec![used(LockScope::Worker, "l", 1)],
        _ => Vec::new(),
    }
}

/// A build that was started.
#[derive(Debug, Clone, Copy)]
struct Run {
    builder: i64,
    worker: i64,
    asked: bool,
}

proptest! {
    /// Whatever builds and steps do: a request waits only where all workers lack a lock or are busy with its builder.
    #[test]
    fn row_05_064_no_wake_up_is_lost(moves in moves()) {
        let builders: Vec<_> = (1..5).map(|id| (id, BuilderLocks::Fixed(locks_of(id)))).collect();
        let mut machine = machine(&builders, &[(1, vec![]), (2, vec![master("b")])]);
        let (mut waiting, mut runs) = (BTreeSet::<(i64, i64)>::new(), Vec::<Run>::new());
        let (mut steps, mut holders) = (Vec::<u64>::new(), BTreeSet::<Holder>::new());
        for (id, step) in (1i64..).zip(moves) {
            let mut effects = match step {
                Move::Request(builder) => {
                    waiting.insert((builder, id));
                    request(&mut machine, id, builder)
                }
                Move::Ask(index) if !runs.is_empty() => {
                    let index = index % runs.len();
                    let Run { builder, worker, asked } = runs[index];
                    if asked || locks_of(builder).is_empty() {
                        continue;
                    }
                    runs[index].asked = true;
                    machine.handle(NOW, ask(Holder::Build { builder, worker }, builder, worker, locks_of(builder)))
                }
                Move::End(index) if !runs.is_empty() => {
                    let Run { builder, worker, .. } = runs.remove(index % runs.len());
                    holders.remove(&Holder::Build { builder, worker });
                    machine.handle(NOW, ended(builder, worker))
                }
                Move::StepAsks => {
                    let step = id.unsigned_abs();
                    steps.push(step);
                    machine.handle(NOW, ask(Holder::Step(step), 4, 1, vec![master("a")]))
                }
                Move::StepEnds(index) if !steps.is_empty() => {
                    let step = steps.remove(index % steps.len());
                    holders.remove(&Holder::Step(step));
                    machine.handle(NOW, Event::GiveUpLocks(Holder::Step(step)))
                }
                Move::Ask(_) | Move::End(_) | Move::StepEnds(_) => continue,
            };
            while let Some(effect) = effects.pop() {
                match effect {
                    Effect::Claim(request) => {
                        waiting.retain(|(_, id)| *id != request);
                        effects.extend(machine.handle(NOW, Event::Claimed { request, ours: true }));
                    }
                    Effect::Start { builder, worker, .. } => runs.push(Run { builder, worker, asked: false }),
                    Effect::Lock { holder, news: News::Granted } => {
                        holders.insert(holder);
                    }
                    Effect::Lock { news: News::Waits(_), .. } => {}
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            let of_a = |holder: &&Holder| !matches!(holder, Holder::Build { builder: 3, .. });
            prop_assert!(holders.iter().filter(of_a).count() <= 1, "{holders:?}");
            // The lock a is wanted by somebody, the lock b by the build on worker 2, the lock l by one of builder 3.
            let a_free = steps.is_empty() && runs.iter().all(|run| run.builder > 2);
            let may = |builder: i64, worker: i64| {
                let busy = runs.iter().any(|run| run.builder == builder && run.worker == worker);
                let b_taken = worker == 2 && runs.iter().any(|run| run.worker == 2);
                !busy && !b_taken && (builder > 2 || a_free)
            };
            for (builder, id) in &waiting {
                let could = [1, 2].into_iter().find(|worker| may(*builder, *worker));
                prop_assert!(could.is_none(), "request {id} of {builder} could run on {could:?}: {runs:?} {steps:?}");
            }
        }
    }
}
