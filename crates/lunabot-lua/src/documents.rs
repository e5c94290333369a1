//! Documents (`util.load_json` …): tables that remember the order in which their names were written.

use crate::state::Shared;
use lunabot_model::Json;
use mlua::{Lua, LuaSerdeExt, Table, Value};
use std::collections::HashMap;

/// In the registry: a table with weak keys, document → list of its names.
const ORDERS: &str = "lunabot.orders";

/// Makes the registry.
pub(crate) fn set_up(lua: &Lua) -> mlua::Result<Table> {
    let (orders, meta) = (lua.create_table()?, lua.create_table()?);
    meta.raw_set("__mode", "k")?;
    orders.set_metatable(Some(meta))?;
    lua.set_named_registry_value(ORDERS, &orders)?;
    Ok(orders)
}

/// The places of the names, for tables that came from a document.
pub(crate) fn order_of(lua: &Lua, table: &Table) -> Option<HashMap<String, usize>> {
    let orders: Table = lua.named_registry_value(ORDERS).ok()?;
    let Value::Table(names) = orders.raw_get(table).ok()? else { return None };
    let names = names.sequence_values::<String>().filter_map(Result::ok);
    Some(names.enumerate().map(|(index, name)| (name, index)).collect())
}

/// A document as Lua sees it.
pub(crate) fn to_lua(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    let orders: Table = lua.named_registry_value(ORDERS)?;
    ordered(lua, &Shared::of(lua), &orders, json)
}

fn ordered(lua: &Lua, shared: &Shared, orders: &Table, json: &Json) -> mlua::Result<Value> {
    match json {
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (index, item) in items.iter().enumerate() {
                let value = if item.is_null() { Value::NULL } else { ordered(lua, shared, orders, item)? };
                table.raw_set(index + 1, value)?;
            }
            if items.is_empty() {
                table.set_metatable(Some(lua.array_metatable()))?;
            }
            Ok(Value::Table(table))
        }
        Json::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (name, value) in map {
                table.raw_set(name.as_str(), ordered(lua, shared, orders, value)?)?;
            }
            orders.raw_set(&table, lua.create_sequence_from(map.keys().map(String::as_str))?)?;
            Ok(Value::Table(table))
        }
        plain => crate::values::to_lua(lua, shared, plain),
    }
}
