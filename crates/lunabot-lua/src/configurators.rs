//! `c.configurators`: objects that add to the configuration once the file has returned it (01.003, 01.025).

use crate::class::ClassRef;
use crate::construct::construct;
use crate::declared::Declared;
use crate::failure::message_of;
use crate::origin::origin_of;
use crate::script_errors::place_of;
use crate::state::Shared;
use mlua::{AnyUserData, Function, Lua, MultiValue, Table, Value};

/// The kind that classes of configurators extend.
pub(crate) const KIND: &str = "util.Configurator";
const KEY: &str = "configurators";
/// Lists in lists that are followed.
const MAX_NESTED: usize = 16;

/// Calls `configure(self, c)` of each, in order, also of those that one of them adds.
///
/// # Errors
/// What the first of them raised, with its place, and whose it is.
pub(crate) async fn run(lua: &Lua, shared: &Shared, config: &Table) -> mlua::Result<()> {
    match config.raw_get::<Value>(KEY)? {
        Value::Table(list) => run_list(lua, shared, config, list).await,
        one => match object(lua, shared, &one)? {
            Some(object) => {
                config.raw_set(KEY, &object)?;
                configure(shared, config, &object).await
            }
            None => Ok(()),
        },
    }
}

async fn run_list(lua: &Lua, shared: &Shared, config: &Table, list: Table) -> mlua::Result<()> {
    // Lists that are open, and how far each is.
    let mut open = vec![(list, 0)];
    while let Some((list, place)) = open.last_mut() {
        *place += 1;
        let (list, place) = (list.clone(), *place);
        match list.raw_get::<Value>(place)? {
            Value::Nil => {
                open.pop();
            }
            Value::Table(inner) if open.len() < MAX_NESTED => open.push((inner, 0)),
            item => {
                if let Some(object) = object(lua, shared, &item)? {
                    list.raw_set(place, &object)?;
                    configure(shared, config, &object).await?;
                }
            }
        }
    }
    Ok(())
}

/// The object of a class of configurators that a value is; of a class, one is made. What else may be there is judged later.
fn object(lua: &Lua, shared: &Shared, value: &Value) -> mlua::Result<Option<AnyUserData>> {
    let Some(found) = value.as_userdata() else { return Ok(None) };
    if let Ok(class) = found.borrow::<ClassRef>() {
        let ours = class.0.kind.path() == KIND && class.0.extended.is_some();
        return ours.then(|| construct(lua, shared, &class.0, MultiValue::new())).transpose();
    }
    let ours = found.borrow::<Declared>().is_ok_and(|object| object.kind.path() == KIND);
    Ok(ours.then(|| found.clone()))
}

async fn configure(shared: &Shared, config: &Table, object: &AnyUserData) -> mlua::Result<()> {
    let (method, class) = {
        let declared = object.borrow::<Declared>()?;
        // What follows from a mistake that is told already is not told.
        let broken = shared.broken.borrow().contains(&declared.at.to_string());
        let method = if broken { Value::Nil } else { declared.class.field("configure")? };
        (method, declared.class.path())
    };
    let Value::Function(method) = method else { return Ok(()) };
    let called = method.call_async::<MultiValue>((object, config)).await;
    called.map(drop).map_err(|error| mlua::Error::RuntimeError(told(&message_of(&error), &method, &class)))
}

/// `master.lua:12: configure of Mine: message`.
fn told(message: &str, method: &Function, class: &str) -> String {
    match place_of(message) {
        Some((file, Some(line))) => {
            let text = message.splitn(3, ':').nth(2).unwrap_or_default().trim_start();
            format!("{file}:{line}: configure of {class}: {text}")
        }
        _ => format!("{}: configure of {class}: {message}", origin_of(method)),
    }
}
