//! What runs beside an object that acts, and ends with it: `self:spawn`, `self:callLater`, and what `util.watch` calls.

use crate::declared::Declared;
use crate::failure::script_error;
use crate::limits::{Limits, Meter, Metered};
use crate::origin::{origin_of, raise};
use crate::profile::Spent;
use crate::serve::timed;
use crate::state::Shared;
use futures::future::{AbortHandle, Abortable, Either, select};
use lunabot_model::script::CallSite;
use lunabot_model::{Clock, ScriptError, ScriptErrorKind};
use mlua::{AnyUserData, Function, IntoLuaMulti, Lua, Table, UserData, Value};
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// Timers and tasks that one object has at the same time.
const MOST: usize = 10_000;
/// Before a task that failed runs again at first; twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// At most; one that ran for longer begins anew.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Enters the functions into the prelude.
pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("spawn_for", lua.create_function(spawn_for)?)?;
    host.raw_set("call_later", lua.create_function(call_later)?)?;
    host.raw_set(
        "timer_cancel",
        lua.create_function(|_, timer: AnyUserData| {
            timer.borrow::<Timer>()?.cancel();
            Ok(())
        })?,
    )?;
    host.raw_set(
        "timer_active",
        lua.create_function(|_, timer: AnyUserData| Ok(!timer.borrow::<Timer>()?.past.get()))?,
    )
}

/// What is called for an object that acts, and by whom.
pub(crate) struct Work {
    shared: Rc<Shared>,
    limits: Rc<Limits>,
    call: Function,
    site: CallSite,
    actor: Option<AnyUserData>,
}

impl Work {
    fn new(lua: &Lua, actor: &AnyUserData, name: &str, call: Function) -> mlua::Result<Work> {
        let site = CallSite::new(name, concerns(&*actor.borrow::<Declared>()?));
        Work::at(lua, Some(actor.clone()), site, call)
    }

    /// Of whatever site.
    pub fn at(lua: &Lua, actor: Option<AnyUserData>, site: CallSite, call: Function) -> mlua::Result<Work> {
        let limits = Limits::of(lua)?;
        Ok(Work { shared: Shared::of(lua), limits, call, site, actor })
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.shared.options.clock
    }

    /// Calls it once.
    async fn run(&self, args: impl IntoLuaMulti) -> Result<(), ScriptError> {
        let meter = Meter::acting(self.shared.cpu.get(), self.actor.clone(), None);
        let call = self.call.call_async::<Value>(args);
        match Metered::new(call, meter.clone(), self.limits.clone()).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(script_error(&error)),
            None => {
                let (message, traceback) = meter.exceeded(&origin_of(&self.call).to_string());
                Err(ScriptError { kind: ScriptErrorKind::Cpu, message, traceback })
            }
        }
    }

    /// The same within the time that callbacks have.
    async fn run_in_time(&self, args: impl IntoLuaMulti) -> Result<(), ScriptError> {
        let limit = self.shared.deadline.get();
        let run = std::pin::pin!(self.run(args));
        match select(run, self.clock().sleep(limit)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Err(ScriptError {
                kind: ScriptErrorKind::Deadline,
                message: format!(
                    "{}: did not end within {} s (c.lua.callback_timeout)",
                    origin_of(&self.call),
                    limit.as_secs_f64()
                ),
                traceback: String::new(),
            }),
        }
    }

    /// Calls it within its time. How it went is counted, an error told.
    pub async fn once(&self, args: impl IntoLuaMulti) {
        let started = self.clock().mono();
        let (ended, busy) = timed(self.clock(), self.run_in_time(args)).await;
        let spent = Spent { total: self.clock().mono() - started, busy, failed: ended.is_err() };
        let at = origin_of(&self.call).to_string();
        self.shared.options.records.called(&self.site, &at, [spent], self.clock());
        if let Err(error) = ended {
            self.failed(&error, "that call is dropped");
        }
    }

    /// Keeps an error, and tells it with what becomes of it.
    pub fn failed(&self, error: &ScriptError, outcome: &str) {
        let at = origin_of(&self.call).to_string();
        let told = self.shared.options.records.failed(&self.site, error, &at, self.clock()).message;
        let CallSite { callback, concerns, .. } = &self.site;
        tracing::error!("{callback} of {concerns}: {told}; {outcome}");
    }
}

/// `service watcher`, for messages.
pub(crate) fn concerns(declared: &Declared) -> String {
    let live = declared.live.borrow();
    let named = live.as_ref().and_then(|live| Some((live.class, live.fields.get("name")?.as_str()?)));
    match named {
        Some((class @ ("service" | "scheduler"), name)) => format!("{class} {name}"),
        Some(("changesource", name)) => format!("change source {name}"),
        _ => declared.class.path(),
    }
}

/// Has work go on until it ends by itself, or its object does.
pub(crate) fn begin(
    lua: &Lua,
    declared: &Declared,
    what: &str,
    over: Rc<Cell<bool>>,
    work: impl Future<Output = ()> + 'static,
) -> mlua::Result<AbortHandle> {
    if declared.live.borrow().is_none() {
        return Err(raise(lua, format!("{what} works while it runs, not before")));
    }
    if declared.over.get() {
        return Err(raise(lua, format!("{what}: {} has ended", concerns(declared))));
    }
    let mut tasks = declared.tasks.borrow_mut();
    tasks.retain(|(_, over)| !over.get());
    if tasks.len() >= MOST {
        return Err(raise(
            lua,
            format!("{what}: {} has {MOST} tasks and timers already", concerns(declared)),
        ));
    }
    let (abort, registration) = AbortHandle::new_pair();
    tasks.push((abort.clone(), over.clone()));
    Shared::of(lua).tasks.spawn(async move {
        // Aborted: its object has ended, or the timer was cancelled.
        let _ = Abortable::new(work, registration).await;
        over.set(true);
    });
    Ok(abort)
}

/// Runs a function for an object that acts, until that ends; again and again after errors.
fn spawn_for(lua: &Lua, (this, call): (AnyUserData, Function)) -> mlua::Result<()> {
    let work = Work::new(lua, &this, "spawn", call)?;
    let work = async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = work.clock().mono();
            let Err(error) = work.run(()).await else { return };
            work.failed(&error, &format!("it runs again in {} s", pause.as_secs()));
            if work.clock().mono() - started > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            work.clock().sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    begin(lua, &*this.borrow::<Declared>()?, "spawn", Rc::default(), work).map(drop)
}

/// What `self:callLater` gives.
struct Timer {
    abort: AbortHandle,
    /// Its function is called, or will never be.
    past: Rc<Cell<bool>>,
}

impl UserData for Timer {}

impl Timer {
    /// What has begun goes on.
    fn cancel(&self) {
        if !self.past.replace(true) {
            self.abort.abort();
        }
    }
}

/// Calls a function once, after some seconds, if its object acts then.
fn call_later(lua: &Lua, (this, seconds, call): (AnyUserData, f64, Function)) -> mlua::Result<AnyUserData> {
    let Ok(wait) = Duration::try_from_secs_f64(seconds) else {
        return Err(raise(lua, format!("callLater: {seconds} is no number of seconds to wait")));
    };
    let work = Work::new(lua, &this, "callLater", call)?;
    let past = Rc::new(Cell::new(false));
    let begun = past.clone();
    let work = async move {
        work.clock().sleep(wait).await;
        begun.set(true);
        work.once(()).await;
    };
    let abort = begin(lua, &*this.borrow::<Declared>()?, "callLater", Rc::default(), work)?;
    lua.create_userdata(Timer { abort, past })
}
