//! A running step as functions of the configuration see it, as an argument or as `self` (lua-api § 2 and § 3).

mod base;
mod commands;
mod ended;
mod facts;
mod files;
mod logs;
mod source;
mod sub;

pub(crate) use ended::{done_step, facts_of, facts_of_none};

use super::args::{Method, call, names};
use super::build::{self, build_object, worker_of};
use crate::step::{Inner, StepContext};
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, Json, Results, ScriptObject};
use serde_json::json;
use std::sync::{Arc, LazyLock, OnceLock, Weak};

static TABLES: &[&[Method<StepContext>]] = &[
    facts::METHODS,
    facts::LINKS,
    logs::METHODS,
    commands::METHODS,
    files::METHODS,
    source::METHODS,
    sub::METHODS,
    base::METHODS,
];
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(TABLES));

/// What a class may change of its step while it runs.
pub(crate) const ASSIGNABLE: &[&str] = &[
    "description",
    "descriptionDone",
    "descriptionSuffix",
    "haltOnFailure",
    "flunkOnFailure",
    "flunkOnWarnings",
    "warnOnFailure",
    "warnOnWarnings",
];

/// Fields that no option hides.
const RESERVED: &[&str] = &["build", "worker", "stopped", "results", "properties"];

/// What is known of a step at any time, with these fields besides.
fn plain_fields(cx: &StepContext, more: Json) -> serde_json::Map<String, Json> {
    let mut fields = known_fields(more);
    fields.extend([("name".into(), cx.name().into()), ("workdir".into(), cx.workdir().into())]);
    fields
}

/// Options and parameters, but for those by whose name a step knows something else.
fn known_fields(more: Json) -> serde_json::Map<String, Json> {
    let mut fields = match more {
        Json::Object(more) => more,
        _ => serde_json::Map::new(),
    };
    fields.retain(|name, _| !RESERVED.contains(&name.as_str()) && !NAMES.contains(&name.as_str()));
    fields
}

/// The step, with these fields besides its own.
pub(crate) fn step_object(cx: &StepContext, more: Json) -> ScriptObject {
    let fields = plain_fields(cx, more);
    let handle = Arc::new(StepHandle(Arc::downgrade(&cx.0), cx.0.result.clone()));
    ScriptObject {
        children: vec![("build", Arg::Object(build_object(&cx.0.build))), ("worker", worker_of(&cx.0.build))],
        assignable: if cx.0.script.get().is_some() { ASSIGNABLE } else { &[] },
        scope: cx.0.build.scope(),
        ..ScriptObject::new("step", "step", fields.into(), handle).with_methods(&NAMES)
    }
}

/// What the methods act on, and the result once there is one. It does not keep the step alive.
pub(crate) struct StepHandle(Weak<Inner>, Arc<OnceLock<Results>>);

impl StepHandle {
    fn step(&self) -> Option<StepContext> {
        self.0.upgrade().map(StepContext::of).filter(|cx| !cx.0.ended.is_cancelled())
    }
}

/// Told of an object that is used after its time.
const ENDED: &str = "the step has ended";

impl LiveObject for StepHandle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let cx = self.step().ok_or(ENDED)?;
            if let Some(of_properties) = build::of_properties(&cx.0.build, method, &args) {
                return Ok(of_properties);
            }
            let _counted = cx.0.calls.enter();
            tokio::select! {
                biased;
                answer = call(TABLES, &cx, method, args) => answer,
                () = cx.0.ended.cancelled() => Err(ENDED.into()),
            }
        })
    }

    fn set(&self, field: &str, value: Json) -> Result<(), String> {
        let cx = self.step().ok_or(ENDED)?;
        match cx.0.script.get() {
            Some(script) => script.assign(&cx, field, value),
            None => Err(format!("{field} cannot be assigned here")),
        }
    }

    fn renders(&self) -> bool {
        true
    }

    fn field(&self, name: &str) -> Option<Json> {
        if let ("results", Some(results)) = (name, self.1.get()) {
            return Some(results.code().into());
        }
        let cx = StepContext::of(self.0.upgrade()?);
        match name {
            "stopped" => Some(cx.is_interrupted().into()),
            // Nothing before its end.
            "results" => Some(cx.known_results().map_or(Json::Null, |known| known.code().into())),
            "properties" => Some(json!({"$properties": cx.properties()})),
            _ => None,
        }
    }
}
