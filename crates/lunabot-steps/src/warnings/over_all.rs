//! Counting over all commands of a class's own `run` (lua-api § 3).

use super::{Counted, Counter, Counting, Found, WARNINGS, add_count, add_log};
use async_trait::async_trait;
use lunabot_engine::step::{Observed, OverAll, Results, StepContext, StepError};
use std::sync::atomic::{AtomicU64, Ordering};

/// The warnings of a step so far.
#[derive(Default)]
pub struct AllWarnings {
    found: Observed<Found>,
    /// So many are in the statistic and the property.
    told: AtomicU64,
}

impl AllWarnings {
    fn count(&self) -> u64 {
        self.found.lock().kept.count()
    }

    /// Brings the statistic and the property up to date.
    fn tell(&self, cx: &StepContext) {
        let count = self.count();
        add_count(cx, count.saturating_sub(self.told.fetch_max(count, Ordering::Relaxed)));
    }

    /// Runs the step's own command as one of them. The suppressionFile is read now: the class may have made it.
    pub async fn run(&self, counting: &Counting, cx: &StepContext) -> Result<Counted, StepError> {
        let suppressions = counting.suppressions(cx).await?;
        self.found.lock().judge(&suppressions);
        let before = self.count();
        let command = counting.command(cx).await?;
        self.found.lock().judge(&suppressions);
        self.tell(cx);
        Ok(Counted { command, warnings: self.count().saturating_sub(before) })
    }
}

#[async_trait]
impl OverAll for Counting {
    async fn begin(&self, cx: &StepContext) -> Result<(), StepError> {
        let all = AllWarnings::default();
        if self.warnings.pattern.is_some() {
            let (options, found) = (self.warnings.clone(), all.found.clone());
            let observer = move |cx: &StepContext| {
                let counter = Counter::new(cx.clone(), options.clone(), found.clone())?;
                Some(Box::new(counter.waiting_for_file()) as Box<_>)
            };
            cx.observe_commands(Box::new(observer));
        }
        cx.keep(all);
        Ok(())
    }

    async fn end(&self, cx: &StepContext) -> Result<Results, StepError> {
        cx.finish_logs().await?;
        // Kept in `begin`.
        let Some(all) = cx.kept::<AllWarnings>() else { return Ok(Results::Success) };
        if all.found.lock().is_to_be_judged() {
            let suppressions = self.suppressions(cx).await?;
            all.found.lock().judge(&suppressions);
        }
        let found = std::mem::take(&mut all.found.lock().kept);
        add_log(cx, &found).await?;
        if found.count() > 0 || cx.get_statistic(WARNINGS).is_none() {
            add_count(cx, found.count().saturating_sub(all.told.load(Ordering::Relaxed)));
        }
        Ok(self.warnings.results(found.count()))
    }
}
