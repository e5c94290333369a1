//! Going on although the database fails.

use lunabot_data::DataError;
use lunabot_model::{BoxFuture, Clock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest wait between two attempts while the database fails.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Repeats what the database refuses, ever more slowly, until it works. `None`: the scheduler was stopped.
pub(super) async fn insist<T>(
    scheduler: &str,
    clock: &dyn Clock,
    stop: &CancellationToken,
    what: &str,
    attempt: impl Fn() -> BoxFuture<'static, Result<T, DataError>>,
) -> Option<T> {
    let mut pause = Duration::from_secs(1);
    loop {
        let error = match attempt().await {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        tracing::error!(%scheduler, %error, "could not {what}; trying again");
        tokio::select! {
            () = stop.cancelled() => return None,
            () = clock.sleep(pause) => pause = (pause * 2).min(MAX_RETRY),
        }
    }
}
