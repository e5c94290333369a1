//! What the declarations of all pollers share: their times, category and project (02.002, 02.005).

use crate::source::PollTimes;
use lunabot_data::intake::ChangeFunctions;
use lunabot_model::{Callback, CallbackSpec, Category, Duration, Json, Kind, Problem};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Declares the options of a poller: its own and those that all have.
macro_rules! poller_params {
    ($(#[$attr:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attr])*
        #[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// Under which the positions are remembered. Default: what is watched.
            #[serde(default)]
            #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
            pub name: Option<String>,
            /// Seconds between polls; 0: only when asked to. Default 600.
            #[serde(default = "crate::poller_params::default_interval", rename = "pollInterval")]
            pub poll_interval: lunabot_model::Duration,
            /// Poll once at start, without waiting for the interval to pass.
            #[serde(default, rename = "pollAtLaunch")]
            pub poll_at_launch: bool,
            /// Bounds of a random delay before each poll, in seconds.
            #[serde(default = "crate::poller_params::no_time", rename = "pollRandomDelayMin")]
            pub poll_random_delay_min: lunabot_model::Duration,
            #[serde(default = "crate::poller_params::no_time", rename = "pollRandomDelayMax")]
            pub poll_random_delay_max: lunabot_model::Duration,
            /// The category of the changes: a text, or a function of the change.
            #[serde(default)]
            pub category: Option<crate::poller_params::CategoryOption>,
            /// The project of the changes.
            #[serde(default)]
            pub project: Option<String>,
            /// Alters or, by returning nil, drops a change before it is stored.
            #[serde(default)]
            pub change_fn: Option<lunabot_model::Callback>,
        }

        impl $name {
            /// What all pollers have.
            pub fn common(&self) -> crate::poller_params::Common<'_> {
                crate::poller_params::Common {
                    interval: self.poll_interval,
                    at_launch: self.poll_at_launch,
                    delay: (self.poll_random_delay_min, self.poll_random_delay_max),
                    category: self.category.as_ref(),
                    change_fn: self.change_fn.as_ref(),
                }
            }
        }
    };
}
pub(crate) use poller_params;

pub fn default_interval() -> Duration {
    Duration(600.0)
}

pub fn no_time() -> Duration {
    Duration(0.0)
}

/// The options that all pollers have.
pub struct Common<'a> {
    pub interval: Duration,
    pub at_launch: bool,
    pub delay: (Duration, Duration),
    pub category: Option<&'a CategoryOption>,
    pub change_fn: Option<&'a Callback>,
}

impl Common<'_> {
    pub fn times(&self) -> PollTimes {
        let (min, max) = self.delay;
        PollTimes { interval: self.interval.std(), at_launch: self.at_launch, delay: (min.std(), max.std()) }
    }

    /// The functions that every change goes through.
    pub fn functions(&self) -> ChangeFunctions {
        let category = match self.category {
            Some(CategoryOption::Function(callback)) => Some(callback.clone()),
            Some(CategoryOption::Text(_)) | None => None,
        };
        ChangeFunctions { category, change_fn: self.change_fn.cloned() }
    }

    /// The category, unless it is a function's.
    pub fn category(&self) -> Option<String> {
        match self.category {
            Some(CategoryOption::Text(text)) => Some(text.clone()),
            Some(CategoryOption::Function(_)) | None => None,
        }
    }

    /// 02.005.
    pub fn problems(&self) -> Vec<Problem> {
        let (min, max) = self.delay;
        let mut problems = Vec::new();
        let mut add = |path: &str, message: &str| problems.push(Problem::new(path, message));
        for (option, time) in
            [("pollInterval", self.interval), ("pollRandomDelayMin", min), ("pollRandomDelayMax", max)]
        {
            if time.secs() < 0.0 {
                add(option, "must not be negative");
            }
        }
        if min > max {
            add("pollRandomDelayMin", "must not exceed pollRandomDelayMax");
        }
        if max.secs() > 0.0 && max >= self.interval {
            add("pollRandomDelayMax", "must be less than pollInterval");
        }
        problems
    }
}

/// A text or a function of the change.
#[derive(Debug, Clone, PartialEq)]
pub enum CategoryOption {
    Text(String),
    Function(Callback),
}

impl<'de> Deserialize<'de> for CategoryOption {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        match (&value, Callback::from_json(&value)) {
            (Json::String(text), _) => Ok(CategoryOption::Text(text.clone())),
            (_, Some(callback)) => Ok(CategoryOption::Function(callback)),
            (other, None) => Err(D::Error::custom(format!("expected a text or a function, not {other}"))),
        }
    }
}

impl JsonSchema for CategoryOption {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Category".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "object", "x-callback": true}]})
    }
}

pub const CATEGORY: CallbackSpec = CallbackSpec {
    option: "category",
    args: "change",
    returns: "a text or nil",
    on_error: "the poll is repeated",
};

pub const CHANGE_FN: CallbackSpec = CallbackSpec {
    option: "change_fn",
    args: "change",
    returns: "the change, altered or not; nil: it is dropped",
    on_error: "the poll is repeated",
};

/// A kind `changes.NAME`.
pub const fn poller_kind(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
    schema: fn() -> Schema,
    check: fn(&Json) -> Vec<Problem>,
    callbacks: &'static [CallbackSpec],
) -> Kind {
    Kind {
        namespace: "changes",
        name,
        aliases: &[],
        category: Category::ChangeSource,
        positional,
        flat: false,
        doc,
        schema,
        check,
        callbacks,
        extensible: false,
    }
}
