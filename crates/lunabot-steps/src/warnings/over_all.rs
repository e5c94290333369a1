//! Counting over all commands of a class's own `run` (lua-api § 3).

use super::{Counted, Counter, Counting, Kept, WARNINGS, WarningOptions, add_count, add_log};
use async_trait::async_trait;
use lunabot_engine::step::{Observed, OverAll, Results, StepContext, StepError};
use std::sync::atomic::{AtomicU64, Ordering};

/// The warnings of a step so far.
#[derive(Default)]
pub struct AllWarnings {
    found: Observed<Kept>,
    /// So many are in the statistic and the property.
    told: AtomicU64,
}

impl AllWarnings {
    fn count(&self) -> u64 {
        self.found.lock().count()
    }

    /// Brings the statistic and the property up to date.
    fn tell(&self, cx: &StepContext) {
        let count = self.count();
        add_count(cx, count - self.told.swap(count, Ordering::Relaxed));
    }

    /// Runs the step's own command as one of them.
    pub async fn run(&self, counting: &Counting, cx: &StepContext) -> Result<Counted, StepError> {
        let before = self.count();
        let command = counting.command(cx).await?;
        self.tell(cx);
        Ok(Counted { command, warnings: self.count() - before })
    }
}

#[async_trait]
impl OverAll for Counting {
    async fn begin(&self, cx: &StepContext) -> Result<(), StepError> {
        match self.options(cx).await {
            Ok(options) => self.count_all(cx, options).await,
            // The class may be about to make the suppressionFile: it is read when it is needed.
            Err(StepError::Failed(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn end(&self, cx: &StepContext) -> Result<Results, StepError> {
        if cx.kept::<AllWarnings>().is_none() {
            if cx.get_statistic(WARNINGS).is_some() {
                // The built-in class has run, and told.
                return Ok(Results::Success);
            }
            self.count_all(cx, self.options(cx).await?).await;
        }
        cx.finish_logs().await?;
        let Some(all) = cx.kept::<AllWarnings>() else { return Ok(Results::Success) };
        let found = std::mem::take(&mut *all.found.lock());
        add_log(cx, &found).await?;
        add_count(cx, found.count() - all.told.load(Ordering::Relaxed));
        Ok(self.warnings.results(found.count()))
    }
}

impl Counting {
    async fn count_all(&self, cx: &StepContext, options: Option<WarningOptions>) {
        let all = AllWarnings::default();
        if let Some(options) = options {
            let found = all.found.clone();
            let observer = move |cx: &StepContext| {
                Box::new(Counter::new(cx.clone(), options.clone(), found.clone())) as Box<_>
            };
            cx.observe_commands(Box::new(observer)).await;
        }
        cx.keep(all);
    }
}
