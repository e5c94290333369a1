//! What the machine of a latent worker is told and what it wants.

use lunabot_model::BuildRequestId;
use std::time::Duration;

/// How long an idle instance is kept (08.046).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    Stop,
    StopAfter(Duration),
    Keep,
}

/// What the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub idle: Idle,
    /// How long an instance may take to connect (08.044).
    pub missing: Duration,
    /// How often it is looked at until it connects; `None`: the class cannot.
    pub check: Option<Duration>,
}

/// 08.040.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    NotSubstantiated,
    Substantiating,
    Substantiated,
    Insubstantiating,
    InsubstantiatingSubstantiating,
    ShutDown,
}

impl State {
    /// In words, for people and the API.
    pub const fn name(self) -> &'static str {
        match self {
            State::NotSubstantiated => "not substantiated",
            State::Substantiating => "substantiating",
            State::Substantiated => "substantiated",
            State::Insubstantiating => "insubstantiating",
            State::InsubstantiatingSubstantiating => "insubstantiating, then substantiating",
            State::ShutDown => "shut down",
        }
    }
}

/// The call that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Start,
    Check,
    Stop,
}

/// Why there is no instance (08.047).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Trying again is of no use: the build ends in EXCEPTION.
    pub hopeless: bool,
    pub why: String,
}

impl Failure {
    pub fn new(why: impl Into<String>) -> Self {
        Failure { hopeless: false, why: why.into() }
    }
}

/// What happens. Builds are known by their requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A build is given to the worker: what it has is kept for it.
    Begun(BuildRequestId),
    /// It needs the instance; answered by [`Effect::Ready`] or [`Effect::Failed`], unless it is over before.
    Wanted(BuildRequestId),
    Over(BuildRequestId),
    /// `start_instance` has answered.
    Started(Result<(), Failure>),
    /// `check_instance` has.
    Checked(Result<(), String>),
    /// `stop_instance` has.
    Stopped(Result<(), String>),
    Attached,
    Detached,
    /// The worker's options are these now; `outdated`: the instance was made by others, and ends when nobody uses it.
    Configured {
        settings: Settings,
        outdated: bool,
    },
    /// The instance ends when nobody uses it.
    Outdated,
    /// It is not configured any more.
    Removed,
    /// The master stops (08.051).
    ShutDown {
        fast: bool,
    },
}

/// What is to be done. `Start`, `Check` and `Stop` are answered by events, unless `Abort` comes before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Calls `start_instance` for this build.
    Start(BuildRequestId),
    Check,
    Stop {
        fast: bool,
    },
    /// Drops the call that is under way; `late`: because it took its time.
    Abort {
        late: Option<Call>,
    },
    Ready(BuildRequestId),
    Failed(BuildRequestId, Failure),
    /// Closes the connection; whoever comes next gets another.
    Disconnect,
    /// The instance did not come in time: whoever wants to know is told (08.042).
    Missing,
    /// Nothing of the instance is left: builds that it did not suit are looked at again (07.009).
    Insubstantiated,
    /// Nothing is left of a worker that is no longer configured.
    Gone,
}
