//! A step that has run, as the class of its build sees it: `last` of `getNextStep`.

use super::{ENDED, NAMES, known_fields, plain_fields};
use crate::build::BuildShared;
use crate::scripts::args::{Args, Method, Reply, call, methods, value};
use crate::scripts::build::{self, build_object, worker_of};
use crate::step::StepContext;
use crate::step::run::{Facts, StepEnd};
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, Json, ScriptObject};
use serde_json::json;
use std::sync::{Arc, Weak};

static METHODS: &[Method<Ended>] = methods! {
    "getStatistic"("name", "default*") => get_statistic,
    "hasStatistic"("name") => has_statistic,
    "getStatistics"() => get_statistics,
};

/// What only reads properties; they are the build's.
const OF_BUILD: &[&str] = &["getProperty", "hasProperty", "getProperties"];

/// What a step leaves to be read, where somebody may: its options and how it ended.
pub(crate) fn facts_of(cx: &StepContext, number: i64, state: &str) -> Facts {
    if cx.0.build.script.get().is_none() {
        return Facts::default();
    }
    let mut fields = plain_fields(cx, cx.0.options.get().cloned().unwrap_or_default());
    let stopped = cx.0.stopped.borrow().is_some();
    let own = [("number", number.into()), ("stopped", stopped.into()), ("state_string", state.into())];
    fields.extend(own.map(|(name, value)| (name.to_string(), value)));
    Facts(fields)
}

/// The same of a step that could not even begin.
pub(crate) fn facts_of_none(options: Json, state: &str) -> Facts {
    let mut fields = known_fields(options);
    let own = [
        ("number", Json::Null),
        ("workdir", Json::Null),
        ("stopped", false.into()),
        ("state_string", state.into()),
    ];
    fields.extend(own.map(|(name, value)| (name.to_string(), value)));
    Facts(fields)
}

pub(crate) fn done_step(build: &BuildShared, end: &StepEnd) -> ScriptObject {
    let Facts(mut fields) = end.facts.clone();
    let own = [("name", json!(end.name)), ("results", end.results.code().into())];
    fields.extend(own.map(|(name, value)| (name.to_string(), value)));
    let handle = Arc::new(EndedHandle { build: Weak::clone(&build.itself), name: end.name.clone() });
    ScriptObject {
        children: vec![("build", Arg::Object(build_object(build))), ("worker", worker_of(build))],
        ..ScriptObject::new("step", format!("step:{}", end.name), fields.into(), handle).with_methods(&NAMES)
    }
}

/// It does not keep the build alive.
struct EndedHandle {
    build: Weak<BuildShared>,
    name: String,
}

/// What the methods that still make sense act on.
struct Ended {
    build: Arc<BuildShared>,
    name: String,
}

impl LiveObject for EndedHandle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let build = self.build.upgrade().ok_or("the build has ended")?;
            if let Some(of_properties) = build::of_properties(&build, method, &args) {
                return Ok(of_properties);
            }
            if OF_BUILD.contains(&method) {
                return call(&[build::METHODS], &*build, method, args).await;
            }
            if !METHODS.iter().any(|known| known.name == method) {
                return Err(ENDED.into());
            }
            call(&[METHODS], &Ended { build, name: self.name.clone() }, method, args).await
        })
    }

    fn field(&self, name: &str) -> Option<Json> {
        let build = self.build.upgrade()?;
        (name == "properties").then(|| json!({"$properties": build.properties().all()}))
    }
}

async fn get_statistic(step: &Ended, mut args: Args) -> Reply {
    let found = step.build.statistics().get(&step.name, &args.text("name")?).cloned();
    value(match found {
        Some(found) => found,
        None => args.maybe::<Json>("default")?.unwrap_or_default(),
    })
}

async fn has_statistic(step: &Ended, mut args: Args) -> Reply {
    value(step.build.statistics().get(&step.name, &args.text("name")?).is_some())
}

async fn get_statistics(step: &Ended, _: Args) -> Reply {
    value(step.build.statistics().of(&step.name))
}
