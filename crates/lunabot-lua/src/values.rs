//! JSON to Lua values.

use crate::declared::Declared;
use crate::plain::{is_plain, plain_fields, plain_to_lua};
use crate::state::Shared;
use lunabot_model::script::{Inert, Local};
use lunabot_model::{Json, LiveObject};
use mlua::{Lua, Value};
use serde_json::Map;
use std::sync::Arc;

/// JSON as Lua sees it: `null` is absent in a table and `util.null` in a list.
pub(crate) fn to_lua(lua: &Lua, shared: &Shared, json: &Json) -> mlua::Result<Value> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Number(number.as_f64().map_or(f64::NAN, unbounded)),
        },
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(_) | Json::Object(_) if is_plain(json) => plain_to_lua(lua, json)?,
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (index, item) in items.iter().enumerate() {
                let value = if item.is_null() { Value::NULL } else { to_lua(lua, shared, item)? };
                table.raw_set(index + 1, value)?;
            }
            Value::Table(table)
        }
        Json::Object(map) => object_to_lua(lua, shared, map)?,
    })
}

/// Methods without arguments whose answers are known.
fn add_answers(lua: &Lua, shared: &Shared, table: &mlua::Table, answers: &Json) -> mlua::Result<()> {
    for (name, answer) in answers.as_object().into_iter().flatten() {
        let answer = to_lua(lua, shared, answer)?;
        table
            .raw_set(name.as_str(), lua.create_function(move |_, _: mlua::MultiValue| Ok(answer.clone()))?)?;
    }
    Ok(())
}

/// JSON has no infinity: the largest number stands for it.
pub(crate) fn unbounded(number: f64) -> f64 {
    if number.abs() == f64::MAX { f64::INFINITY.copysign(number) } else { number }
}

fn object_to_lua(lua: &Lua, shared: &Shared, map: &Map<String, Json>) -> mlua::Result<Value> {
    if map.contains_key("$kind") {
        return Declared::from_json(lua, shared, map);
    }
    if let Some(properties) = map.get("$properties") {
        let live: Arc<dyn LiveObject> =
            if map.contains_key("$local") { Arc::new(Local) } else { Arc::new(Inert) };
        return crate::props::properties_to_lua(lua, properties, live);
    }
    if let Some(id) = map.get("$fn").and_then(|f| f.get("id")).and_then(Json::as_u64) {
        return Ok(shared.lifted.get(id).map_or(Value::Nil, |lifted| Value::Function(lifted.function)));
    }
    let (table, others) = plain_fields(lua, map)?;
    let mut row = None;
    for (name, value) in others {
        match name.as_str() {
            "$answers" => add_answers(lua, shared, &table, value)?,
            "$row" if shared.options.test_file.is_some() => row = Some(value),
            name => table.raw_set(name, to_lua(lua, shared, value)?)?,
        }
    }
    if let Some(row) = row {
        shared.prelude("strict_row")?.call::<()>((&table, to_lua(lua, shared, row)?))?;
    }
    Ok(Value::Table(table))
}
