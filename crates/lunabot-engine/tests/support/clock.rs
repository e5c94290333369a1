//! A clock that stands still until a test moves it.

use lunabot_model::{BoxFuture, Clock, Mono, Time};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The wall shows 1 000 000 s at the start.
#[derive(Debug)]
pub struct TestClock {
    passed: Mutex<Duration>,
    /// How often it was looked at: no two looks see the same.
    looks: AtomicU64,
    /// Seconds by which the wall is ahead.
    ahead: AtomicI64,
    moved: watch::Sender<Duration>,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(TestClock {
            passed: Mutex::default(),
            looks: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            moved: watch::channel(Duration::ZERO).0,
        })
    }

    /// Sets the wall clock so many seconds before or after where it would be.
    pub fn set_wall(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }

    pub fn advance(&self, by: Duration) {
        let mut passed = self.passed.lock().unwrap();
        *passed += by;
        self.moved.send_replace(*passed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_secs(1_000_000 + self.ahead.load(Ordering::SeqCst)) + *self.passed.lock().unwrap()
    }

    fn mono(&self) -> Mono {
        let looks = Duration::from_nanos(self.looks.fetch_add(1, Ordering::SeqCst));
        Mono(*self.passed.lock().unwrap() + looks)
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            // Not by the looks that came before the deadline was known.
            let over = |passed: &Duration| *passed + Duration::from_millis(1) >= deadline.0;
            if moved.wait_for(over).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
