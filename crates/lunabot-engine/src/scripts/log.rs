//! Logs of a step as its functions see them (reference 06.062).

use super::args::{Args, Method, NOTHING, Reply, call, methods, names};
use crate::step::{Inner, LogHandle, StepContext};
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, ScriptObject};
use serde_json::json;
use std::sync::{Arc, LazyLock, Weak};

/// What stands behind a log in Lua.
pub(crate) struct ScriptLog {
    pub log: LogHandle,
    cx: Weak<Inner>,
}

static METHODS: &[Method<ScriptLog>] = methods! {
    "addStdout"("text") => add_stdout,
    "addStderr"("text") => add_stderr,
    "addHeader"("text") => add_header,
    "addContent"("text") => add_content,
    "finish"() => finish,
};
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(&[METHODS]));

pub(crate) fn log_object(cx: &StepContext, log: LogHandle) -> ScriptObject {
    let fields = json!({"name": log.name(), "logid": log.id()});
    let key = format!("log:{}", log.id());
    ScriptObject::new("log", key, fields, Arc::new(ScriptLog { log, cx: Arc::downgrade(&cx.0) }))
        .with_methods(&NAMES)
}

impl LiveObject for ScriptLog {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], self, method, args).await })
    }
}

impl ScriptLog {
    /// Text for a finished log would be lost without a word.
    async fn check_open(&self) -> Result<(), CallError> {
        match self.log.is_finished().await {
            true => Err(format!("the log {} is finished", self.log.name()).into()),
            false => Ok(()),
        }
    }

    /// Bytes as the log reads them (13.016).
    async fn text(&self, args: &mut Args) -> Result<String, CallError> {
        self.check_open().await?;
        let bytes = args.bytes("text")?;
        match self.cx.upgrade().map(StepContext::of) {
            Some(cx) => Ok(cx.text_for(&self.log, bytes).await?),
            // Dropped by the log.
            None => Ok(String::new()),
        }
    }
}

async fn add_stdout(this: &ScriptLog, mut args: Args) -> Reply {
    this.log.add_stdout(&this.text(&mut args).await?).await?;
    Ok(NOTHING)
}

async fn add_stderr(this: &ScriptLog, mut args: Args) -> Reply {
    this.log.add_stderr(&this.text(&mut args).await?).await?;
    Ok(NOTHING)
}

/// Headers are the master's own words.
async fn add_header(this: &ScriptLog, mut args: Args) -> Reply {
    this.check_open().await?;
    this.log.add_header(&String::from_utf8_lossy(&args.bytes("text")?)).await?;
    Ok(NOTHING)
}

async fn add_content(this: &ScriptLog, mut args: Args) -> Reply {
    this.log.add_content(&this.text(&mut args).await?).await?;
    Ok(NOTHING)
}

async fn finish(this: &ScriptLog, _: Args) -> Reply {
    this.log.finish().await?;
    Ok(NOTHING)
}
