//! The helpers of `util` that are written in Rust (lua-api § 2, "Helpers").

use crate::origin::raise;
use crate::state::Shared;
use mlua::{Lua, LuaSerdeExt, Table, Value};
use std::time::Duration;

/// The functions, by their names in `util`.
pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let util = lua.create_table()?;
    util.raw_set("list", lua.create_function(list)?)?;
    util.raw_set("parse_json", lua.create_function(parse_json)?)?;
    util.raw_set("load_json", lua.create_function(load_json)?)?;
    util.raw_set("sleep", lua.create_async_function(sleep)?)?;
    Ok(util)
}

/// `util.list{…}`: a list even where it is empty.
fn list(lua: &Lua, table: Option<Table>) -> mlua::Result<Table> {
    let copy = lua.create_table()?;
    for value in table.iter().flat_map(Table::sequence_values::<Value>) {
        copy.raw_push(value?)?;
    }
    copy.set_metatable(Some(lua.array_metatable()))?;
    Ok(copy)
}

async fn sleep(lua: Lua, seconds: f64) -> mlua::Result<()> {
    let length = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let sleep = Shared::of(&lua).options.clock.sleep(length);
    sleep.await;
    Ok(())
}

fn parse_json(lua: &Lua, text: mlua::LuaString) -> mlua::Result<Value> {
    let json = serde_json::from_slice(&text.as_bytes()).map_err(|error| raise(lua, error))?;
    crate::documents::to_lua(lua, &json)
}

fn load_json(lua: &Lua, name: String) -> mlua::Result<Value> {
    let bytes = Shared::of(lua).read_file(&name).map_err(|error| raise(lua, format!("{name}: {error}")))?;
    let json = serde_json::from_slice(&bytes).map_err(|e| raise(lua, format!("{name}:{}: {e}", e.line())))?;
    crate::documents::to_lua(lua, &json)
}
