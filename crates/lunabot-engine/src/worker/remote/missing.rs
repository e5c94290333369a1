//! Workers that stay away (reference row 08.007): each absence is told once, after its time.

use super::hub::Hub;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The absences that are being timed. Dropping a timer ends it.
#[derive(Default)]
pub(super) struct Absences(Mutex<HashMap<String, DropGuard>>);

impl Absences {
    /// The worker is here, or nobody's any more.
    pub fn end(&self, name: &str) {
        self.lock().remove(name);
    }

    /// A worker is away from now on; one that is being timed already goes on as it is.
    pub fn begin(&self, hub: &Arc<Hub>, name: &str) {
        let Some(limit) = hub.missing_after(name).filter(|limit| !limit.is_zero()) else { return };
        let mut timers = self.lock();
        if timers.contains_key(name) || hub.stopping.is_cancelled() {
            return;
        }
        let ended = CancellationToken::new();
        timers.insert(name.into(), ended.clone().drop_guard());
        let (hub, name) = (hub.clone(), name.to_owned());
        hub.tasks.clone().spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = hub.stopping.cancelled() => {}
                () = hub.clock.sleep(limit) => hub.announce_missing(&name, limit).await,
            }
        });
    }

    /// Ends the timers of those who are not wanted.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| wanted(name));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, DropGuard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
