//! The task of one source: wait, poll, note how it went, again. No poll's failure ends it.

use super::schedule::next_poll;
use super::status::Board;
use crate::source::{Poller, SourceContext, SourceError};
use futures::FutureExt;
use lunabot_model::Mono;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// A uniform random number in `[0, 1)`.
pub type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;

/// A source as the newest configuration declares it. Replaced while the task runs when a reload changed nothing in
/// it, so that its functions are those of the living generation.
#[derive(Clone)]
pub(super) struct Declared {
    pub poller: Arc<dyn Poller>,
    pub context: SourceContext,
}

/// A wish to go past a revision, with the place for what came of it.
pub(super) struct Skip {
    pub revision: String,
    pub answer: oneshot::Sender<Result<String, String>>,
}

pub(super) struct SourceTask {
    pub declared: watch::Receiver<Declared>,
    /// Asks for a poll now; during a poll, for another right after it.
    pub wanted: Arc<Notify>,
    /// Looked at between polls.
    pub skips: mpsc::Receiver<Skip>,
    pub stop: CancellationToken,
    pub board: Board,
    pub chance: Chance,
}

/// Before something that failed is tried again at first; twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// At most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So long a source that is stopped is waited for.
const FAREWELL: Duration = Duration::from_secs(15);

/// Lets a source act no more; what fails again and again is given up.
async fn deactivate(poller: &dyn Poller, context: &SourceContext) {
    let attempts = async {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = poller.deactivate(context).await {
            tracing::error!(source = %context.name, %error, "could not be deactivated; it will be tried again");
            context.clock.sleep(pause).await;
            pause *= 2;
        }
    };
    tokio::select! {
        () = attempts => {}
        () = context.clock.sleep(FAREWELL) => {
            tracing::error!(source = %context.name, "could not be deactivated; it is given up");
        }
    }
}

enum Wake {
    Poll,
    Redeclared,
    Skip(Skip),
    Stop,
}

impl SourceTask {
    pub async fn run(mut self) {
        let Declared { poller, context } = self.declared.borrow_and_update().clone();
        let mut acting = poller.is_active().then_some((poller, context));
        if let Some((poller, context)) = &acting
            && !self.activate(&**poller, context).await
        {
            return;
        }
        self.poll_on(&mut acting).await;
        if let Some((poller, context)) = &acting {
            deactivate(&**poller, context).await;
        }
    }

    /// Polls until it is stopped. What acts is exchanged where a reload brings the same source anew.
    async fn poll_on(&mut self, acting: &mut Option<(Arc<dyn Poller>, SourceContext)>) {
        let start = self.declared.borrow().context.clock.mono();
        let mut first = true;
        let mut due = self.first_due(start);
        loop {
            match self.wait(due).await {
                Wake::Stop => return,
                Wake::Redeclared => {
                    if !self.exchange(acting).await {
                        return;
                    }
                    continue;
                }
                Wake::Skip(skip) => {
                    self.skip(skip).await;
                    continue;
                }
                Wake::Poll => {}
            }
            let Declared { poller, mut context } = self.declared.borrow().clone();
            context.first = first;
            let stop = self.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                succeeded = self.poll(&*poller, &context) => first &= !succeeded,
            }
            due = next_poll(start, context.clock.mono(), &poller.times(), (self.chance)());
            self.note_next(&context, due);
        }
    }

    /// Lets a source begin to act; false: it was stopped before.
    async fn activate(&self, poller: &dyn Poller, context: &SourceContext) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let stop = self.stop.clone();
            let outcome = tokio::select! {
                () = stop.cancelled() => return false,
                outcome = poller.activate(context) => outcome,
            };
            let Err(error) = outcome else { break };
            tracing::error!(source = %context.name, %error, "could not be activated; it will be tried again");
            self.board.update(&context.name, |row| {
                row.failures += 1;
                row.last_error = Some(error.to_string());
            });
            tokio::select! {
                () = stop.cancelled() => return false,
                () = context.clock.sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
        let described = tokio::select! {
            () = self.stop.cancelled() => None,
            described = poller.described(context) => described,
        };
        self.board.update(&context.name, |row| {
            row.last_error = None;
            if let Some(text) = described {
                row.describe = text;
            }
        });
        true
    }

    /// The same source of a newer configuration takes over.
    async fn exchange(&mut self, acting: &mut Option<(Arc<dyn Poller>, SourceContext)>) -> bool {
        let Some((old, before)) = acting.take() else { return true };
        deactivate(&*old, &before).await;
        let Declared { poller, context } = self.declared.borrow().clone();
        let active = self.activate(&*poller, &context).await;
        *acting = active.then_some((poller, context));
        active
    }

    fn first_due(&self, start: Mono) -> Option<Mono> {
        let declared = self.declared.borrow();
        let times = declared.poller.times();
        let due =
            if times.at_launch { Some(start) } else { next_poll(start, start, &times, (self.chance)()) };
        self.note_next(&declared.context, due);
        due
    }

    async fn wait(&mut self, due: Option<Mono>) -> Wake {
        let Declared { poller, context } = self.declared.borrow().clone();
        let clock = context.clock;
        let sleep = async {
            match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Stop,
            changed = self.declared.changed() => if changed.is_ok() { Wake::Redeclared } else { Wake::Stop },
            Some(skip) = self.skips.recv() => Wake::Skip(skip),
            () = self.wanted.notified() => Wake::Poll,
            () = poller.arrived() => Wake::Poll,
            () = sleep => Wake::Poll,
        }
    }

    async fn skip(&self, skip: Skip) {
        let Declared { poller, context } = self.declared.borrow().clone();
        let outcome = poller.skip(&context, &skip.revision).await.map_err(|error| error.to_string());
        if let Ok(done) = &outcome {
            tracing::info!(source = %context.name, "{done}");
            self.wanted.notify_one();
        }
        // Whoever asked may have gone.
        let _ = skip.answer.send(outcome);
    }

    /// Whether it succeeded.
    async fn poll(&self, poller: &dyn Poller, context: &SourceContext) -> bool {
        let name = &context.name;
        let now = || context.clock.now().secs();
        self.board.update(name, |row| (row.polling, row.last_poll) = (true, Some(now())));
        let outcome = AssertUnwindSafe(poller.poll(context)).catch_unwind().await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(SourceError::Other("the poll crashed; see the log".into())));
        let succeeded = outcome.is_ok();
        let word = if succeeded { "success" } else { "failure" };
        metrics::counter!("lunabot_polls_total", "source" => name.clone(), "outcome" => word).increment(1);
        if let Err(error) = &outcome {
            tracing::error!(source = %name, %error, "poll failed; it will be tried again");
        }
        self.board.update(name, |row| {
            row.polling = false;
            row.polls += 1;
            match outcome {
                Ok(()) => (row.last_success, row.last_error) = (Some(now()), None),
                Err(error) => {
                    row.failures += 1;
                    row.last_error = Some(error.to_string());
                }
            }
        });
        succeeded
    }

    fn note_next(&self, context: &SourceContext, due: Option<Mono>) {
        let next = due.map(|due| (context.clock.now() + (due - context.clock.mono())).secs());
        self.board.update(&context.name, |row| row.next_poll = next);
    }
}
