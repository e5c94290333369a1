//! Plug-ins: modules on the `require` path that are found as names of the package, and the versions that classes ask for
//! (lua-api § 4).

use crate::modules::Placeholder;
use crate::origin::{origin, raise};
use crate::script_errors::record_raised;
use crate::state::Shared;
use crate::vm::find;
use mlua::{AnyUserData, Lua, Table, Value};
use semver::{Version, VersionReq};
use std::path::PathBuf;

/// The module that is `path` (`steps.Framboozle`) where there is a plug-in of that name, and its file.
pub(crate) fn plugin(shared: &Shared, path: &str) -> Option<(String, PathBuf)> {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !path.split('.').all(plain) {
        return None;
    }
    let module = format!("lunabot_plugins.{path}");
    let file = find(shared, &module).ok()?;
    Some((module, file))
}

/// Records what is wrong with a plug-in, at its place where it has one: the file goes on without it. Later it is raised.
pub(crate) fn failed(lua: &Lua, message: String) -> mlua::Result<AnyUserData> {
    let shared = Shared::of(lua);
    if !shared.loading() {
        return Err(raise(lua, message));
    }
    record_raised(&shared, &origin(lua), message);
    lua.create_userdata(Placeholder)
}

/// Records that a class asks for another version of this program, in `requires`.
pub(crate) fn check_version(lua: &Lua, shared: &Shared, class: &str, fields: &Table) -> mlua::Result<()> {
    let wanted = match fields.raw_get::<Value>("requires")? {
        Value::Nil => return Ok(()),
        Value::String(wanted) => wanted.to_string_lossy(),
        other => {
            let told = format!("requires: expected a text such as \">=1.2\", got {}", other.type_name());
            return shared.complain(lua, class, told);
        }
    };
    let told = match (VersionReq::parse(&wanted), Version::parse(&shared.options.version)) {
        (Err(error), _) => {
            format!("requires: \"{wanted}\" is no range of versions such as \">=1.2\": {error}")
        }
        (Ok(range), Ok(version)) if !range.matches(&version) => {
            format!("requires Lunabot {wanted}, this is {version}")
        }
        _ => return Ok(()),
    };
    shared.complain(lua, class, told)
}
