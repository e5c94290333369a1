//! Limits on what code of the configuration may compute (lua-api § 2; architecture: "Time limits have two tiers").
//!
//! A hook runs every [`INSTRUCTIONS`] instructions. The first tier yields after a slice, so that others run, and the
//! coroutine whose budget is used up is dropped without being resumed: `pcall` cannot catch that. The second tier is
//! for code that cannot yield (comparators of `table.sort`, callbacks of `string.gsub`): past the budget the hook
//! raises, and is armed anew for each instruction, so that catching the error only meets the next one.
//!
//! Few instructions may be much work where each calls a function of the host, or joins long texts. So the hook looks
//! at the time whenever it runs, and functions whose work may be long ask [`Limits::check`] (`prelude/heavy.lua`).

use crate::origin::Origin;
use lunabot_model::LiveObject;
use mlua::{AnyUserData, HookTriggers, Lua, Table, VmState};
use nix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Between two runs of the hook.
const INSTRUCTIONS: u32 = 1000;
/// After this the next callback gets its turn.
const SLICE: Duration = Duration::from_millis(1);
/// What code that cannot yield may take beyond its budget.
const GRACE: Duration = Duration::from_millis(20);

/// Bytes that are worth a look at the time.
pub(crate) const LONG: usize = 64 << 10;

/// So near to the end of its budget the place of a callback is noted: this may be its last turn.
const NEAR: Duration = Duration::from_millis(4);

/// A clock that is cheap to ask: by it is decided whether to look at the other.
fn wall_now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// CPU time of this thread. Not the wall: a busy machine must not fail a callback.
fn cpu_now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The begin of a slice, by both clocks.
#[derive(Clone, Copy)]
struct Since {
    cpu: Duration,
    wall: Duration,
}

/// The CPU time of one callback.
#[derive(Default)]
pub(crate) struct Meter {
    budget: Duration,
    /// Waiting gives the budget back (callbacks; not the file scope).
    per_wait: bool,
    used: Cell<Duration>,
    /// When the hook first ran in this slice.
    since: Cell<Option<Since>>,
    yielded: Cell<bool>,
    /// It is about to yield for a coroutine of the user that was interrupted.
    yielding: Cell<bool>,
    exceeded: Cell<bool>,
    /// The hook has raised: what runs within it cannot be interrupted.
    raised: Cell<bool>,
    last: RefCell<(Origin, String)>,
    /// What the callback has begun.
    kept: RefCell<Vec<Rc<dyn Kept>>>,
    /// The object that acts in it.
    actor: Option<AnyUserData>,
    /// What renders for it ([`LiveObject::renders`]).
    renders: Option<Arc<dyn LiveObject>>,
}

/// Something that goes on for as long as the callback that began it.
pub(crate) trait Kept {
    /// It need not be kept any more.
    fn is_over(&self) -> bool;
}

impl Meter {
    pub fn new(budget: Duration, per_wait: bool) -> Rc<Self> {
        Rc::new(Meter { budget, per_wait, ..Meter::default() })
    }

    /// Of a callback, which gets its budget back by waiting, and in which an object acts.
    pub fn acting(
        budget: Duration,
        actor: Option<AnyUserData>,
        renders: Option<Arc<dyn LiveObject>>,
    ) -> Rc<Self> {
        Rc::new(Meter { budget, per_wait: true, actor, renders, ..Meter::default() })
    }

    /// Where it was stopped, and the stack there.
    pub fn place(&self) -> (Origin, String) {
        self.last.borrow().clone()
    }

    /// What is told of a function (where it begins) that was stopped, and the stack there.
    pub fn exceeded(&self, function: &str) -> (String, String) {
        let (place, traceback) = self.place();
        let place = if place == Origin::default() { function.to_string() } else { place.to_string() };
        let seconds = self.budget.as_secs_f64();
        let text = format!("computed longer than {seconds} s without waiting (c.lua.callback_cpu_seconds)");
        let message = if place.is_empty() { text } else { format!("{place}: {text}") };
        (message, traceback)
    }

    fn left(&self) -> Duration {
        self.budget.saturating_sub(self.used.get())
    }
}

/// The meter of what runs now, and the hook that reads it.
#[derive(Default)]
pub(crate) struct Limits {
    current: RefCell<Option<Rc<Meter>>>,
    computing: Arc<AtomicUsize>,
}

impl Limits {
    /// Installs the hook. Must run before any other thread of the interpreter is made.
    pub fn install(lua: &Lua) -> mlua::Result<Rc<Self>> {
        let limits = Rc::new(Limits::default());
        let hook = limits.clone();
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
        lua.set_global_hook(triggers, move |lua, _| hook.tick(lua))?;
        Ok(limits)
    }

    /// Enters the questions into the prelude.
    pub fn add(self: &Rc<Self>, host: &Table, lua: &Lua) -> mlua::Result<()> {
        let (limits, interrupted) = (self.clone(), self.clone());
        host.raw_set("check", lua.create_function(move |lua, ()| limits.check(lua))?)?;
        let interrupted = move |_: &Lua, ()| {
            interrupted.interrupted();
            Ok(())
        };
        host.raw_set("interrupted", lua.create_function(interrupted)?)?;
        let limits = self.clone();
        let stopped = move |_: &Lua, ()| Ok(limits.current.borrow().as_ref().is_some_and(|m| m.raised.get()));
        host.raw_set("stopped", lua.create_function(stopped)?)
    }

    /// Those of this interpreter.
    pub fn of(lua: &Lua) -> mlua::Result<Rc<Limits>> {
        let limits =
            lua.app_data_ref::<Rc<Limits>>().ok_or_else(|| crate::origin::raise(lua, "no limits"))?;
        Ok(limits.clone())
    }

    /// How many functions were interrupted at their work so that others have their turn: those that wait do not count.
    pub fn computing(&self) -> Arc<AtomicUsize> {
        self.computing.clone()
    }

    /// The object that acts in the callback that runs now.
    pub fn actor(&self) -> Option<AnyUserData> {
        self.current.borrow().as_ref()?.actor.clone()
    }

    /// What renders for the callback that runs now.
    pub fn renders(&self) -> Option<Arc<dyn LiveObject>> {
        self.current.borrow().as_ref()?.renders.clone()
    }

    /// Keeps something until the callback that runs now has ended.
    pub fn keep(&self, something: Rc<dyn Kept>) {
        if let Some(meter) = &*self.current.borrow() {
            let mut kept = meter.kept.borrow_mut();
            kept.retain(|other| !other.is_over());
            kept.push(something);
        }
    }

    /// For a long computation in Rust that cannot yield: an error once the budget of what runs now is used up.
    pub fn check(&self, lua: &Lua) -> mlua::Result<()> {
        let Some(meter) = self.current.borrow().clone() else { return Ok(()) };
        if !meter.exceeded.get()
            && Self::elapsed(&meter).is_none_or(|elapsed| elapsed <= meter.left() + GRACE)
        {
            return Ok(());
        }
        if !meter.exceeded.replace(true) {
            let stack = lua.traceback(None, 0).map(|t| t.to_string_lossy()).unwrap_or_default();
            *meter.last.borrow_mut() = (crate::origin::origin(lua), stack);
        }
        Err(stop_for_good(lua, &meter))
    }

    /// A coroutine of the user was interrupted, and what runs it is about to yield for it: that is no wait.
    fn interrupted(&self) {
        if let Some(meter) = &*self.current.borrow() {
            meter.yielded.set(true);
            meter.yielding.set(true);
        }
    }

    /// CPU time of this slice. `None`: it has just begun.
    fn elapsed(meter: &Meter) -> Option<Duration> {
        let Some(since) = meter.since.get() else {
            meter.since.set(Some(Since { cpu: cpu_now(), wall: wall_now() }));
            return None;
        };
        if wall_now().saturating_sub(since.wall) <= SLICE {
            return None;
        }
        Some(cpu_now().saturating_sub(since.cpu))
    }

    /// The same before a piece of work on so many bytes: none for a small one.
    pub fn before(lua: &Lua, bytes: usize) -> mlua::Result<()> {
        if bytes < LONG {
            return Ok(());
        }
        Limits::of(lua)?.check(lua)
    }

    fn tick(&self, lua: &Lua) -> mlua::Result<VmState> {
        let Some(meter) = self.current.borrow().clone() else { return Ok(VmState::Continue) };
        if meter.exceeded.get() {
            return Err(stop_for_good(lua, &meter));
        }
        let Some(elapsed) = Self::elapsed(&meter).filter(|elapsed| *elapsed > SLICE) else {
            return Ok(VmState::Continue);
        };
        if elapsed + NEAR >= meter.left() {
            let stack = lua.traceback(None, 0).map(|t| t.to_string_lossy()).unwrap_or_default();
            *meter.last.borrow_mut() = (crate::origin::origin(lua), stack);
        }
        if elapsed > meter.left() + GRACE {
            meter.exceeded.set(true);
            return Err(stop_for_good(lua, &meter));
        }
        // Else it would yield twice for one interruption, and the second would look like a wait.
        if meter.yielding.replace(false) {
            return Ok(VmState::Continue);
        }
        meter.yielded.set(true);
        Ok(VmState::Yield)
    }
}

/// From now on each instruction of this thread raises.
fn stop_for_good(lua: &Lua, meter: &Meter) -> mlua::Error {
    meter.raised.set(true);
    let each = HookTriggers::new().every_nth_instruction(1);
    let _ = lua.set_hook(each, |_, _| Err(too_long()));
    too_long()
}

fn too_long() -> mlua::Error {
    mlua::Error::runtime("computes for too long")
}

/// A future of the interpreter that is metered at each poll. Ends early once the budget is used up.
pub(crate) struct Metered<F: Future> {
    inner: Option<Pin<Box<F>>>,
    meter: Rc<Meter>,
    limits: Rc<Limits>,
    /// It is among [`Limits::computing`].
    computes: bool,
}

impl<F: Future> Metered<F> {
    pub fn new(inner: F, meter: Rc<Meter>, limits: Rc<Limits>) -> Self {
        Metered { inner: Some(Box::pin(inner)), meter, limits, computes: false }
    }
}

impl<F: Future> Future for Metered<F> {
    /// `None`: it was stopped.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        let meter = this.meter.clone();
        meter.since.set(None);
        let before = meter.yielded.replace(false);
        meter.yielding.set(false);
        let outer = this.limits.current.replace(Some(meter.clone()));
        let polled = inner.as_mut().poll(cx);
        if polled.is_ready() {
            // What an error has left to be closed is closed now.
            this.inner = None;
        }
        this.limits.current.replace(outer);
        let elapsed = meter.since.get().map_or(Duration::ZERO, |since| cpu_now().saturating_sub(since.cpu));
        // After an interruption it is asked once more, and computes until then to whoever looks. The hook may have
        // interrupted it between asking what it waits for and yielding: then it has yielded now without asking, and what
        // has come meanwhile would wake nobody. And where the hook could not interrupt it, it may have gone on until it
        // waits.
        let interrupted = before || meter.yielded.get();
        this.count(polled.is_pending() && interrupted);
        if let Poll::Ready(result) = polled {
            return Poll::Ready((!meter.exceeded.get()).then_some(result));
        }
        let waits = meter.per_wait && !meter.yielded.get();
        let kept = if waits { Duration::ZERO } else { meter.used.get() + elapsed };
        meter.used.set(kept);
        if meter.left() > Duration::ZERO {
            if interrupted {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        meter.exceeded.set(true);
        this.end();
        Poll::Ready(None)
    }
}

impl<F: Future> Metered<F> {
    fn count(&mut self, computes: bool) {
        match (std::mem::replace(&mut self.computes, computes), computes) {
            (false, true) => drop(self.limits.computing.fetch_add(1, Ordering::SeqCst)),
            (true, false) => drop(self.limits.computing.fetch_sub(1, Ordering::SeqCst)),
            (true, true) | (false, false) => {}
        }
    }

    /// Drops the coroutine. Its to-be-closed variables run now: with the budget used up, each of their instructions
    /// raises.
    fn end(&mut self) {
        self.count(false);
        if self.inner.is_some() {
            self.meter.exceeded.set(true);
            let outer = self.limits.current.replace(Some(self.meter.clone()));
            self.inner = None;
            self.limits.current.replace(outer);
        }
    }
}

impl<F: Future> Drop for Metered<F> {
    fn drop(&mut self) {
        self.end();
    }
}

/// One of several coroutines that a function waits for at once, each with a waker of its own: it is asked once more after an
/// interruption, as [`Metered`] is.
pub(crate) struct Part<F: Future> {
    inner: Pin<Box<F>>,
    limits: Rc<Limits>,
    interrupted: bool,
}

impl<F: Future> Part<F> {
    pub fn new(inner: F, limits: Rc<Limits>) -> Self {
        Part { inner: Box::pin(inner), limits, interrupted: false }
    }
}

impl<F: Future> Future for Part<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let Some(meter) = this.limits.current.borrow().clone() else { return this.inner.as_mut().poll(cx) };
        let others = meter.yielded.replace(false);
        let polled = this.inner.as_mut().poll(cx);
        let interrupted = meter.yielded.replace(others || meter.yielded.get());
        if std::mem::replace(&mut this.interrupted, interrupted) || interrupted {
            cx.waker().wake_by_ref();
        }
        polled
    }
}
