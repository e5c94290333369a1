//! Calls of callbacks, on the interpreter's thread.

use crate::convert::Reader;
use crate::declared::Declared;
use crate::failure::script_error;
use crate::host::{RETIRED, SUPERSEDED};
use crate::limits::{Meter, Metered};
use crate::live::{Live, arg_to_lua};
use crate::shape::Shape;
use crate::vm::Vm;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lunabot_model::config::LuaLimits;
use lunabot_model::{Arg, Clock, Json, LiveObject, Mono, ScriptError, ScriptErrorKind, ScriptObject};
use mlua::{AnyUserData, Function, IntoLuaMulti, MultiValue, Value};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Callbacks that run at the same time; further ones wait in the queue. Endless ones, of which there is about one for
/// each build, do not count: they wait for others.
const MAX_RUNNING: usize = 4096;
/// Lines for which a function is called in one go.
const LINES: usize = 256;
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
    /// It has no deadline.
    pub endless: bool,
    pub args: Vec<Arg>,
    pub reply: Reply,
}

/// Where answers go.
pub(crate) enum Reply {
    One(oneshot::Sender<Answer>),
    /// The function is called for each of these, after the arguments of the job; answers in their order.
    Each(Vec<Arg>, oneshot::Sender<Vec<Answer>>),
}

/// What came of a call, and for how long it kept the thread to itself.
pub(crate) struct Answer {
    pub result: Result<Json, ScriptError>,
    pub busy: Duration,
}

impl Answer {
    pub fn at_once(result: Result<Json, ScriptError>) -> Self {
        Answer { result, busy: Duration::ZERO }
    }
}

/// The first arguments of several calls.
#[derive(Default)]
struct Common {
    values: Vec<Value>,
    scope: u64,
    renders: Option<Arc<dyn LiveObject>>,
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
    /// How many callbacks with a deadline run.
    bounded: Cell<usize>,
}

/// Serves calls until nobody can send any more.
pub(crate) async fn serve(
    vm: Vm,
    limits: LuaLimits,
    mut jobs: mpsc::Receiver<Job>,
    mut ended: mpsc::UnboundedReceiver<u64>,
) {
    let shared = vm.shared.clone();
    let server = Rc::new(Server { vm, limits, strikes: RefCell::default(), bounded: Cell::new(0) });
    std::future::poll_fn(|cx| {
        while let Poll::Ready(Some(keep)) = ended.poll_recv(cx) {
            if keep == SUPERSEDED {
                shared.tasks.spawn(collect(server.clone()));
            }
            if let (RETIRED, Some(master)) = (keep, &shared.options.master) {
                master.retire();
            }
            shared.instances.forget(keep);
            shared.lifted.forget(keep);
            crate::subscriptions::end(&shared, keep);
        }
        while server.bounded.get() < MAX_RUNNING {
            match jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) => {
                    let server = server.clone();
                    server.bounded.set(server.bounded.get() + usize::from(!job.endless));
                    shared.tasks.spawn(async move {
                        let bounded = usize::from(!job.endless);
                        server.run(job).await;
                        server.bounded.set(server.bounded.get() - bounded);
                    });
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

/// Before what nothing refers to is dropped, once another generation serves; twice as long each further time.
const FIRST_COLLECTION: Duration = Duration::from_millis(100);
/// At most.
const LAST_COLLECTION: Duration = Duration::from_secs(60);

/// Drops what Lua has left lying about: objects of the master in it hold this very host, which ends with the last of
/// them.
async fn collect(server: Rc<Server>) {
    let mut pause = FIRST_COLLECTION;
    loop {
        server.vm.shared.options.clock.sleep(pause).await;
        if let Err(error) = server.vm.lua.gc_collect() {
            tracing::debug!("collecting what is left of an old configuration: {error}");
        }
        pause = (pause * 2).min(LAST_COLLECTION);
    }
}

impl Server {
    async fn run(&self, job: Job) {
        let Job { id, endless, args, reply } = job;
        match reply {
            Reply::One(reply) => self.reply(reply, self.counted(id, endless, &Common::default(), args)).await,
            Reply::Each(each, reply) => {
                let common = self.common(args);
                let each = each.into_iter().map(|arg| async {
                    match &common {
                        Ok(common) => self.counted(id, endless, common, vec![arg]).await,
                        Err(error) => Answer::at_once(Err(error.clone())),
                    }
                });
                self.reply(reply, all(each)).await;
            }
        }
    }

    fn common(&self, args: Vec<Arg>) -> Result<Common, ScriptError> {
        let (scope, renders) = (scope_of(&args), renders_of(&args));
        let mut common = Common { scope, renders, values: Vec::with_capacity(args.len()) };
        for arg in args {
            let value = self.value(arg)?;
            Live::share(&value);
            common.values.push(value);
        }
        Ok(common)
    }

    fn value(&self, arg: Arg) -> Result<Value, ScriptError> {
        arg_to_lua(&self.vm.lua, &self.vm.shared, arg).map_err(|e| script_error(&e))
    }

    async fn counted(&self, id: u64, endless: bool, common: &Common, args: Vec<Arg>) -> Answer {
        let mut answer = self.timed(self.attempt(id, endless, common, args)).await;
        self.count(id, &mut answer.result);
        answer
    }

    /// Answers, unless the caller has stopped waiting.
    async fn reply<T>(&self, mut reply: oneshot::Sender<T>, answer: impl Future<Output = T>) {
        let answer = {
            let answer = std::pin::pin!(answer);
            let gone = std::pin::pin!(reply.closed());
            match futures::future::select(answer, gone).await {
                futures::future::Either::Left((answer, _)) => answer,
                futures::future::Either::Right(((), _)) => return,
            }
        };
        let _ = reply.send(answer);
    }

    async fn timed(&self, call: impl Future<Output = Result<Json, ScriptError>>) -> Answer {
        let (result, busy) = timed(&*self.vm.shared.options.clock, call).await;
        Answer { result, busy }
    }

    async fn attempt(
        &self,
        id: u64,
        endless: bool,
        common: &Common,
        args: Vec<Arg>,
    ) -> Result<Json, ScriptError> {
        let shared = &self.vm.shared;
        let clock = &shared.options.clock;
        if let Some(until) =
            self.strikes.borrow().get(&id).and_then(|s| s.until).filter(|u| *u > clock.mono())
        {
            return Err(self.suspended(id, until - clock.mono()));
        }
        if id == 0 {
            for arg in args {
                self.value(arg)?;
            }
            return Ok(Json::Null);
        }
        let Some(function) = shared.lifted.get(id).map(|lifted| lifted.function) else {
            return Err(error(ScriptErrorKind::Gone, "no such callback".into(), String::new()));
        };
        let scope = if common.scope == 0 { scope_of(&args) } else { common.scope };
        let renders = common.renders.clone().or_else(|| renders_of(&args));
        let mut lines = None;
        let mut values = MultiValue::with_capacity(common.values.len() + args.len());
        values.extend(common.values.iter().cloned());
        for arg in args {
            match arg {
                Arg::Lines(text) => lines = Some(text),
                arg => values.push_back(self.value(arg)?),
            }
        }
        let call = async {
            match lines {
                Some(lines) => self.each_line(id, &function, &values, &lines, renders).await,
                None => self.one_call(id, &function, values, scope, renders).await,
            }
        };
        if endless {
            return call.await;
        }
        self.in_time(call).await.unwrap_or_else(|| Err(self.too_late(id)))
    }

    async fn one_call(
        &self,
        id: u64,
        function: &Function,
        values: MultiValue,
        scope: u64,
        renders: Option<Arc<dyn LiveObject>>,
    ) -> Result<Json, ScriptError> {
        let actor = values.iter().find_map(acting);
        let meter = Meter::acting(self.limits.callback_cpu_seconds.std(), actor, renders);
        let call = function.call_async::<MultiValue>(values);
        match Metered::new(call, meter.clone(), self.vm.limits.clone()).await {
            None => Err(self.too_long(id, &meter)),
            Some(Err(e)) => Err(self.with_fields(script_error(&e))),
            Some(Ok(values)) => self.answer(&values, scope),
        }
    }

    /// A table that was raised, as what it holds.
    fn with_fields(&self, error: ScriptError) -> ScriptError {
        let message = crate::failure::with_fields(&self.vm.shared, error.message);
        ScriptError { message, ..error }
    }

    /// Calls the function for each line, so many at a time that the way between the threads does not count.
    async fn each_line(
        &self,
        id: u64,
        function: &Function,
        values: &MultiValue,
        lines: &str,
        renders: Option<Arc<dyn LiveObject>>,
    ) -> Result<Json, ScriptError> {
        let (lua, this) = (&self.vm.lua, values.front().cloned().unwrap_or(Value::Nil));
        let driver = self.vm.shared.prelude("each_line").map_err(|e| script_error(&e))?;
        let mut lines = lines.split_terminator('\n').peekable();
        while lines.peek().is_some() {
            let batch = lua.create_sequence_from(lines.by_ref().take(LINES)).map_err(|e| script_error(&e))?;
            let args = (function.clone(), this.clone(), batch);
            let args = args.into_lua_multi(lua).map_err(|e| script_error(&e))?;
            self.one_call(id, &driver, args, 0, renders.clone()).await?;
        }
        Ok(Json::Null)
    }

    /// Ends at the deadline. Most callbacks never wait: for those no timer is made.
    async fn in_time<F: Future>(&self, call: F) -> Option<F::Output> {
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

    fn answer(&self, values: &MultiValue, scope: u64) -> Result<Json, ScriptError> {
        let mut reader = Reader::new(&self.vm.lua, &self.vm.shared);
        reader.scope = scope;
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

    /// What is told of a function, with its place if that is known.
    fn of(&self, id: u64, text: &str) -> String {
        match self.vm.shared.lifted.at(id) {
            at if at.is_empty() => text.into(),
            at => format!("{at}: {text}"),
        }
    }

    fn too_late(&self, id: u64) -> ScriptError {
        let seconds = self.limits.callback_timeout.secs();
        let message = self.of(id, &format!("did not end within {seconds} s (c.lua.callback_timeout)"));
        error(ScriptErrorKind::Deadline, message, String::new())
    }

    fn too_long(&self, id: u64, meter: &Meter) -> ScriptError {
        let (message, traceback) = meter.exceeded(&self.vm.shared.lifted.at(id));
        error(ScriptErrorKind::Cpu, message, traceback)
    }

    fn suspended(&self, id: u64, left: Duration) -> ScriptError {
        let left_seconds = left.as_secs() + 1;
        let text =
            format!("exceeded its limits again and again, and is not called for another {left_seconds} s");
        error(ScriptErrorKind::Suspended(left), self.of(id, &text), String::new())
    }

    /// Suspends what exceeds its limits again and again, and says so where it does.
    fn count(&self, id: u64, result: &mut Result<Json, ScriptError>) {
        let mut all = self.strikes.borrow_mut();
        let error = match result {
            Err(error) if matches!(error.kind, ScriptErrorKind::Suspended(_)) => return,
            Err(error) if is_excess(error.kind) => error,
            Ok(_) | Err(_) => {
                all.remove(&id);
                return;
            }
        };
        let now = self.vm.shared.options.clock.mono();
        let strikes = all.entry(id).or_default();
        if strikes.until.is_some_and(|until| until > now) {
            return;
        }
        strikes.count += 1;
        if strikes.count >= STRIKES {
            let doubled = SUSPENSION.saturating_mul(1 << (strikes.count - STRIKES).min(10));
            let pause = doubled.min(MAX_SUSPENSION);
            strikes.until = Some(now + pause);
            error.message.push_str(&format!(
                "; it is not called for {} s, as it exceeded its limits {} times in a row",
                pause.as_secs(),
                strikes.count
            ));
        }
    }
}

fn is_excess(kind: ScriptErrorKind) -> bool {
    matches!(kind, ScriptErrorKind::Cpu | ScriptErrorKind::Deadline | ScriptErrorKind::Memory)
}

/// Calls that do not wait are done one after the other, the others wait at the same time; answers in their order.
async fn all<F: Future>(calls: impl Iterator<Item = F>) -> Vec<F::Output> {
    let (mut answers, mut waiting) = (Vec::new(), FuturesUnordered::new());
    for (place, call) in calls.enumerate() {
        let mut call = Box::pin(call);
        answers.push(match futures::poll!(call.as_mut()) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                waiting.push(async move { (place, call.await) });
                None
            }
        });
    }
    while let Some((place, answer)) = waiting.next().await {
        answers[place] = Some(answer);
    }
    answers.into_iter().flatten().collect()
}

/// What came of a call, and for how long it kept the thread to itself.
pub(crate) async fn timed<T>(clock: &dyn Clock, call: impl Future<Output = T>) -> (T, Duration) {
    let (mut call, mut busy) = (std::pin::pin!(call), Duration::ZERO);
    let result = std::future::poll_fn(|cx| {
        let begun = clock.mono();
        let polled = call.as_mut().poll(cx);
        busy += clock.mono() - begun;
        polled
    })
    .await;
    (result, busy)
}

/// An object that acts.
fn acting(value: &Value) -> Option<AnyUserData> {
    let object = value.as_userdata()?;
    object.borrow::<Declared>().is_ok_and(|declared| declared.live.borrow().is_some()).then(|| object.clone())
}

/// What objects that the function makes are kept for.
fn scope_of(args: &[Arg]) -> u64 {
    let scope = |arg: &Arg| match arg {
        Arg::Object(object) => object.scope,
        Arg::Instance(instance) => instance.live.scope,
        _ => 0,
    };
    args.iter().map(scope).find(|scope| *scope != 0).unwrap_or(0)
}

/// What renders for a function that is called with these.
fn renders_of(args: &[Arg]) -> Option<Arc<dyn LiveObject>> {
    args.iter().find_map(|arg| match arg {
        Arg::Object(object) => renders_as(object),
        Arg::Instance(instance) => renders_as(&instance.live),
        Arg::Properties(live, _) => live.renders().then(|| live.clone()),
        _ => None,
    })
}

/// Itself, or the step that it is about.
fn renders_as(object: &ScriptObject) -> Option<Arc<dyn LiveObject>> {
    if object.handle.renders() {
        return Some(object.handle.clone());
    }
    object.children.iter().find_map(|(_, child)| renders_of(std::slice::from_ref(child)))
}

fn error(kind: ScriptErrorKind, message: String, traceback: String) -> ScriptError {
    ScriptError { kind, message, traceback }
}
