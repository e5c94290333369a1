//! The thread of one interpreter: loads the file, then serves calls until its host is dropped.

use crate::failure::message_of;
use crate::finish::finish;
use crate::host::{Caller, MAX_QUEUE};
use crate::limits::{Meter, Metered};
use crate::load::{LoadFailure, LoadOptions, Loaded};
use crate::origin::Origin;
use crate::script_errors::record_raised;
use crate::serve::{Job, serve};
use crate::state::{Phase, Shared};
use crate::tests_of::{self, Tests};
use crate::vm::{Vm, shown};
use lunabot_model::config::{Config, ConfigError, LuaLimits};
use mlua::{MultiValue, Value};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// CPU time of the file scope.
const LOAD_CPU: Duration = Duration::from_secs(10);
/// Wall time of the file scope.
const LOAD_TIME: Duration = Duration::from_secs(60);
/// Memory while loading, before `c.lua.memory_limit` is known.
const LOAD_MEMORY: usize = 1 << 30;
/// The interpreter recurses on it (patterns, nested calls of C functions).
const STACK: usize = 16 << 20;

/// After so many slices at most it is seen whose wait is over, where some function always computes.
const LOOKS_FOR_EVENTS: u32 = 4;

type Reply = oneshot::Sender<Result<Loaded, LoadFailure>>;

/// Starts the thread. The answer comes by `reply`.
pub(crate) fn start(options: LoadOptions, outside: Option<tokio::runtime::Handle>, reply: Reply) {
    let name = format!("lua-{}", options.generation);
    let main = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(LOOKS_FOR_EVENTS)
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(run(options, outside, reply)),
            Err(error) => tracing::error!("no runtime for the script host: {error}"),
        }
    };
    if let Err(error) = std::thread::Builder::new().name(name).stack_size(STACK).spawn(main) {
        tracing::error!("no thread for the script host: {error}");
    }
}

async fn run(options: LoadOptions, outside: Option<tokio::runtime::Handle>, reply: Reply) {
    let shared = Rc::new(Shared::new(options, outside));
    let loaded = match Vm::new(shared.clone()) {
        Ok(vm) => load_all(&vm).await.map(|loaded| (vm, loaded)),
        Err(error) => {
            shared.record(&Origin::default(), "", message_of(&error));
            None
        }
    };
    let Some((vm, (config, tests))) = loaded else {
        let _ = reply.send(Err(failure(&shared)));
        return;
    };
    shared.phase.set(Phase::Serving);
    let limits = config.lua.clone();
    shared.deadline.set(limits.callback_timeout.std());
    shared.cpu.set(limits.callback_cpu_seconds.std());
    let memory = memory_bytes(&limits);
    if let Err(error) = vm.lua.set_memory_limit(memory) {
        tracing::warn!("c.lua.memory_limit is not in force: {error}");
    }
    let (jobs, inbox) = mpsc::channel::<Job>(MAX_QUEUE);
    // As many as there are objects of classes that act; each is taken at once.
    let (ended, endings) = mpsc::unbounded_channel();
    let sent = reply.send(Ok(Loaded { tests, ..success(&shared, config, jobs, ended) }));
    if sent.is_ok() {
        serve(vm, limits, inbox, endings).await;
    }
}

fn memory_bytes(limits: &LuaLimits) -> usize {
    let bytes = limits.memory_bytes().unwrap_or(512 << 20);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The file of tests, if there is one, and the configuration. `None`: there are mistakes, and they are recorded.
async fn load_all(vm: &Vm) -> Option<(Config, Option<Tests>)> {
    if let Err(error) = vm.lua.set_memory_limit(LOAD_MEMORY) {
        tracing::warn!("no memory limit while loading: {error}");
    }
    let Some(test_file) = vm.shared.options.test_file.clone() else {
        return load(vm).await.map(|config| (config, None));
    };
    let at = Origin { file: shown(&vm.shared, &test_file).as_str().into(), line: None };
    if let Err(error) = tests_of::prepare(vm) {
        vm.shared.record(&at, "", message_of(&error));
        return None;
    }
    run_file(vm, &test_file).await?;
    let config = load(vm).await?;
    match tests_of::collect(vm) {
        Ok(tests) => Some((config, Some(tests))),
        Err(error) => {
            vm.shared.record(&at, "", message_of(&error));
            None
        }
    }
}

/// Runs a file: its text, and what it returned. `None`: a mistake is recorded.
async fn run_file(vm: &Vm, path: &Path) -> Option<(Vec<u8>, Value)> {
    let shared = &vm.shared;
    let name = shown(shared, path);
    let at = Origin { file: name.as_str().into(), line: None };
    let file = path.strip_prefix(&shared.root).unwrap_or(path);
    let source = match shared.read_file(&file.to_string_lossy()) {
        Ok(source) => source,
        Err(error) => {
            shared.record(&at, "", format!("cannot be read: {error}"));
            return None;
        }
    };
    match execute(vm, &name, &source).await {
        Ok(value) => Some((source, value)),
        Err(message) => {
            record_raised(shared, &at, message);
            None
        }
    }
}

/// Runs the configuration and reads what it returned.
async fn load(vm: &Vm) -> Option<Config> {
    let shared = &vm.shared;
    let ran = run_file(vm, &shared.options.config_file).await;
    crate::extend::judge_methods(shared);
    let (source, value) = ran?;
    let at = Origin { file: shown(shared, &shared.options.config_file).as_str().into(), line: None };
    match value {
        Value::Table(table) => match finish(vm, &table, &String::from_utf8_lossy(&source)) {
            Ok(config) => config,
            Err(error) => {
                shared.record(&at, "", message_of(&error));
                None
            }
        },
        other => {
            let got = crate::convert::words(&other);
            let message = format!("must return the configuration table (`return c`), it returned {got}");
            shared.record(&at, "", message);
            None
        }
    }
}

async fn execute(vm: &Vm, name: &str, source: &[u8]) -> Result<Value, String> {
    let main = vm.compile(name, source).map_err(|error| message_of(&error))?;
    let meter = Meter::new(LOAD_CPU, false);
    let thread = vm.lua.create_thread(main).map_err(|error| message_of(&error))?;
    let call = async {
        let values = thread.clone().into_async::<MultiValue>(())?.await?;
        if let Some(Value::Table(config)) = values.front() {
            crate::configurators::run(&vm.lua, &vm.shared, config).await?;
        }
        Ok::<_, mlua::Error>(values)
    };
    let metered = Metered::new(call, meter.clone(), vm.limits.clone());
    let sleep = Box::pin(load_time(&vm.shared));
    let metered = std::pin::pin!(metered);
    let mut bounded = futures::future::select(metered, sleep);
    let ended = std::future::poll_fn(|cx| {
        let polled = std::pin::Pin::new(&mut bounded).poll(cx);
        if polled.is_pending() {
            let _ = vm.shared.tasks.poll(cx);
        }
        polled
    });
    match ended.await {
        futures::future::Either::Left((Some(Ok(mut values)), _)) => {
            Ok(values.pop_front().unwrap_or(Value::Nil))
        }
        futures::future::Either::Left((Some(Err(error)), _)) => Err(crate::failure::told(&vm.shared, &error)),
        futures::future::Either::Left((None, _)) => {
            let place = meter.place().0;
            let seconds = LOAD_CPU.as_secs();
            Err(format!("{place}: the file computes for more than {seconds} s; is there a loop without end?"))
        }
        futures::future::Either::Right(_) => {
            let text =
                format!("loading did not end within {} s: this waits for too long", LOAD_TIME.as_secs());
            Err(crate::failure::positioned_in(&vm.lua, &thread, text))
        }
    }
}

/// Ends when the file scope has used up its time, and what its programs asked for.
async fn load_time(shared: &Shared) {
    let mut left = LOAD_TIME;
    while left > Duration::ZERO {
        shared.options.clock.sleep(left).await;
        left = shared.patience.take();
    }
}

fn sorted(mut errors: Vec<ConfigError>) -> Vec<ConfigError> {
    errors
        .sort_by(|a, b| (&a.file, a.line, &a.path, &a.message).cmp(&(&b.file, b.line, &b.path, &b.message)));
    errors
}

fn failure(shared: &Shared) -> LoadFailure {
    LoadFailure {
        errors: sorted(shared.errors.take()),
        warnings: sorted(shared.warnings.take()),
        files: shared.files.borrow().iter().map(|(path, _)| path.clone()).collect(),
        content_hash: shared.content_hash(),
    }
}

fn success(
    shared: &Shared,
    config: Config,
    jobs: mpsc::Sender<Job>,
    ended: mpsc::UnboundedSender<u64>,
) -> Loaded {
    let host = Arc::new(Caller::new(&shared.options, &config.lua, jobs, ended));
    Loaded {
        config,
        host,
        warnings: sorted(shared.warnings.take()),
        files: shared.files.borrow().iter().map(|(path, _)| path.clone()).collect(),
        content_hash: shared.content_hash(),
        tests: None,
    }
}
