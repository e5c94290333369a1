//! How builds and steps ask the distributor for locks.

use super::{Holder, News, listed};
use crate::distributor::Message;
use lunabot_model::locks::LockUse;
use lunabot_model::{BuilderId, WorkerId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub holder: Holder,
    /// The place of the build that asks, or of the step's.
    pub builder: BuilderId,
    pub worker: WorkerId,
    pub worker_name: Arc<str>,
    pub uses: Vec<LockUse>,
    /// The configuration that says how much of the locks there is.
    pub generation: u64,
}

/// How far a request for locks is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    Asked,
    /// For these, in words.
    Waits(String),
    Held,
    Refused(String),
}

impl Progress {
    /// `name` says which build a holder belongs to.
    pub fn of(news: News, name: impl Fn(Holder) -> String) -> Self {
        match news {
            News::Granted => Progress::Held,
            News::Waits(keys) => Progress::Waits(listed(&keys)),
            News::Stuck(keys, others) => {
                let others = others.into_iter().map(name).collect::<Vec<_>>().join(", ");
                Progress::Waits(format!(
                    "{}, in a circle with {others}: stop one of the builds",
                    listed(&keys)
                ))
            }
            News::Refused(why) => Progress::Refused(why),
        }
    }
}

/// Where builds and steps ask; one for all of a master.
pub struct LockDesk {
    inbox: mpsc::Sender<Message>,
    next_step: AtomicU64,
}

impl LockDesk {
    pub(crate) fn new(inbox: mpsc::Sender<Message>) -> Self {
        LockDesk { inbox, next_step: AtomicU64::new(1) }
    }

    /// Asks, and tells how far it is; the newest counts. What a build asks for ends with the build.
    pub(crate) async fn ask(&self, ask: Ask) -> watch::Receiver<Progress> {
        let (reply, progress) = watch::channel(Progress::Asked);
        // A distributor that is gone answers nobody; it ends only when nothing runs any more.
        let _ = self.inbox.send(Message::AskLocks { ask, reply }).await;
        progress
    }

    /// For the locks of a step.
    pub(crate) fn ticket(&self) -> Ticket {
        let holder = Holder::Step(self.next_step.fetch_add(1, Ordering::Relaxed));
        Ticket { holder, inbox: self.inbox.clone() }
    }
}

/// What a step holds, waits for or is about to ask for; dropped, it is given up, however the step ended.
pub(crate) struct Ticket {
    pub holder: Holder,
    inbox: mpsc::Sender<Message>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let message = Message::GiveUpLocks(self.holder);
        let Err(mpsc::error::TrySendError::Full(message)) = self.inbox.try_send(message) else { return };
        let inbox = self.inbox.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // A distributor that is gone has no locks.
                let _ = inbox.send(message).await;
            });
        }
    }
}
