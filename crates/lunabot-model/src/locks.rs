//! Locks as a configuration writes them (reference 05.055–05.057): which lock, how much of it, and how it is used.
//!
//! What must never enter: who holds what (that is the engine's).

use crate::kinds::KINDS;
use crate::kinds::locks::{LockAccessParams, MasterLockParams, WorkerLockParams};
use crate::{AnyObject, Callback, Category, Json};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Whether a lock is one for the master or one for each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockScope {
    /// `util.MasterLock`.
    Master,
    /// `util.WorkerLock`: one for each worker.
    Worker,
}

/// A lock of the master, whichever configuration declares it: kind and name (lua-api § 5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockId {
    pub scope: LockScope,
    pub name: Arc<str>,
}

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            LockScope::Master => "lock",
            LockScope::Worker => "worker lock",
        };
        write!(f, "{scope} \"{}\"", self.name)
    }
}

/// How much of a lock there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockCounts {
    /// `maxCount`.
    pub max: u32,
    /// `maxCountForWorker`, by the worker's name.
    pub for_worker: BTreeMap<String, u32>,
}

impl LockCounts {
    /// How much there is where `worker` is the worker of a worker lock.
    pub fn on(&self, worker: Option<&str>) -> u32 {
        worker.and_then(|name| self.for_worker.get(name)).copied().unwrap_or(self.max)
    }

    /// The most there is anywhere.
    pub fn most(&self) -> u32 {
        self.for_worker.values().copied().fold(self.max, u32::max)
    }
}

/// How a lock is used (05.057).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Beside others, up to the lock's count.
    Counting,
    /// Alone.
    Exclusive,
}

/// One entry of an option `locks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockUse {
    pub lock: LockId,
    pub counts: LockCounts,
    pub mode: LockMode,
    /// How much of it; 0 is always available.
    pub count: u32,
    /// Where the lock was declared: `master.lua:12`.
    pub at: String,
}

/// Reads an option `locks`: a lock, an access, or a list of them, nested or not. A bare lock is used counting, once.
///
/// # Errors
/// Says what is no lock, and which lock is named twice.
pub fn uses(value: &Json) -> Result<Vec<LockUse>, String> {
    let mut all = Vec::new();
    collect(value, &mut all, false)?;
    Ok(all)
}

/// The same, as far as it can be told before anything is rendered: functions and renderables count as none.
pub fn literal_uses(value: &Json) -> Result<Vec<LockUse>, String> {
    let mut all = Vec::new();
    collect(value, &mut all, true)?;
    Ok(all)
}

/// Whether `locks` has to be rendered before [`uses`] can read it (05.062).
pub fn is_computed(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(is_computed),
        Json::Object(map) => {
            map.contains_key("$fn") || map.get("$kind").and_then(Json::as_str).is_some_and(is_renderable)
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

/// The form of an option `locks` that is rendered: of builders and steps.
pub fn option_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{"x-object": true}, {"type": "array", "items": {"x-object": true}}, {"x-callback": true}],
        "x-renderable": true,
    })
}

/// The form of one that is not: of workers.
pub fn fixed_option_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"x-object": true}, {"type": "array", "items": {"x-object": true}}]})
}

fn scope_of(kind: &str) -> Option<LockScope> {
    match kind {
        "util.MasterLock" => Some(LockScope::Master),
        "util.WorkerLock" => Some(LockScope::Worker),
        _ => None,
    }
}

fn collect(value: &Json, all: &mut Vec<LockUse>, literal: bool) -> Result<(), String> {
    match value {
        // An empty table, and what `cond and lock` leaves behind.
        Json::Null | Json::Bool(false) => Ok(()),
        Json::Object(map) if map.is_empty() => Ok(()),
        Json::Array(items) => items.iter().try_for_each(|item| collect(item, all, literal)),
        computed if literal && is_computed(computed) => Ok(()),
        other => {
            let one = one(other)?;
            if all.iter().any(|known| known.lock == one.lock) {
                return Err(format!("{} is named twice", one.lock));
            }
            all.push(one);
            Ok(())
        }
    }
}

fn is_renderable(kind: &str) -> bool {
    let renderables = KINDS.iter().filter(|known| known.category == Category::Renderable);
    kind.strip_prefix("util.").is_some_and(|name| renderables.into_iter().any(|known| known.name == name))
}

fn one(value: &Json) -> Result<LockUse, String> {
    let Some(object) = AnyObject::from_json(value) else {
        return Err(format!("expected a lock, lock:access(…), or a list of them, got {}", words(value)));
    };
    match object.kind.as_str() {
        "util.LockAccess" => {
            let params: LockAccessParams = read(&object)?;
            let (lock, counts) = declared(&params.lock)?;
            Ok(LockUse { lock, counts, mode: params.mode(), count: params.count(), at: params.lock.at })
        }
        _ => {
            let (lock, counts) = declared(&object)?;
            Ok(LockUse { lock, counts, mode: LockMode::Counting, count: 1, at: object.at })
        }
    }
}

/// Which lock an object declares, and how much of it.
pub(crate) fn declared(object: &AnyObject) -> Result<(LockId, LockCounts), String> {
    let (scope, name, counts) = match scope_of(&object.kind) {
        Some(LockScope::Master) => {
            let params: MasterLockParams = read(object)?;
            (LockScope::Master, params.name.clone(), params.counts())
        }
        Some(LockScope::Worker) => {
            let params: WorkerLockParams = read(object)?;
            (LockScope::Worker, params.name.clone(), params.counts())
        }
        None => return Err(format!("expected a lock, got a {}", object.kind)),
    };
    Ok((LockId { scope, name: name.into() }, counts))
}

fn read<T: DeserializeOwned>(object: &AnyObject) -> Result<T, String> {
    T::deserialize(&object.args).map_err(|error| format!("{} at {}: {error}", object.kind, object.at))
}

fn words(value: &Json) -> String {
    match value {
        Json::Object(_) if Callback::from_json(value).is_some() => "a function".into(),
        Json::Object(_) => "a table with names".into(),
        other => format!("{other:.60}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, args: Json) -> Json {
        json!({"$kind": kind, "$id": 1, "$at": "master.lua:3", "$args": args})
    }

    fn told(value: &Json) -> Vec<String> {
        let uses = uses(value).unwrap();
        uses.iter().map(|u| format!("{} {:?} {} of {}", u.lock, u.mode, u.count, u.counts.max)).collect()
    }

    #[test]
    fn row_05_057_a_bare_lock_counts_one_and_lists_may_nest() {
        let db = object("util.MasterLock", json!({"name": "db", "maxCount": 3}));
        let cpu = object("util.WorkerLock", json!({"name": "cpu"}));
        let access = object("util.LockAccess", json!({"lock": db, "mode": "counting", "count": 2}));
        let alone = object("util.LockAccess", json!({"lock": cpu, "mode": "exclusive"}));
        assert_eq!(told(&db), [r#"lock "db" Counting 1 of 3"#]);
        assert_eq!(
            told(&json!([[access, false], [[alone]]])),
            [r#"lock "db" Counting 2 of 3"#, r#"worker lock "cpu" Exclusive 1 of 1"#]
        );
        for nothing in [json!(null), json!([]), json!({}), json!([[], false])] {
            assert!(told(&nothing).is_empty());
        }
        assert_eq!(uses(&json!([db, access])).unwrap_err(), r#"lock "db" is named twice"#);
        assert!(uses(&json!(["db"])).unwrap_err().contains("expected a lock"));
        assert!(uses(&object("util.Property", json!({"key": "x"}))).unwrap_err().contains("a util.Property"));
    }

    #[test]
    fn row_05_062_what_is_computed_later_is_left_out_where_only_literals_count() {
        let db = object("util.MasterLock", json!({"name": "db"}));
        let later = object("util.Property", json!({"key": "x"}));
        let mixed = json!([db, later]);
        assert!(is_computed(&mixed) && !is_computed(&db));
        assert_eq!(literal_uses(&mixed).unwrap().len(), 1);
        let function = json!({"$fn": {"id": 1, "generation": 1, "fingerprint": "", "at": "master.lua:1"}});
        assert!(is_computed(&function) && literal_uses(&function).unwrap().is_empty());
    }

    #[test]
    fn row_05_056_a_worker_may_have_a_count_of_its_own() {
        let lock =
            object("util.WorkerLock", json!({"name": "l", "maxCount": 2, "maxCountForWorker": {"big": 8}}));
        let counts = uses(&lock).unwrap().remove(0).counts;
        assert_eq!(
            [counts.on(Some("big")), counts.on(Some("w")), counts.on(None), counts.most()],
            [8, 2, 2, 8]
        );
    }
}
