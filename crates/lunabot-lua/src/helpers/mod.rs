//! The helpers of `util` that are written in Rust (lua-api § 2, "Helpers").

mod digests;
mod files;
mod git_url;
pub(crate) mod http;
mod process;
pub(crate) mod regexes;
mod text;
mod time;
mod xml;

use crate::cached::seconds_of;
use crate::convert::words;
use crate::origin::raise;
use crate::state::Shared;
use mlua::{FromLua, Lua, LuaSerdeExt, Table, Value};
use std::time::Duration;

/// The functions, by their names in `util`.
pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let util = lua.create_table()?;
    util.raw_set("list", lua.create_function(list)?)?;
    util.raw_set("sleep", lua.create_async_function(sleep)?)?;
    digests::add(lua, &util)?;
    files::add(lua, &util)?;
    git_url::add(lua, &util)?;
    process::add(lua, &util)?;
    regexes::add(lua, &util)?;
    text::add(lua, &util)?;
    time::add(lua, &util)?;
    xml::add(lua, &util)?;
    Ok(util)
}

/// An argument of one of our functions; the error says whose, what is wanted and what came.
fn arg<T: FromLua>(lua: &Lua, value: Value, takes: &str) -> mlua::Result<T> {
    let got = words(&value);
    T::from_lua(value, lua).map_err(|_| raise(lua, format!("{takes}, got {got}")))
}

/// `util.list{…}`: a list even where it is empty.
fn list(lua: &Lua, table: Value) -> mlua::Result<Table> {
    let table: Option<Table> = arg(lua, table, "util.list takes a list: util.list{a, b}")?;
    let copy = lua.create_table()?;
    for value in table.iter().flat_map(Table::sequence_values::<Value>) {
        copy.raw_push(value?)?;
    }
    copy.set_metatable(Some(lua.array_metatable()))?;
    Ok(copy)
}

async fn sleep(lua: Lua, seconds: Value) -> mlua::Result<()> {
    let seconds = seconds_of(&seconds).map_err(|error| raise(&lua, format!("util.sleep: {error}")))?;
    let length = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let sleep = Shared::of(&lua).options.clock.sleep(length);
    sleep.await;
    Ok(())
}
