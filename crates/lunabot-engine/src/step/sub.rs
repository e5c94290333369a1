//! Steps that a running step shows its parts as (lua-api § 3): rows of the build with logs, links and a result of their
//! own. What they end with is shown; what becomes of the build is up to the step that made them.

use super::run::{fail, say, store_end};
use super::summary::Texts;
use super::{BaseStepParams, StepContext, StepDefaults, StepError};
use lunabot_model::Results;
use std::sync::PoisonError;

/// How many of one step may be open at a time.
const MOST: usize = 1000;

const CLASS: StepDefaults = StepDefaults::named("substep");

impl StepContext {
    /// Begins a step below this one; of `words` the options that say what it does are looked at.
    pub(crate) async fn start_sub_step(
        &self,
        name: &str,
        words: BaseStepParams,
    ) -> Result<StepContext, StepError> {
        if self.subs().len() >= MOST {
            return Err(StepError::Exception(format!(
                "{MOST} steps that this one has started are not finished yet"
            )));
        }
        let (build, data) = (&self.0.build, &self.0.build.services.data);
        let (row, ack) = data.add_step(build.info.buildid, &build.masks.mask(name), "pending").await?;
        ack.detach();
        data.start_step(row.stepid, true).await?.detach();
        let sub = StepContext::new(build.clone(), row.stepid, row.name, self.0.stopped.clone());
        if let Some(own) = self.own_encoding() {
            // Set here only.
            let _ = sub.0.encoding.set(own);
        }
        let texts = Texts::of(&words, &CLASS);
        say(&sub, &texts.current()).await?;
        self.subs().push((sub.clone(), texts));
        Ok(sub)
    }

    /// Ends a step that this one began. Its observers' errors are told in it, and are the answer.
    pub(crate) async fn finish_sub_step(&self, sub: &StepContext, results: Results) -> Result<(), StepError> {
        let place = |(one, _): &(StepContext, Texts)| one.step_id() == sub.step_id();
        let found = {
            let mut subs = self.subs();
            subs.iter().position(place).map(|at| subs.remove(at))
        };
        match found {
            Some((sub, texts)) => end(&sub, &texts, results).await,
            None => Ok(()),
        }
    }

    /// Ends those that are left with the step's own result.
    pub(super) async fn finish_sub_steps(&self, results: Results) -> Result<(), StepError> {
        let left = std::mem::take(&mut *self.subs());
        for (sub, texts) in left {
            end(&sub, &texts, results).await?;
        }
        Ok(())
    }

    fn subs(&self) -> std::sync::MutexGuard<'_, Vec<(StepContext, Texts)>> {
        self.0.subs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn end(sub: &StepContext, texts: &Texts, mut results: Results) -> Result<(), StepError> {
    sub.finish_logs().await?;
    let fault = sub.take_faults().into_iter().next();
    if let Some(fault) = &fault {
        results = fail(sub, fault).await;
    }
    let text = sub.masks().mask(&texts.result(results, &sub.0)).into_owned();
    store_end(sub, results, &text, false).await?;
    sub.0.ended.cancel();
    fault.map_or(Ok(()), Err)
}
