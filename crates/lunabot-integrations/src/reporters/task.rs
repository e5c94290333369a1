//! The task of one reporter: takes what is due out of the outbox, delivers it, and tries again what failed (11.002, 11.006).
//!
//! What waits is in the store, not here: a reporter that falls behind costs no memory.

use super::means::Fault;
use super::reporter::Reporter;
use futures::FutureExt;
use lunabot_data::{Data, DataError, Due};
use lunabot_model::{Clock, Mono};
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Deliveries of one reporter at the same time, each of another build.
const AT_ONCE: usize = 8;
/// Before what failed is tried again at first, in seconds; twice as long each further time.
const FIRST_PAUSE: i64 = 1;
/// At most.
const LONGEST_PAUSE: i64 = 600;
/// Before the store is asked again that could not be read or written.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is known of how reporters do, beside what the store knows.
#[derive(Clone, Default)]
pub(super) struct Board(Arc<Mutex<BTreeMap<String, Told>>>);

#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Of the newest attempt that failed.
    pub last_error: Option<String>,
    /// Events whose reports were given up since the start.
    pub given_up: u64,
    /// Nothing is tried until a function may be called again.
    pub rests: bool,
}

impl Board {
    fn update(&self, name: &str, change: impl FnOnce(&mut Told)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default());
    }

    pub fn get(&self, name: &str) -> Told {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
    }

    pub fn retain(&self, wanted: impl Fn(&String) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| wanted(name));
    }
}

pub(super) struct Task {
    pub reporter: Arc<Reporter>,
    pub clock: Arc<dyn Clock>,
    pub wake: Arc<Notify>,
    pub stop: CancellationToken,
    pub board: Board,
    /// Until when nothing is tried.
    pub rest: Mutex<Mono>,
}

/// Deliveries under way. Each is a task of its own: they wait for the store, and so does the one that begins them.
#[derive(Default)]
struct Flying {
    all: JoinSet<()>,
    ids: HashMap<tokio::task::Id, i64>,
}

impl Flying {
    fn has(&self, id: i64) -> bool {
        self.ids.values().any(|one| *one == id)
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.ids.remove(&id);
    }
}

impl Task {
    pub async fn run(self: Arc<Self>) {
        let mut flying = Flying::default();
        while !self.stop.is_cancelled() {
            let pause = match self.take(&mut flying).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(reporter = %self.reporter.name, "the outbox cannot be read: {error}; it will be tried again");
                    Some(STORE_PAUSE)
                }
            };
            let later = async {
                match pause {
                    Some(pause) => self.clock.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(ended) = flying.all.join_next_with_id() => flying.ended(ended),
                () = self.wake.notified() => {}
                () = later => {}
            }
        }
        // What is under way ends; whoever comes after must not deliver it too.
        while flying.all.join_next().await.is_some() {}
    }

    /// Begins what is due, as far as there is room. Gives how long it is until more is, if that is known.
    async fn take(self: &Arc<Self>, flying: &mut Flying) -> Result<Option<Duration>, DataError> {
        if let Some(left) = self.resting() {
            return Ok(Some(left));
        }
        let (under_way, now) = (flying.ids.len(), self.clock.now().secs());
        if under_way >= AT_ONCE {
            return Ok(None);
        }
        let _works = self.reporter.means.working.begin();
        // Those under way are still there, and first among their likes.
        let due = self.data().outbox(&self.reporter.name, AT_ONCE + 1).await?;
        for one in due {
            if flying.has(one.id) {
                continue;
            }
            // What was not tried is due, whatever the clock was when it happened.
            if one.tries > 0 && one.next_at > now {
                let seconds = u64::try_from(one.next_at - now).unwrap_or(1);
                return Ok(Some(Duration::from_secs(seconds)));
            }
            if flying.ids.len() >= AT_ONCE {
                return Ok(None);
            }
            let (this, id) = (Arc::clone(self), one.id);
            let task = flying.all.spawn(async move { this.attend(one).await });
            flying.ids.insert(task.id(), id);
        }
        Ok(None)
    }

    fn data(&self) -> &Data {
        &self.reporter.means.data
    }

    /// Delivers one, and notes what came of it.
    async fn attend(&self, due: Due) {
        let _works = self.reporter.means.working.begin();
        // A backlog that has failed for too long is not delivered once more, row by row.
        if due.tries > 0 && self.is_over(&due) {
            let last = self.board.get(&self.reporter.name).last_error;
            return self.failed(&due, last.unwrap_or_else(|| "it failed before the restart".into())).await;
        }
        let outcome = AssertUnwindSafe(self.reporter.deliver(&due)).catch_unwind().await;
        // It goes to the log and to pages, and may hold what a function returned.
        let told = |fault: &Fault| self.reporter.means.script.conceal(&fault.to_string()).into_owned();
        match outcome {
            Ok(Ok(())) => {
                self.count("delivered");
                self.note(|_| ());
                self.store(|| self.data().outbox_done(due.id)).await;
            }
            Ok(Err(fault)) => match fault.suspended() {
                Some(left) => self.rest(left, told(&fault)),
                None => self.failed(&due, told(&fault)).await,
            },
            Err(_) => self.failed(&due, "the report crashed; see the log".into()).await,
        }
    }

    /// A function was not called: that is no attempt, and the next would be none either.
    fn rest(&self, left: Duration, error: String) {
        let name = &self.reporter.name;
        if self.resting().is_none() {
            tracing::warn!(reporter = %name, "waits {} s: {error}", left.as_secs() + 1);
        }
        let mut until = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(self.clock.mono() + left);
        self.board.update(name, |told| (told.rests, told.last_error) = (true, Some(error)));
    }

    /// Something was tried: others may have found since that the reporter has to rest.
    fn note(&self, change: impl FnOnce(&mut Told)) {
        // Held, as in `rest`: what is noted there must not be undone here.
        let until = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = *until > self.clock.mono();
        self.board.update(&self.reporter.name, |told| {
            told.rests = rests;
            change(told);
        });
    }

    fn resting(&self) -> Option<Duration> {
        let until = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        Some(until - self.clock.mono()).filter(|left| !left.is_zero())
    }

    /// Whether it is not to be tried again.
    fn is_over(&self, due: &Due) -> bool {
        let age = u64::try_from(self.clock.now().secs() - due.created_at).unwrap_or(0);
        Duration::from_secs(age) >= self.reporter.retry_for
    }

    async fn failed(&self, due: &Due, error: String) {
        let (name, topic, now) = (&self.reporter.name, &due.topic, self.clock.now().secs());
        let pause = FIRST_PAUSE.checked_shl(u32::try_from(due.tries).unwrap_or(u32::MAX)).unwrap_or(i64::MAX);
        let pause = if due.tries >= 30 { LONGEST_PAUSE } else { pause.min(LONGEST_PAUSE) };
        let given_up = self.is_over(due);
        self.note(|told| {
            told.last_error = Some(error.clone());
            told.given_up += u64::from(given_up);
        });
        if given_up {
            self.count("given up");
            self.store(|| self.data().outbox_done(due.id)).await;
            tracing::error!(reporter = %name, topic, "could not be reported: {error}; it is given up");
        } else {
            self.count("failed");
            self.store(|| self.data().outbox_later(due.id, now + pause, due.tries + 1)).await;
            tracing::error!(reporter = %name, topic, "could not be reported: {error}; it will be tried again in {pause} s");
        }
    }

    fn count(&self, outcome: &'static str) {
        let reporter = self.reporter.name.clone();
        metrics::counter!("lunabot_reports_total", "reporter" => reporter, "outcome" => outcome).increment(1);
    }

    /// Until it is stored: what was delivered must not be taken up again.
    async fn store(&self, write: impl Fn() -> lunabot_data::Ack) {
        while let Err(error) = write().await {
            tracing::error!(reporter = %self.reporter.name, "what became of a report cannot be stored: {error}");
            self.clock.sleep(STORE_PAUSE).await;
        }
    }
}
