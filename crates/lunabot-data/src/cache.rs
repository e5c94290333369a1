//! Answers kept until a table that they were made from changes.

use bytes::Bytes;
use lunabot_db::Batch;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

/// Bytes of answers that are kept.
const ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// A number per table.
static TABLES: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| Batch::upserts().iter().enumerate().map(|(i, upsert)| (upsert.table, i)).collect());

/// Counts, per table, the commits that changed it. Tables that are only written by statements of their own share
/// the last counter.
pub(crate) struct Versions(Vec<AtomicU64>);

impl Default for Versions {
    fn default() -> Self {
        Versions((0..=TABLES.len()).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Versions {
    /// After a commit.
    pub fn bump(&self, batch: &Batch) {
        for (table, index) in TABLES.iter() {
            if batch.touches(table) {
                self.0[*index].fetch_add(1, Ordering::AcqRel);
            }
        }
        if !batch.statements.is_empty() {
            self.0[TABLES.len()].fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Grows whenever one of these tables changes.
    pub fn of(&self, tables: &[&str]) -> u64 {
        let version = |table: &&str| {
            let index = TABLES.get(table).copied().unwrap_or(TABLES.len());
            self.0[index].load(Ordering::Acquire)
        };
        tables.iter().map(version).sum()
    }
}

/// A serialised answer, as of a version of its tables.
#[derive(Clone)]
pub(crate) struct Kept {
    pub tables: &'static [&'static str],
    pub version: u64,
    pub body: Bytes,
    pub tag: Option<String>,
    /// The same, packed for who asked for that first.
    pub packed: Arc<OnceLock<Bytes>>,
}

/// Serialised answers by path, query and form.
pub(crate) struct Answers {
    kept: moka::sync::Cache<Arc<str>, Kept>,
    /// Of this process: versions count from its start.
    start: RandomState,
}

impl Default for Answers {
    fn default() -> Self {
        let weigh =
            // Packed it is half as large at most.
            |key: &Arc<str>, kept: &Kept| u32::try_from(key.len() + kept.body.len() * 3 / 2 + 64).unwrap_or(u32::MAX);
        let kept = moka::sync::Cache::builder().max_capacity(ANSWER_BYTES).weigher(weigh).build();
        Answers { kept, start: RandomState::new() }
    }
}

impl Answers {
    /// What tells one state of one answer from any other.
    pub fn tag(&self, key: &str, version: u64) -> String {
        format!("{:016x}-{version:x}", self.start.hash_one(key))
    }

    /// The answer, if nothing has changed since.
    pub fn get(&self, key: &str, versions: &Versions) -> Option<Kept> {
        self.kept.get(key).filter(|kept| kept.version == versions.of(kept.tables))
    }

    pub fn put(&self, key: &str, kept: Kept) {
        self.kept.insert(key.into(), kept);
    }
}
