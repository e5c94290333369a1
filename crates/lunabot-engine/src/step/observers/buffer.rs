//! `util.BufferLogObserver` (05.053).

use super::kinds::BufferParams;
use super::scripted::{ScriptObserver, handle, instance};
use crate::logs::Channel;
use crate::scripts::args::{Args, Method, Reply, call, methods, names, value};
use crate::step::observe::LogObserver;
use crate::step::{StepContext, StepError};
use async_trait::async_trait;
use lunabot_model::script::{Instance, LiveObject};
use lunabot_model::{AnyObject, Arg, BoxFuture, CallError, Json, ScriptObject};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The most text of one channel that is kept, in bytes. More breaks the step, not the master.
const MAX_KEPT: usize = 64 * 1024 * 1024;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(String, String)>>);

static METHODS: &[Method<Kept>] = methods! {
    "getStdout"() => stdout,
    "getStderr"() => stderr,
};
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(&[METHODS]));

struct Handle(Kept);

impl LiveObject for Handle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], &self.0, method, args).await })
    }
}

async fn stdout(kept: &Kept, _: Args) -> Reply {
    let text = kept.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
    value(text)
}

async fn stderr(kept: &Kept, _: Args) -> Reply {
    let text = kept.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
    value(text)
}

pub(super) struct Buffer {
    kept: Kept,
    params: BufferParams,
    /// Methods of its class, if it has one.
    class: Option<ScriptObserver>,
    /// Without a class: what keeps `getStdout` working.
    _instance: Option<Arc<Instance>>,
}

pub(super) async fn begin(cx: &StepContext, object: &AnyObject) -> Result<Buffer, StepError> {
    let params: BufferParams = super::super::read(&object.args)?;
    let kept = Kept::default();
    let live = ScriptObject::new("observer", "observer", Json::Null, handle(Handle(kept.clone())))
        .with_methods(&NAMES);
    let (class, instance) = match &object.class {
        Some(class) => (Some(ScriptObserver::lent(cx, object, class, live).await?), None),
        None => (None, Some(Arc::new(instance(cx, object, live)))),
    };
    if let Some(instance) = &instance {
        cx.0.build.builder.generation.host.introduce(instance.clone()).await;
    }
    Ok(Buffer { kept, params, class, _instance: instance })
}

#[async_trait]
impl LogObserver for Buffer {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        {
            let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (wanted, into) = match channel {
                Channel::Stdout | Channel::Content => (self.params.want_stdout, &mut kept.0),
                Channel::Stderr => (self.params.want_stderr, &mut kept.1),
                Channel::Header => return Ok(()),
            };
            if wanted {
                if into.len() + lines.len() > MAX_KEPT {
                    let text = format!("the log has more than {MAX_KEPT} bytes to keep");
                    return Err(StepError::Exception(text));
                }
                into.push_str(lines);
            }
        }
        match &mut self.class {
            Some(class) => class.received(channel, lines).await,
            None => Ok(()),
        }
    }

    async fn finished(&mut self) -> Result<(), StepError> {
        match &mut self.class {
            Some(class) => class.finished().await,
            None => Ok(()),
        }
    }
}
