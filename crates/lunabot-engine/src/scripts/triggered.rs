//! What `self:trigger{…}` of a step has triggered (lua-api § 3).

use super::args::{Args, Method, Reply, call, methods, names, value};
use crate::step::{StepContext, TriggeredSet};
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, Results, ScriptObject};
use serde_json::json;
use std::sync::{Arc, LazyLock};
use tokio::sync::Mutex;

struct ScriptTriggered {
    cx: std::sync::Weak<crate::step::Inner>,
    set: Mutex<State>,
}

struct State {
    set: Vec<TriggeredSet>,
    results: Results,
    over: bool,
}

static METHODS: &[Method<ScriptTriggered>] = methods! { "wait"() => wait, };
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(&[METHODS]));

pub(super) fn object(cx: &StepContext, set: TriggeredSet) -> ScriptObject {
    let brids: Vec<i64> = set.requests().collect();
    let fields = json!({"bsid": set.bsid(), "brids": brids});
    let state = State { set: vec![set], results: Results::Success, over: false };
    let handle = Arc::new(ScriptTriggered { cx: Arc::downgrade(&cx.0), set: Mutex::new(state) });
    ScriptObject::new("triggered", "triggered", fields, handle).with_methods(&NAMES)
}

impl LiveObject for ScriptTriggered {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], self, method, args).await })
    }
}

/// The worst result of the builds, once all have ended. Where the step is stopped, they are cancelled.
async fn wait(this: &ScriptTriggered, _: Args) -> Reply {
    let cx = this.cx.upgrade().map(StepContext::of).ok_or("the step has ended")?;
    let _counted = cx.0.calls.enter();
    let mut state = this.set.lock().await;
    let State { set, results, over } = &mut *state;
    while !*over {
        let next = tokio::select! {
            biased;
            () = cx.interrupted() => {
                cx.cancel_triggered(set).await;
                return Err(cx.interruption().into());
            }
            next = set[0].next() => next?,
        };
        match next {
            Some(completed) => {
                *results = results.worst(completed.results);
                cx.link_builds(&completed).await?;
            }
            None => *over = true,
        }
    }
    value(results.code())
}
