//! One request in the hands of a class of the configuration.

use super::live::{RequestHandle, request_object};
use crate::hooks::{Dialect, Event, HookError, HookRequest, HookScope};
use lunabot_data::intake::{read_change, to_json};
use lunabot_data::new::NewChange;
use lunabot_model::class::ClassOf;
use lunabot_model::script::{CallError, CallSite, Inert, Instance, LiveObject};
use lunabot_model::{Arg, BoxFuture, Callback, Json, ScriptError, ScriptErrorKind, ScriptObject};
use std::sync::{Arc, OnceLock, Weak};

/// What the methods of `self` act on.
pub struct Handler {
    class: Arc<ClassOf>,
    inner: Arc<dyn Dialect>,
    request: Arc<HookRequest>,
    scope: Arc<HookScope>,
    /// Itself, as the script host knows it; it holds this.
    instance: OnceLock<Weak<Instance>>,
}

/// A request that is read: `self` lives as long.
pub struct Begun {
    handler: Arc<Handler>,
    _self: Arc<Instance>,
}

impl Handler {
    /// Makes the `self` of a request. `object` is the `$id` of what the configuration made.
    pub async fn begin(
        class: Arc<ClassOf>,
        object: u64,
        inner: Arc<dyn Dialect>,
        request: &Arc<HookRequest>,
        scope: &Arc<HookScope>,
    ) -> Result<Begun, HookError> {
        let failed = |error: String| HookError::Failed(error);
        let mut fields = inner.fields(scope).await?;
        let session = fields.remove("http");
        let params = scope.service.params(&class).await.map_err(|error| failed(error.to_string()))?;
        fields.extend(params.as_object().cloned().unwrap_or_default());
        let methods = inner.methods();
        let (request, scope) = (Arc::clone(request), Arc::clone(scope));
        let handler = Arc::new(Handler { class, inner, request, scope, instance: OnceLock::new() });
        let master = ScriptObject::master(0);
        let mut children = vec![("master", Arg::Object(master))];
        children.extend(session.map(|options| {
            ("http", Arg::Object(ScriptObject::new("session", "session", options, Arc::new(Inert))))
        }));
        let live = ScriptObject::new(
            "webhook",
            "webhook",
            fields.into(),
            Arc::clone(&handler) as Arc<dyn LiveObject>,
        );
        let live = ScriptObject { children, ..live.with_methods(methods) };
        let keep = handler.scope.service.script.keep();
        let instance = Arc::new(Instance { keep, of: object, live });
        // Nobody else has set it.
        let _ = handler.instance.set(Arc::downgrade(&instance));
        let begun = Begun { handler, _self: instance };
        if let Some(callback) = begun.handler.class.hook("before_start") {
            begun.handler.ask("before_start", callback, Vec::new()).await?;
        }
        Ok(begun)
    }

    /// Calls a method of the class.
    async fn ask(&self, method: &str, callback: &Callback, args: Vec<Arg>) -> Result<Json, HookError> {
        let instance = self.instance.get().and_then(Weak::upgrade);
        let instance = instance.ok_or_else(|| HookError::Failed("the request has ended".into()))?;
        let args = std::iter::once(Arg::Instance(instance)).chain(args).collect();
        self.scope.service.script.call(callback, self.site(method), args).await.map_err(of_script)
    }

    fn site(&self, method: &str) -> CallSite {
        CallSite::new(method, self.scope.service.concerns.as_str())
    }

    async fn changes_of(
        &self,
        method: &str,
        callback: &Callback,
        args: Vec<Arg>,
    ) -> Result<Vec<NewChange>, HookError> {
        let answer = self.ask(method, callback, args).await?;
        let script = &self.scope.service.script;
        read_changes(answer, |value| script.shown(value)).map_err(|problem| {
            let text = format!("{method} at {}: {problem}", callback.at);
            script.nonsense(callback, self.site(method), &text);
            HookError::Failed(text)
        })
    }

    /// What `getChanges` does where the class has none: each event to its method, the others to the built-in dialect.
    async fn dispatch(&self) -> Result<Vec<NewChange>, HookError> {
        let Some(event) = self.inner.event(&self.request)? else {
            return self.inner.changes(&self.request, &self.scope).await;
        };
        let method = format!("handle_{}", event.word());
        match self.class.hook(&method) {
            Some(callback) => {
                let args = vec![Arg::Value(event.payload), Arg::Value(event.name.into())];
                self.changes_of(&method, callback, args).await
            }
            None => self.inner.of_event(&event, &self.request, &self.scope).await,
        }
    }

    /// What the class asks of the dialect that it extends.
    async fn upcall(&self, method: &str, args: Vec<Json>) -> Result<Json, HookError> {
        let list = |changes: Vec<NewChange>| changes.iter().map(change_json).collect();
        if method == "getChanges" {
            return self.dispatch().await.map(list);
        }
        let Some(word) = method.strip_prefix("handle_") else {
            return self.inner.help(method, &args, &self.scope).await;
        };
        let mut args = args.into_iter();
        let payload = args.next().filter(Json::is_object);
        let payload = payload.ok_or_else(|| {
            HookError::Failed(format!("{method}(self, payload, event): payload: a table is wanted"))
        })?;
        let event = match args.next() {
            Some(Json::String(name)) => Event::new(name, payload),
            _ => Event::new(word, payload),
        };
        self.inner.of_event(&event, &self.request, &self.scope).await.map(list)
    }
}

impl Begun {
    /// The changes that the class makes of the request.
    pub async fn changes(&self) -> Result<Vec<NewChange>, HookError> {
        let handler = &self.handler;
        match handler.class.hook("getChanges") {
            Some(callback) => {
                let request = Arg::Object(request_object(RequestHandle(Arc::clone(&handler.request))));
                handler.changes_of("getChanges", callback, vec![request]).await
            }
            None => handler.dispatch().await,
        }
    }
}

impl LiveObject for Handler {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let plain = match method {
                // It is given the request, which is the one at hand.
                "getChanges" => Vec::new(),
                _ => args.into_iter().map(Arg::into_json).collect::<Result<_, _>>()?,
            };
            self.upcall(method, plain).await.map(Arg::Value).map_err(CallError::from)
        })
    }
}

/// The sender's mistakes end the request as such, where the class does not catch them.
impl From<HookError> for CallError {
    fn from(error: HookError) -> Self {
        match error {
            HookError::Bad(text) => CallError::new(ScriptErrorKind::Failed, text),
            HookError::Failed(text) => text.into(),
        }
    }
}

/// `util.fail` is what a class says of the sender; anything else is its own fault.
fn of_script(error: ScriptError) -> HookError {
    match error.kind {
        ScriptErrorKind::Failed => HookError::Bad(error.message),
        _ => HookError::Failed(error.message),
    }
}

/// A change as the class sees it: the names that it may return.
fn change_json(change: &NewChange) -> Json {
    let mut json = to_json(change);
    if let Some(fields) = json.as_object_mut() {
        fields.remove("who");
    }
    json
}

/// Reads what a method returned: changes, one change, or nil; after it may stand the name of the kind of repository,
/// which Buildbot's handlers return and nobody needs.
fn read_changes(answer: Json, shown: impl Fn(&Json) -> String) -> Result<Vec<NewChange>, String> {
    let answer = match answer {
        Json::Array(mut items) if matches!(items.as_slice(), [_, Json::Null | Json::String(_)]) => {
            items.remove(0)
        }
        other => other,
    };
    let items = match answer {
        Json::Null => Vec::new(),
        Json::Array(items) => items,
        Json::Object(fields) if fields.is_empty() => Vec::new(),
        one @ Json::Object(_) => vec![one],
        other => {
            return Err(format!(
                "returned {}; wanted a list of changes: {{{{author = …, comments = …}}}}",
                shown(&other)
            ));
        }
    };
    let numbered = items.into_iter().zip(1..);
    numbered
        .map(|(item, number)| read_one(item).map_err(|problem| format!("change {number}: {problem}")))
        .collect()
}

fn read_one(item: Json) -> Result<NewChange, String> {
    let change = read_change(item)?;
    if change.author.trim().is_empty() { Err("author is missing".into()) } else { Ok(change) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_handlers_return_is_read_02_031() {
        let change = json!({"author": "ann"});
        for (answer, count) in [
            (json!(null), 0),
            (json!({}), 0),
            (json!([]), 0),
            (change.clone(), 1),
            (json!([change]), 1),
            (json!([change, change]), 2),
            (json!([[change, change], "git"]), 2),
            (json!([[change], null]), 1),
            (json!([change, null]), 1),
            (json!([null, "git"]), 0),
            (json!([{}, "git"]), 0),
        ] {
            assert_eq!(
                read_changes(answer.clone(), Json::to_string).map(|all| all.len()),
                Ok(count),
                "{answer}"
            );
        }
        for (answer, wanted) in [
            (json!(3), "returned 3; wanted a list of changes: {{author = …, comments = …}}"),
            (json!([3]), "change 1: got the number `3`, expected a table"),
            (json!([change, {"whom": "x"}]), "change 2: whom: unknown option, did you mean who?"),
            (json!([{"comments": "x"}]), "change 1: author is missing"),
        ] {
            let told = read_changes(answer.clone(), Json::to_string).unwrap_err();
            assert!(told.starts_with(wanted), "{answer}: {told}");
        }
    }

    #[test]
    fn what_the_dialect_finds_can_be_returned_as_it_is() {
        let change = NewChange { author: "A".into(), when_timestamp: Some(5), ..NewChange::default() };
        assert_eq!(read_changes(json!([change_json(&change)]), Json::to_string), Ok(vec![change]));
    }
}
