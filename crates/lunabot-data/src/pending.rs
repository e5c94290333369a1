//! What waits for the next transaction: rows, log text, and what to announce after it.

use crate::announce::Announcement;
use lunabot_db::Batch;
use lunabot_model::{BuildId, BuildRequestId, BuildsetId, ChangeId, LogId};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The rows of one transaction to be, and what follows it.
#[derive(Default)]
pub(crate) struct Pending {
    pub batch: Batch,
    pub announcements: Vec<Announcement>,
    /// Where in `announcements` a log's `append` stands: several appends of one transaction are one event.
    pub appends: HashMap<LogId, usize>,
    pub texts: HashMap<LogId, LogBuffer>,
    /// Bytes of log text.
    pub bytes: usize,
    pub after: Vec<Forget>,
    /// Complete logs that are in many pieces.
    pub merges: Vec<LogId>,
    /// Who has something to report then.
    pub wakes: Vec<Arc<Notify>>,
}

/// Text of one log that waits to be packed.
pub(crate) struct LogBuffer {
    pub first_line: i64,
    pub text: String,
}

/// What need not be kept in memory once its last state is stored.
pub(crate) enum Forget {
    Build(BuildId),
    Request(BuildRequestId),
    Buildset(BuildsetId),
    Stamp(String),
    Line(ChangeId),
}

/// A log buffer costs this much beside its text, a row about this much: for the limit of what may wait.
const ROW_WEIGHT: usize = 300;

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.announcements.is_empty() && self.texts.is_empty()
    }

    /// Bytes that it keeps, roughly.
    pub fn weight(&self) -> usize {
        self.bytes + (self.batch.len() + self.announcements.len()) * ROW_WEIGHT
    }
}
