//! Digests and Base64.

use super::arg;
use crate::limits::{LONG, Limits};
use crate::origin::raise;
use crate::state::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlua::{Lua, LuaString, Table, Value};
use sha2::Digest;

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set("md5", lua.create_function(|lua, text| digest::<md5::Md5>(lua, "md5", text))?)?;
    util.raw_set("sha1", lua.create_function(|lua, text| digest::<sha1::Sha1>(lua, "sha1", text))?)?;
    util.raw_set("sha256", lua.create_function(|lua, text| digest::<sha2::Sha256>(lua, "sha256", text))?)?;
    let encode = lua.create_function(|lua, text: Value| {
        let text = bytes(lua, "base64_encode", text)?;
        Limits::before(lua, text.as_bytes().len())?;
        Ok(STANDARD.encode(text.as_bytes()))
    })?;
    util.raw_set("base64_encode", encode)?;
    let decode = lua.create_function(|lua, text: Value| {
        let text = bytes(lua, "base64_decode", text)?;
        Limits::before(lua, text.as_bytes().len())?;
        let bytes: Vec<u8> = text.as_bytes().iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        let decoded = STANDARD.decode(bytes).map_err(|error| raise(lua, format!("not Base64: {error}")))?;
        lua.create_string(decoded)
    })?;
    util.raw_set("base64_decode", decode)
}

fn bytes(lua: &Lua, of: &str, text: Value) -> mlua::Result<LuaString> {
    arg(lua, text, &format!("util.{of} takes a text"))
}

fn digest<D: Digest>(lua: &Lua, of: &str, text: Value) -> mlua::Result<String> {
    let text = bytes(lua, of, text)?;
    let mut digest = D::new();
    for piece in text.as_bytes().chunks(LONG) {
        Limits::before(lua, piece.len())?;
        digest.update(piece);
    }
    Ok(hex(&digest.finalize()))
}
