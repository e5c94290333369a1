//! When the next poll is due: a plain function of times (02.005).

use crate::source::PollTimes;
use lunabot_model::Mono;

/// The next poll of a source that was started at `start`: the next whole interval after `now`, and a random delay
/// (`chance` is in `[0, 1)`). `None`: only when asked to.
pub fn next_poll(start: Mono, now: Mono, times: &PollTimes, chance: f64) -> Option<Mono> {
    if times.interval.is_zero() {
        return None;
    }
    let done = (now - start).as_nanos() / times.interval.as_nanos();
    let nanos = (done + 1).saturating_mul(times.interval.as_nanos());
    let due = start + std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    let (min, max) = times.delay;
    Some(due + min + max.saturating_sub(min).mul_f64(chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: u64) -> Mono {
        Mono(Duration::from_secs(secs))
    }

    fn times(interval: u64, min: u64, max: u64) -> PollTimes {
        let secs = Duration::from_secs;
        PollTimes { interval: secs(interval), at_launch: false, delay: (secs(min), secs(max)) }
    }

    /// 02.005: aligned to the start, however long a poll took.
    #[test]
    fn row_02_005_polls_keep_to_the_intervals_of_the_start() {
        assert_eq!(next_poll(at(100), at(100), &times(60, 0, 0), 0.9), Some(at(160)));
        assert_eq!(next_poll(at(100), at(199), &times(60, 0, 0), 0.9), Some(at(220)));
        assert_eq!(next_poll(at(100), at(220), &times(60, 0, 0), 0.9), Some(at(280)));
    }

    #[test]
    fn row_02_005_chance_spreads_between_the_bounds() {
        assert_eq!(next_poll(at(0), at(0), &times(60, 10, 30), 0.0), Some(at(70)));
        assert_eq!(next_poll(at(0), at(0), &times(60, 10, 30), 0.5), Some(at(80)));
        assert_eq!(next_poll(at(0), at(0), &times(0, 0, 0), 0.5), None);
    }
}
