//! The machine's clock: the one place that asks the wall.

use lunabot_model::{BoxFuture, Clock, Mono, Time};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Real time. [`Mono`] counts from the moment it was made.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else is given")]
    pub fn new() -> Self {
        SystemClock { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else is given")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn mono(&self) -> Mono {
        Mono(self.origin.elapsed())
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        // A deadline past what the timer can hold is "never".
        let at = self.origin.checked_add(deadline.0);
        Box::pin(async move {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        })
    }
}
