//! Logs of a step and their observers.

use crate::scripts::args::{Args, Method, NOTHING, Reply, methods};
use crate::scripts::log::log_object;
use crate::step::{LogEncoding, StepContext, observers};
use lunabot_model::resources::LogType;
use lunabot_model::{AnyObject, Arg, CallError, Json};

pub(super) static METHODS: &[Method<StepContext>] = methods! {
    "addLog"("name", "type", "logEncoding") => add_log,
    "getLog"("name") => get_log,
    "addLogForRemoteCommands"("logname") => add_log_for_remote_commands,
    "addCompleteLog"("name", "text") => add_complete_log,
    "addHTMLLog"("name", "html") => add_html_log,
    "addLogObserver"("logname", "observer*") => add_log_observer,
};

async fn add_log(cx: &StepContext, mut args: Args) -> Reply {
    let (name, kind) = (args.text("name")?, args.maybe::<String>("type")?);
    let kind = match kind.as_deref() {
        None | Some("s") => LogType::Stdio,
        Some("t") => LogType::Text,
        Some("h") => LogType::Html,
        Some(other) => {
            return Err(args.wrong(&format!("type: expected \"s\", \"t\" or \"h\", got {other:?}")));
        }
    };
    let encoding = encoding(&mut args)?;
    Ok(Arg::Object(log_object(cx, cx.add_log_in(&name, kind, encoding).await?)))
}

/// The log of `runMkdir` and the like, from now on (13.005).
async fn add_log_for_remote_commands(cx: &StepContext, mut args: Args) -> Reply {
    let log = cx.add_log_for_remote_commands(&args.text("logname")?).await?;
    Ok(Arg::Object(log_object(cx, log)))
}

async fn get_log(cx: &StepContext, mut args: Args) -> Reply {
    let name = args.text("name")?;
    let found = cx.get_log(&name);
    let missing = || CallError::from(format!("the step has no log {name}"));
    Ok(Arg::Object(log_object(cx, found.ok_or_else(missing)?)))
}

/// A name or a function (13.016).
fn encoding(args: &mut Args) -> Result<Option<LogEncoding>, CallError> {
    let read = match args.take("logEncoding") {
        None | Some(Arg::Value(Json::Null)) => return Ok(None),
        Some(Arg::Function(function)) => return Ok(Some(LogEncoding::Function(function))),
        Some(other) => other.into_json().and_then(|value| LogEncoding::from_json(&value)),
    };
    read.map(Some).map_err(|error| args.wrong(&format!("logEncoding: {error}")))
}

async fn text(cx: &StepContext, args: &mut Args, name: &str) -> Result<String, CallError> {
    Ok(cx.text_in(None, args.bytes(name)?).await?)
}

async fn add_complete_log(cx: &StepContext, mut args: Args) -> Reply {
    let name = args.text("name")?;
    cx.add_complete_log(&name, &text(cx, &mut args, "text").await?).await?;
    Ok(NOTHING)
}

async fn add_html_log(cx: &StepContext, mut args: Args) -> Reply {
    let name = args.text("name")?;
    cx.add_html_log(&name, &text(cx, &mut args, "html").await?).await?;
    Ok(NOTHING)
}

async fn add_log_observer(cx: &StepContext, mut args: Args) -> Reply {
    let log = args.text("logname")?;
    let observer = match args.take("observer") {
        Some(Arg::Value(json)) => AnyObject::from_json(&json),
        _ => None,
    };
    let wanted = "observer: expected an observer, e.g. one of a class that extends util.LogLineObserver";
    let observer = observer.ok_or_else(|| args.wrong(wanted))?;
    let observer = observers::make(cx, &observer).await.map_err(|error| match error {
        crate::step::StepError::Exception(text) => args.wrong(&text),
        other => other.into(),
    })?;
    cx.add_log_observer(&log, observer).await;
    Ok(Arg::Value(Json::Null))
}
