//! One live connection per name (reference row 08.005): who sits there, and who comes next.

use super::session::Session;
use lunabot_proto::master::Call;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the present connection has to show that it lives.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// Who sits where.
#[derive(Default)]
pub(super) struct Seats(Mutex<HashMap<String, Present>>);

#[derive(Clone)]
struct Present {
    session: Arc<Session>,
    /// Cancelled when the seat is free again.
    free: CancellationToken,
}

/// A place taken. Given back by dropping it.
pub(super) struct Seat {
    seats: Arc<Seats>,
    name: String,
    session: Arc<Session>,
    _free: DropGuard,
}

impl Seats {
    /// Takes the seat of `name`. Where somebody sits who answers, nobody else does: the error says so. One who is silent
    /// loses it. Nothing is held meanwhile that others need.
    pub async fn take(self: &Arc<Self>, name: &str, session: &Arc<Session>) -> Result<Seat, String> {
        loop {
            let present = match self.try_take(name, session) {
                Ok(seat) => return Ok(seat),
                Err(present) => present,
            };
            let question = Call::Print("master got a duplicate connection".into());
            if present.session.ask_within(question, ALIVE_WITHIN).await.is_ok() {
                return Err(format!("a worker named {name} is connected already, and it answers"));
            }
            tracing::info!(worker = name, "the old connection does not answer; a new one takes its place");
            present.session.close();
            present.free.cancelled().await;
        }
    }

    fn try_take(self: &Arc<Self>, name: &str, session: &Arc<Session>) -> Result<Seat, Present> {
        let mut seats = self.lock();
        if let Some(present) = seats.get(name) {
            return Err(present.clone());
        }
        let free = CancellationToken::new();
        seats.insert(name.into(), Present { session: session.clone(), free: free.clone() });
        Ok(Seat {
            seats: self.clone(),
            name: name.into(),
            session: session.clone(),
            _free: free.drop_guard(),
        })
    }

    /// Ends the connections of those whose names are not wanted any more (08.013); each token is cancelled when a seat is free.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) -> Vec<CancellationToken> {
        let mut leaving = Vec::new();
        for (name, present) in self.lock().iter().filter(|(name, _)| !wanted(name)) {
            tracing::info!(worker = name, "no longer wanted: its connection is closed");
            present.session.close();
            leaving.push(present.free.clone());
        }
        leaving
    }

    pub fn is_taken(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Present>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.lock();
        if seats.get(&self.name).is_some_and(|present| Arc::ptr_eq(&present.session, &self.session)) {
            seats.remove(&self.name);
        }
    }
}
