//! Calls of callbacks, on the interpreter's thread.

use crate::convert::Reader;
use crate::failure::script_error;
use crate::limits::{Meter, Metered};
use crate::live::arg_to_lua;
use crate::origin::Origin;
use crate::shape::Shape;
use crate::vm::Vm;
use lunabot_model::config::LuaLimits;
use lunabot_model::{Arg, Json, Mono, ScriptError, ScriptErrorKind};
use mlua::MultiValue;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Callbacks that run at the same time; further ones wait in the queue.
const MAX_RUNNING: usize = 4096;
/// A callback that exceeded its limits this often in a row is suspended.
const STRIKES: u32 = 3;
/// For how long at first; twice as long each further time.
const SUSPENSION: Duration = Duration::from_secs(30);
/// At most for how long.
const MAX_SUSPENSION: Duration = Duration::from_secs(900);

/// One call.
pub(crate) struct Job {
    /// The id of the callback.
    pub id: u64,
    pub args: Vec<Arg>,
    pub reply: oneshot::Sender<Result<Json, ScriptError>>,
}

/// How often a callback exceeded its limits in a row, and until when it is not called.
#[derive(Default, Clone, Copy)]
struct Strikes {
    count: u32,
    until: Option<Mono>,
}

struct Server {
    vm: Vm,
    limits: LuaLimits,
    strikes: RefCell<HashMap<u64, Strikes>>,
}

/// Serves calls until nobody can send any more.
pub(crate) async fn serve(vm: Vm, limits: LuaLimits, mut jobs: mpsc::Receiver<Job>) {
    let shared = vm.shared.clone();
    let server = Rc::new(Server { vm, limits, strikes: RefCell::default() });
    std::future::poll_fn(|cx| {
        while shared.tasks.len() < MAX_RUNNING {
            match jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) => {
                    let server = server.clone();
                    shared.tasks.spawn(async move { server.run(job).await });
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        shared.tasks.poll(cx)
    })
    .await;
    shared.tasks.clear();
}

impl Server {
    async fn run(&self, job: Job) {
        let Job { id, args, mut reply } = job;
        let result = {
            let attempt = std::pin::pin!(self.attempt(id, args));
            let gone = std::pin::pin!(reply.closed());
            match futures::future::select(attempt, gone).await {
                futures::future::Either::Left((result, _)) => result,
                futures::future::Either::Right(((), _)) => return,
            }
        };
        self.count(id, &result);
        // The caller may have stopped waiting.
        let _ = reply.send(result);
    }

    async fn attempt(&self, id: u64, args: Vec<Arg>) -> Result<Json, ScriptError> {
        let shared = &self.vm.shared;
        let clock = &shared.options.clock;
        if let Some(until) =
            self.strikes.borrow().get(&id).and_then(|s| s.until).filter(|u| *u > clock.mono())
        {
            return Err(self.suspended(id, until - clock.mono()));
        }
        let index = usize::try_from(id).unwrap_or(usize::MAX).wrapping_sub(1);
        let lifted = shared.lifted.borrow().get(index).map(|l| (l.function.clone(), l.instance.clone()));
        let Some((function, instance)) = lifted else {
            return Err(error(ScriptErrorKind::Gone, "no such callback".into(), String::new()));
        };
        let mut values = MultiValue::with_capacity(args.len());
        for (place, arg) in args.into_iter().enumerate() {
            let instance = instance.as_ref().filter(|_| place == 0);
            let value = arg_to_lua(&self.vm.lua, shared, arg, instance);
            values.push_back(value.map_err(|e| script_error(&e))?);
        }
        let meter = Meter::new(self.limits.callback_cpu_seconds.std(), true);
        let call = function.call_async::<MultiValue>(values);
        let metered = Metered::new(call, meter.clone(), self.vm.limits.clone());
        match self.bounded(metered).await {
            None => Err(self.too_late(id)),
            Some(None) => Err(self.too_long(id, &meter)),
            Some(Some(Err(e))) => Err(script_error(&e)),
            Some(Some(Ok(values))) => self.answer(&values),
        }
    }

    /// Ends at the deadline. Most callbacks never wait: for those no timer is made.
    async fn bounded<F: Future>(&self, call: F) -> Option<F::Output> {
        let mut call = std::pin::pin!(call);
        if let std::task::Poll::Ready(done) = futures::poll!(call.as_mut()) {
            return Some(done);
        }
        let sleep = self.vm.shared.options.clock.sleep(self.limits.callback_timeout.std());
        match futures::future::select(call, sleep).await {
            futures::future::Either::Left((done, _)) => Some(done),
            futures::future::Either::Right(_) => None,
        }
    }

    fn answer(&self, values: &MultiValue) -> Result<Json, ScriptError> {
        let mut reader = Reader::new(&self.vm.lua, &self.vm.shared);
        let mut all: Vec<Json> = Vec::with_capacity(values.len());
        for value in values {
            all.push(reader.option("result", value, &Shape::ANY).unwrap_or(Json::Null));
        }
        if let Some(problem) = reader.problems.first() {
            let message = format!("{}: {}", problem.path, problem.message);
            return Err(error(ScriptErrorKind::Nonsense, message, String::new()));
        }
        Ok(if all.len() > 1 { Json::Array(all) } else { all.pop().unwrap_or(Json::Null) })
    }

    fn at(&self, id: u64) -> String {
        let index = usize::try_from(id).unwrap_or(usize::MAX).wrapping_sub(1);
        self.vm.shared.lifted.borrow().get(index).map(|lifted| lifted.at.clone()).unwrap_or_default()
    }

    fn too_late(&self, id: u64) -> ScriptError {
        let seconds = self.limits.callback_timeout.secs();
        let message = format!("{}: did not end within {seconds} s (c.lua.callback_timeout)", self.at(id));
        error(ScriptErrorKind::Deadline, message, String::new())
    }

    fn too_long(&self, id: u64, meter: &Meter) -> ScriptError {
        let (place, traceback) = meter.place();
        let place = if place == Origin::default() { self.at(id) } else { place.to_string() };
        let seconds = self.limits.callback_cpu_seconds.secs();
        let message =
            format!("{place}: computed longer than {seconds} s without waiting (c.lua.callback_cpu_seconds)");
        error(ScriptErrorKind::Cpu, message, traceback)
    }

    fn suspended(&self, id: u64, left: Duration) -> ScriptError {
        let message = format!(
            "{}: exceeded its limits {STRIKES} times in a row and is not called for another {} s",
            self.at(id),
            left.as_secs() + 1
        );
        error(ScriptErrorKind::Cpu, message, String::new())
    }

    /// Suspends what exceeds its limits again and again.
    fn count(&self, id: u64, result: &Result<Json, ScriptError>) {
        let exceeded = result.as_ref().is_err_and(|error| {
            matches!(error.kind, ScriptErrorKind::Cpu | ScriptErrorKind::Deadline | ScriptErrorKind::Memory)
        });
        let mut all = self.strikes.borrow_mut();
        if !exceeded {
            if !all.is_empty() {
                all.remove(&id);
            }
            return;
        }
        let now = self.vm.shared.options.clock.mono();
        let strikes = all.entry(id).or_default();
        if strikes.until.is_some_and(|until| until > now) {
            return;
        }
        strikes.count += 1;
        if strikes.count >= STRIKES {
            let doubled = SUSPENSION.saturating_mul(1 << (strikes.count - STRIKES).min(10));
            strikes.until = Some(now + doubled.min(MAX_SUSPENSION));
        }
    }
}

fn error(kind: ScriptErrorKind, message: String, traceback: String) -> ScriptError {
    ScriptError { kind, message, traceback }
}
