//! What a step's built-in class does, for `Base.run(self)` and the like.

use crate::scripts::args::{Args, Method, NOTHING, Reply, methods, value};
use crate::scripts::command::ScriptCommand;
use crate::step::StepContext;
use crate::step::scripted::Scripted;
use lunabot_model::{CallError, Json, Results};
use serde_json::json;
use std::sync::Arc;

pub(super) static METHODS: &[Method<StepContext>] = methods! {
    "before_start"() => nothing,
    "run"() => run,
    "getCurrentSummary"() => current_summary,
    "getResultSummary"() => result_summary,
    "evaluateCommand"("cmd") => evaluate_command,
    "interrupt"("reason") => interrupt,
};

fn script(cx: &StepContext) -> Result<&Arc<Scripted>, CallError> {
    cx.0.script.get().ok_or_else(|| "works on a step of a class of the configuration".into())
}

async fn nothing(_: &StepContext, _: Args) -> Reply {
    Ok(NOTHING)
}

async fn run(cx: &StepContext, _: Args) -> Reply {
    value(script(cx)?.base_run(cx).await?.code())
}

async fn current_summary(cx: &StepContext, _: Args) -> Reply {
    value(json!({"step": script(cx)?.base_current_summary(cx)}))
}

async fn result_summary(cx: &StepContext, _: Args) -> Reply {
    let script = script(cx)?;
    let results = cx.known_results().unwrap_or(Results::Success);
    value(json!({"step": script.base_result_summary(cx, results).await}))
}

/// What the step's own class makes of it: for most what the command says.
async fn evaluate_command(cx: &StepContext, mut args: Args) -> Reply {
    let command = args.object::<ScriptCommand>("cmd", "a command that has run")?;
    let own = script(cx)?.base_result();
    match own {
        Some(own) => value(own.code()),
        None => value(command.results()?.code()),
    }
}

/// Commands are interrupted by themselves.
async fn interrupt(_: &StepContext, mut args: Args) -> Reply {
    args.maybe::<Json>("reason")?;
    Ok(NOTHING)
}
