//! Options that several dialects share.

use super::{HookError, HookRequest, HookScope};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, Json, Problem, Renderable, pattern};
use regex::Regex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A list of texts, one text, or nothing (`{}` of Lua is an empty table).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts(pub Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::Object(map) if map.is_empty() => Ok(Texts::default()),
            other => lunabot_model::StringOrList::deserialize(other)
                .map(|list| Texts(list.0))
                .map_err(D::Error::custom),
        }
    }
}

/// The codebase of a dialect's changes: a text, or a function of the payload that returns one or nil.
#[derive(Debug, Clone, PartialEq)]
pub enum Codebase {
    Text(String),
    Function(Callback),
}

impl<'de> Deserialize<'de> for Codebase {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        match (&value, Callback::from_json(&value)) {
            (Json::String(text), _) => Ok(Codebase::Text(text.clone())),
            (_, Some(callback)) => Ok(Codebase::Function(callback)),
            (other, None) => Err(D::Error::custom(format!("expected a text or a function, not {other}"))),
        }
    }
}

impl Codebase {
    /// The same where the address that the forge calls may name it: `?codebase=NAME`.
    pub async fn asked(
        this: Option<&Codebase>,
        request: &HookRequest,
        payload: &Json,
        scope: &HookScope,
    ) -> Result<String, HookError> {
        match request.query("codebase") {
            Some(named) => Ok(named),
            None => Codebase::of(this, payload, scope).await,
        }
    }

    /// The codebase of what `payload` reports; empty: `codebaseGenerator` decides.
    pub async fn of(this: Option<&Codebase>, payload: &Json, scope: &HookScope) -> Result<String, HookError> {
        let callback = match this {
            None => return Ok(String::new()),
            Some(Codebase::Text(text)) => return Ok(text.clone()),
            Some(Codebase::Function(callback)) => callback,
        };
        let site = CallSite::new("codebase", scope.service.concerns.as_str());
        let script = &scope.service.script;
        match script.call(callback, site.clone(), vec![Arg::Value(payload.clone())]).await {
            Ok(Json::String(codebase)) => Ok(codebase),
            Ok(Json::Null) => Ok(String::new()),
            Ok(other) => {
                let shown = script.shown(&other);
                let text = format!("codebase returned {shown}; wanted the name of a codebase or nil");
                script.nonsense(callback, site, &text);
                Err(HookError::Failed(text))
            }
            Err(error) => Err(HookError::Failed(error.to_string())),
        }
    }
}

/// Patterns of which one may match anywhere in a text.
#[derive(Debug, Clone)]
pub struct Patterns(Vec<Regex>);

impl Patterns {
    /// Of patterns that are known to be good.
    pub fn of(texts: &[&str]) -> Self {
        let compiled =
            texts.iter().map(|text| pattern::search(text).expect("a test compiles our own patterns"));
        Patterns(compiled.collect())
    }

    pub fn any_match(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(text))
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let texts = Texts::deserialize(d)?.0;
        let compiled = texts.iter().map(|text| pattern::search(text).map_err(D::Error::custom));
        Ok(Patterns(compiled.collect::<Result<_, _>>()?))
    }
}

/// A secret that is written down must not be empty: `""` would look like protection.
pub fn empty_secret(secret: Option<&Renderable<String>>) -> Option<Problem> {
    let empty = secret?.literal().is_some_and(|secret| secret.is_empty());
    empty.then(|| Problem::new("secret", "must not be empty; leave it out to do without"))
}
