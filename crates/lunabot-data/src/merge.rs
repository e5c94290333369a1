//! Putting together complete logs that were stored in many small pieces (13.012), one at a time, behind everything else.

use crate::error::Result;
use crate::shared::Shared;
use lunabot_model::LogId;
use std::sync::Weak;
use tokio::sync::mpsc;

/// Logs that may wait.
pub(crate) const QUEUE: usize = 1024;

/// Chunks looked at together.
const WINDOW: i64 = 64;

/// Runs until the store is gone.
pub(crate) async fn run(shared: Weak<Shared>, mut logs: mpsc::Receiver<LogId>) {
    while let Some(log) = logs.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        if let Err(error) = merge(&shared, log).await {
            tracing::warn!(log, %error, "a log stays in many pieces");
        }
    }
}

async fn merge(shared: &Shared, log: LogId) -> Result<()> {
    let mut next = 0;
    loop {
        let chunks = shared.store.chunks(log, next, i64::MAX, WINDOW).await?;
        let Some(last) = chunks.last().map(|chunk| chunk.last_line) else { return Ok(()) };
        next = last + 1;
        let method = shared.log_compression();
        let merge = move || lunabot_db::merge(log, &chunks, method);
        // A panic of the packer is a defect; the log stays as it is then.
        let merged = tokio::task::spawn_blocking(merge).await.unwrap_or_default();
        shared.room().await;
        shared.change(|live| merged.into_iter().for_each(|whole| live.pending.batch.replace_chunks(whole)));
    }
}
