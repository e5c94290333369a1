//! Tables of plain data: built in one go, where each step by itself would have to be guarded against a lack of memory.

use crate::values::unbounded;
use lunabot_model::Json;
use mlua::ffi::{self, lua_State};
use mlua::{Lua, LuaSerdeExt, Table, Value};
use serde_json::Map;
use std::ffi::c_int;
use std::ptr::{null, null_mut};

/// Where the metatable of empty lists is on the stack.
const OF_EMPTY: c_int = 1;

/// Whether nothing in it stands for something else: no name begins with `$`.
pub(crate) fn is_plain(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.iter().all(is_plain),
        Json::Object(map) => map.iter().all(|field| is_plain_field(&field)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

fn is_plain_field((name, value): &(&String, &Json)) -> bool {
    !name.starts_with('$') && is_plain(value)
}

/// Plain data as Lua sees it.
pub(crate) fn plain_to_lua(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    let of_empty = lua.array_metatable();
    #[expect(unsafe_code, reason = "many steps that are guarded once")]
    // SAFETY: what is left is one value, in place of the argument. An error of Lua's jumps out of frames that own nothing.
    unsafe {
        lua.exec_raw(of_empty, |state| {
            push(state, json);
            ffi::lua_replace(state, OF_EMPTY);
        })
    }
}

/// A table of those fields that are plain, and the other fields.
pub(crate) fn plain_fields<'a>(
    lua: &Lua,
    map: &'a Map<String, Json>,
) -> mlua::Result<(Table, impl Iterator<Item = (&'a String, &'a Json)>)> {
    let of_empty = lua.array_metatable();
    #[expect(unsafe_code, reason = "many steps that are guarded once")]
    // SAFETY: as in `plain_to_lua`.
    let table = unsafe {
        lua.exec_raw(of_empty, |state| {
            push_table(state, map, |field| !field.1.is_null() && is_plain_field(field));
            ffi::lua_replace(state, OF_EMPTY);
        })?
    };
    Ok((table, map.iter().filter(|field| !is_plain_field(field))))
}

/// Pushes one value.
///
/// # Safety
/// Lua is called in protected mode, [`OF_EMPTY`] is where it says, and no frame until there owns anything.
#[expect(unsafe_code, reason = "see the module")]
unsafe fn push(state: *mut lua_State, json: &Json) {
    // SAFETY: there is room for each value, texts are copied, and tables are below what is entered into them.
    unsafe {
        ffi::luaL_checkstack(state, 3, null());
        match json {
            Json::Null => ffi::lua_pushnil(state),
            Json::Bool(flag) => ffi::lua_pushboolean(state, c_int::from(*flag)),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => ffi::lua_pushinteger(state, integer),
                None => ffi::lua_pushnumber(state, number.as_f64().map_or(f64::NAN, unbounded)),
            },
            Json::String(text) => push_text(state, text),
            Json::Array(items) => {
                ffi::lua_createtable(state, size(items.len()), 0);
                for (number, item) in (1..).zip(items) {
                    match item {
                        Json::Null => ffi::lua_pushlightuserdata(state, null_mut()),
                        item => push(state, item),
                    }
                    ffi::lua_rawseti(state, -2, number);
                }
                if items.is_empty() {
                    ffi::lua_pushvalue(state, OF_EMPTY);
                    ffi::lua_setmetatable(state, -2);
                }
            }
            Json::Object(map) => push_table(state, map, |(_, value)| !value.is_null()),
        }
    }
}

/// Pushes a table of those fields that `fits` picks.
///
/// # Safety
/// As of [`push`].
#[expect(unsafe_code, reason = "see the module")]
unsafe fn push_table(state: *mut lua_State, map: &Map<String, Json>, fits: fn(&(&String, &Json)) -> bool) {
    // SAFETY: the table is below what is entered into it.
    unsafe {
        ffi::luaL_checkstack(state, 3, null());
        ffi::lua_createtable(state, 0, size(map.iter().filter(fits).count()));
        for (name, value) in map.iter().filter(fits) {
            push_text(state, name);
            push(state, value);
            ffi::lua_rawset(state, -3);
        }
    }
}

/// # Safety
/// As of [`push`].
#[expect(unsafe_code, reason = "see the module")]
unsafe fn push_text(state: *mut lua_State, text: &str) {
    // SAFETY: the caller's, and the text is as long as it says.
    unsafe { ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len()) };
}

/// Room that a table has from the start; more is made where it is too little.
fn size(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(0)
}
