//! How the sources are doing, for the health page.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One source. Times are seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SourceStatus {
    pub name: String,
    /// `changes.GitPoller`.
    pub kind: String,
    /// What it watches, in words.
    pub describe: String,
    /// A poll is under way.
    pub polling: bool,
    pub last_poll: Option<i64>,
    pub last_success: Option<i64>,
    /// Of the newest poll; none: it succeeded.
    pub last_error: Option<String>,
    pub next_poll: Option<i64>,
    pub polls: u64,
    pub failures: u64,
}

/// The rows of all running sources; written by their tasks, read by whoever asks.
#[derive(Clone, Default)]
pub(super) struct Board(Arc<Mutex<BTreeMap<String, SourceStatus>>>);

impl Board {
    pub fn add(&self, status: SourceStatus) {
        self.with(|rows| rows.insert(status.name.clone(), status));
    }

    pub fn remove(&self, name: &str) {
        self.with(|rows| rows.remove(name));
    }

    pub fn update(&self, name: &str, change: impl FnOnce(&mut SourceStatus)) {
        self.with(|rows| rows.get_mut(name).map(change));
    }

    pub fn rows(&self) -> Vec<SourceStatus> {
        self.with(|rows| rows.values().cloned().collect())
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, SourceStatus>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
