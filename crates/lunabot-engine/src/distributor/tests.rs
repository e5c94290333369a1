//! The distributor's decisions, without a runtime: events in, effects out.

use super::builder::{Asks, BuilderSetup, Waiting};
use super::explain::{Cause, Causes, Look};
use super::locks::LockSetup;
use super::machine::{Answer, Effect, Event, Machine, Question};
use super::worker::WorkerSetup;
use crate::build::Outcome;
use lunabot_model::{Mono, Results};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NOW: Mono = Mono(Duration::ZERO);

fn at(secs: u64) -> Mono {
    Mono(Duration::from_secs(secs))
}

fn setup(id: i64, workers: &[i64], asks: Asks) -> BuilderSetup {
    BuilderSetup { id, name: format!("b{id}"), workers: workers.to_vec(), asks }
}

/// Builders by id with their workers, on workers by id with their limits.
fn configured(builders: Vec<BuilderSetup>, workers: &[(i64, Option<usize>)], prioritize: bool) -> Event {
    let setups = workers.iter().map(|(id, max_builds)| {
        (
            WorkerSetup {
                id: *id,
                name: format!("w{id}"),
                max_builds: *max_builds,
                latent: false,
                asks_compatible: false,
                downtime: None,
            },
            false,
        )
    });
    Event::Configured { builders, workers: setups.collect(), prioritize, locks: LockSetup::default() }
}

/// The same, all connected.
fn machine(builders: Vec<BuilderSetup>, workers: &[(i64, Option<usize>)], prioritize: bool) -> Machine {
    let mut machine = Machine::new(1);
    machine.handle(NOW, configured(builders, workers, prioritize));
    for (id, _) in workers {
        assert!(machine.handle(NOW, Event::Attached(*id)).is_empty());
    }
    machine
}

fn request(id: i64, builder: i64, priority: i64) -> Waiting {
    Waiting { id, builder, priority, submitted_at: id, parent: None }
}

fn ask(machine: &mut Machine, requests: &[Waiting]) -> Vec<Effect> {
    machine.handle(NOW, Event::Waiting(requests.to_vec()))
}

fn claims(effects: &[Effect]) -> Vec<i64> {
    let claim = |effect: &Effect| if let Effect::Claim(id) = effect { Some(*id) } else { None };
    effects.iter().filter_map(claim).collect()
}

fn question(effects: &[Effect]) -> (u64, Question) {
    match effects {
        [Effect::Ask { id, question }] => (*id, question.clone()),
        other => panic!("expected one question, got {other:?}"),
    }
}

fn answer(machine: &mut Machine, effects: &[Effect], answer: Answer) -> Vec<Effect> {
    let (question, _) = question(effects);
    machine.handle(NOW, Event::Answered { question, answer })
}

fn ended(builder: i64, worker: i64, results: Results) -> Event {
    Event::Ended { builder, worker, outcome: Outcome { results, unprepared: false }, why: None }
}

const PLAIN: Asks = Asks { next_build: false, next_worker: false, can_start_build: false };

#[test]
fn row_07_014_a_pair_is_claimed_and_then_started() {
    let mut machine = machine(vec![setup(1, &[1], PLAIN)], &[(1, None)], false);
    let effects = ask(&mut machine, &[request(7, 1, 0), request(8, 1, 0)]);
    assert_eq!(claims(&effects), [7], "a worker runs one build of a builder at a time (07.020)");
    let start = machine.handle(NOW, Event::Claimed { request: 7, ours: true });
    assert_eq!(start, [Effect::Start { request: 7, builder: 1, worker: 1 }]);
    assert_eq!(claims(&machine.handle(NOW, ended(1, 1, Results::Success))), [8]);
}

#[test]
fn row_07_014_a_claim_that_somebody_else_won_frees_the_worker() {
    let mut machine = machine(vec![setup(1, &[1], PLAIN)], &[(1, None)], false);
    ask(&mut machine, &[request(7, 1, 0), request(8, 1, 0)]);
    assert_eq!(claims(&machine.handle(NOW, Event::Claimed { request: 7, ours: false })), [8]);
}

#[test]
fn a_worker_lost_between_claim_and_start_gives_the_request_back() {
    let mut machine = machine(vec![setup(1, &[1], PLAIN)], &[(1, None)], false);
    ask(&mut machine, &[request(7, 1, 0)]);
    machine.handle(NOW, Event::Detached(1));
    assert_eq!(machine.handle(NOW, Event::Claimed { request: 7, ours: true }), [Effect::Unclaim(7)]);
}

#[test]
fn row_07_013_builders_go_by_priority_then_age_then_name() {
    let builders = vec![setup(1, &[1], PLAIN), setup(2, &[1], PLAIN), setup(3, &[1], PLAIN)];
    let mut machine = machine(builders, &[(1, Some(1))], false);
    machine.handle(NOW, Event::Paused { worker: 1, paused: true });
    ask(&mut machine, &[request(20, 1, 0), request(10, 2, 0), request(30, 3, 1)]);
    let mut order = claims(&machine.handle(NOW, Event::Paused { worker: 1, paused: false }));
    for builder in [3, 2] {
        order.extend(claims(&machine.handle(NOW, ended(builder, 1, Results::Success))));
    }
    assert_eq!(order, [30, 10, 20]);
}

#[test]
fn row_07_011_left_out_builders_wait_for_the_next_occasion() {
    let builders = vec![setup(1, &[1], PLAIN), setup(2, &[1], PLAIN)];
    let mut machine = machine(builders, &[(1, None)], true);
    let asked = ask(&mut machine, &[request(1, 1, 0), request(2, 2, 0)]);
    assert_eq!(question(&asked).1, Question::Order(vec![1, 2]));
    assert!(ask(&mut machine, &[request(3, 1, 0)]).is_empty(), "one question at a time");
    let effects = answer(&mut machine, &asked, Answer::Order(Some(vec![2])));
    assert_eq!(claims(&effects), [2]);
    let Some(Effect::Ask { question: Question::Order(again), .. }) = effects.last() else {
        panic!("{effects:?}")
    };
    assert_eq!(again, &[1], "what came meanwhile, with those left out");
}

#[test]
fn row_07_011_who_comes_while_the_order_is_asked_for_is_put_in_it() {
    let builders = vec![setup(1, &[1], PLAIN), setup(2, &[1], PLAIN), setup(3, &[1], PLAIN)];
    let mut machine = machine(builders, &[(1, Some(1))], true);
    let first = ask(&mut machine, &[request(2, 2, 0)]);
    assert!(ask(&mut machine, &[request(1, 1, 0)]).is_empty(), "one question at a time");
    let second = answer(&mut machine, &first, Answer::Order(Some(vec![2])));
    assert_eq!(question(&second).1, Question::Order(vec![1, 2]), "nothing has begun");
    // Whoever comes then is asked about next.
    assert!(ask(&mut machine, &[request(3, 3, 0)]).is_empty());
    let effects = answer(&mut machine, &second, Answer::Order(Some(vec![1, 2])));
    assert_eq!(claims(&effects), [1]);
}

#[test]
fn a_reload_asks_anew_what_is_still_asked() {
    let asking = Asks { can_start_build: true, ..PLAIN };
    let builders = || vec![setup(1, &[1], asking)];
    let reloaded = || configured(builders(), &[(1, Some(1))], false);
    let mut machine = machine(builders(), &[(1, Some(1))], true);
    let order = ask(&mut machine, &[request(7, 1, 0)]);
    let asked = machine.handle(NOW, reloaded());
    assert!(matches!(question(&asked).1, Question::CanStart { request: 7, .. }), "{asked:?}");
    assert_eq!(answer(&mut machine, &order, Answer::Order(None)), [], "it comes too late");
    let again = machine.handle(NOW, reloaded());
    assert_eq!(answer(&mut machine, &asked, Answer::Start(false)), [], "so does this");
    assert_eq!(claims(&answer(&mut machine, &again, Answer::Start(true))), [7]);
}

#[test]
fn row_07_017_refused_workers_are_put_aside_and_the_next_request_is_tried() {
    let asks = Asks { can_start_build: true, ..PLAIN };
    let mut machine = machine(vec![setup(1, &[1, 2], asks)], &[(1, None), (2, None)], false);
    let mut effects = ask(&mut machine, &[request(7, 1, 0), request(8, 1, 0)]);
    let mut asked = Vec::new();
    while !effects.is_empty() {
        let Question::CanStart { request, worker, .. } = question(&effects).1 else { panic!("{effects:?}") };
        asked.push((request, worker));
        effects = answer(&mut machine, &effects, Answer::Start(false));
    }
    let pairs: BTreeSet<_> = asked.iter().copied().collect();
    assert_eq!((asked.len(), pairs.len()), (4, 4), "each pair once, then nothing: {asked:?}");
    assert_eq!(asked[0].0, 7);
}

#[test]
fn two_builders_that_are_both_refused_do_not_ask_each_other_awake() {
    let asks = Asks { can_start_build: true, ..PLAIN };
    let builders = vec![setup(1, &[1], asks), setup(2, &[1], asks)];
    let mut machine = machine(builders, &[(1, Some(1))], false);
    let first = ask(&mut machine, &[request(7, 1, 0), request(8, 2, 0)]);
    assert_eq!(first.len(), 1, "the worker is held for one question: {first:?}");
    let second = answer(&mut machine, &first, Answer::Start(false));
    assert_eq!(question(&second).1, Question::CanStart { builder: 2, request: 8, worker: 1 });
    assert!(answer(&mut machine, &second, Answer::Start(false)).is_empty());
}

#[test]
fn a_slow_question_holds_its_worker_only_for_a_while() {
    let asks = Asks { next_build: true, ..PLAIN };
    let builders = vec![setup(1, &[1], asks), setup(2, &[1], PLAIN)];
    let mut machine = machine(builders, &[(1, Some(1))], false);
    let asked = ask(&mut machine, &[request(7, 1, 5), request(8, 2, 0)]);
    assert!(claims(&asked).is_empty(), "the first in order is asked, the second waits for it");
    let wake = machine.next_wake().unwrap();
    assert_eq!(claims(&machine.wake(wake)), [8]);
    assert!(answer(&mut machine, &asked, Answer::Request(Some(7))).is_empty(), "no worker is left");
    assert_eq!(
        question(&machine.handle(NOW, ended(2, 1, Results::Success))).1,
        Question::NextBuild { builder: 1, requests: vec![7] }
    );
}

#[test]
fn row_07_024_a_request_cancelled_while_its_function_is_asked_is_not_claimed() {
    let asks = Asks { can_start_build: true, ..PLAIN };
    let mut machine = machine(vec![setup(1, &[1], asks)], &[(1, None)], false);
    let asked = ask(&mut machine, &[request(7, 1, 0)]);
    machine.handle(NOW, Event::Gone(vec![7]));
    assert!(answer(&mut machine, &asked, Answer::Start(true)).is_empty());
}

#[test]
fn row_07_023_exceptions_quarantine_and_unpausing_ends_it() {
    let mut machine = machine(vec![setup(1, &[1], PLAIN)], &[(1, None)], false);
    ask(&mut machine, &[request(7, 1, 0), request(8, 1, 0)]);
    machine.handle(NOW, Event::Claimed { request: 7, ours: true });
    assert!(machine.handle(NOW, ended(1, 1, Results::Exception)).is_empty());
    assert_eq!(machine.next_wake(), Some(at(10)));
    assert!(machine.wake(at(9)).is_empty());
    assert_eq!(claims(&machine.handle(at(9), Event::Paused { worker: 1, paused: false })), [8]);
    assert_eq!(machine.next_wake(), None);
}

#[test]
fn row_08_009_a_graceful_worker_is_shut_down_when_idle() {
    let mut machine = machine(vec![setup(1, &[1], PLAIN)], &[(1, None)], false);
    ask(&mut machine, &[request(7, 1, 0), request(8, 1, 0)]);
    assert!(machine.handle(NOW, Event::Graceful(1)).is_empty());
    assert_eq!(machine.handle(NOW, ended(1, 1, Results::Success)), [Effect::ShutDown(1)]);
    machine.handle(NOW, Event::Detached(1));
    assert_eq!(claims(&machine.handle(NOW, Event::Attached(1))), [8], "reset when it connects again");
}

#[test]
fn row_07_029_a_stopping_master_starts_nothing() {
    for quick in [false, true] {
        let mut machine = machine(vec![setup(1, &[1], PLAIN)], &[(1, None)], false);
        ask(&mut machine, &[request(7, 1, 0)]);
        machine.handle(NOW, Event::Stopping { quick });
        assert_eq!(machine.handle(NOW, Event::Claimed { request: 7, ours: true }), [Effect::Unclaim(7)]);
        assert!(ask(&mut machine, &[request(8, 1, 0)]).is_empty());
    }
}

#[test]
fn row_07_029_what_a_running_build_waits_for_is_still_built() {
    let asks = Asks { next_build: true, ..PLAIN };
    for asks in [PLAIN, asks] {
        let builders = vec![setup(1, &[1], PLAIN), setup(2, &[1], asks)];
        let mut machine = machine(builders, &[(1, None)], false);
        machine.handle(NOW, Event::Began(70));
        machine.handle(NOW, Event::Stopping { quick: false });
        let child = |id, parent| Waiting { parent: Some(parent), ..request(id, 2, 0) };
        let waiting = [request(20, 2, 9), child(21, 71), child(22, 70)];
        let mut effects = ask(&mut machine, &waiting);
        if asks.next_build {
            let requests = vec![22];
            assert_eq!(question(&effects).1, Question::NextBuild { builder: 2, requests });
            effects = answer(&mut machine, &effects, Answer::Request(Some(22)));
        }
        assert_eq!(claims(&effects), [22], "not what nobody waits for, nor a child of a build that is over");
        let start = machine.handle(NOW, Event::Claimed { request: 22, ours: true });
        assert_eq!(start, [Effect::Start { request: 22, builder: 2, worker: 1 }]);
        ask(&mut machine, &[child(23, 70)]);
        machine.handle(NOW, Event::Over(70));
        assert!(machine.handle(NOW, ended(2, 1, Results::Success)).is_empty(), "its parent is gone");
        machine.handle(NOW, Event::Began(72));
        machine.handle(NOW, Event::Stopping { quick: true });
        machine.handle(NOW, Event::Stopping { quick: false });
        assert!(ask(&mut machine, &[child(24, 72)]).is_empty(), "a quick stop is never slowed down again");
    }
}

#[test]
fn row_07_028_requests_of_unknown_builders_wait_for_their_configuration() {
    let mut machine = machine(Vec::new(), &[(1, None)], false);
    assert!(ask(&mut machine, &[request(7, 1, 0)]).is_empty());
    let workers = vec![(
        WorkerSetup {
            id: 1,
            name: "w1".into(),
            max_builds: None,
            latent: false,
            asks_compatible: false,
            downtime: None,
        },
        false,
    )];
    let builders = vec![setup(1, &[1], PLAIN)];
    let effects = machine
        .handle(NOW, Event::Configured { builders, workers, prioritize: false, locks: LockSetup::default() });
    assert_eq!(claims(&effects), [7]);
}

/// What happens next in a random history.
#[derive(Debug, Clone)]
enum Move {
    Request { builder: i64, priority: i64 },
    End(usize),
    Attach(i64),
    Detach(i64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1i64..4, 0i64..3).prop_map(|(builder, priority)| Move::Request { builder, priority }),
        3 => (0usize..8).prop_map(Move::End),
        1 => (1i64..3).prop_map(Move::Attach),
        1 => (1i64..3).prop_map(Move::Detach),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    /// 07.010, 07.020, 07.016: every request is claimed once, never more builds than room, and nothing that could run waits.
    #[test]
    fn row_07_010_no_wake_up_is_lost_and_limits_hold(moves in moves()) {
        let builders = vec![setup(1, &[1, 2], PLAIN), setup(2, &[1], PLAIN), setup(3, &[2], PLAIN)];
        let mut machine = machine(builders, &[(1, Some(1)), (2, Some(2))], false);
        let limits = BTreeMap::from([(1i64, 1usize), (2, 2)]);
        let workers_of = BTreeMap::from([(1i64, vec![1i64, 2]), (2, vec![1]), (3, vec![2])]);
        let mut connected = BTreeSet::from([1i64, 2]);
        let (mut running, mut waiting, mut claimed) = (Vec::<(i64, i64)>::new(), BTreeMap::<i64, i64>::new(), BTreeSet::new());
        for (id, step) in (1i64..).zip(moves) {
            let mut effects = match step {
                Move::Request { builder, priority } => {
                    waiting.insert(id, builder);
                    machine.handle(NOW, Event::Waiting(vec![request(id, builder, priority)]))
                }
                Move::End(index) if index < running.len() => {
                    let (builder, worker) = running.remove(index);
                    machine.handle(NOW, ended(builder, worker, Results::Success))
                }
                Move::End(_) => Vec::new(),
                Move::Attach(worker) => { connected.insert(worker); machine.handle(NOW, Event::Attached(worker)) }
                Move::Detach(worker) => { connected.remove(&worker); machine.handle(NOW, Event::Detached(worker)) }
            };
            while let Some(effect) = effects.pop() {
                match effect {
                    Effect::Claim(request) => {
                        prop_assert!(claimed.insert(request), "{request} is claimed twice");
                        prop_assert!(waiting.remove(&request).is_some());
                        effects.extend(machine.handle(NOW, Event::Claimed { request, ours: true }));
                    }
                    Effect::Start { builder, worker, .. } => {
                        prop_assert!(!running.contains(&(builder, worker)));
                        running.push((builder, worker));
                        let busy = running.iter().filter(|(_, other)| *other == worker).count();
                        prop_assert!(busy <= limits[&worker]);
                    }
                    Effect::Ask { .. } | Effect::Unclaim(_) | Effect::ShutDown(_) | Effect::Lock { .. } => prop_assert!(false, "{effect:?}"),
                }
            }
            for builder in waiting.values() {
                for worker in &workers_of[builder] {
                    let busy = running.iter().filter(|(_, other)| other == worker).count();
                    let could = connected.contains(worker) && busy < limits[worker] && !running.contains(&(*builder, *worker));
                    prop_assert!(!could, "a request of builder {builder} waits though worker {worker} has room");
                }
            }
        }
    }
}

/// What is noted while builder 1 cannot build: the answer, its first second, its last, and how often.
fn looks(machine: &Machine) -> Vec<(Look, u64, Option<u64>, u32)> {
    let secs = |at: Mono| at.0.as_secs();
    let all = machine.builder(1).unwrap().looks.iter();
    all.map(|e| (e.answer.clone(), secs(e.since), e.until.map(secs), e.times)).collect()
}

fn causes(all: &[(i64, Cause)]) -> Look {
    let mut causes = Causes::default();
    all.iter().for_each(|(worker, cause)| causes.add(*worker, *cause));
    Look::Workers(causes)
}

#[test]
fn what_is_found_again_is_noted_once() {
    let mut machine = machine(vec![setup(1, &[1, 2], PLAIN)], &[(1, None), (2, None)], false);
    machine.handle(at(1), Event::Detached(1));
    machine.handle(at(1), Event::Paused { worker: 2, paused: true });
    for (id, now) in [(7, 2), (8, 3), (9, 4)] {
        machine.handle(at(now), Event::Waiting(vec![request(id, 1, 0)]));
    }
    let none = causes(&[(1, Cause::Disconnected), (2, Cause::Paused)]);
    assert_eq!(looks(&machine), [(none.clone(), 2, None, 3)]);
    let effects = machine.handle(at(5), Event::Attached(1));
    assert_eq!(claims(&effects), [7]);
    let busy = causes(&[(1, Cause::Building), (2, Cause::Paused)]);
    assert_eq!(looks(&machine), [(none, 2, Some(5), 3), (busy, 5, None, 1)]);
    machine.handle(at(6), Event::Gone(vec![8, 9]));
    assert!(looks(&machine).is_empty(), "nothing waits: nothing is kept");
}

#[test]
fn row_07_011_what_prioritize_builders_leaves_out_is_noted() {
    let mut machine = machine(vec![setup(1, &[1], PLAIN)], &[(1, None)], true);
    let effects = ask(&mut machine, &[request(7, 1, 0)]);
    assert!(claims(&answer(&mut machine, &effects, Answer::Order(Some(vec![])))).is_empty());
    assert_eq!(looks(&machine), [(Look::LeftOut, 0, None, 1)]);
}
