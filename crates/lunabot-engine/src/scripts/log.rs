//! Logs of a step as its functions see them (reference 06.062).

use super::args::{Args, Method, NOTHING, Reply, call, methods, names};
use crate::step::LogHandle;
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, ScriptObject};
use serde_json::json;
use std::sync::{Arc, LazyLock};

/// What stands behind a log in Lua.
pub(crate) struct ScriptLog(pub LogHandle);

static METHODS: &[Method<LogHandle>] = methods! {
    "addStdout"("text") => add_stdout,
    "addStderr"("text") => add_stderr,
    "addHeader"("text") => add_header,
    "addContent"("text") => add_content,
    "finish"() => finish,
};
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(&[METHODS]));

pub(crate) fn log_object(log: LogHandle) -> ScriptObject {
    let fields = json!({"name": log.name(), "logid": log.id()});
    let key = format!("log:{}", log.id());
    ScriptObject::new("log", key, fields, Arc::new(ScriptLog(log))).with_methods(&NAMES)
}

impl LiveObject for ScriptLog {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], &self.0, method, args).await })
    }
}

/// Text of any bytes; what is no UTF-8 becomes replacement characters.
fn text(args: &mut Args) -> Result<String, CallError> {
    Ok(String::from_utf8_lossy(&args.bytes("text")?).into_owned())
}

async fn add_stdout(log: &LogHandle, mut args: Args) -> Reply {
    log.add_stdout(&text(&mut args)?).await?;
    Ok(NOTHING)
}

async fn add_stderr(log: &LogHandle, mut args: Args) -> Reply {
    log.add_stderr(&text(&mut args)?).await?;
    Ok(NOTHING)
}

async fn add_header(log: &LogHandle, mut args: Args) -> Reply {
    log.add_header(&text(&mut args)?).await?;
    Ok(NOTHING)
}

async fn add_content(log: &LogHandle, mut args: Args) -> Reply {
    log.add_content(&text(&mut args)?).await?;
    Ok(NOTHING)
}

async fn finish(log: &LogHandle, _: Args) -> Reply {
    log.finish().await?;
    Ok(NOTHING)
}
