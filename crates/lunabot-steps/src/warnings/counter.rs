//! The observer that counts.

use super::WarningOptions;
use super::extract::Matched;
use crate::kept::Kept;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, LogObserver, MAX_LINE_LENGTH, Observed, StepContext, StepError, short_lines,
};

/// The deepest nesting of directories that is followed.
const MAX_DEPTH: usize = 1000;

/// Counts the lines of a log that match.
pub struct Counter {
    cx: StepContext,
    options: WarningOptions,
    directories: Vec<String>,
    found: Observed<Kept>,
}

impl Counter {
    pub fn new(cx: StepContext, options: WarningOptions, found: Observed<Kept>) -> Self {
        Counter { cx, options, directories: Vec::new(), found }
    }

    /// Whether the line is about a directory and so no warning.
    fn moves(&mut self, line: &str) -> bool {
        if let Some(entered) = self.options.enter.captures(line) {
            let directory = entered.get(1).map_or("", |group| group.as_str());
            if self.directories.len() < MAX_DEPTH {
                self.directories.push(directory.into());
            }
            return true;
        }
        let leaves = !self.directories.is_empty() && self.options.leave.is_match(line);
        if leaves {
            self.directories.pop();
        }
        leaves
    }

    async fn suppressed(&self, found: &Matched<'_>) -> Result<bool, StepError> {
        if self.options.suppressions.is_empty() {
            return Ok(false);
        }
        let mut warning = self.options.extractor.extract(&self.cx, found).await?;
        let directory = self.directories.join("/");
        if let Some(file) = warning.file.as_mut().filter(|file| !file.is_empty() && !directory.is_empty()) {
            *file = format!("{directory}/{file}");
        }
        Ok(self.options.suppressions.iter().any(|suppression| suppression.covers(&warning)))
    }
}

#[async_trait]
impl LogObserver for Counter {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        // The command and its environment are no output.
        if channel == Channel::Header {
            return Ok(());
        }
        let Some(pattern) = self.options.pattern.clone() else { return Ok(()) };
        for line in short_lines(lines, MAX_LINE_LENGTH) {
            if self.moves(line) {
                continue;
            }
            let Some(captures) = pattern.captures(line) else { continue };
            let found = Matched::new(line, &captures);
            drop(captures);
            if !self.suppressed(&found).await? {
                self.found.lock().add(line);
            }
        }
        Ok(())
    }
}
