//! Ending a program that does not end by itself (row 08.026).

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::time::Duration;
use tokio::time::Instant;

/// How long a signal may take to work.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process group that dies with this value, unless it is let go.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
}

impl Group {
    pub(super) fn new(leader: Option<u32>) -> Self {
        let leader = leader.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Self { leader }
    }

    /// Signals all of the group. That none is left is no error.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            _ = killpg(leader, signal);
        }
    }

    /// What still runs may go on.
    pub(super) fn let_go(&mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// How far the killing has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Killing {
    /// Nobody wants it to end.
    No,
    /// Asked to terminate; the real signal follows.
    Terminating { until: Instant },
    /// Sent the interrupt signal.
    Signalled { until: Instant },
    /// Sent SIGKILL because the signal before it did not help.
    Forced { until: Instant },
}

/// What the end of patience means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Patience {
    /// The next signal is out.
    Escalated,
    /// This signal did not help; SIGKILL is out.
    Failed(Signal),
    /// Nothing helps.
    GivenUp,
}

impl Killing {
    /// Sends the first signal.
    pub(super) fn start(group: &Group, sigterm_time: Option<Duration>, signal: Signal) -> Self {
        if let Some(time) = sigterm_time {
            group.signal(Signal::SIGTERM);
            return Killing::Terminating { until: Instant::now() + time };
        }
        group.signal(signal);
        Killing::Signalled { until: Instant::now() + PATIENCE }
    }

    /// When [`Killing::escalate`] is due.
    pub(super) fn wake(self) -> Option<Instant> {
        match self {
            Killing::No => None,
            Killing::Terminating { until } | Killing::Signalled { until } | Killing::Forced { until } => {
                Some(until)
            }
        }
    }

    /// The next step, when the one before did not help.
    pub(super) fn escalate(&mut self, group: &Group, signal: Signal) -> Patience {
        let until = Instant::now() + PATIENCE;
        match self {
            Killing::Terminating { .. } => {
                group.signal(signal);
                *self = Killing::Signalled { until };
                Patience::Escalated
            }
            Killing::Signalled { .. } if signal != Signal::SIGKILL => {
                group.signal(Signal::SIGKILL);
                *self = Killing::Forced { until };
                Patience::Failed(signal)
            }
            Killing::No | Killing::Signalled { .. } | Killing::Forced { .. } => Patience::GivenUp,
        }
    }
}
