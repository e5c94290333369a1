//! Digests and Base64.

use crate::origin::raise;
use crate::state::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlua::{Lua, LuaString, Table};
use sha2::Digest as _;

type Digest = fn(&[u8]) -> String;

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    let digests: [(&str, Digest); 3] = [
        ("md5", |bytes| hex(&md5::Md5::digest(bytes))),
        ("sha1", |bytes| hex(&sha1::Sha1::digest(bytes))),
        ("sha256", |bytes| hex(&sha2::Sha256::digest(bytes))),
    ];
    for (name, digest) in digests {
        util.raw_set(name, lua.create_function(move |_, text: LuaString| Ok(digest(&text.as_bytes())))?)?;
    }
    let encode = lua.create_function(|_, text: LuaString| Ok(STANDARD.encode(text.as_bytes())))?;
    util.raw_set("base64_encode", encode)?;
    let decode = lua.create_function(|lua, text: LuaString| {
        let bytes: Vec<u8> = text.as_bytes().iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        let decoded = STANDARD.decode(bytes).map_err(|error| raise(lua, format!("not Base64: {error}")))?;
        lua.create_string(decoded)
    })?;
    util.raw_set("base64_decode", decode)
}
