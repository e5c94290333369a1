//! Objects that both sides know: what Lua sees of things of the master, and the master's hold on objects of Lua.

use super::{Arg, ScriptErrorKind};
use crate::{BoxFuture, Json};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// An object that Lua sees: fields that are a snapshot, and methods that act at once.
///
/// When a callback returns such an object, the answer holds `{"$ref": key}` in its place.
#[derive(Clone)]
pub struct ScriptObject {
    /// `builder`, `buildrequest`, `worker`, `workerforbuilder`, `change`, `build`, `step`, `log`, `command` …, `master` (in
    /// whose place the script host puts `lunabot.master`), `session` (a session of `util.http`, whose options are the fields).
    pub class: &'static str,
    /// Identifies the object in answers; unique among the arguments of one call.
    pub key: String,
    /// Data fields. `{"$properties": {name: [value, source]}}`, at any depth, becomes a Properties object; the
    /// numbers `f64::MAX` and `-f64::MAX` become `math.huge` and `-math.huge`, which JSON lacks.
    pub fields: Json,
    /// Fields that are objects themselves (`wfb.worker`, `step.build`).
    pub children: Vec<(&'static str, Arg)>,
    /// Names that `handle` answers; everything else is a field or an error that names the nearest.
    pub methods: &'static [&'static str],
    /// Fields that may be assigned.
    pub assignable: &'static [&'static str],
    pub handle: Arc<dyn LiveObject>,
    /// How long objects that a function makes and hands to this one are kept: the id of a [`Keep`]. 0: they are not. Of
    /// `master`: whose it is; what it subscribes to ends with that one.
    pub scope: u64,
}

impl ScriptObject {
    /// One without children that takes no objects.
    pub fn new(
        class: &'static str,
        key: impl Into<String>,
        fields: Json,
        handle: Arc<dyn LiveObject>,
    ) -> Self {
        ScriptObject {
            class,
            key: key.into(),
            fields,
            children: Vec::new(),
            methods: &[],
            assignable: &[],
            handle,
            scope: 0,
        }
    }

    /// `lunabot.master`. What is subscribed to by it ends with `scope`, unless that is 0.
    pub fn master(scope: u64) -> Self {
        ScriptObject { scope, ..Self::new("master", "master", Json::Null, Arc::new(Inert)) }
    }

    /// The same with these methods.
    pub fn with_methods(self, methods: &'static [&'static str]) -> Self {
        ScriptObject { methods, ..self }
    }

    /// A data field, of those known beforehand and those that `handle` tells when asked.
    pub fn field(&self, name: &str) -> Option<Cow<'_, Json>> {
        let known = self.fields.get(name).map(Cow::Borrowed);
        known.or_else(|| self.handle.field(name).map(Cow::Owned))
    }

    /// All data fields.
    pub fn all_fields(&self) -> Json {
        let mut all = self.handle.fields();
        all.extend(self.fields.as_object().cloned().unwrap_or_default());
        Json::Object(all)
    }
}

impl fmt::Debug for ScriptObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, self.key)
    }
}

/// The live side of a [`ScriptObject`].
///
/// Simple objects implement `call`; those whose methods take or give bytes or objects implement `invoke`.
pub trait LiveObject: Any + Send + Sync {
    /// Calls a method; it may wait. The error is raised at the caller's line in Lua. A table in the answer may have
    /// `"$answers": {name: value}`: methods without arguments that give these values.
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        let _ = args;
        Box::pin(async move { Err(format!("no method {method}")) })
    }

    /// The same with arguments and answers of every sort.
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let args = args.into_iter().map(Arg::into_json).collect::<Result<_, _>>();
            let args = args.map_err(|error| format!("{method}: {error}"))?;
            Ok(Arg::Value(self.call(method, args).await?))
        })
    }

    /// Assigns a field.
    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} cannot be assigned"))
    }

    /// A data field that costs too much to be told where nobody may ask for it, or that changes.
    fn field(&self, name: &str) -> Option<Json> {
        let _ = name;
        None
    }

    /// Why this field is not there yet, or any more, and what to do; `None`: there is no such field.
    fn absent(&self, name: &str) -> Option<&'static str> {
        let _ = name;
        None
    }

    /// Whether its method `render` renders what a function that is called with it has in hand: with its properties, and so
    /// that secrets are hidden where it is told of.
    fn renders(&self) -> bool {
        false
    }

    /// All that [`LiveObject::field`] tells.
    fn fields(&self) -> serde_json::Map<String, Json> {
        serde_json::Map::new()
    }
}

/// Why a method did not do what it was asked. It is raised in Lua; where nothing catches it there, the call of the
/// function ends with this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    pub kind: ScriptErrorKind,
    pub message: String,
}

impl CallError {
    pub fn new(kind: ScriptErrorKind, message: impl Into<String>) -> Self {
        CallError { kind, message: message.into() }
    }
}

impl From<String> for CallError {
    fn from(message: String) -> Self {
        CallError::new(ScriptErrorKind::Raise, message)
    }
}

impl From<&str> for CallError {
    fn from(message: &str) -> Self {
        message.to_string().into()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// For objects that have neither methods nor assignable fields.
pub struct Inert;

impl LiveObject for Inert {}

/// For properties that are nobody's but the reader's, such as those in a report: what is set in them stays in them.
///
/// In data `{"$properties": …, "$local": true}`.
pub struct Local;

impl LiveObject for Local {
    fn call<'a>(&'a self, method: &'a str, _: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            match method {
                "setProperty" => Ok(Json::Null),
                other => Err(format!("no method {other}")),
            }
        })
    }
}

/// Something that the script host remembers until this is dropped.
pub struct Keep {
    id: u64,
    forget: Box<dyn Fn(u64) + Send + Sync>,
}

impl Keep {
    /// `forget` is called with `id` at the end.
    pub fn new(id: u64, forget: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Keep { id, forget: Box::new(forget) }
    }

    pub fn nothing() -> Self {
        Keep::new(0, |_| ())
    }

    /// Unique within the generation.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        (self.forget)(self.id);
    }
}

/// An object of a class of the configuration that acts: one run of a step, an observer, a change source. The host has
/// one `self` for it, which ends with the last [`Arc`] of this.
pub struct Instance {
    pub keep: Keep,
    /// `$id` of the declared object that it is an instance of.
    pub of: u64,
    /// What `self` can do besides the methods of its class.
    pub live: ScriptObject,
}

/// A kind whose objects act as soon as a function makes them (`util.RemoteCommand`).
#[derive(Debug, Clone, Copy)]
pub struct LiveKind {
    /// `namespace.Name`.
    pub path: &'static str,
    /// Makes it of checked options.
    pub make: fn(&Json) -> Result<ScriptObject, String>,
}
