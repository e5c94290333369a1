//! The options of `changes.ChangeSource` and `changes.PollingChangeSource`.

use crate::poller_params::{CategoryOption, Common, default_interval, no_time, poller_kind};
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{Callback, CallbackSpec, Duration, Kind, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

/// `changes.ChangeSource`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSourceParams {
    /// Its name, under which its state is kept. Default: the name of the class.
    #[serde(default)]
    #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
    pub name: Option<String>,
    /// The category of changes that are added without one: a text, or a function of the change.
    #[serde(default)]
    pub category: Option<CategoryOption>,
    /// Alters or, by returning nil, drops a change before it is stored.
    #[serde(default)]
    pub change_fn: Option<Callback>,
}

impl Params for ChangeSourceParams {}

/// `changes.PollingChangeSource`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollingParams {
    /// Its name, under which its state is kept. Default: the name of the class.
    #[serde(default)]
    #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
    pub name: Option<String>,
    /// Seconds between polls; 0: only when asked to. Default 600.
    #[serde(default = "default_interval", rename = "pollInterval")]
    pub poll_interval: Duration,
    /// Poll once at start, without waiting for the interval to pass.
    #[serde(default, rename = "pollAtLaunch")]
    pub poll_at_launch: bool,
    /// Bounds of a random delay before each poll, in seconds.
    #[serde(default = "no_time", rename = "pollRandomDelayMin")]
    pub poll_random_delay_min: Duration,
    #[serde(default = "no_time", rename = "pollRandomDelayMax")]
    pub poll_random_delay_max: Duration,
    /// The category of changes that are added without one: a text, or a function of the change.
    #[serde(default)]
    pub category: Option<CategoryOption>,
    /// Alters or, by returning nil, drops a change before it is stored.
    #[serde(default)]
    pub change_fn: Option<Callback>,
}

impl PollingParams {
    pub fn common(&self) -> Common<'_> {
        Common {
            interval: self.poll_interval,
            at_launch: self.poll_at_launch,
            delay: (self.poll_random_delay_min, self.poll_random_delay_max),
            category: self.category.as_ref(),
            change_fn: self.change_fn.as_ref(),
        }
    }
}

impl Params for PollingParams {
    fn validate(&self) -> Vec<Problem> {
        self.common().problems()
    }
}

const RAISED: &str = "the change is not added; addChange raises the error";

const CALLBACKS: &[CallbackSpec] = &[
    CallbackSpec { on_error: RAISED, ..crate::poller_params::CATEGORY },
    CallbackSpec { on_error: RAISED, ..crate::poller_params::CHANGE_FN },
];

pub static CHANGE_SOURCE: Kind = Kind {
    extensible: true,
    ..poller_kind(
        "ChangeSource",
        &[],
        "The base of change sources of your own: extend it with activate and deactivate.",
        schema_of::<ChangeSourceParams>,
        check_as::<ChangeSourceParams>,
        CALLBACKS,
    )
};

pub static POLLING: Kind = Kind {
    extensible: true,
    ..poller_kind(
        "PollingChangeSource",
        &[],
        "The base of pollers of your own: extend it with poll.",
        schema_of::<PollingParams>,
        check_as::<PollingParams>,
        CALLBACKS,
    )
};
