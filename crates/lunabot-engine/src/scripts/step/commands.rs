//! Commands of a step (reference 05d).

use crate::scripts::args::{Args, Method, Reply, methods};
use crate::scripts::command::{ScriptCommand, made};
use crate::step::{CommandOutput, ShellParams, StepContext, TriggerRequest};
use lunabot_model::kind::nearest;
use lunabot_model::{Arg, CallError, Callback, Json, Properties};
use serde::Deserialize;
use serde_json::{Map, json};
use std::collections::BTreeMap;

pub(super) static METHODS: &[Method<StepContext>] = methods! {
    "runCommand"("cmd", "makers*") => run_command,
    "makeRemoteShellCommand"("options*") => make_remote_shell_command,
    "trigger"("options*") => trigger,
};

async fn run_command(cx: &StepContext, mut args: Args) -> Reply {
    let what = "a command: util.RemoteCommand{…} made inside a function, or self:makeRemoteShellCommand{…}";
    let wrong = || CallError::from(format!("runCommand(cmd): cmd: expected {what}"));
    let command = match args.take("cmd") {
        Some(Arg::Object(object)) => object,
        _ => return Err(wrong()),
    };
    let handle: std::sync::Arc<dyn std::any::Any + Send + Sync> = command.handle.clone();
    let Ok(runs) = handle.downcast::<ScriptCommand>() else {
        return Err(wrong());
    };
    runs.run(cx, makers(&mut args)).await?;
    Ok(Arg::Object(command))
}

/// The functions that make logs when there is something to write.
fn makers(args: &mut Args) -> BTreeMap<String, Callback> {
    let Some(Arg::Value(Json::Object(all))) = args.take("makers") else { return BTreeMap::new() };
    all.into_iter().filter_map(|(name, maker)| Some((name, Callback::from_json(&maker)?))).collect()
}

/// Options of `makeRemoteShellCommand` that are not those of a command.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    #[serde(default, rename = "collectStdout")]
    collect_stdout: bool,
    #[serde(default, rename = "collectStderr")]
    collect_stderr: bool,
    #[serde(default, rename = "stdioLogName")]
    stdio_log_name: Option<String>,
}

const OUTPUT: [&str; 3] = ["collectStdout", "collectStderr", "stdioLogName"];

async fn make_remote_shell_command(cx: &StepContext, mut args: Args) -> Reply {
    let own = match cx.0.script.get().and_then(|script| script.shell_options()) {
        Some(own) => own,
        None => {
            let message =
                "this step has no options of a command; extend steps.ShellMixin in place of steps.BuildStep";
            return Err(args.wrong(message));
        }
    };
    let options = args.maybe::<Json>("options")?.unwrap_or_else(|| json!({}));
    let Json::Object(options) = cx.render(&options).await? else {
        return Err(args.wrong("takes one table: makeRemoteShellCommand{command = …}"));
    };
    let (shell, output) = overlaid(own, options).map_err(|message| args.wrong(&message))?;
    let options = shell.options()?;
    let output = CommandOutput {
        collect_stdout: output.collect_stdout,
        collect_stderr: output.collect_stderr,
        stdio_log_name: Some(output.stdio_log_name.unwrap_or_else(|| "stdio".into())),
    };
    Ok(Arg::Object(made(cx.make_remote_shell_command(&options, output).await?)))
}

/// The step's own options under those of the call.
fn overlaid(mut own: Map<String, Json>, options: Map<String, Json>) -> Result<(ShellParams, Output), String> {
    let mut output = Map::new();
    for (name, value) in options {
        if OUTPUT.contains(&name.as_str()) {
            output.insert(name, value);
        } else if ShellParams::NAMES.contains(&name.as_str()) || name == "workdir" {
            own.insert(name, value);
        } else {
            let known = ShellParams::NAMES.iter().chain(&OUTPUT).copied();
            let near = nearest(&name, known).map_or(String::new(), |near| format!(", did you mean {near}?"));
            return Err(format!("unknown option {name}{near}"));
        }
    }
    let output = lunabot_model::kind::read(&output.into()).map_err(told)?;
    let shell = ShellParams::read(&own.into())?;
    match shell.problems().into_iter().next() {
        Some(problem) => Err(told(problem)),
        None => Ok((shell, output)),
    }
}

fn told(problem: lunabot_model::Problem) -> String {
    if problem.path.is_empty() { problem.message } else { format!("{}: {}", problem.path, problem.message) }
}

/// `self:trigger{scheduler =, …}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    scheduler: String,
    #[serde(default)]
    set_properties: BTreeMap<String, Json>,
    #[serde(default)]
    sourcestamps: Option<Vec<crate::step::PartialStamp>>,
    #[serde(default)]
    waited_for: bool,
}

async fn trigger(cx: &StepContext, mut args: Args) -> Reply {
    let options: Trigger = args.need("options")?;
    cx.check_triggerable(&options.scheduler)?;
    let stamps = || cx.build().sourcestamps.iter().map(crate::step::PartialStamp::from).collect();
    let properties = cx.render(&serde_json::to_value(&options.set_properties).unwrap_or_default()).await?;
    let properties: BTreeMap<String, Json> =
        serde_json::from_value(properties).map_err(|error| CallError::from(error.to_string()))?;
    let request = TriggerRequest {
        scheduler: options.scheduler,
        sourcestamps: options.sourcestamps.unwrap_or_else(stamps),
        properties: Properties::from_plain(&properties, "Trigger"),
        waited_for: options.waited_for,
        relationship: "Triggered from".into(),
    };
    let set = cx.trigger(request).await?;
    Ok(Arg::Object(super::super::triggered::object(cx, set)))
}
