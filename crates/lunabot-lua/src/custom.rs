//! Tables with a method `render`, wherever a renderable may stand (04.036).

use crate::class::Class;
use crate::construct::Options;
use crate::convert::callback_json;
use crate::declared::Declared;
use crate::origin::origin;
use crate::state::Shared;
use mlua::{AnyUserData, Function, Lua, Table, Value};
use serde_json::Map;

/// Of its own, so that a fingerprint follows the object and its method.
const BIND: &str = "local object, method = ... return function(...) return method(object, ...) end";

/// The table as a `util.renderer` that calls `object:render(props)`; `None` if it has no such method.
pub(crate) fn renderable(lua: &Lua, shared: &Shared, table: &Table) -> Option<mlua::Result<AnyUserData>> {
    let own = table.raw_get::<Value>("render").unwrap_or(Value::Nil);
    let method = match own {
        Value::Nil if table.metatable().is_some() => table.get::<Value>("render").unwrap_or(Value::Nil),
        own => own,
    };
    let Value::Function(method) = method else { return None };
    Some(bound(lua, shared, table, &method))
}

fn bound(lua: &Lua, shared: &Shared, table: &Table, method: &Function) -> mlua::Result<AnyUserData> {
    let kind =
        shared.kind("util.renderer").ok_or_else(|| mlua::Error::runtime("util.renderer is not known"))?;
    let function: Function = lua.load(BIND).set_name("=lunabot:render").call((table, method))?;
    let function = callback_json(shared, shared.lifted.lift_bound(&function, method));
    let args = Map::from_iter([("fn".to_string(), function)]);
    let options = Options { args, problems: Vec::new(), poisoned: false };
    Declared::make(lua, shared, &Class::of(shared, kind), origin(lua), options)
}
