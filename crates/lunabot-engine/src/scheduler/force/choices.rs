//! Choices that a function finds out: asked when a form is shown or filled in, kept for a minute (03.041, 03.050).

use super::Form;
use crate::scheduler::Surroundings;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, CallbackSpec, Json, Mono};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(60);

/// The function that `choices` may be.
pub const CHOICES: CallbackSpec = CallbackSpec {
    option: "choices",
    args: "master, scheduler",
    returns: "a list of texts",
    on_error: "the choices stay what they were",
};

/// What can be chosen.
#[derive(Debug, Clone)]
pub enum Choices {
    Listed(Vec<String>),
    Asked(Callback),
}

impl Default for Choices {
    fn default() -> Self {
        Choices::Listed(Vec::new())
    }
}

impl Choices {
    /// The list, as far as it is known, and the function.
    pub fn split(self) -> (Vec<String>, Option<Callback>) {
        match self {
            Choices::Listed(choices) => (choices, None),
            Choices::Asked(function) => (Vec::new(), Some(function)),
        }
    }
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        if let Some(function) = Callback::from_json(&value) {
            return Ok(Choices::Asked(function));
        }
        texts(&value)
            .map(Choices::Listed)
            .ok_or_else(|| D::Error::custom(format!("expected a list of texts or a function, not {value}")))
    }
}

/// A list of texts; an empty table is an empty list.
fn texts(value: &Json) -> Option<Vec<String>> {
    match value {
        Json::Array(items) => items.iter().map(|item| item.as_str().map(str::to_string)).collect(),
        Json::Object(map) if map.is_empty() => Some(Vec::new()),
        _ => None,
    }
}

impl JsonSchema for Choices {
    fn schema_name() -> Cow<'static, str> {
        "Choices".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "object", "x-callback": true}]})
    }
}

/// What can be chosen, and why that may be out of date.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub choices: Vec<String>,
    pub error: Option<String>,
}

/// What the functions of one form have found, by function.
#[derive(Default)]
pub(super) struct Found {
    all: Mutex<HashMap<u64, (Mono, Known)>>,
    /// Held while functions are asked: nobody asks for what somebody else is about to know.
    turn: tokio::sync::Mutex<()>,
}

impl Found {
    /// Asks what is not known or was found too long ago. Whether anything was asked.
    pub async fn refresh(&self, form: &Form, around: &Surroundings, scheduler: &str) -> bool {
        let functions = form.functions();
        if functions.is_empty() {
            return false;
        }
        let _turn = self.turn.lock().await;
        let mut asked = false;
        for function in functions {
            let now = around.clock.mono();
            let known = self.all().get(&function.id).cloned();
            if known.as_ref().is_some_and(|(at, _)| now < *at + FRESH) {
                continue;
            }
            asked = true;
            let found = match ask(function, around, scheduler).await {
                Ok(choices) => Known { choices, error: None },
                Err(error) => Known {
                    choices: known.map(|(_, known)| known.choices).unwrap_or_default(),
                    error: Some(error),
                },
            };
            // After an error too, the next question waits its time.
            self.all().insert(function.id, (around.clock.mono(), found));
        }
        asked
    }

    pub fn of(&self, function: &Callback) -> Known {
        self.all().get(&function.id).map(|(_, known)| known.clone()).unwrap_or_default()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, (Mono, Known)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error is logged, counted and listed, too.
async fn ask(function: &Callback, around: &Surroundings, scheduler: &str) -> Result<Vec<String>, String> {
    let site = CallSite::new(CHOICES.option, format!("scheduler {scheduler}"));
    let args = vec![Arg::Object(crate::scripts::master_object()), Arg::Value(scheduler.into())];
    let answer = around.host.call(function, site.clone(), args).await.map_err(|error| error.message)?;
    texts(&answer).ok_or_else(|| {
        let text = format!("choices returned {}; return a list of texts", around.host.shown(&answer));
        around.host.nonsense(function, site, &text);
        function.placed(&text)
    })
}
