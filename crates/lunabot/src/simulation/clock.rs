//! A clock that stands still until a test moves it.

use lunabot_model::{BoxFuture, Clock, Mono, Time};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What is due later than this never comes.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The clock of one simulated master.
#[derive(Debug, Clone)]
pub struct VirtualClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What the wall shows when nothing has passed.
    wall: Time,
    passed: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_id: u64,
}

impl VirtualClock {
    pub fn new(wall: Time) -> Self {
        let state = State { wall, passed: Duration::ZERO, sleepers: BTreeMap::new(), next_id: 0 };
        VirtualClock(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next one who sleeps is due.
    pub fn next(&self) -> Option<Mono> {
        let state = self.state();
        let next = state.sleepers.keys().map(|(deadline, _)| *deadline).next();
        next.filter(|deadline| *deadline < NEVER).map(Mono)
    }

    /// Goes on to a moment and wakes who is due. Never goes back.
    pub fn advance_to(&self, moment: Mono) {
        let due = {
            let mut state = self.state();
            let passed = state.passed.max(moment.0);
            state.passed = passed;
            let later = state.sleepers.split_off(&(passed, u64::MAX));
            std::mem::replace(&mut state.sleepers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// Another one where others sleep, or until other moments; not where somebody only turned over.
    pub fn mark(&self) -> u64 {
        let state = self.state();
        let until = |deadline: &Duration| {
            let (low, high) = (deadline.as_nanos() as u64, deadline.as_secs());
            low.wrapping_add(high).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        state.sleepers.keys().map(|(deadline, _)| until(deadline)).fold(0, u64::wrapping_add)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        let state = self.state();
        state.wall + state.passed
    }

    fn mono(&self) -> Mono {
        Mono(self.state().passed)
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), deadline: deadline.0, id: None })
    }
}

/// Somebody who sleeps, from the first time that it is asked.
struct Sleep {
    clock: VirtualClock,
    deadline: Duration,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.passed >= self.deadline {
            return Poll::Ready(());
        }
        let id = self.id.unwrap_or_else(|| {
            state.next_id += 1;
            state.next_id
        });
        self.id = Some(id);
        state.sleepers.insert((self.deadline, id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let waker = {
            let mut state = self.clock.state();
            state.sleepers.remove(&(self.deadline, id))
        };
        // Outside of the lock: a waker may hold what sleeps itself.
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_get_up_when_they_are_due_and_not_before() {
        let clock = VirtualClock::new(Time::from_secs(1000));
        let seconds = Duration::from_secs;
        let (mut early, mut late) = (clock.sleep(seconds(5)), clock.sleep(seconds(60)));
        assert!(futures::poll!(&mut early).is_pending() && futures::poll!(&mut late).is_pending());
        assert_eq!(clock.next(), Some(Mono(seconds(5))));
        clock.advance_to(Mono(seconds(5)));
        assert!(futures::poll!(&mut early).is_ready() && futures::poll!(&mut late).is_pending());
        assert_eq!((clock.now(), clock.next()), (Time::from_secs(1005), Some(Mono(seconds(60)))));
        drop(late);
        assert_eq!(clock.next(), None);
    }
}
