//! Whether the master is still there: a machine without a clock.

use std::time::Duration;
use tokio::time::Instant;

/// The shortest and the longest time that the answer to a ping may take. A busy master takes bytes now and then; one that takes and
/// says nothing for so long is dead.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(120));

/// Signs of life, and what their absence means.
#[derive(Debug)]
pub(super) struct Pulse {
    every: Option<Duration>,
    last: Instant,
    asked: Option<Instant>,
}

/// What is to be done when [`Pulse::wake`] has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    /// The master is gone.
    Lost,
}

impl Pulse {
    /// `None` asks nothing.
    pub fn new(every: Option<Duration>, now: Instant) -> Self {
        Self { every, last: now, asked: None }
    }

    /// A sign of life: something was said, or taken.
    pub fn beat(&mut self, now: Instant) {
        self.last = now;
        self.asked = None;
    }

    /// When [`Pulse::due`] has something to say.
    pub fn wake(&self) -> Option<Instant> {
        let every = self.every?;
        Some(self.asked.map_or(self.last + every, |asked| asked + every.clamp(PATIENCE.0, PATIENCE.1)))
    }

    pub fn due(&mut self, now: Instant) -> Due {
        if self.asked.is_some() {
            return Due::Lost;
        }
        self.asked = Some(now);
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_once_and_then_counts_as_death() {
        let (start, secs) = (Instant::now(), Duration::from_secs);
        let mut pulse = Pulse::new(Some(secs(60)), start);
        assert_eq!(pulse.wake(), Some(start + secs(60)));
        assert_eq!(pulse.due(start + secs(60)), Due::Ping);
        assert_eq!(pulse.wake(), Some(start + secs(120)));
        pulse.beat(start + secs(61));
        assert_eq!(pulse.wake(), Some(start + secs(121)));
        assert_eq!(pulse.due(start + secs(121)), Due::Ping);
        assert_eq!(pulse.due(start + secs(181)), Due::Lost);
    }

    #[test]
    fn the_answer_has_time_within_reason_and_nobody_need_ask() {
        let (start, secs) = (Instant::now(), Duration::from_secs);
        for (every, patience) in [(1, 10), (60, 60), (600, 120)] {
            let mut pulse = Pulse::new(Some(secs(every)), start);
            pulse.due(start);
            assert_eq!(pulse.wake(), Some(start + secs(patience)), "{every}");
        }
        assert_eq!(Pulse::new(None, start).wake(), None);
    }
}
