//! `master.mq.subscribe`: functions that the master calls for events.

use crate::live::{Outside, args_to_json, lent};
use crate::origin::raise;
use crate::state::Shared;
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::cell::RefCell;
use std::collections::HashMap;

/// Its number, and the scope that its function is kept for.
type Subscription = (u64, u64);

/// Those that end with an object that acts, by the id of its [`lunabot_model::script::Keep`].
#[derive(Default)]
pub(crate) struct Owned(RefCell<HashMap<u64, Vec<Subscription>>>);

impl Owned {
    fn remove(&self, owner: u64, number: u64) {
        let mut all = self.0.borrow_mut();
        if let Some(own) = all.get_mut(&owner) {
            own.retain(|(known, _)| *known != number);
            if own.is_empty() {
                all.remove(&owner);
            }
        }
    }
}

/// Enters the functions into the prelude.
pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("subscribe", lua.create_async_function(subscribe)?)?;
    host.raw_set("unsubscribe", lua.create_async_function(unsubscribe)?)
}

/// Has a function called for events until `owner` ends, or the generation; gives number and scope.
async fn subscribe(
    lua: Lua,
    (topic, call, owner): (Value, Function, Option<u64>),
) -> mlua::Result<Subscription> {
    let shared = Shared::of(&lua);
    let Some(port) = shared.options.master.clone() else {
        return Err(raise(&lua, "no master runs here"));
    };
    let mut args = args_to_json(&lua, MultiValue::from_iter([topic]))?;
    let scope = shared.new_scope();
    args.push(serde_json::json!(lent(&shared, &call, scope)?));
    args.push(owner.is_some().into());
    let answer = Outside::new(&shared, port.call("mq.subscribe", args)).await;
    let number =
        answer.and_then(|number| number.as_u64().ok_or_else(|| "the master has no number for it".into()));
    let number = number.map_err(|error| {
        shared.lifted.forget(scope);
        raise(&lua, error)
    })?;
    if let Some(owner) = owner {
        shared.subscriptions.0.borrow_mut().entry(owner).or_default().push((number, scope));
        if !shared.instances.acts(owner) {
            end(&shared, owner);
        }
    }
    Ok((number, scope))
}

async fn unsubscribe(lua: Lua, (number, scope, owner): (u64, u64, Option<u64>)) -> mlua::Result<()> {
    let shared = Shared::of(&lua);
    if let Some(owner) = owner {
        shared.subscriptions.remove(owner, number);
    }
    stop(&shared, number).await;
    shared.lifted.forget(scope);
    Ok(())
}

async fn stop(shared: &Shared, number: u64) {
    if let Some(port) = shared.options.master.clone() {
        // There is no way to fail.
        let _ = Outside::new(shared, port.call("mq.stop", vec![number.into()])).await;
    }
}

/// What an object that acted has subscribed to ends with it.
pub(crate) fn end(shared: &std::rc::Rc<Shared>, owner: u64) {
    let own = shared.subscriptions.0.borrow_mut().remove(&owner);
    for (number, scope) in own.into_iter().flatten() {
        shared.lifted.forget(scope);
        let of = shared.clone();
        shared.tasks.spawn(async move { stop(&of, number).await });
    }
}
