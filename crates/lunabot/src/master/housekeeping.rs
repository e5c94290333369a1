//! What the master does by the clock for its database: it says that it lives (15.002), and forgets old changes (14.024).

use super::rooms::Rooms;
use lunabot_model::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HEARTBEAT: Duration = Duration::from_secs(60);
/// Changes are pruned at every so many heartbeats.
const PRUNE: u64 = 60;

/// Runs until the master stops.
pub(super) async fn run(rooms: Arc<Rooms>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    for beat in 0_u64.. {
        let data = rooms.data();
        data.master_seen(true).detach();
        if let (true, Some(horizon)) = (beat.is_multiple_of(PRUNE), rooms.change_horizon()) {
            match data.prune_changes(horizon).await {
                Ok(0) => {}
                Ok(pruned) => tracing::info!(pruned, horizon, "old changes were forgotten"),
                Err(error) => tracing::warn!("old changes could not be forgotten: {error}"),
            }
        }
        if stop.run_until_cancelled(clock.sleep(HEARTBEAT)).await.is_none() {
            return;
        }
    }
}
