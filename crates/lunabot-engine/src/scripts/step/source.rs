//! What source steps lend to classes that extend them.

use crate::scripts::args::{Args, Method, NOTHING, Reply, methods, value};
use crate::scripts::bare::spliced;
use crate::step::{Step, StepContext, StepError, VcCommand};
use lunabot_model::{CallError, Json};
use serde_json::json;

pub(super) static METHODS: &[Method<StepContext>] = methods! {
    "vccmd"("args*", "collectStdout", "abandonOnFailure", "initialStdin") => vccmd,
    "updateSourceProperty"("name", "value*", "source") => update_source_property,
};

/// The built-in class below the step's; the error says that it is no source step.
fn base(cx: &StepContext, args: &Args) -> Result<(Box<dyn Step>, String), CallError> {
    let script = cx.0.script.get().ok_or("works on a step of a class of the configuration")?;
    let step = script.base_step(cx)?;
    match step.source() {
        Some(_) => Ok((step, script.class_name().to_string())),
        None => Err(args.wrong("this is no source step; extend steps.Git and the like")),
    }
}

/// Standard output where it is asked for, else the exit status.
async fn vccmd(cx: &StepContext, mut args: Args) -> Reply {
    let (step, _) = base(cx, &args)?;
    let words = args.maybe::<Json>("args")?.unwrap_or_else(|| json!([]));
    let words = spliced(&cx.render(&words).await?);
    let Ok(words) = serde_json::from_value::<Vec<String>>(words) else {
        return Err(args.wrong("args: expected a list of texts, e.g. {\"describe\", \"--tags\"}"));
    };
    let collect = args.maybe::<bool>("collectStdout")?.unwrap_or(false);
    let abandon = args.maybe::<bool>("abandonOnFailure")?.unwrap_or(true);
    let name = words.first().cloned().unwrap_or_default();
    let command = VcCommand { args: words, stdin: args.maybe("initialStdin")? };
    let Some(source) = step.source() else { return Ok(NOTHING) };
    let done = source.vccmd(cx, command).await?;
    if abandon && done.did_fail() {
        return Err(StepError::Failed(format!("{name} failed")).into());
    }
    match collect {
        true => value(done.stdout),
        false => value(done.rc.map_or(Json::Null, Json::from)),
    }
}

async fn update_source_property(cx: &StepContext, mut args: Args) -> Reply {
    let (step, class) = base(cx, &args)?;
    let (name, new) = (args.text("name")?, args.need::<Json>("value")?);
    let source = args.maybe::<String>("source")?.filter(|source| !source.is_empty()).unwrap_or(class);
    if let Some(step) = step.source() {
        step.update_property(cx, &source, &name, new)?;
    }
    Ok(NOTHING)
}
