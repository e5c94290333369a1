//! The rules of locks, without a runtime.

use super::{Claim, Holder, Key, Locks, News};
use lunabot_model::locks::{LockCounts, LockId, LockMode, LockScope, LockUse};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use LockMode::{Counting, Exclusive};

fn declared(name: &str, max: u32) -> LockUse {
    let lock = LockId { scope: LockScope::Master, name: name.into() };
    let counts = LockCounts { max, for_worker: BTreeMap::new() };
    LockUse { lock, counts, mode: Counting, count: 1, at: String::new() }
}

fn claim(name: &str, mode: LockMode, count: u32) -> Claim {
    let lock = LockId { scope: LockScope::Master, name: name.into() };
    Claim { key: Key { lock, worker: None }, mode, count }
}

/// Locks by name with their counts, and a log of what became of requests.
struct Desk {
    locks: Locks,
    held: BTreeSet<u64>,
    order: Vec<u64>,
    refused: BTreeMap<u64, String>,
    generation: u64,
}

impl Desk {
    fn new(all: &[(&str, u32)]) -> Desk {
        let mut locks = Locks::default();
        for (name, max) in all {
            locks.learn(1, &declared(name, *max));
        }
        Desk { locks, held: BTreeSet::new(), order: Vec::new(), refused: BTreeMap::new(), generation: 1 }
    }

    fn note(&mut self) {
        for (holder, news) in self.locks.take_news() {
            let Holder::Step(step) = holder else { continue };
            match news {
                News::Granted => {
                    assert!(self.held.insert(step), "{step} was granted twice");
                    self.order.push(step);
                }
                News::Refused(why) => {
                    self.refused.insert(step, why);
                }
                News::Waits(keys) | News::Stuck(keys, _) => assert!(!keys.is_empty()),
            }
        }
    }

    fn ask(&mut self, step: u64, claims: Vec<Claim>) -> bool {
        self.locks.ask(Holder::Step(step), claims, &[]);
        self.note();
        self.held.contains(&step)
    }

    fn give_up(&mut self, step: u64) {
        self.held.remove(&step);
        self.locks.give_up(Holder::Step(step));
        self.note();
    }

    fn recount(&mut self, name: &str, max: u32) {
        self.generation += 1;
        self.locks.learn(self.generation, &declared(name, max));
        self.note();
    }
}

#[test]
fn row_05_058_the_rule_of_availability() {
    // maxCount, held, waiting, asked for, available.
    type Row = (u32, &'static [(LockMode, u32)], &'static [(LockMode, u32)], (LockMode, u32), bool);
    let table: &[Row] = &[
        (1, &[], &[], (Counting, 1), true),
        (1, &[(Counting, 1)], &[], (Counting, 1), false),
        (3, &[(Counting, 1)], &[], (Counting, 2), true),
        (3, &[(Counting, 2)], &[], (Counting, 2), false),
        // Each counting waiter ahead counts one, however much it wants.
        (3, &[(Counting, 1)], &[(Counting, 3)], (Counting, 1), true),
        (3, &[(Counting, 1)], &[(Counting, 3)], (Counting, 2), false),
        (3, &[(Counting, 1)], &[(Counting, 3), (Counting, 3)], (Counting, 1), false),
        (3, &[(Exclusive, 1)], &[], (Counting, 1), false),
        (3, &[(Exclusive, 1)], &[], (Exclusive, 1), false),
        (3, &[(Counting, 1)], &[], (Exclusive, 1), false),
        (3, &[], &[], (Exclusive, 1), true),
        // Counting cannot overtake an exclusive waiter (05.059).
        (3, &[(Counting, 1)], &[(Exclusive, 1)], (Counting, 1), false),
        (3, &[(Counting, 1)], &[(Exclusive, 1)], (Exclusive, 1), false),
        (0, &[], &[], (Exclusive, 1), true),
    ];
    for (max, held, waiting, (mode, count), available) in table {
        let mut desk = Desk::new(&[("l", *max)]);
        for (step, (mode, count)) in (1..).zip(*held) {
            assert!(desk.ask(step, vec![claim("l", *mode, *count)]));
        }
        for (step, (mode, count)) in (11..).zip(*waiting) {
            assert!(!desk.ask(step, vec![claim("l", *mode, *count)]));
        }
        let wanted = claim("l", *mode, *count);
        let case = format!("{max} {held:?} {waiting:?} {mode:?} {count}");
        assert_eq!(desk.locks.is_free(&wanted), *available, "{case}");
        assert_eq!(desk.ask(99, vec![wanted]), *available, "{case}");
    }
}

#[test]
fn row_05_059_waiters_go_first_come_first_served_and_none_overtakes_an_exclusive_one() {
    let mut desk = Desk::new(&[("l", 2)]);
    for step in [1, 2] {
        assert!(desk.ask(step, vec![claim("l", Counting, 1)]));
    }
    assert!(!desk.ask(3, vec![claim("l", Exclusive, 1)]));
    for step in [4, 5, 6] {
        assert!(!desk.ask(step, vec![claim("l", Counting, 1)]));
    }
    desk.give_up(1);
    assert_eq!(desk.order, [1, 2]);
    desk.give_up(2);
    assert_eq!(desk.order, [1, 2, 3]);
    desk.give_up(3);
    assert_eq!(desk.order, [1, 2, 3, 4, 5]);
    desk.give_up(5);
    assert_eq!(desk.order, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn row_05_059_a_waiter_that_gives_up_lets_those_behind_it_go() {
    let mut desk = Desk::new(&[("l", 2)]);
    desk.ask(1, vec![claim("l", Counting, 1)]);
    desk.ask(2, vec![claim("l", Exclusive, 1)]);
    assert!(!desk.ask(3, vec![claim("l", Counting, 1)]));
    desk.give_up(2);
    assert_eq!(desk.order, [1, 3]);
}

#[test]
fn row_05_060_locks_come_all_together_and_in_any_order_without_a_deadlock() {
    let mut desk = Desk::new(&[("a", 1), ("b", 1)]);
    let (a, b) = (claim("a", Counting, 1), claim("b", Counting, 1));
    assert!(desk.ask(1, vec![a.clone()]));
    assert!(desk.ask(2, vec![b.clone()]));
    assert!(!desk.ask(3, vec![a.clone(), b.clone()]));
    assert!(!desk.ask(4, vec![b.clone(), a.clone()]));
    desk.give_up(1);
    assert_eq!(desk.order, [1, 2], "nothing is held by halves");
    assert!(!desk.ask(5, vec![a.clone()]), "who asked first keeps its place");
    for (gone, order) in [(2, &[1, 2, 3][..]), (3, &[1, 2, 3, 4]), (4, &[1, 2, 3, 4, 5])] {
        desk.give_up(gone);
        assert_eq!(desk.order, order);
    }
}

#[test]
fn row_05_060_who_waits_for_one_lock_keeps_nobody_from_the_other() {
    let mut desk = Desk::new(&[("a", 1), ("b", 1)]);
    desk.ask(1, vec![claim("a", Counting, 1)]);
    assert!(!desk.ask(2, vec![claim("a", Counting, 1), claim("b", Counting, 1)]));
    assert!(desk.ask(3, vec![claim("b", Counting, 1)]));
}

#[test]
fn row_05_063_raising_wakes_and_lowering_does_not_evict() {
    let mut desk = Desk::new(&[("l", 1)]);
    for step in [1, 2, 3, 4] {
        desk.ask(step, vec![claim("l", Counting, 1)]);
    }
    desk.recount("l", 3);
    assert_eq!(desk.order, [1, 2, 3]);
    desk.recount("l", 1);
    assert_eq!(desk.held.len(), 3);
    for step in [1, 2] {
        desk.give_up(step);
        assert_eq!(desk.order, [1, 2, 3]);
    }
    desk.give_up(3);
    assert_eq!(desk.order, [1, 2, 3, 4]);
    desk.locks.learn(1, &declared("l", 9));
    assert!(!desk.ask(5, vec![claim("l", Counting, 1)]), "the newest counts hold");
}

#[test]
fn row_05_063_what_can_never_be_had_is_refused() {
    let mut desk = Desk::new(&[("l", 3)]);
    assert!(!desk.ask(1, vec![claim("l", Counting, 4)]));
    assert_eq!(desk.refused[&1], "asks for 4 of lock \"l\", of which there is 3");
    desk.ask(2, vec![claim("l", Exclusive, 1)]);
    desk.ask(3, vec![claim("l", Counting, 3)]);
    desk.ask(4, vec![claim("l", Counting, 1)]);
    desk.recount("l", 2);
    assert_eq!(desk.refused[&3], "asks for 3 of lock \"l\", of which there is 2");
    desk.give_up(2);
    assert_eq!(desk.order, [2, 4]);
    let slot = Holder::Slot { builder: 1, worker: 1 };
    desk.locks.ask(slot, vec![claim("l", Counting, 1)], &[]);
    desk.give_up(4);
    desk.locks.ask(Holder::Step(5), vec![claim("l", Exclusive, 1)], &[slot]);
    desk.note();
    assert!(desk.refused[&5].contains("is held for this build already"), "{}", desk.refused[&5]);
    desk.locks.ask(Holder::Step(6), vec![claim("l", Counting, 1)], &[slot]);
    desk.note();
    assert!(desk.held.contains(&6), "there is enough for both");
}

#[test]
fn row_05_056_worker_locks_are_one_for_each_worker() {
    let mut locks = Locks::default();
    let lock = LockId { scope: LockScope::Worker, name: "l".into() };
    let counts = LockCounts { max: 1, for_worker: [("big".to_string(), 2), ("none".to_string(), 0)].into() };
    let used = LockUse { lock, counts, mode: Counting, count: 1, at: String::new() };
    locks.learn(1, &used);
    let mut granted = |step, worker: &str| {
        let claims = Claim::of_uses(std::slice::from_ref(&used), &worker.into());
        locks.ask(Holder::Step(step), claims, &[]);
        locks.take_news().pop().map(|(_, news)| news == News::Granted)
    };
    let seen = [granted(1, "w"), granted(2, "v"), granted(3, "w"), granted(4, "big"), granted(5, "big")];
    assert_eq!(seen, [true, true, false, true, true].map(Some));
    assert_eq!(granted(6, "none"), Some(false));
    let nothing = LockUse { count: 0, ..used.clone() };
    assert!(Claim::of_uses(&[nothing], &"w".into()).is_empty(), "0 of a lock is always available (05.057)");
}

#[test]
fn row_07_017_a_promise_keeps_other_builds_from_being_started_but_no_step_from_the_lock() {
    let mut desk = Desk::new(&[("l", 1)]);
    let wanted = claim("l", Counting, 1);
    let build = Holder::Build { builder: 1, worker: 1 };
    desk.locks.promise(build, vec![wanted.clone()]);
    assert!(!desk.locks.is_free(&wanted));
    assert!(desk.ask(1, vec![wanted.clone()]));
    desk.locks.ask(build, vec![wanted.clone()], &[]);
    let waits = vec![(build, News::Waits(vec![wanted.key.clone()]))];
    assert_eq!(desk.locks.take_news(), waits);
    desk.locks.take_freed();
    desk.give_up(1);
    assert_eq!(desk.locks.take_freed(), BTreeSet::from([wanted.key.clone()]));
    assert!(!desk.locks.is_free(&wanted), "the build has it");
    desk.locks.give_up(build);
    assert!(desk.locks.is_free(&wanted) && desk.locks.take_freed().contains(&wanted.key));
}

#[test]
fn row_05_059_who_gets_its_last_lock_is_not_counted_as_waiting_for_the_others() {
    let mut desk = Desk::new(&[("b", 2), ("c", 1)]);
    desk.ask(1, vec![claim("b", Counting, 1)]);
    desk.ask(2, vec![claim("b", Counting, 1), claim("c", Counting, 1)]);
    desk.ask(3, vec![claim("b", Counting, 1), claim("c", Exclusive, 1)]);
    // It waits for c now, and stands before the next for b.
    desk.give_up(1);
    desk.ask(4, vec![claim("b", Counting, 1)]);
    desk.give_up(2);
    assert_eq!(desk.held, BTreeSet::from([3, 4]));
}

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Op {
    Ask(Vec<Claim>),
    /// The holder or waiter at this place of the list.
    GiveUp(usize),
    Recount(usize, u32),
}

fn wanted() -> impl Strategy<Value = Claim> {
    let mode = prop_oneof![3 => Just(Counting), 1 => Just(Exclusive)];
    (0..NAMES.len(), mode, 1u32..4).prop_map(|(name, mode, count)| {
        let count = if mode == Exclusive { 1 } else { count };
        claim(NAMES[name], mode, count)
    })
}

fn op() -> impl Strategy<Value = Op> {
    let claims = prop::collection::vec(wanted(), 1..4).prop_map(|mut claims| {
        let mut seen = BTreeSet::new();
        claims.retain(|claim| seen.insert(claim.key.clone()));
        Op::Ask(claims)
    });
    prop_oneof![
        5 => claims,
        4 => any::<usize>().prop_map(Op::GiveUp),
        1 => (0..NAMES.len(), 0u32..5).prop_map(|(name, max)| Op::Recount(name, max)),
    ]
}

/// What the rules say, worked out anew each time from all that is held and waited for.
struct Oracle {
    max: BTreeMap<&'static str, u32>,
    asked: BTreeMap<u64, Vec<Claim>>,
}

impl Oracle {
    /// Whether nobody who holds anything keeps this waiter from its locks, those who wait left out of account.
    fn would_fit(&self, held: &BTreeSet<u64>, step: u64) -> bool {
        self.asked[&step].iter().all(|claim| {
            let owners = held.iter().flat_map(|owner| &self.asked[owner]).filter(|c| c.key == claim.key);
            let owners: Vec<&Claim> = owners.collect();
            let taken: u32 = owners.iter().map(|c| c.count).sum();
            match claim.mode {
                Exclusive => owners.is_empty(),
                Counting => {
                    owners.iter().all(|c| c.mode == Counting)
                        && taken + claim.count <= self.max[&*claim.key.lock.name]
                }
            }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn locks_are_never_over_held_and_never_stuck(ops in prop::collection::vec(op(), 1..60)) {
        let mut desk = Desk::new(&NAMES.map(|name| (name, 2)));
        let mut oracle = Oracle { max: NAMES.map(|name| (name, 2)).into(), asked: BTreeMap::new() };
        let mut live: Vec<u64> = Vec::new();
        let mut next = 0;
        for op in ops {
            let before = desk.held.clone();
            match op {
                Op::Ask(claims) => {
                    next += 1;
                    oracle.asked.insert(next, claims.clone());
                    live.push(next);
                    desk.ask(next, claims);
                }
                Op::GiveUp(index) if !live.is_empty() => {
                    let gone = live.remove(index % live.len());
                    desk.give_up(gone);
                }
                Op::GiveUp(_) => {}
                Op::Recount(name, max) => {
                    oracle.max.insert(NAMES[name], max);
                    desk.recount(NAMES[name], max);
                }
            }
            live.retain(|step| !desk.refused.contains_key(step));
            // Never over-held: each newly granted request fits beside all others that hold.
            for granted in desk.held.difference(&before) {
                let others: BTreeSet<u64> = desk.held.iter().copied().filter(|s| s != granted).collect();
                prop_assert!(oracle.would_fit(&others, *granted), "{granted} beside {others:?}");
            }
            // No wake-up is lost: who asked before all others that wait, waits for a holder.
            if let Some(first) = live.iter().copied().filter(|step| !desk.held.contains(step)).min() {
                prop_assert!(!oracle.would_fit(&desk.held, first), "{first} waits for nobody");
            }
        }
        // When all holders release, every waiter gets its turn.
        while let Some(holder) = desk.held.first().copied() {
            desk.give_up(holder);
        }
        prop_assert_eq!(desk.locks.waiting(), 0);
    }

    #[test]
    fn equal_requests_for_one_lock_go_in_the_order_they_were_made(
        max in 1u32..4,
        ops in prop::collection::vec(prop_oneof![Just(None), any::<usize>().prop_map(Some)], 1..80),
    ) {
        let mut desk = Desk::new(&[("l", max)]);
        let mut next = 0;
        for op in ops {
            match op {
                None => {
                    next += 1;
                    desk.ask(next, vec![claim("l", Counting, 1)]);
                }
                Some(index) if !desk.held.is_empty() => {
                    let holder = *desk.held.iter().nth(index % desk.held.len()).unwrap();
                    desk.give_up(holder);
                }
                Some(_) => {}
            }
            prop_assert!(desk.held.len() <= max as usize);
        }
        prop_assert!(desk.order.is_sorted(), "{:?}", desk.order);
    }
}

/// Builds that hold one lock each and whose steps want another: step and build have the same number.
#[test]
fn row_05_061_who_waits_in_a_circle_is_told_so() {
    let build = |n: i64| Holder::Build { builder: n, worker: n };
    // Locks, what builds hold, what their steps want, and which steps are in the circle in the end.
    let table = [
        (vec![("a", 1), ("b", 1)], vec!["a", "b"], vec!["b", "a"], vec![0, 1]),
        (vec![("a", 1), ("b", 1), ("c", 1)], vec!["a", "b", "c"], vec!["b", "c", "a"], vec![0, 1, 2]),
        // The first waits for nothing.
        (vec![("a", 1), ("b", 1), ("c", 1)], vec!["c", "a", "b"], vec!["", "b", "a"], vec![1, 2]),
        (vec![("a", 1), ("b", 1)], vec!["a", "b"], vec!["b", ""], vec![]),
        // The third build may give back what the second wants.
        (vec![("a", 2), ("b", 1)], vec!["a", "b", "a"], vec!["b", "a", ""], vec![]),
        (vec![("a", 2), ("b", 1)], vec!["a", "b", "a"], vec!["b", "a", "b"], vec![0, 1, 2]),
    ];
    for (all, held, wanted, circle) in table {
        let mut locks = Locks::default();
        for (name, max) in &all {
            locks.learn(1, &declared(name, *max));
        }
        for (n, name) in (0_i64..).zip(&held) {
            locks.ask(build(n), vec![claim(name, Counting, 1)], &[]);
        }
        for (n, name) in (0_i64..).zip(&wanted).filter(|(_, name)| !name.is_empty()) {
            locks.ask(Holder::Step(n.unsigned_abs()), vec![claim(name, Counting, 1)], &[build(n)]);
        }
        let mut told = BTreeMap::new();
        for (holder, news) in locks.take_news() {
            if let News::Stuck(keys, others) = news {
                assert_eq!(keys.len(), 1);
                told.insert(holder, others);
            }
        }
        let expected: BTreeMap<Holder, Vec<Holder>> = circle
            .iter()
            .map(|n: &i64| {
                let others = circle.iter().filter(|other| *other != n).map(|other| build(*other));
                (Holder::Step(n.unsigned_abs()), others.collect())
            })
            .collect();
        assert_eq!(told, expected, "{held:?} {wanted:?}");
        if let [first, others @ ..] = circle.as_slice() {
            for other in others {
                locks.give_up(Holder::Step(other.unsigned_abs()));
                locks.give_up(build(*other));
            }
            let granted = locks.take_news();
            assert!(granted.contains(&(Holder::Step(first.unsigned_abs()), News::Granted)), "{granted:?}");
        }
    }
}
