//! The locks of a step (reference 05c item 6, 05.027, 05.061).

use super::{BaseStepParams, StepContext, StepError};
use crate::locks::Claim;
use crate::locks::client::{Ask, Progress};
use crate::locks::rendered::rendered;
use lunabot_model::locks::LockUse;
use std::sync::{Arc, PoisonError};

/// Waits for all locks of the step. They are held until the step's end is stored, see [`release`].
pub(crate) async fn acquire(cx: &StepContext, base: &BaseStepParams) -> Result<(), StepError> {
    if base.locks.is_none() {
        return Ok(());
    }
    let build = &cx.0.build;
    let fault = |text: String| StepError::Exception(format!("locks: {text}"));
    let uses = async { rendered(base.locks.as_ref(), cx).await.map_err(fault) };
    let uses = super::run::unless_interrupted(cx, uses).await?;
    if let Some(text) = held_by_build(cx, &uses) {
        return Err(fault(text));
    }
    let since = build.services.clock.mono();
    let waited = if uses.is_empty() { Ok(()) } else { wait(cx, uses).await };
    let seconds = (build.services.clock.mono() - since).as_secs();
    let data = &build.services.data;
    data.add_build_locks_duration(cx.build().buildid, i64::try_from(seconds).unwrap_or(i64::MAX))
        .await?
        .detach();
    waited?;
    data.set_step_locks_acquired(cx.step_id()).await?.detach();
    Ok(())
}

/// 05.061.
fn held_by_build(cx: &StepContext, uses: &[LockUse]) -> Option<String> {
    let worker: Arc<str> = cx.build().worker.as_str().into();
    let own = Claim::of_uses(cx.0.build.locks.get()?, &worker);
    let both =
        Claim::of_uses(uses, &worker).into_iter().find(|claim| own.iter().any(|c| c.key == claim.key))?;
    let builder = &cx.build().builder;
    Some(format!(
        "{} is one of builder {builder}, held by the build already; name it on the builder or on the step, not on both",
        both.key
    ))
}

async fn wait(cx: &StepContext, uses: Vec<LockUse>) -> Result<(), StepError> {
    let build = &cx.0.build;
    let ticket = build.services.locks.ticket();
    let ask = Ask {
        holder: ticket.holder,
        builder: build.builder.id,
        worker: build.worker.id,
        worker_name: build.worker.name.as_str().into(),
        uses,
        generation: build.builder.generation.number,
    };
    let mut progress = build.services.locks.ask(ask).await;
    loop {
        tokio::select! {
            biased;
            () = cx.interrupted() => {
                drop(ticket);
                super::run::note_interruption(cx, "cancelled while waiting for locks").await?;
                return Err(cx.interruption());
            }
            changed = progress.changed() => {
                if changed.is_err() {
                    return Err(StepError::Exception("locks: the master has stopped".into()));
                }
            }
        }
        let now = progress.borrow_and_update().clone();
        match now {
            Progress::Asked => {}
            Progress::Waits(names) => super::run::say(cx, &format!("waiting for {names}")).await?,
            Progress::Held => {
                *cx.0.ticket.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticket);
                return Ok(());
            }
            Progress::Refused(why) => return Err(StepError::Exception(format!("locks: {why}"))),
        }
    }
}

/// Gives the step's locks back.
pub(crate) fn release(cx: &StepContext) {
    cx.0.ticket.lock().unwrap_or_else(PoisonError::into_inner).take();
}
