//! The one writer: takes whatever has queued up, writes it in one transaction, then announces it (group commit).

use crate::pending::Pending;
use crate::shared::{ENOUGH, Progress, Shared};
use lunabot_db::{ChunkRow, DbError};
use lunabot_model::config::LogCompression;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long rows may wait for company when nobody waits for them. This is about the disk, not about the machine's
/// time: it does not go by the injected clock.
const LINGER: Duration = Duration::from_millis(4);

/// Between attempts of a transaction that the database refuses.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// After so many attempts those who wait are told.
const PATIENCE: u32 = 2;

/// Log text is packed on the spot up to this size, by a thread for blocking work above it.
const PACK_HERE: usize = 64 * 1024;

/// Runs until the store is closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let closing = shared.closing.load(Ordering::Acquire);
        if shared.live().pending.is_empty() {
            if closing {
                shared.bus.close();
                return;
            }
            shared.wake.notified().await;
            continue;
        }
        linger(&shared, closing).await;
        shared.urgent.store(false, Ordering::Release);
        let (epoch, pending) = shared.live().take();
        commit(&shared, epoch, pending).await;
    }
}

/// Waits a moment for more, unless somebody waits for what there is.
async fn linger(shared: &Shared, closing: bool) {
    let enough = || shared.urgent.load(Ordering::Acquire) || shared.live().pending.weight() >= ENOUGH;
    if closing || enough() {
        return;
    }
    let pause = tokio::time::sleep(LINGER);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => return,
            () = shared.wake.notified() => if enough() { return },
        }
    }
}

async fn commit(shared: &Arc<Shared>, epoch: u64, mut pending: Pending) {
    let weight = pending.weight();
    pack(&mut pending, shared.log_compression()).await;
    if !pending.batch.is_empty() {
        write(shared, &pending).await;
        shared.versions.bump(&pending.batch);
    }
    shared.live().forget(std::mem::take(&mut pending.after));
    // Only an optimisation: a log that finds no room in the queue stays in pieces.
    for log in pending.merges.drain(..) {
        let _ = shared.merges.try_send(log);
    }
    pending.wakes.drain(..).for_each(|wake| wake.notify_one());
    for announcement in pending.announcements.drain(..) {
        announcement.publish(&shared.bus);
    }
    shared.weight.fetch_sub(weight, Ordering::Relaxed);
    metrics::counter!("lunabot_commits_total").increment(1);
    metrics::counter!("lunabot_rows_written_total").increment(pending.batch.len() as u64);
    shared.progress.send_replace(Progress { durable: epoch + 1, stuck: None });
}

/// Turns log text into chunk rows.
async fn pack(pending: &mut Pending, method: LogCompression) {
    let texts = std::mem::take(&mut pending.texts);
    let work = move || -> Vec<ChunkRow> {
        texts
            .iter()
            .flat_map(|(log, buffer)| lunabot_db::pack(*log, buffer.first_line, &buffer.text, method))
            .collect()
    };
    let rows = match pending.bytes > PACK_HERE {
        // A panic of the packer is a defect; the text is lost then, and the master goes on.
        true => tokio::task::spawn_blocking(work).await.unwrap_or_default(),
        false => work(),
    };
    rows.into_iter().for_each(|row| pending.batch.chunks.put(row));
}

/// Writes until it is written. What was acknowledged is durable; what is not waits here, and in bounded queues behind.
async fn write(shared: &Shared, pending: &Pending) {
    let (mut pause, mut attempt) = (FIRST_PAUSE, 0u32);
    let mut salvage = false;
    loop {
        let error = match shared.store.write(&pending.batch, salvage).await {
            Ok(()) => break,
            Err(error) => error,
        };
        attempt += 1;
        salvage = salvage || !error.is_passing();
        report(shared, &error, attempt);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    if attempt > 0 {
        tracing::info!(attempts = attempt + 1, "the database takes writes again; nothing was lost");
    }
}

fn report(shared: &Shared, error: &DbError, attempt: u32) {
    metrics::counter!("lunabot_commit_failures_total").increment(1);
    if attempt.is_power_of_two() {
        tracing::error!(%error, attempt, "the database refuses to be written; builds wait, trying again");
    }
    if attempt >= PATIENCE {
        let text = format!("the database cannot be written now: {error}");
        shared.progress.send_modify(|progress| progress.stuck = Some(text.into()));
    }
}
