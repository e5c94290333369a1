//! Waiting and doing several things at once: `util.gather`, `util.spawn`, `util.mutex`, `util.sleep`, and calls to
//! the master.

use crate::declared::Declared;
use crate::limits::{Limits, Part};
use crate::live::{Outside, args_to_json};
use crate::origin::raise;
use crate::state::Shared;
use crate::values::to_lua;
use futures::StreamExt;
use futures::future::{LocalBoxFuture, join_all};
use futures::stream::FuturesUnordered;
use lunabot_model::Json;
use mlua::{AnyUserData, Function, Lua, LuaString, MultiValue, Table, UserData, UserDataMethods, Value};
use std::cell::RefCell;
use std::future::Future;
use std::task::{Context, Poll, Waker};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Calls that `util.gather` starts at once.
const MAX_GATHER: usize = 10_000;

/// What runs at the same time on the interpreter's thread: callbacks and spawned tasks, each in turn.
///
/// Not a `LocalSet`: that one would run a task that yields to itself dozens of times before it looks for new calls.
#[derive(Default)]
pub(crate) struct Tasks {
    running: RefCell<FuturesUnordered<LocalBoxFuture<'static, ()>>>,
    /// Started while others are polled.
    new: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    waker: RefCell<Option<Waker>>,
}

impl Tasks {
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.new.borrow_mut().push(Box::pin(task));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Gives each task that is ready a turn. Never completes.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        loop {
            let mut running = self.running.borrow_mut();
            running.extend(self.new.take());
            if !matches!(running.poll_next_unpin(cx), Poll::Ready(Some(()))) {
                break;
            }
        }
        if !self.new.borrow().is_empty() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Drops all, so that nothing of the interpreter outlives it.
    pub fn clear(&self) {
        let running = std::mem::take(&mut *self.running.borrow_mut());
        drop(running);
        self.new.take();
    }
}

/// Enters the functions into the prelude.
pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("gather", lua.create_async_function(gather)?)?;
    crate::spawned::add(lua, host)?;
    crate::beside::add(lua, host)?;
    crate::subscriptions::add(lua, host)?;
    crate::watch::add(lua, host)?;
    host.raw_set("serve_for", lua.create_function(serve_for)?)?;
    host.raw_set("written_at", lua.create_function(|_, function| Ok(crate::lifted::written_at(&function)))?)?;
    host.raw_set("served", lua.create_function(served)?)?;
    for name in ["serve", "runCommand", "shell", "useLogDelayed", "addChange"] {
        host.raw_set(format!("plain_{name}"), crate::live::plain_method(lua, name)?)?;
    }
    host.raw_set(
        "mutex",
        lua.create_function(|lua, ()| lua.create_userdata(Mutex(std::sync::Arc::new(Semaphore::new(1)))))?,
    )?;
    host.raw_set("mutex_lock", lua.create_async_function(lock)?)?;
    host.raw_set("master", lua.create_async_function(master)?)?;
    host.raw_set("now", lua.create_function(|lua, ()| Ok(Shared::of(lua).options.clock.now().secs_f64()))?)?;
    host.raw_set(
        "message",
        lua.create_function(|lua, error: Value| match error {
            Value::Error(error) => match error.downcast_ref::<crate::helpers::http::Failed>() {
                Some(failed) => {
                    let make = Shared::of(lua).prelude("failed")?;
                    make.call((failed.kind, failed.message.as_str()))
                }
                None => Ok(Value::String(lua.create_string(crate::failure::message_of(&error))?)),
            },
            Value::String(text) => match crate::failure::without_place(&text.to_string_lossy()) {
                Some(message) => {
                    let at = crate::origin::origin(lua);
                    Ok(Value::String(lua.create_string(format!("{at}: {message}"))?))
                }
                None => Ok(Value::String(text)),
            },
            other => Ok(other),
        })?,
    )?;
    host.raw_set(
        "fail",
        lua.create_function(|lua, message: mlua::LuaString| -> mlua::Result<()> {
            let message = message.to_string_lossy();
            if Shared::of(lua).loading() {
                return Err(raise(lua, message));
            }
            Err(crate::failure::Marked::error(lunabot_model::ScriptErrorKind::Failed, message))
        })?,
    )?;
    host.raw_set("cannot_wait", crate::failure::CANNOT_WAIT)?;
    host.raw_set("log", lua.create_function(log)?)
}

/// All at once, results in order. The first error ends all.
async fn gather(lua: Lua, calls: Table) -> mlua::Result<Table> {
    let calls: Vec<Function> = calls.sequence_values().collect::<mlua::Result<_>>()?;
    if calls.len() > MAX_GATHER {
        return Err(raise(
            &lua,
            format!("util.gather takes at most {MAX_GATHER} items, got {}", calls.len()),
        ));
    }
    let limits = Limits::of(&lua)?;
    let part = |call: &Function| Part::new(call.call_async::<Value>(()), limits.clone());
    let results = join_all(calls.iter().map(part)).await;
    let list = lua.create_table_with_capacity(results.len(), 0)?;
    for (index, result) in results.into_iter().enumerate() {
        let value = match result? {
            Value::Nil => Value::NULL,
            value => value,
        };
        list.raw_set(index + 1, value)?;
    }
    Ok(list)
}

/// Keeps a function for requests that an object which acts serves, until that ends.
fn serve_for(_: &Lua, (this, path, call): (AnyUserData, String, Function)) -> mlua::Result<()> {
    this.borrow::<Declared>()?.served.borrow_mut().insert(path, call);
    Ok(())
}

/// The function for a path.
fn served(_: &Lua, (this, path): (AnyUserData, String)) -> mlua::Result<Option<Function>> {
    Ok(this.borrow::<Declared>()?.served.borrow().get(&path).cloned())
}

struct Mutex(std::sync::Arc<Semaphore>);
impl UserData for Mutex {}

/// Held until it is closed.
struct Held(Option<OwnedSemaphorePermit>);
impl UserData for Held {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method_mut(mlua::MetaMethod::Close, |_, this, _: MultiValue| {
            this.0 = None;
            Ok(())
        });
    }
}

async fn lock(lua: Lua, mutex: AnyUserData) -> mlua::Result<AnyUserData> {
    let semaphore = mutex.borrow::<Mutex>()?.0.clone();
    let permit = semaphore.acquire_owned().await.map_err(|error| raise(&lua, error))?;
    lua.create_userdata(Held(Some(permit)))
}

async fn master(lua: Lua, (op, args): (String, MultiValue)) -> mlua::Result<Value> {
    let shared = Shared::of(&lua);
    let Some(port) = shared.options.master.clone() else {
        return Err(raise(&lua, "no master runs here"));
    };
    let args = args_to_json(&lua, args)?;
    let answer = Outside::new(&shared, port.call(&op, args)).await;
    to_lua(&lua, &shared, &answer.map_err(|error| raise(&lua, error))?)
}

fn log(lua: &Lua, (level, message, fields): (String, LuaString, Value)) -> mlua::Result<()> {
    let fields = args_to_json(lua, MultiValue::from_iter([fields]))?.pop();
    let fields = fields.filter(Json::is_object).map_or(String::new(), |fields| format!(" {fields}"));
    let at = crate::origin::origin(lua).to_string();
    let text = format!("{}{fields}", message.to_string_lossy());
    let shared = Shared::of(lua);
    let text = shared.options.records.conceal(&text);
    match level.as_str() {
        "debug" => tracing::debug!(target: "lunabot::script", at, "{text}"),
        "warn" => tracing::warn!(target: "lunabot::script", at, "{text}"),
        "error" => tracing::error!(target: "lunabot::script", at, "{text}"),
        _ => tracing::info!(target: "lunabot::script", at, "{text}"),
    }
    Ok(())
}
