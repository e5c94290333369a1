//! How long a build that is to stop waits for functions of the configuration (reference 05.013).

use super::actor::Orders;
use crate::step::StepError;
use lunabot_model::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long one that was stopped waits for what is neither its worker's nor its step's own work.
const ABANDONED: Duration = Duration::from_secs(1);

/// Where a stop is told.
#[derive(Clone)]
pub(crate) enum Stop {
    /// To the build: it holds for all that is asked afterwards, too.
    Build(watch::Receiver<Orders>),
    /// To the step that ran then. One that runs in a stopped build nevertheless has its time until it is told itself.
    Step(watch::Receiver<Option<Arc<str>>>),
}

impl Stop {
    fn is_told(&self) -> bool {
        match self {
            Stop::Build(orders) => orders.borrow().stop.is_some(),
            Stop::Step(reason) => reason.borrow().is_some(),
        }
    }

    async fn told(&self) {
        // An error says that nobody is there any more who could stop it: the build has ended.
        match self.clone() {
            Stop::Build(mut orders) => drop(orders.wait_for(|orders| orders.stop.is_some()).await),
            Stop::Step(mut reason) => drop(reason.wait_for(Option::is_some).await),
        }
    }
}

/// When nobody waits for observers, functions and the like any more: a moment after a stop, or after the worker was lost.
#[derive(Clone)]
pub(crate) struct Patience {
    pub stop: Stop,
    pub lost: CancellationToken,
    pub clock: Arc<dyn Clock>,
}

impl Patience {
    pub fn is_interrupted(&self) -> bool {
        self.stop.is_told() || self.lost.is_cancelled()
    }

    /// Completes when the build or step is stopped or has lost its worker.
    pub async fn interrupted(&self) {
        tokio::select! {
            () = self.lost.cancelled() => {}
            () = self.stop.told() => {}
        }
    }

    pub async fn ends(&self) {
        self.interrupted().await;
        self.clock.sleep(ABANDONED).await;
    }

    /// The error for work that an interruption ended.
    pub fn interruption(&self) -> StepError {
        if self.lost.is_cancelled() { StepError::Lost } else { StepError::Cancelled }
    }

    /// Whether this error is that of work that was given up.
    pub fn gave_up(&self, error: &StepError) -> bool {
        matches!(error, StepError::Cancelled | StepError::Lost) && self.is_interrupted()
    }

    /// Waits for `work` unless the time for that ends.
    pub async fn or_give_up<T>(
        &self,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.ends() => Err(self.interruption()),
        }
    }
}
