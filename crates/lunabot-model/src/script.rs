//! Ports to the script host and to secrets: how rooms call functions of the configuration.

mod live;

pub use live::{CallError, Inert, Instance, Keep, LiveKind, LiveObject, Local, ScriptObject};

use crate::{BoxFuture, Callback, Json, Time};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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

    /// Calls it once for each of `each`, after what all calls have in common; answers in their order. A host may spare what
    /// each call costs by itself: common objects are asked once for each of their fields ([`LiveObject::field`]).
    fn call_each<'a>(
        &'a self,
        callback: &'a Callback,
        site: CallSite,
        common: Vec<Arg>,
        each: Vec<Arg>,
    ) -> BoxFuture<'a, Vec<Result<Json, ScriptError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(each.len());
            for arg in each {
                let args = common.iter().cloned().chain([arg]).collect();
                answers.push(self.call(callback, site.clone(), args).await);
            }
            answers
        })
    }

    /// Records that a callback's result was outside what its declaration allows, with the host's log and counters.
    fn nonsense(&self, callback: &Callback, site: CallSite, message: &str);

    /// The same of an endless call ([`CallSite::endless`]) that its caller has dropped because it took its time.
    fn late(&self, callback: &Callback, site: CallSite, message: &str) {
        self.nonsense(callback, site, message);
    }

    /// A text as people may see it: without the secrets that the configuration has used.
    fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text.into()
    }

    /// What a function returned, as a message repeats it: without secrets, and not all of it.
    fn shown(&self, value: &Json) -> String {
        crate::text::returned(value, &|text| self.conceal(text).into_owned())
    }

    /// The number of the generation whose functions this host calls.
    fn generation(&self) -> u64;

    /// Tells the host of an instance whose methods are called by the configuration alone, before the master calls any.
    fn introduce(&self, instance: Arc<Instance>) -> BoxFuture<'_, ()> {
        drop(instance);
        Box::pin(std::future::ready(()))
    }

    /// Something that the host remembers until it is dropped: an [`Instance`], or a scope
    /// ([`ScriptObject::scope`]). A host without classes remembers nothing.
    fn keep(&self) -> Keep {
        Keep::nothing()
    }

    /// Another generation serves now: what is called from here on belongs to builds that began before. The host lets go
    /// of what it does not need any more.
    fn superseded(&self) {}

    /// No build belongs to this generation any more, and none will. What acts by itself (a service that no reload has
    /// touched) goes on.
    fn retired(&self) {}
}

/// Where a call comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallSite {
    pub callback: String,
    pub concerns: String,
    /// It has no deadline: the caller drops the call when it no longer wants the answer. What it computes between
    /// two waits stays bounded.
    pub endless: bool,
}

impl CallSite {
    pub fn new(callback: impl Into<String>, concerns: impl Into<String>) -> Self {
        CallSite { callback: callback.into(), concerns: concerns.into(), endless: false }
    }

    /// The same without a deadline.
    pub fn endless(self) -> Self {
        CallSite { endless: true, ..self }
    }
}

/// An argument of a call.
#[derive(Clone)]
pub enum Arg {
    Value(Json),
    /// A text of any bytes.
    Bytes(Vec<u8>),
    Object(ScriptObject),
    /// An object of a class of the configuration: the same `self` in every call.
    Instance(Arc<Instance>),
    /// Lines, each ending in a newline: the function is called once for each, without its newline. Its answers do not
    /// count.
    Lines(String),
    /// A list of objects, e.g. the builders given to `prioritizeBuilders`.
    List(Vec<ScriptObject>),
    /// Properties as the contract wants them: values readable by name, with `getProperty` and the like.
    ///
    /// The object answers `setProperty(name, value, source)` and `render(value)`, which may wait, and
    /// `field("build" | "files" | "sourcestamps" | "changes")`, which answers at once; an error there is nil.
    Properties(Arc<dyn LiveObject>, crate::Properties),
    /// A function that was handed over by another, callable while what it was handed to acts.
    Function(Callback),
}

impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arg::Value(value) => write!(f, "{value}"),
            Arg::Bytes(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Arg::Object(object) => object.fmt(f),
            Arg::Instance(instance) => instance.live.fmt(f),
            Arg::Lines(lines) => write!(f, "{lines:?}"),
            Arg::List(items) => f.debug_list().entries(items).finish(),
            Arg::Properties(_, properties) => write!(f, "{properties:?}"),
            Arg::Function(callback) => write!(f, "function at {}", callback.at),
        }
    }
}

impl Arg {
    /// A plain value; the error says what cannot be one.
    pub fn into_json(self) -> Result<Json, String> {
        match self {
            Arg::Value(value) => Ok(value),
            Arg::Bytes(_) => Err("expected text in UTF-8, got other bytes".into()),
            Arg::Lines(lines) => Ok(lines.into()),
            Arg::Object(object) if object.class == "master" => {
                Err("expected a plain value, got lunabot.master".into())
            }
            Arg::Object(object) => Ok(serde_json::json!({"$ref": object.key})),
            Arg::Instance(instance) => Ok(serde_json::json!({"$ref": instance.live.key})),
            Arg::List(items) => {
                Ok(items.into_iter().map(|item| serde_json::json!({"$ref": item.key})).collect())
            }
            Arg::Properties(_, properties) => Ok(Json::Object(properties.as_dict())),
            Arg::Function(_) => Err("takes no function".into()),
        }
    }
}

/// What `lunabot.master` does inside callbacks (`master.data.get`, `master.state` …); implemented by the wiring.
pub trait MasterPort: Send + Sync {
    /// `op` is `data.get`, `data.control`, `data.updates.addChange`, `data.updates.addBuildset`, `state.get`,
    /// `state.set` …; arguments as in the contract. `render` takes a value, and in words for what it is wanted.
    fn call<'a>(&'a self, op: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>>;

    /// The generation has retired ([`ScriptHost::retired`]): what belongs to none of its objects ends.
    fn retire(&self) {}
}

/// Hides the secrets that a master has used from texts for people that no build masks (04.039).
pub trait Conceal: Send + Sync {
    /// From now on the value is shown as `<name>`.
    fn learn(&self, name: &str, value: &str);
    /// The same for a token, until it is worth nothing.
    fn learn_token(&self, name: &str, token: &Token, now: Time);
    /// The text without secrets.
    fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str>;
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
    /// It gave up what it was doing (`util.fail`); no fault of the function.
    Failed,
    /// What it waited for was stopped; no fault of the function.
    Cancelled,
    /// The worker that it waited for is lost; no fault of the function.
    Lost,
    /// It was not called: it has exceeded its limits again and again, which was told, and may be called again after so
    /// long.
    Suspended(Duration),
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
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Suspended(_) => "suspended",
        }
    }

    /// Whether the function is to blame, and it was not told before.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Failed | Self::Cancelled | Self::Lost | Self::Suspended(_))
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

    /// A token of a kind of [`crate::object::token_name`], made as `options` say, which are rendered. It may be one that was
    /// made before.
    fn token<'a>(&'a self, kind: &'a str, _options: Json) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(std::future::ready(Err(format!("{kind} makes no tokens here"))))
    }
}

/// A token of [`SecretSource::token`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// From then on it is worth nothing.
    pub expires: Time,
}

/// Secrets for those who only look whether all are known, before anything starts: nobody outside is asked for a token.
pub struct Beforehand(pub Arc<dyn SecretSource>);

impl SecretSource for Beforehand {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        self.0.get(name)
    }

    fn token<'a>(&'a self, kind: &'a str, _: Json) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(std::future::ready(Ok(Token { text: kind.into(), expires: Time(i64::MAX) })))
    }
}
