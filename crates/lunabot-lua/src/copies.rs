//! `X:with{…}` of objects of extended classes: they are made again of what was written, with the changes in it.

use crate::class::Class;
use crate::construct::{Written, named};
use crate::declared::Declared;
use crate::extend;
use crate::origin::{origin, raise};
use crate::state::Shared;
use lunabot_model::{Category, Json};
use mlua::{AnyUserData, Lua, Table, Value};
use serde_json::Map;
use std::rc::Rc;

/// What an object was made of, and came to.
pub(crate) struct Given {
    written: Written,
    /// Its fields when it was ready.
    fields: Table,
    /// Of a factory, which may change since: its options then.
    args: Map<String, Json>,
}

/// Remembers what a new object was made of.
pub(crate) fn remember(lua: &Lua, object: &AnyUserData, written: Written) -> mlua::Result<()> {
    let declared = object.borrow::<Declared>()?;
    let fields = lua.create_table()?;
    for pair in declared.fields.iter().flat_map(Table::pairs::<Value, Value>) {
        let (name, value) = pair?;
        fields.raw_set(name, value)?;
    }
    let factory = declared.kind.category == Category::Factory;
    let args = if factory { declared.args.borrow().clone() } else { Map::new() };
    declared.given.replace(Some(Rc::new(Given { written, fields, args })));
    Ok(())
}

/// The changed copy. What the object was given since it was made goes along.
pub(crate) fn changed(
    lua: &Lua,
    shared: &Shared,
    old: &Declared,
    mut changes: Written,
) -> mlua::Result<AnyUserData> {
    let given = old.given.borrow().clone();
    let Some(given) = given else {
        return Err(raise(
            lua,
            format!("{}: is not made yet, so that there is no copy of it", old.class.path()),
        ));
    };
    let at = origin(lua);
    let own = old.class.extended.as_ref().filter(|own| own.of_one);
    let anew = changes.named.iter().any(|(name, _)| name == "observers");
    let base = own.filter(|_| anew).map_or(&old.class, |own| &own.parent);
    let class = extend::observed(lua, shared, base, &mut changes, &at)?;
    let mut names: Vec<String> = changes.named.iter().map(|(name, _)| name.clone()).collect();
    let positions = old.class.kind.positional.iter().take(changes.positional.len());
    names.extend(positions.map(|name| (*name).to_string()));
    let written = merged(lua, shared, &old.class, given.written.clone(), changes)
        .map_err(|message| raise(lua, message))?;
    let copy = extend::construct(lua, shared, class.as_ref().unwrap_or(&old.class), written, at)?;
    {
        let new = copy.borrow::<Declared>()?;
        keep_fields(old, &given, &new, &names)?;
        keep_args(old, &given, &new, &names);
    }
    Ok(copy)
}

/// What was written, with the changes in its place. A class with `init` sees positions as they were written.
fn merged(
    lua: &Lua,
    shared: &Shared,
    class: &Class,
    old: Written,
    changes: Written,
) -> Result<Written, String> {
    let own = class.field("init").is_ok_and(|init| init.is_function());
    let fields = shared.fields(class.kind);
    let of = |written: Written| match own {
        true => Ok(written),
        false => {
            let named = named(lua, class.kind, &fields, written)?;
            Ok::<_, String>(Written { positional: Vec::new(), named })
        }
    };
    let (mut all, changes) = (of(old)?, of(changes)?);
    all.named.retain(|(name, _)| !changes.named.iter().any(|(new, _)| new == name));
    all.named.extend(changes.named);
    for (place, value) in changes.positional.into_iter().enumerate() {
        match all.positional.get_mut(place) {
            Some(old) => *old = value,
            None => all.positional.push(value),
        }
    }
    Ok(all)
}

fn keep_fields(old: &Declared, given: &Given, new: &Declared, changed: &[String]) -> mlua::Result<()> {
    let (Some(from), Some(to)) = (&old.fields, &new.fields) else { return Ok(()) };
    for pair in from.pairs::<Value, Value>() {
        let (name, value) = pair?;
        let anew = name.as_string().is_some_and(|name| changed.contains(&name.to_string_lossy()));
        if !anew && given.fields.raw_get::<Value>(name.clone())? != value {
            to.raw_set(name, value)?;
        }
    }
    Ok(())
}

/// Options of a factory that were assigned, and steps that were added to it.
fn keep_args(old: &Declared, given: &Given, new: &Declared, changed: &[String]) {
    if old.kind.category != Category::Factory {
        return;
    }
    let mut args = new.args.borrow_mut();
    for (name, value) in &*old.args.borrow() {
        let before = given.args.get(name);
        match (args.get_mut(name), value, before) {
            _ if before == Some(value) || changed.contains(name) => {}
            (Some(Json::Array(all)), Json::Array(now), Some(Json::Array(then))) if now.starts_with(then) => {
                all.extend_from_slice(&now[then.len()..]);
            }
            _ => {
                args.insert(name.clone(), value.clone());
            }
        }
    }
}
