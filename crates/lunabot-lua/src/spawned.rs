//! Tasks of `util.spawn`.
//!
//! A task goes on for as long as the call that made it, and for as long as somebody has it; then it is given up. It does
//! not outlive the object in whose method it was made.

use crate::declared::Declared;
use crate::failure::{Marked, script_error};
use crate::limits::{Kept, Limits, Meter, Metered};
use crate::origin::origin_of;
use crate::state::Shared;
use futures::StreamExt;
use futures::future::{AbortHandle, Abortable};
use futures::stream::FuturesUnordered;
use lunabot_model::ScriptErrorKind;
use lunabot_model::script::CallSite;
use mlua::{AnyUserData, Function, Lua, MultiValue, Table, UserData};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::Notify;

/// What becomes of a task.
struct Ending {
    abort: AbortHandle,
    done: Notify,
    result: RefCell<Option<mlua::Result<MultiValue>>>,
    /// Somebody waits for it, or has called it off.
    seen: Cell<bool>,
    function: String,
    shared: Rc<Shared>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.abort.abort();
        match self.result.take() {
            Some(Err(error)) if !self.seen.get() => self.tell(&error),
            _ => {}
        }
    }
}

impl Ending {
    /// Keeps an error that nobody will ask for.
    fn tell(&self, error: &mlua::Error) {
        let site = CallSite::new("util.spawn", "a task that nobody waits for");
        let options = &self.shared.options;
        let error = script_error(error);
        let told = options.records.failed(&site, &error, &self.function, &*options.clock);
        tracing::error!("{} of {}: {}", site.callback, site.concerns, told.message);
    }

    async fn ended(&self) {
        let notified = self.done.notified();
        if self.result.borrow().is_none() {
            notified.await;
        }
    }
}

impl Kept for Ending {
    fn is_over(&self) -> bool {
        self.result.borrow().is_some()
    }
}

struct Task(Rc<Ending>);

impl UserData for Task {}

/// Enters the functions into the prelude.
pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("spawn", lua.create_function(spawn)?)?;
    host.raw_set("task_wait", lua.create_async_function(wait)?)?;
    host.raw_set("task_wait_any", lua.create_async_function(wait_any)?)?;
    host.raw_set("task_cancel", lua.create_function(cancel)?)
}

fn spawn(lua: &Lua, call: Function) -> mlua::Result<Task> {
    let limits = Limits::of(lua)?;
    let shared = Shared::of(lua);
    let (abort, registration) = AbortHandle::new_pair();
    let ending = Rc::new(Ending {
        abort,
        done: Notify::new(),
        result: RefCell::default(),
        seen: Cell::default(),
        function: origin_of(&call).to_string(),
        shared: shared.clone(),
    });
    let told = Rc::downgrade(&ending);
    let actor = limits.actor();
    let over = Rc::<Cell<bool>>::default();
    if let Some(actor) = &actor {
        // Whoever has it: it ends with what acts at the latest.
        let declared = actor.borrow::<Declared>()?;
        let mut tasks = declared.tasks.borrow_mut();
        tasks.retain(|(_, over)| !over.get());
        tasks.push((ending.abort.clone(), over.clone()));
    }
    let meter = Meter::acting(shared.cpu.get(), actor, limits.renders());
    let metered = Metered::new(call.call_async::<MultiValue>(()), meter.clone(), limits.clone());
    shared.tasks.spawn(async move {
        let ended = Abortable::new(metered, registration).await;
        over.set(true);
        let Some(ending) = told.upgrade() else { return };
        let result = match ended {
            Ok(Some(result)) => result,
            Ok(None) => Err(Marked::error(ScriptErrorKind::Cpu, meter.exceeded(&ending.function).0)),
            Err(_) => Err(mlua::Error::runtime("the task was cancelled")),
        };
        *ending.result.borrow_mut() = Some(result);
        ending.done.notify_waiters();
    });
    limits.keep(ending.clone());
    Ok(Task(ending))
}

fn cancel(_: &Lua, task: AnyUserData) -> mlua::Result<()> {
    let ending = task.borrow::<Task>()?.0.clone();
    ending.seen.set(true);
    ending.abort.abort();
    Ok(())
}

async fn wait(_: Lua, task: AnyUserData) -> mlua::Result<MultiValue> {
    let ending = task.borrow::<Task>()?.0.clone();
    ending.seen.set(true);
    ending.ended().await;
    let result = ending.result.borrow().clone();
    result.unwrap_or_else(|| Ok(MultiValue::new()))
}

/// The place of the first task of the list that has ended.
async fn wait_any(_: Lua, tasks: Vec<AnyUserData>) -> mlua::Result<usize> {
    let mut waiting = FuturesUnordered::new();
    for (index, task) in tasks.iter().enumerate() {
        let ending = task.borrow::<Task>()?.0.clone();
        waiting.push(async move {
            ending.ended().await;
            index + 1
        });
    }
    Ok(waiting.next().await.unwrap_or_default())
}
