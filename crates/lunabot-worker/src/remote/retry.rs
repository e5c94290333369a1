//! When to try again: a machine without a clock.

use std::time::Duration;

/// What the wait grows by with each failure, as with the reference's worker.
const GROWTH: f64 = 1.5;

/// Failures in a row, and what follows from them.
#[derive(Debug)]
pub(super) struct Retry {
    failures: u32,
    max_delay: Duration,
    max_retries: Option<u32>,
}

impl Retry {
    pub fn new(max_delay: Duration, max_retries: Option<u32>) -> Self {
        Self { failures: 0, max_delay, max_retries }
    }

    /// The worker was attached: what failed before is forgotten.
    pub fn attached(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure; `None`: it was one too many. `chance` is from 0 to 1 and takes up to half of the
    /// wait away.
    pub fn failed(&mut self, chance: f64) -> Option<Duration> {
        if self.max_retries.is_some_and(|most| self.failures >= most) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        // Beyond this the longest wait holds anyway.
        let exponent = i32::try_from(self.failures.min(40)).unwrap_or(40);
        let wait = Duration::from_secs_f64(GROWTH.powi(exponent)).min(self.max_delay);
        Some(wait.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0))
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_begin_anew_after_success() {
        let mut retry = Retry::new(Duration::from_secs(10), None);
        let waits = |retry: &mut Retry, chance| {
            let wait = retry.failed(chance).unwrap().as_secs_f64();
            (wait * 1000.0).round()
        };
        assert_eq!([(); 3].map(|()| waits(&mut retry, 0.0)), [1500.0, 2250.0, 3375.0]);
        assert_eq!(waits(&mut retry, 1.0), 2531.0, "half of 5.0625 s");
        for _ in 0..1000 {
            assert!(waits(&mut retry, 0.0) <= 10_000.0);
        }
        retry.attached();
        assert_eq!(waits(&mut retry, 0.0), 1500.0);
    }

    #[test]
    fn it_gives_up_only_when_told_so() {
        let mut retry = Retry::new(Duration::from_secs(1), Some(2));
        assert_eq!([(); 4].map(|()| retry.failed(0.0).is_some()), [true, true, false, false]);
        assert_eq!(retry.failures(), 2);
        retry.attached();
        assert!(retry.failed(0.0).is_some());
        assert_eq!(Retry::new(Duration::from_secs(1), Some(0)).failed(0.0), None);
    }
}
