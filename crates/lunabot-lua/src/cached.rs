//! `util.cached`: results that outlive a reload (lua-api § 1).

use crate::convert::{Reader, words};
use crate::documents;
use crate::origin::raise;
use crate::shape::Shape;
use crate::state::Shared;
use lunabot_model::object::Duration;
use lunabot_model::{Json, Mono};
use mlua::{Lua, Table, Value};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Keys that are kept; past it the oldest goes.
const MAX_KEYS: usize = 1000;
/// Longest result, as JSON.
const MAX_RESULT: usize = 16 << 20;

/// What `util.cached` keeps, for all generations of one master.
#[derive(Debug, Default)]
pub struct Kept(Mutex<HashMap<String, (Mono, Json)>>);

impl Kept {
    fn get(&self, key: &str) -> Option<(Mono, Json)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: String, at: Mono, value: Json) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_KEYS && !all.contains_key(&key) {
            let oldest = all.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.map(|key| all.remove(&key));
        }
        all.insert(key, (at, value));
    }
}

/// Enters the functions into the prelude.
pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("kept", lua.create_function(kept)?)?;
    host.raw_set("keep", lua.create_function(keep)?)?;
    host.raw_set("seconds", lua.create_function(seconds)?)
}

/// The age in seconds and the value, if there is one.
fn kept(lua: &Lua, key: String) -> mlua::Result<(Option<f64>, Value)> {
    let shared = Shared::of(lua);
    match shared.options.kept.get(&key) {
        Some((at, value)) => {
            let age = shared.options.clock.mono() - at;
            Ok((Some(age.as_secs_f64()), documents::to_lua(lua, &value)?))
        }
        None => Ok((None, Value::Nil)),
    }
}

fn keep(lua: &Lua, (key, value): (String, Value)) -> mlua::Result<Value> {
    let shared = Shared::of(lua);
    let mut reader = Reader::new(lua, &shared);
    let json = reader.option("result", &value, &Shape::ANY).unwrap_or(Json::Null);
    let problem = reader.problems.first().map(|problem| format!("{}: {}", problem.path, problem.message));
    let too_long = || json.to_string().len() > MAX_RESULT;
    if let Some(problem) = problem.or_else(|| too_long().then(|| format!("longer than {MAX_RESULT} bytes"))) {
        return Err(raise(lua, format!("util.cached: {key}: {problem}")));
    }
    let answer = documents::to_lua(lua, &json)?;
    shared.options.kept.put(key, shared.options.clock.mono(), json);
    Ok(answer)
}

/// A length of time as the user writes it, in seconds.
fn seconds(lua: &Lua, value: Value) -> mlua::Result<f64> {
    seconds_of(&value).map_err(|error| raise(lua, error))
}

/// The same; the error is in words.
pub(crate) fn seconds_of(value: &Value) -> Result<f64, String> {
    match value {
        Value::Integer(n) => Ok(*n as f64),
        Value::Number(n) => Ok(*n),
        Value::String(text) => {
            let length = Duration::parse(&text.to_string_lossy()).map_err(|error| error.to_string());
            length.map(Duration::secs)
        }
        other => Err(format!("expected seconds or a text such as \"1h 30m\", got {}", words(other))),
    }
}
