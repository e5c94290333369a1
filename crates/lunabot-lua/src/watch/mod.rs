//! `util.watch(path, fn)`: a function is called when a file, or what lies in a folder, has changed.
//!
//! News of the system only make it look; what it calls the function for is what differs from its last look. So nothing is
//! missed where the system keeps silent (network file systems), and nothing is told twice.

mod look;

use crate::beside::{Work, begin, concerns};
use crate::declared::Declared;
use crate::limits::{Kept, Limits};
use crate::origin::raise;
use crate::state::Shared;
use futures::future::{AbortHandle, Abortable, Either, select};
use look::{Look, Watched};
use lunabot_model::script::CallSite;
use lunabot_model::{ScriptError, ScriptErrorKind};
use mlua::{AnyUserData, Function, Lua, Table, UserData};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// How long it must be quiet before it looks: a burst is one call.
const QUIET: Duration = Duration::from_millis(100);
/// Where it never is quiet, it looks after so long all the same.
const LONGEST: Duration = Duration::from_secs(2);
/// How often it looks although nothing was heard.
const RESCAN: Duration = Duration::from_secs(10);

/// Enters the functions into the prelude.
pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("watch", lua.create_async_function(watch)?)?;
    host.raw_set(
        "watch_stop",
        lua.create_function(|_, watch: AnyUserData| {
            watch.borrow::<Watch>()?.0.stop();
            Ok(())
        })?,
    )
}

/// How far it is.
struct Progress {
    abort: AbortHandle,
    stopped: Rc<Cell<bool>>,
    calling: Rc<Cell<bool>>,
}

impl Progress {
    /// No further call; one that has begun goes on.
    fn stop(&self) {
        if !self.stopped.replace(true) && !self.calling.get() {
            self.abort.abort();
        }
    }
}

/// What `util.watch` gives.
struct Watch(Rc<Progress>);

impl UserData for Watch {}

/// Keeps a watch for as long as the call that began it.
struct OfCall(Rc<Progress>);

impl Kept for OfCall {
    fn is_over(&self) -> bool {
        self.0.stopped.get() && !self.0.calling.get()
    }
}

impl Drop for OfCall {
    fn drop(&mut self) {
        self.0.abort.abort();
    }
}

/// From the moment that it returns, a change leads to a call.
async fn watch(lua: Lua, (path, call): (String, Function)) -> mlua::Result<AnyUserData> {
    let shared = Shared::of(&lua);
    if shared.loading() {
        let message = "util.watch: works in what runs (activate, startService …), not while the configuration is loaded";
        return Err(raise(&lua, message));
    }
    let limits = Limits::of(&lua)?;
    let actor = limits.actor();
    let whose = match &actor {
        Some(actor) => concerns(&*actor.borrow::<Declared>()?),
        None => format!("whoever watches {path}"),
    };
    let work = Work::at(&lua, actor.clone(), CallSite::new("watch", whose), call)?;
    let place = std::path::absolute(shared.root.join(&path)).map_err(|error| raise(&lua, error))?;
    let watched = Watched::new(place, path);
    let (watched, first) = look(watched).await;
    if let Err(fault) = first {
        return Err(raise(&lua, format!("util.watch: {fault}")));
    }
    let (stopped, calling) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let following = follow(watched, work, stopped.clone(), calling.clone());
    let progress = match actor {
        Some(actor) => {
            let abort = begin(&lua, &*actor.borrow::<Declared>()?, "util.watch", Rc::default(), following)?;
            Rc::new(Progress { abort, stopped, calling })
        }
        None => {
            let (abort, registration) = AbortHandle::new_pair();
            shared.tasks.spawn(async move {
                // Aborted: the call that began it has ended.
                let _ = Abortable::new(following, registration).await;
            });
            let progress = Rc::new(Progress { abort, stopped, calling });
            limits.keep(Rc::new(OfCall(progress.clone())));
            progress
        }
    };
    lua.create_userdata(Watch(progress))
}

/// Calls the function for what has changed, until it is stopped.
async fn follow(mut watched: Watched, work: Work, stopped: Rc<Cell<bool>>, calling: Rc<Cell<bool>>) {
    // What was last said about the place, so that it is not said every few seconds.
    let mut complaint = String::new();
    while !stopped.get() {
        settled(&watched, &work).await;
        let (back, found) = look(watched).await;
        watched = back;
        match found {
            Ok(changed) => {
                complaint.clear();
                if let Some(first) = changed.first().cloned() {
                    calling.set(true);
                    work.once((first, changed)).await;
                    calling.set(false);
                }
            }
            Err(fault) if fault == complaint => {}
            Err(fault) => {
                let message = format!("util.watch: {fault}");
                let kind = ScriptErrorKind::Raise;
                work.failed(&ScriptError { kind, message, traceback: String::new() }, "it looks again");
                complaint = fault;
            }
        }
    }
}

/// Waits until something was heard, and it is quiet again.
async fn settled(watched: &Watched, work: &Work) {
    let heard = watched.heard();
    let clock = work.clock();
    either(heard.notified(), clock.sleep(RESCAN)).await;
    let quiet = async { while either(heard.notified(), clock.sleep(QUIET)).await {} };
    either(quiet, clock.sleep(LONGEST)).await;
}

/// Waits for one of them; whether the first has come.
async fn either(first: impl Future<Output = ()>, second: impl Future<Output = ()>) -> bool {
    matches!(select(pin!(first), pin!(second)).await, Either::Left(_))
}

/// Looks on a thread where it may block.
async fn look(mut watched: Watched) -> (Watched, Look) {
    let name = watched.name().to_string();
    let looked = tokio::task::spawn_blocking(move || {
        let look = watched.look();
        (watched, look)
    });
    match looked.await {
        Ok(looked) => looked,
        // It does not panic.
        Err(error) => (Watched::new(name.clone().into(), name), Err(error.to_string())),
    }
}
