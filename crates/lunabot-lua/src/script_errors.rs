//! The failed callbacks, as `GET /api/v2/script_errors` lists them (lua-api § 2).

use crate::origin::Origin;
use crate::state::Shared;
use lunabot_model::Clock;
use lunabot_model::script::{CallSite, ScriptError, ScriptErrorKind};
use serde::Serialize;
use std::sync::{Mutex, PoisonError};

/// Rows kept; beyond it the one that is longest ago goes.
const MAX_ROWS: usize = 500;

/// One kind of failure at one place, however often it happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScriptErrorRow {
    /// The option's or method's name: `canStartBuild`.
    pub callback: String,
    /// `raise nonsense cpu deadline memory`.
    pub kind: &'static str,
    /// What it belongs to, in words: `builder runtests`.
    pub concerns: String,
    /// Where it failed; for a nonsense result, where the function is.
    pub file: String,
    pub line: Option<u32>,
    pub message: String,
    pub traceback: String,
    pub count: u64,
    /// Epoch seconds.
    pub last_at: i64,
}

/// The list, shared by all generations.
#[derive(Debug, Default)]
pub(crate) struct ScriptErrors {
    // Written only where a callback failed, read only by pages: contention does not matter.
    rows: Mutex<Vec<ScriptErrorRow>>,
}

impl ScriptErrors {
    /// All rows, the newest first.
    pub fn rows(&self) -> Vec<ScriptErrorRow> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rows.sort_by_key(|row| std::cmp::Reverse(row.last_at));
        rows
    }

    pub(crate) fn record(&self, site: &CallSite, error: &ScriptError, at: &str, clock: &dyn Clock) {
        let place = if error.kind == ScriptErrorKind::Nonsense { at } else { error.message.as_str() };
        let (file, line) = place_of(place).or_else(|| place_of(at)).unwrap_or_default();
        let row = ScriptErrorRow {
            callback: site.callback.clone(),
            kind: error.kind.name(),
            concerns: site.concerns.clone(),
            file,
            line,
            message: error.message.clone(),
            traceback: error.traceback.clone(),
            count: 1,
            last_at: clock.now().secs(),
        };
        self.add(row);
    }

    fn add(&self, row: ScriptErrorRow) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |r: &ScriptErrorRow| {
            (&r.callback, r.kind, &r.concerns, &r.file, r.line)
                == (&row.callback, row.kind, &row.concerns, &row.file, row.line)
        };
        if let Some(known) = rows.iter_mut().find(|r| same(r)) {
            *known = ScriptErrorRow { count: known.count + 1, ..row };
            return;
        }
        if rows.len() >= MAX_ROWS {
            let oldest = (0..rows.len()).min_by_key(|i| rows[*i].last_at);
            rows.swap_remove(oldest.unwrap_or(0));
        }
        rows.push(row);
    }
}

/// `master.lua:12: …` → its file and line.
pub(crate) fn place_of(text: &str) -> Option<(String, Option<u32>)> {
    let mut parts = text.splitn(3, ':');
    let (file, line) = (parts.next()?, parts.next()?);
    Some((file.to_string(), Some(line.trim().parse().ok()?)))
}

/// An error that ended the file: its text begins with its place.
pub(crate) fn record_raised(shared: &Shared, main: &Origin, message: String) {
    match place_of(&message) {
        Some((file, line)) => {
            let text = message.splitn(3, ':').nth(2).unwrap_or_default().trim_start();
            shared.record(&Origin { file: file.as_str().into(), line }, "", text);
        }
        None => shared.record(main, "", message),
    }
}
