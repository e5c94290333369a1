//! Functions of the configuration, played by the test.

use lunabot_model::object::CallbackRef;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, BoxFuture, Callback, Json, ScriptError, ScriptErrorKind, ScriptHost};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

type Function = Arc<dyn Fn(Vec<Arg>) -> BoxFuture<'static, Result<Json, String>> + Send + Sync>;

#[derive(Default)]
pub struct FakeHost {
    functions: Mutex<HashMap<u64, Function>>,
    /// Complaints about results.
    pub nonsense: Mutex<Vec<String>>,
    /// Calls: `canStartBuild of builder b`.
    pub calls: Mutex<Vec<String>>,
}

impl FakeHost {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes function `id` do this; [`callback`] is what a configuration holds.
    pub fn set(&self, id: u64, function: impl Fn(Vec<Arg>) -> Result<Json, String> + Send + Sync + 'static) {
        self.set_waiting(id, move |args| {
            let result = function(args);
            Box::pin(async move { result })
        });
    }

    pub fn set_waiting(
        &self,
        id: u64,
        function: impl Fn(Vec<Arg>) -> BoxFuture<'static, Result<Json, String>> + Send + Sync + 'static,
    ) {
        self.functions.lock().unwrap().insert(id, Arc::new(function));
    }
}

pub fn callback(id: u64) -> Json {
    let inner = CallbackRef { id, generation: 1, fingerprint: id.to_string(), at: "master.lua:1".into() };
    serde_json::to_value(Callback::new(inner)).unwrap()
}

/// The answer that names this argument.
pub fn reference(arg: &Arg, index: usize) -> Json {
    let key = match arg {
        Arg::Object(object) => &object.key,
        Arg::List(objects) => &objects[index].key,
        other => panic!("{other:?} is no object"),
    };
    serde_json::json!({"$ref": key})
}

impl ScriptHost for FakeHost {
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        site: CallSite,
        args: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        let function = self.functions.lock().unwrap().get(&callback.id).cloned().expect("a known function");
        self.calls.lock().unwrap().push(format!("{} of {}", site.callback, site.concerns));
        Box::pin(async move {
            function(args).await.map_err(|message| ScriptError {
                kind: ScriptErrorKind::Raise,
                message: format!("master.lua:1: {message}"),
                traceback: String::new(),
            })
        })
    }

    fn nonsense(&self, _: &Callback, _: CallSite, message: &str) {
        self.nonsense.lock().unwrap().push(message.into());
    }

    fn generation(&self) -> u64 {
        1
    }
}
