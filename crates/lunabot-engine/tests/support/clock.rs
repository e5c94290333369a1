//! A clock that stands still until a test moves it.

use lunabot_model::{BoxFuture, Clock, Mono, Time};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The wall shows 1 000 000 s at the start.
#[derive(Debug)]
pub struct TestClock {
    passed: Mutex<Duration>,
    moved: watch::Sender<Duration>,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(TestClock { passed: Mutex::default(), moved: watch::channel(Duration::ZERO).0 })
    }

    pub fn advance(&self, by: Duration) {
        let mut passed = self.passed.lock().unwrap();
        *passed += by;
        self.moved.send_replace(*passed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_secs(1_000_000) + *self.passed.lock().unwrap()
    }

    fn mono(&self) -> Mono {
        Mono(*self.passed.lock().unwrap())
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            if moved.wait_for(|passed| *passed >= deadline.0).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
