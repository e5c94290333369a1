//! Methods of objects that scripts see, as tables: each has a name, names for its arguments and an async function.
//!
//! Arguments come as they are written in Lua: by position, and by name in one last table (lua-api § 1, rule 3).

use crate::step::StepError;
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, Callback, Json, Results, ScriptErrorKind};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::sync::Arc;

/// What a method answers.
pub(crate) type Reply = Result<Arg, CallError>;

/// Nothing.
pub(crate) const NOTHING: Arg = Arg::Value(Json::Null);

/// One method of objects that stand for a `T`.
pub(crate) struct Method<T: ?Sized + 'static> {
    pub name: &'static str,
    /// Its arguments; for one that ends in `*` a table with names is a value.
    pub takes: &'static [&'static str],
    pub call: for<'a> fn(&'a T, Args) -> BoxFuture<'a, Reply>,
}

/// A table of methods: `"addURL"("name", "url") => add_url,`.
macro_rules! methods {
    ($($name:literal ($($arg:literal),*) => $call:path,)*) => {
        &[$($crate::scripts::args::Method {
            name: $name,
            takes: &[$($arg),*],
            call: |this, args| Box::pin($call(this, args)),
        },)*]
    };
}
pub(crate) use methods;

/// The names, for [`lunabot_model::ScriptObject::methods`].
pub(crate) fn names<T: ?Sized>(tables: &[&[Method<T>]]) -> Vec<&'static str> {
    tables.iter().flat_map(|table| table.iter().map(|method| method.name)).collect()
}

/// Calls a method of one of these tables.
pub(crate) async fn call<T: ?Sized>(tables: &[&[Method<T>]], this: &T, name: &str, args: Vec<Arg>) -> Reply {
    let method = tables.iter().find_map(|table| table.iter().find(|method| method.name == name));
    let method = method.ok_or_else(|| CallError::from(format!("no method {name}")))?;
    let args = Args::bind(method.name, method.takes, args)?;
    (method.call)(this, args).await
}

/// The arguments of one call, by name.
pub(crate) struct Args {
    method: &'static str,
    takes: &'static [&'static str],
    given: Vec<Option<Arg>>,
}

impl Args {
    fn bind(method: &'static str, takes: &'static [&'static str], args: Vec<Arg>) -> Result<Self, CallError> {
        let mut bound = Args { method, takes, given: takes.iter().map(|_| None).collect() };
        let count = args.len();
        for (place, arg) in args.into_iter().enumerate() {
            if place + 1 == count
                && let Arg::Value(Json::Object(named)) = &arg
                && bound.are_names(place, named)
            {
                bound.take_named(named.clone())?;
            } else if place < takes.len() {
                // What may be any value may be nothing.
                let keeps = takes[place].ends_with('*') || !matches!(arg, Arg::Value(Json::Null));
                bound.given[place] = keeps.then_some(arg);
            } else {
                let s = if takes.len() == 1 { "" } else { "s" };
                return Err(bound.wrong(&format!("takes {} argument{s}, got {count}", takes.len())));
            }
        }
        Ok(bound)
    }

    /// Whether the last argument, a table, names arguments.
    fn are_names(&self, place: usize, named: &serde_json::Map<String, Json>) -> bool {
        let value = self.takes.get(place).is_some_and(|name| name.ends_with('*'));
        let known = || named.keys().any(|name| self.place(name).is_some());
        !value && !named.is_empty() && !named.contains_key("$kind") && (place >= self.takes.len() || known())
    }

    fn take_named(&mut self, named: serde_json::Map<String, Json>) -> Result<(), CallError> {
        for (name, value) in named {
            let Some(place) = self.place(&name) else {
                return Err(self.wrong(&format!("has no argument {name}")));
            };
            if self.given[place].is_some() {
                return Err(self.wrong(&format!("{name} is given twice")));
            }
            self.given[place] = Some(match Callback::from_json(&value) {
                Some(function) => Arg::Function(function),
                None => Arg::Value(value),
            });
        }
        Ok(())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.takes.iter().position(|known| known.trim_end_matches('*') == name)
    }

    /// An error with the method's arguments.
    pub fn wrong(&self, message: &str) -> CallError {
        let takes: Vec<&str> = self.takes.iter().map(|name| name.trim_end_matches('*')).collect();
        format!("{}({}): {message}", self.method, takes.join(", ")).into()
    }

    /// The argument as it came; `None`: not given, or nil.
    pub fn take(&mut self, name: &str) -> Option<Arg> {
        let place = self.place(name)?;
        self.given[place].take()
    }

    /// A value that must be given, and may be null.
    pub fn value(&mut self, name: &str) -> Result<Json, CallError> {
        let missing = self.wrong(&format!("{name} is missing; write util.null for none"));
        let place = self.place(name).filter(|place| self.given[*place].is_some());
        place.ok_or(missing)?;
        Ok(self.maybe(name)?.unwrap_or_default())
    }

    /// A value; `None`: not given, or nil.
    pub fn maybe<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, CallError> {
        let Some(arg) = self.take(name) else { return Ok(None) };
        let json = arg.into_json().map_err(|error| self.wrong(&format!("{name}: {error}")))?;
        if json.is_null() {
            return Ok(None);
        }
        if json.as_object().is_some_and(|map| map.values().any(|value| value.get("$fn").is_some())) {
            return Err(self.wrong(&format!("{name}: takes no function")));
        }
        let read = lunabot_model::kind::read(&json);
        read.map(Some).map_err(|problem| {
            let place =
                if problem.path.is_empty() { name.to_string() } else { format!("{name}.{}", problem.path) };
            self.wrong(&format!("{place}: {}", problem.message))
        })
    }

    /// A value that must be given.
    pub fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, CallError> {
        let missing = self.wrong(&format!("{name} is missing"));
        self.maybe(name)?.ok_or(missing)
    }

    pub fn text(&mut self, name: &str) -> Result<String, CallError> {
        self.need(name)
    }

    /// A result by its number, that must be given.
    pub fn results(&mut self, name: &str) -> Result<Results, CallError> {
        let code: Json = self.need(name)?;
        let told = || self.wrong(&format!("{name}: {code} is no result; write util.SUCCESS and the like"));
        Results::from_json(&code).ok_or_else(told)
    }

    /// Bytes, which a text is too.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<u8>, CallError> {
        match self.take(name) {
            Some(Arg::Bytes(bytes)) => Ok(bytes),
            Some(Arg::Value(Json::String(text))) => Ok(text.into_bytes()),
            Some(_) => Err(self.wrong(&format!("{name}: expected a text"))),
            None => Err(self.wrong(&format!("{name} is missing"))),
        }
    }

    /// One of the master's own objects; `what` says which, with how to get one.
    pub fn object<T: LiveObject>(&mut self, name: &str, what: &str) -> Result<Arc<T>, CallError> {
        let found = match self.take(name) {
            Some(Arg::Object(object)) => {
                let any: Arc<dyn Any + Send + Sync> = object.handle;
                any.downcast::<T>().ok()
            }
            _ => None,
        };
        found.ok_or_else(|| self.wrong(&format!("{name}: expected {what}")))
    }
}

impl From<StepError> for CallError {
    fn from(error: StepError) -> Self {
        let kind = match &error {
            StepError::Failed(_) => ScriptErrorKind::Failed,
            StepError::Cancelled => ScriptErrorKind::Cancelled,
            StepError::Lost => ScriptErrorKind::Lost,
            StepError::Exception(_) => ScriptErrorKind::Raise,
        };
        CallError::new(kind, error.to_string())
    }
}

/// A value as an answer.
pub(crate) fn value(value: impl Into<Json>) -> Reply {
    Ok(Arg::Value(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bind(takes: &'static [&'static str], args: Json) -> Result<Args, String> {
        let args = args.as_array().unwrap().iter().cloned().map(Arg::Value).collect();
        Args::bind("m", takes, args).map_err(|error| error.message)
    }

    #[test]
    fn arguments_are_bound_by_position_and_by_name_in_one_last_table() {
        let mut args = bind(&["name", "value*", "source"], json!(["a", {"b": 1}])).unwrap();
        assert_eq!(args.text("name").unwrap(), "a");
        assert_eq!(args.need::<Json>("value").unwrap(), json!({"b": 1}));
        assert_eq!(args.maybe::<String>("source").unwrap(), None);
        assert_eq!(bind(&["value*"], json!([null])).unwrap().value("value").unwrap(), Json::Null);
        let missing = bind(&["name", "value*"], json!(["a"])).unwrap().value("value").unwrap_err();
        assert_eq!(missing.message, "m(name, value): value is missing; write util.null for none");
        let mut named = bind(&["name", "url"], json!(["a", {"url": "u"}])).unwrap();
        assert_eq!(named.text("url").unwrap(), "u");
        for (args, error) in [
            (json!(["a", "b", "c"]), "m(name, url): takes 2 arguments, got 3"),
            (json!(["a", {"url": "u", "x": 1}]), "m(name, url): has no argument x"),
            (json!(["a", {"name": "u"}]), "m(name, url): name is given twice"),
        ] {
            assert_eq!(bind(&["name", "url"], args).err().unwrap(), error);
        }
        let told = bind(&["name"], json!([5])).unwrap().text("name").unwrap_err();
        assert!(told.message.starts_with("m(name): name: got the number `5`"), "{told}");
        assert_eq!(
            bind(&["name"], json!([])).unwrap().text("name").unwrap_err().message,
            "m(name): name is missing"
        );
    }
}
