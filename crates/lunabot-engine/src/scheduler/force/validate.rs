//! Functions that judge what was entered into a form (03.037): asked when every field is good by itself, in the order of
//! the form. They may set properties of the buildset.

use super::{Filled, SOURCE};
use crate::scheduler::Surroundings;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::{CallSite, LiveObject};
use lunabot_model::{Arg, BoxFuture, Callback, CallbackSpec, Json, Properties};
use serde_json::Map;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The function that `validate` is.
pub const VALIDATE: CallbackSpec = CallbackSpec {
    option: "validate",
    args: "value, properties",
    returns: "nil, or a text that says what is wrong",
    on_error: "nothing is built, and the error is shown at the field",
};

/// A value that is to be judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub full_name: String,
    pub value: Json,
    pub function: Callback,
}

/// The properties that the buildset gets, or a table of full name → text.
pub(super) async fn judge(
    filled: &Filled,
    around: &Surroundings,
    scheduler: &str,
) -> Result<Properties, Json> {
    let concerns = format!("scheduler {scheduler}");
    let scope = ServiceScope {
        script: around.host.clone(),
        secrets: around.secrets.clone(),
        concerns: concerns.clone(),
    };
    let handle = Arc::new(Entered { properties: Mutex::new(filled.properties()), scope });
    let mut errors = Map::new();
    for Judged { full_name, value, function } in &filled.judged {
        let snapshot = handle.properties().clone();
        let args = vec![Arg::Value(value.clone()), Arg::Properties(handle.clone(), snapshot)];
        let site = CallSite::new(VALIDATE.option, format!("field {full_name} of {concerns}"));
        let fault = match around.host.call(function, site.clone(), args).await {
            Ok(Json::Null) => continue,
            Ok(Json::String(text)) => text,
            Ok(other) => {
                let shown = around.host.shown(&other);
                let text =
                    format!("validate returned {shown}; return nil, or a text that says what is wrong");
                around.host.nonsense(function, site, &text);
                text
            }
            Err(error) => format!("validate failed: {}", error.message),
        };
        errors.entry(full_name.clone()).or_insert_with(|| fault.into());
    }
    if errors.is_empty() { Ok(handle.properties().clone()) } else { Err(Json::Object(errors)) }
}

/// The properties as the functions see and change them.
struct Entered {
    properties: Mutex<Properties>,
    scope: ServiceScope,
}

impl Entered {
    fn properties(&self) -> MutexGuard<'_, Properties> {
        self.properties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveObject for Entered {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            match (method, args.as_slice()) {
                ("setProperty", [Json::String(name), value, source @ ..]) => {
                    let source = source.first().and_then(Json::as_str).unwrap_or(SOURCE);
                    self.properties().set(name.as_str(), value.clone(), source);
                    Ok(Json::Null)
                }
                ("setProperty", _) => Err("setProperty takes a name, a value and a source".into()),
                ("render", [value]) => self.scope.render(value).await.map_err(|error| error.to_string()),
                _ => Err(format!("no method {method}; there are setProperty and render")),
            }
        })
    }

    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} cannot be assigned; use setProperty"))
    }
}
