//! A built-in class below one of the configuration's, whose `run` is the class's own (lua-api § 3): it may be asked to run
//! several times, or not at all, and what it does over all commands it does then too.

use super::{Channel, LogObserver, Results, StepContext, StepError};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a built-in class does over all commands of a step, whoever runs them.
#[async_trait]
pub trait OverAll: Send + Sync {
    /// Before the class's own `run`.
    async fn begin(&self, cx: &StepContext) -> Result<(), StepError>;

    /// After it; answers with the best that the result can be now.
    async fn end(&self, cx: &StepContext) -> Result<Results, StepError>;
}

/// One run of the built-in class; its observers see nothing of what follows it.
#[derive(Clone)]
pub(crate) struct BaseRun(Arc<AtomicBool>);

impl BaseRun {
    pub fn begin() -> Self {
        BaseRun(Arc::new(AtomicBool::new(true)))
    }

    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// `observer`, as long as the run goes on.
    pub fn observer(&self, observer: Box<dyn LogObserver>) -> Box<dyn LogObserver> {
        Box::new(OfRun { run: self.clone(), observer })
    }

    fn goes_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct OfRun {
    run: BaseRun,
    observer: Box<dyn LogObserver>,
}

#[async_trait]
impl LogObserver for OfRun {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        if self.run.goes_on() { self.observer.received(channel, lines).await } else { Ok(()) }
    }

    async fn finished(&mut self) -> Result<(), StepError> {
        if self.run.goes_on() { self.observer.finished().await } else { Ok(()) }
    }
}
