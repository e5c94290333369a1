//! `self:startSubStep{…}`: the parts of a step, shown as steps.

use super::{ENDED, logs};
use crate::scripts::args::{Args, Method, NOTHING, Reply, call, methods, names};
use crate::step::{BaseStepParams, Inner, StepContext};
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, Renderable, ScriptObject, StringOrList};
use serde::Deserialize;
use serde_json::json;
use std::sync::{Arc, LazyLock, Weak};

pub(super) static METHODS: &[Method<StepContext>] = methods! { "startSubStep"("options*") => start, };

/// What stands behind a sub-step in Lua.
struct SubStep {
    parent: Weak<Inner>,
    sub: Weak<Inner>,
}

static OWN: &[Method<SubStep>] = methods! { "finish"("result") => finish, };
static OF_STEPS: &[&[Method<StepContext>]] = &[logs::METHODS, super::facts::LINKS];
static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| names(OF_STEPS).into_iter().chain(names(&[OWN])).collect());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    name: String,
    #[serde(default)]
    description: Option<Renderable<StringOrList>>,
    #[serde(default, rename = "descriptionDone")]
    description_done: Option<Renderable<StringOrList>>,
}

async fn start(cx: &StepContext, mut args: Args) -> Reply {
    let options: Options = args.need("options")?;
    if options.name.is_empty() {
        return Err(args.wrong("name must not be empty"));
    }
    let words = BaseStepParams {
        description: options.description,
        description_done: options.description_done,
        ..BaseStepParams::default()
    };
    let sub = cx.start_sub_step(&options.name, words).await?;
    let fields = json!({"name": sub.name(), "stepid": sub.step_id()});
    let handle = Arc::new(SubStep { parent: Arc::downgrade(&cx.0), sub: Arc::downgrade(&sub.0) });
    let key = format!("substep:{}", sub.step_id());
    let object = ScriptObject::new("substep", key, fields, handle).with_methods(&NAMES);
    Ok(Arg::Object(ScriptObject { scope: cx.0.build.scope(), ..object }))
}

impl LiveObject for SubStep {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            if OWN.iter().any(|own| own.name == method) {
                return call(&[OWN], self, method, args).await;
            }
            call(OF_STEPS, &alive(&self.sub)?, method, args).await
        })
    }
}

fn alive(step: &Weak<Inner>) -> Result<StepContext, CallError> {
    let found = step.upgrade().map(StepContext::of).filter(|cx| !cx.0.ended.is_cancelled());
    found.ok_or_else(|| ENDED.into())
}

async fn finish(this: &SubStep, mut args: Args) -> Reply {
    let results = args.results("result")?;
    alive(&this.parent)?.finish_sub_step(&alive(&this.sub)?, results).await?;
    Ok(NOTHING)
}
