//! Ports to the script host and to secrets: how rooms call functions of the configuration.

use crate::{BoxFuture, Callback, Json};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Calls functions of one loaded configuration (one generation).
///
/// A call is bounded: it ends with a value or a [`ScriptError`] within the configured limits, whatever the
/// function does. The host logs, counts and lists the error; the caller applies the documented outcome.
pub trait ScriptHost: Send + Sync {
    /// Calls `callback`.
    ///
    /// `site.callback` is the option's name (`canStartBuild`), `site.concerns` what it belongs to, in words
    /// (`builder runtests`); both appear in logs and at `/api/v2/script_errors`.
    ///
    /// Several return values come as an array.
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        site: CallSite,
        args: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>>;

    /// Records that a callback's result was outside what its declaration allows, with the host's log and counters.
    fn nonsense(&self, callback: &Callback, site: CallSite, message: &str);

    /// The number of the generation whose functions this host calls.
    fn generation(&self) -> u64;
}

/// Where a call comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallSite {
    pub callback: String,
    pub concerns: String,
}

impl CallSite {
    pub fn new(callback: impl Into<String>, concerns: impl Into<String>) -> Self {
        CallSite { callback: callback.into(), concerns: concerns.into() }
    }
}

/// An argument of a call.
#[derive(Clone)]
pub enum Arg {
    Value(Json),
    /// A text of any bytes.
    Bytes(Vec<u8>),
    Object(ScriptObject),
    /// A list of objects, e.g. the builders given to `prioritizeBuilders`.
    List(Vec<ScriptObject>),
    /// Properties as the contract wants them: values readable by name, with `getProperty` and the like.
    ///
    /// The object answers `setProperty(name, value, source)` and `render(value)`, which may wait, and
    /// `field("build" | "files" | "sourcestamps" | "changes")`, which answers at once; an error there is nil.
    Properties(Arc<dyn LiveObject>, crate::Properties),
}

impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arg::Value(value) => write!(f, "{value}"),
            Arg::Bytes(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Arg::Object(object) => object.fmt(f),
            Arg::List(items) => f.debug_list().entries(items).finish(),
            Arg::Properties(_, properties) => write!(f, "{properties:?}"),
        }
    }
}

/// An object that Lua sees: fields that are a snapshot, and methods that act at once.
///
/// When a callback returns such an object, the answer holds `{"$ref": key}` in its place.
#[derive(Clone)]
pub struct ScriptObject {
    /// `builder`, `buildrequest`, `worker`, `workerforbuilder`, `change`, `build`, `step`, `master` (in whose place
    /// the script host puts `lunabot.master`).
    pub class: &'static str,
    /// Identifies the object in answers; unique among the arguments of one call.
    pub key: String,
    /// Data fields. `{"$properties": {name: [value, source]}}`, at any depth, becomes a Properties object; the
    /// numbers `f64::MAX` and `-f64::MAX` become `math.huge` and `-math.huge`, which JSON lacks.
    pub fields: Json,
    /// Fields that are objects themselves (`wfb.worker`, `wfb.builder`).
    pub children: Vec<(&'static str, ScriptObject)>,
    /// Names that `handle` answers; everything else is a field or an error that names the nearest.
    pub methods: &'static [&'static str],
    /// Fields that may be assigned.
    pub assignable: &'static [&'static str],
    pub handle: Arc<dyn LiveObject>,
}

impl ScriptObject {
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
pub trait LiveObject: Send + Sync {
    /// Calls a method; it may wait. The error is raised at the caller's line in Lua. A table in the answer may have
    /// `"$answers": {name: value}`: methods without arguments that give these values.
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>>;

    /// Assigns a field.
    fn set(&self, field: &str, value: Json) -> Result<(), String>;

    /// A data field that costs too much to be told where nobody may ask for it. It tells what was when the object was
    /// made.
    fn field(&self, name: &str) -> Option<Json> {
        let _ = name;
        None
    }

    /// All that [`LiveObject::field`] tells.
    fn fields(&self) -> serde_json::Map<String, Json> {
        serde_json::Map::new()
    }
}

/// For objects that have neither methods nor assignable fields.
pub struct Inert;

impl LiveObject for Inert {
    fn call<'a>(&'a self, method: &'a str, _: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move { Err(format!("no method {method}")) })
    }
    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} cannot be assigned"))
    }
}

/// What `lunabot.master` does inside callbacks (`master.data.get`, `master.state` …); implemented by the wiring.
pub trait MasterPort: Send + Sync {
    /// `op` is `data.get`, `data.control`, `data.updates.addChange`, `data.updates.addBuildset`, `state.get`,
    /// `state.set` …; arguments as in the contract.
    fn call<'a>(&'a self, op: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>>;
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScriptErrorKind {
    /// The function raised.
    Raise,
    /// Its result is not what the option wants.
    Nonsense,
    /// It computed longer than `c.lua.callback_cpu_seconds` between two waits.
    Cpu,
    /// It did not end within its deadline.
    Deadline,
    /// It allocated past `c.lua.memory_limit`.
    Memory,
    /// The configuration it belongs to is gone.
    Gone,
}

impl ScriptErrorKind {
    /// The word in logs, metrics and `/api/v2/script_errors`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Nonsense => "nonsense",
            Self::Cpu => "cpu",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Gone => "gone",
        }
    }
}

/// A failed call of a function of the configuration.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    pub kind: ScriptErrorKind,
    /// `master.lua:12: message`.
    pub message: String,
    pub traceback: String,
}

/// Where secrets come from: providers asked in order (reference 12.001).
pub trait SecretSource: Send + Sync {
    /// The value, or `None` if no provider knows the name. The error names the provider that failed.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>>;
}
