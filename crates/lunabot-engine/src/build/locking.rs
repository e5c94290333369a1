//! The locks of a build: the synthetic step `locks_acquire` (reference 05.008, 05b items 5 and 12, 05.061).

use super::actor::{Actor, add_text};
use super::machine::Event;
use crate::locks::Holder;
use crate::locks::client::{Ask, Progress};
use crate::locks::rendered::rendered;
use crate::step::StepError;
use lunabot_data::DataError;
use lunabot_model::resources::LogType;
use lunabot_model::{Mono, Results, StepId};

/// The step that shows how a build waits for its locks.
pub(super) struct LockStep {
    pub step: StepId,
    /// Since when it waits.
    pub since: Option<Mono>,
}

impl Actor {
    /// Item 5. Whether the build has locks.
    pub(super) async fn set_up_locks(&mut self) -> Result<bool, StepError> {
        let shared = self.shared()?;
        let option = self.builder.config.locks.as_ref();
        let fault = |text| StepError::Exception(format!("locks of builder {}: {text}", shared.info.builder));
        let uses = async { rendered(option, &*shared).await.map_err(fault) };
        let uses = shared.patience().or_give_up(uses).await?;
        if uses.is_empty() {
            return Ok(false);
        }
        let (step, ack) = self.data().add_step(shared.info.buildid, "locks_acquire", "pending").await?;
        ack.detach();
        self.lock_step = Some(LockStep { step: step.stepid, since: None });
        // Set here only.
        let _ = shared.locks.set(uses);
        Ok(true)
    }

    /// Item 12. What comes of it is told by [`Event::Locks`].
    pub(super) async fn acquire_locks(&mut self) -> Result<(), DataError> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        let Some(waiting) = &mut self.lock_step else { return Ok(()) };
        waiting.since = Some(self.services.clock.mono());
        let step = waiting.step;
        self.data().start_step(step, false).await?.detach();
        let (builder, worker) = (self.builder.id, self.worker.id);
        let ask = Ask {
            holder: Holder::Build { builder, worker },
            builder,
            worker,
            worker_name: self.worker.name.as_str().into(),
            uses: shared.locks.get().cloned().unwrap_or_default(),
            generation: self.builder.generation.number,
        };
        let mut progress = self.services.locks.ask(ask).await;
        let (inbox, data) = (self.inbox.clone(), self.services.data.clone());
        tokio::spawn(async move {
            // An error says that nobody answers any more: the build has ended.
            while progress.changed().await.is_ok() {
                let now = progress.borrow_and_update().clone();
                let result = match now {
                    Progress::Asked => continue,
                    Progress::Waits(names) => {
                        let told = data.set_step_state(step, &format!("waiting for {names}")).await;
                        // The step may have ended meanwhile.
                        let _ = told.map(lunabot_data::Ack::detach);
                        continue;
                    }
                    Progress::Held => Ok(()),
                    Progress::Refused(why) => Err(why),
                };
                // The build may have ended meanwhile.
                let _ = inbox.send(Event::Locks(result)).await;
                return;
            }
        });
        Ok(())
    }

    /// The step ends: with the locks, or without them and the reason.
    pub(super) async fn end_locks(&mut self, results: Results, why: Option<&str>) -> Result<(), DataError> {
        let Some(LockStep { step, since }) = self.lock_step.take() else { return Ok(()) };
        let data = self.data();
        if let (Some(since), Some(build)) = (since, self.build_id()) {
            let waited = self.services.clock.mono() - since;
            let seconds = i64::try_from(waited.as_secs()).unwrap_or(i64::MAX);
            data.add_build_locks_duration(build, seconds).await?.detach();
        }
        if results == Results::Success {
            data.set_step_locks_acquired(step).await?.detach();
        }
        if let Some(why) = why {
            let name =
                if results == Results::Exception { "err.text" } else { "cancelled while waiting for locks" };
            add_text(data, step, name, LogType::Text, why).await?;
        }
        let text = match results {
            Results::Success => "locks acquired".to_string(),
            other => format!("locks not acquired ({other})"),
        };
        data.set_step_state(step, &text).await?.detach();
        data.finish_step(step, results, &text, false).await?.detach();
        Ok(())
    }
}
