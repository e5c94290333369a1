//! Kinds of locks (reference 05.055–05.057).

use crate::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};
use crate::locks::{LockCounts, LockMode, declared};
use crate::{AnyObject, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most that a lock's counts may say.
const MOST: i64 = 1_000_000_000;

/// `util.MasterLock` (05.055).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MasterLockParams {
    /// Locks of one kind and name are one lock.
    pub name: String,
    /// How many may use it counting at the same time.
    #[serde(default = "one", rename = "maxCount")]
    pub max_count: i64,
}

/// `util.WorkerLock` (05.056).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerLockParams {
    /// Locks of one kind and name are one lock on each worker.
    pub name: String,
    /// How many may use it counting at the same time on one worker.
    #[serde(default = "one", rename = "maxCount")]
    pub max_count: i64,
    /// Worker name → its own `maxCount`.
    #[serde(default, rename = "maxCountForWorker")]
    pub max_count_for_worker: BTreeMap<String, i64>,
}

/// `lock:access(mode, count)` (05.057).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockAccessParams {
    /// A `util.MasterLock` or `util.WorkerLock`.
    pub lock: AnyObject,
    /// `counting`: beside others, up to the lock's `maxCount`; `exclusive`: alone.
    pub mode: Access,
    /// How much of the lock it takes; with `exclusive` 1. 0 of a lock is always available.
    #[serde(default = "one")]
    pub count: i64,
}

/// How a lock is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    Counting,
    Exclusive,
}

fn one() -> i64 {
    1
}

fn count(option: &str, value: i64) -> Option<Problem> {
    let good = (0..=MOST).contains(&value);
    (!good).then(|| Problem::new(option, format!("expected 0 or more, got {value}")))
}

fn name(name: &str) -> Option<Problem> {
    name.is_empty().then(|| Problem::new("name", "is empty"))
}

/// A count that was checked; one that was not counts as the nearest that is right.
fn checked(value: i64) -> u32 {
    u32::try_from(value.clamp(0, MOST)).unwrap_or(u32::MAX)
}

impl MasterLockParams {
    pub fn counts(&self) -> LockCounts {
        LockCounts { max: checked(self.max_count), for_worker: BTreeMap::new() }
    }
}

impl WorkerLockParams {
    pub fn counts(&self) -> LockCounts {
        let own = self.max_count_for_worker.iter().map(|(worker, max)| (worker.clone(), checked(*max)));
        LockCounts { max: checked(self.max_count), for_worker: own.collect() }
    }
}

impl LockAccessParams {
    pub fn mode(&self) -> LockMode {
        match self.mode {
            Access::Counting => LockMode::Counting,
            Access::Exclusive => LockMode::Exclusive,
        }
    }

    pub fn count(&self) -> u32 {
        checked(self.count)
    }
}

impl Params for MasterLockParams {
    fn validate(&self) -> Vec<Problem> {
        name(&self.name).into_iter().chain(count("maxCount", self.max_count)).collect()
    }
}

impl Params for WorkerLockParams {
    fn validate(&self) -> Vec<Problem> {
        let own = self.max_count_for_worker.iter();
        let own = own.filter_map(|(worker, max)| count(&format!("maxCountForWorker.{worker}"), *max));
        name(&self.name).into_iter().chain(count("maxCount", self.max_count)).chain(own).collect()
    }
}

impl Params for LockAccessParams {
    fn validate(&self) -> Vec<Problem> {
        let (lock, counts) = match declared(&self.lock) {
            Ok(found) => found,
            Err(text) => return vec![Problem::new("lock", text)],
        };
        if let Some(problem) = count("count", self.count) {
            return vec![problem];
        }
        match self.mode {
            Access::Exclusive if self.count != 1 => {
                vec![Problem::new(
                    "count",
                    format!("an exclusive access has the count 1, got {}", self.count),
                )]
            }
            Access::Counting if self.count() > counts.most() => {
                let most = counts.most();
                let text = format!("asks for {} of {lock}, of which there is at most {most}", self.count);
                vec![Problem::new("count", text)]
            }
            Access::Counting | Access::Exclusive => Vec::new(),
        }
    }
}

/// What is wrong with an option `locks`, as far as it can be told before anything is rendered.
pub fn problem_of_locks(locks: Option<&Json>) -> Option<Problem> {
    crate::locks::literal_uses(locks?).err().map(|text| Problem::new("locks", text))
}

/// The same where nothing is rendered: for workers.
pub fn problem_of_fixed_locks(locks: Option<&Json>) -> Option<Problem> {
    crate::locks::uses(locks?).err().map(|text| Problem::new("locks", text))
}

/// `locks` of builders and steps, given as a function (05.062).
pub const LOCKS: CallbackSpec = CallbackSpec {
    option: "locks",
    args: "props",
    returns: "a lock, lock:access(…), or a list of them; nil for none",
    on_error: "EXCEPTION of the build or step",
};

/// `util.MasterLock`.
pub const MASTER_LOCK: Kind = Kind {
    namespace: "util",
    name: "MasterLock",
    aliases: &[],
    category: Category::Lock,
    positional: &["name", "maxCount"],
    flat: false,
    doc: "A lock that all workers and builders share. Given in an option locks as it is, or as lock:access(mode, count).",
    schema: schema_of::<MasterLockParams>,
    check: check_as::<MasterLockParams>,
    callbacks: &[],
    extensible: false,
};

/// `util.WorkerLock`.
pub const WORKER_LOCK: Kind = Kind {
    name: "WorkerLock",
    positional: &["name", "maxCount", "maxCountForWorker"],
    doc: "A lock that each worker has for itself. Given in an option locks as it is, or as lock:access(mode, count).",
    schema: schema_of::<WorkerLockParams>,
    check: check_as::<WorkerLockParams>,
    ..MASTER_LOCK
};

/// What `lock:access` makes.
pub const LOCK_ACCESS: Kind = Kind {
    name: "LockAccess",
    category: Category::Value,
    positional: &["lock", "mode", "count"],
    doc: "A lock and how it is used; made by lock:access(mode, count).",
    schema: schema_of::<LockAccessParams>,
    check: check_as::<LockAccessParams>,
    ..MASTER_LOCK
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lock(kind: &str, args: Json) -> Json {
        json!({"$kind": kind, "$id": 1, "$at": "master.lua:3", "$args": args})
    }

    fn access(args: Json) -> Vec<String> {
        let problems = (LOCK_ACCESS.check)(&args);
        problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    }

    #[test]
    fn row_05_057_what_an_access_may_ask_for() {
        let db = lock("util.MasterLock", json!({"name": "db", "maxCount": 3}));
        let cpu = lock("util.WorkerLock", json!({"name": "cpu", "maxCountForWorker": {"big": 4}}));
        for good in [
            json!({"lock": db, "mode": "counting"}),
            json!({"lock": db, "mode": "counting", "count": 0}),
            json!({"lock": db, "mode": "counting", "count": 3}),
            json!({"lock": cpu, "mode": "counting", "count": 4}),
            json!({"lock": cpu, "mode": "exclusive", "count": 1}),
        ] {
            assert!(access(good.clone()).is_empty(), "{good}");
        }
        for (wrong, text) in [
            (
                json!({"lock": db, "mode": "exclusive", "count": 2}),
                "count: an exclusive access has the count 1, got 2",
            ),
            (
                json!({"lock": db, "mode": "exclusive", "count": 0}),
                "count: an exclusive access has the count 1, got 0",
            ),
            (
                json!({"lock": db, "mode": "counting", "count": 4}),
                "count: asks for 4 of lock \"db\", of which there is at most 3",
            ),
            (json!({"lock": db, "mode": "counting", "count": -1}), "count: expected 0 or more, got -1"),
            (
                json!({"lock": lock("util.Property", json!({})), "mode": "counting"}),
                "lock: expected a lock, got a util.Property",
            ),
        ] {
            assert_eq!(access(wrong), [text]);
        }
        assert!(access(json!({"lock": db, "mode": "shared"}))[0].contains("mode"));
    }

    #[test]
    fn row_05_055_counts_are_not_negative() {
        assert!((MASTER_LOCK.check)(&json!({"name": "a", "maxCount": 0})).is_empty());
        assert_eq!((MASTER_LOCK.check)(&json!({"name": "", "maxCount": -1})).len(), 2);
        let own = (WORKER_LOCK.check)(&json!({"name": "a", "maxCountForWorker": {"w": -2}}));
        assert_eq!(own[0].path, "maxCountForWorker.w");
    }
}
