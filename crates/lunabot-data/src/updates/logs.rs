//! Logs.

use super::{IDENTIFIER, fitted};
use crate::ack::Ack;
use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::{Live, LiveLog, next};
use crate::new::LogText;
use crate::pending::LogBuffer;
use lunabot_model::resources::{Log, LogType};
use lunabot_model::{LogId, StepId};
use std::collections::HashSet;
use std::collections::hash_map::Entry;

/// A log stored in so many pieces is put together when it is complete (13.012).
const MANY_PIECES: u32 = 8;

/// An identifier made of a name: other characters become `_` (13.006).
fn slug_of(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut slug: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if slug.chars().next().is_none_or(char::is_numeric) {
        slug.insert(0, '_');
    }
    fitted(&slug, "", IDENTIFIER)
}

/// The slug, or with `_2`, `_3` … the first that the step does not have.
fn unique_slug(taken: &HashSet<String>, name: &str) -> String {
    let first = slug_of(name);
    if !taken.contains(&first) {
        return first;
    }
    let numbered = |n: u64| fitted(&first, &format!("_{n}"), IDENTIFIER);
    (2..).map(numbered).find(|slug| !taken.contains(slug)).unwrap_or_default()
}

impl Live {
    /// Queues text behind what is queued of this log already, and its `append`, once per transaction.
    fn append(&mut self, id: LogId, text: &str) {
        let Some(log) = self.logs.get_mut(&id).filter(|log| !log.row.complete) else { return };
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
        let first_line = log.row.num_lines;
        let buffer = self.pending.texts.entry(id).or_insert_with(|| {
            log.pieces += 1;
            LogBuffer { first_line, text: String::new() }
        });
        buffer.text.push_str(text);
        self.pending.bytes += text.len();
        log.row.num_lines += i64::try_from(lines).unwrap_or(i64::MAX);
        let row = log.row.clone();
        match self.pending.appends.entry(id) {
            Entry::Occupied(place) => {
                self.pending.announcements[*place.get()] = Announcement::Log(row.clone(), "append");
            }
            Entry::Vacant(place) => {
                place.insert(self.pending.announcements.len());
                self.pending.announcements.push(Announcement::Log(row.clone(), "append"));
            }
        }
        self.pending.batch.logs.put(row);
    }
}

/// Logs.
impl Data {
    /// Adds a log with a unique slug (13.006). Event …/new.
    pub async fn add_log(&self, step: StepId, name: &str, log_type: LogType) -> Result<(Log, Ack)> {
        self.shared.room().await;
        let (result, epoch) = self.shared.change(|live| {
            let owner = live.steps.get_mut(&step);
            let owner = owner.ok_or_else(|| DataError::NotFound(format!("step {step} does not run")))?;
            let log = Log {
                logid: next(&mut live.ids.logs),
                name: name.to_owned(),
                slug: unique_slug(&owner.slugs, name),
                stepid: step,
                complete: false,
                num_lines: 0,
                log_type,
            };
            owner.slugs.insert(log.slug.clone());
            owner.logs.push(log.logid);
            live.logs.insert(log.logid, LiveLog { row: log.clone(), pieces: 0 });
            live.pending.announcements.push(Announcement::Log(log.clone(), "new"));
            live.pending.batch.logs.put(log.clone());
            Ok(log)
        });
        result.map(|log| (log, self.ack(epoch)))
    }

    /// Appends whole lines; waits while too much is queued (bounded memory). Event …/append, several appends of one
    /// commit as one. To a log that is complete or gone nothing is appended (13.021).
    pub async fn append_log(&self, log: LogId, text: LogText) -> Result<Ack> {
        self.shared.room().await;
        let mut text = text.0;
        if text.is_empty() {
            return Ok(self.ack(0));
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let ((), epoch) = self.shared.change(|live| live.append(log, &text));
        Ok(self.ack(epoch))
    }

    /// Event …/finished.
    pub async fn finish_log(&self, log: LogId) -> Result<Ack> {
        self.shared.room().await;
        let ((), epoch) = self.shared.change(|live| {
            let Some(own) = live.logs.get_mut(&log).filter(|own| !own.row.complete) else { return };
            own.row.complete = true;
            if own.pieces >= MANY_PIECES {
                live.pending.merges.push(log);
            }
            let row = own.row.clone();
            live.pending.announcements.push(Announcement::Log(row.clone(), "finished"));
            live.pending.batch.logs.put(row);
        });
        Ok(self.ack(epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_identifiers_and_unique_13_006() {
        let mut taken = HashSet::new();
        let mut slug = |name: &str| {
            let slug = unique_slug(&taken, name);
            taken.insert(slug.clone());
            slug
        };
        assert_eq!(
            ["a b", "a-b", "a_b", "My Log!", "1st", "err.text"].map(&mut slug),
            ["a_b", "a-b", "a_b_2", "My_Log_", "_1st", "err_text"]
        );
        let long = "y".repeat(70);
        assert_eq!([slug(&long).len(), slug(&long).len()], [50, 50]);
    }
}
