//! What systemd is told: ready, reloading, stopping, alive. Without systemd nothing happens.

use crate::lifecycle::Lifecycle;
use lunabot_model::Clock;
use sd_notify::NotifyState;
use std::sync::Arc;

/// The master serves; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("cannot tell systemd of the reload: {error}"),
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Keeps the watchdog quiet for as long as the runtime runs tasks in time.
pub fn start_watchdog(lifecycle: &Lifecycle, clock: Arc<dyn Clock>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let hard = lifecycle.hard();
    tokio::spawn(async move {
        while hard.run_until_cancelled(clock.sleep(limit / 3)).await.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    });
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot reach systemd: {error}");
    }
}
