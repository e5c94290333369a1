//! Time as a parameter. Nothing outside the binary asks the wall; tests move a clock by hand.

use crate::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A moment on the wall clock: microseconds since 1970, UTC. The database and the API keep whole seconds (14.032).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    pub const fn from_secs(secs: i64) -> Self {
        Time(secs * 1_000_000)
    }

    /// Whole seconds since 1970, as the API gives them.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// `Sat Nov 28 23:42:33 2026`: a time in the machine's zone as C writes it.
pub fn ctime(secs: i64) -> String {
    let at = jiff::Timestamp::from_second(secs).unwrap_or_default();
    at.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// The master's own time zone, or the one named. The error says what is wrong with the name.
pub fn zone(name: Option<&str>) -> Result<jiff::tz::TimeZone, String> {
    match name {
        None => Ok(jiff::tz::TimeZone::system()),
        Some(name) => jiff::tz::TimeZone::get(name).map_err(|_| {
            format!(
                "there is no time zone {name} on this machine; names are like Europe/Berlin (package tzdata)"
            )
        }),
    }
}

/// A moment on a clock that never jumps, counted from the start of the process. For time-outs and measurements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub Duration);

impl std::ops::Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(d))
    }
}

impl std::ops::Sub<Mono> for Mono {
    type Output = Duration;
    fn sub(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The source of time, injected everywhere.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// What the wall shows; may jump.
    fn now(&self) -> Time;
    /// Never jumps.
    fn mono(&self) -> Mono;
    /// Completes at or after `deadline`; cancelled by dropping.
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()>;

    fn sleep(&self, d: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.mono() + d)
    }
}
