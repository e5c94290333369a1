//! The observer that counts.

use super::WarningOptions;
use super::extract::{Matched, Warning};
use super::suppress::Suppression;
use crate::kept::Kept;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, LogObserver, MAX_LINE_LENGTH, Observed, StepContext, StepError, short_lines,
};
use regex::Regex;

/// The deepest nesting of directories that is followed.
const MAX_DEPTH: usize = 1000;

/// The most text that waits for a suppressionFile, in bytes; more of it counts.
const MAX_UNJUDGED: usize = 16 * 1024 * 1024;

/// What was found so far.
#[derive(Default)]
pub struct Found {
    pub kept: Kept,
    /// Warnings for which the suppressionFile was not read yet.
    unjudged: Vec<(Warning, String)>,
    unjudged_bytes: usize,
}

impl Found {
    pub fn is_to_be_judged(&self) -> bool {
        !self.unjudged.is_empty()
    }

    /// Counts those that nothing covers.
    pub fn judge(&mut self, suppressions: &[Suppression]) {
        self.unjudged_bytes = 0;
        for (warning, line) in std::mem::take(&mut self.unjudged) {
            if !suppressions.iter().any(|suppression| suppression.covers(&warning)) {
                self.kept.add(&line);
            }
        }
    }

    fn add(&mut self, line: &str, unjudged: Option<Warning>) {
        match unjudged {
            Some(warning) if self.unjudged_bytes < MAX_UNJUDGED => {
                // What it takes beside its text.
                self.unjudged_bytes += 2 * line.len() + 200;
                self.unjudged.push((warning, line.into()));
            }
            _ => self.kept.add(line),
        }
    }
}

/// Counts the lines of a log that match.
pub struct Counter {
    cx: StepContext,
    pattern: Regex,
    options: WarningOptions,
    directories: Vec<String>,
    found: Observed<Found>,
    /// The suppressionFile is read later.
    waits: bool,
}

impl Counter {
    /// `None`: nothing is counted.
    pub fn new(cx: StepContext, options: WarningOptions, found: Observed<Found>) -> Option<Self> {
        let pattern = options.pattern.clone()?;
        Some(Counter { cx, pattern, options, directories: Vec::new(), found, waits: false })
    }

    /// Such that what it finds is judged later.
    pub fn waiting_for_file(self) -> Self {
        Counter { waits: self.options.suppression_file.is_some(), ..self }
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

    /// What is known of it, where that matters.
    async fn taken_apart(&self, found: &Matched<'_>) -> Result<Option<Warning>, StepError> {
        if self.options.suppressions.is_empty() && !self.waits {
            return Ok(None);
        }
        let mut warning = self.options.extractor.extract(&self.cx, found).await?;
        let directory = self.directories.join("/");
        if let Some(file) = warning.file.as_mut().filter(|file| !file.is_empty() && !directory.is_empty()) {
            *file = format!("{directory}/{file}");
        }
        Ok(Some(warning))
    }
}

#[async_trait]
impl LogObserver for Counter {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        // The command and its environment are no output.
        if channel == Channel::Header {
            return Ok(());
        }
        for line in short_lines(lines, MAX_LINE_LENGTH) {
            if self.moves(line) {
                continue;
            }
            let Some(captures) = self.pattern.captures(line) else { continue };
            let found = Matched::new(line, &captures);
            drop(captures);
            let warning = self.taken_apart(&found).await?;
            let covered = |warning: &Warning| self.options.suppressions.iter().any(|one| one.covers(warning));
            if !warning.as_ref().is_some_and(covered) {
                self.found.lock().add(line, warning.filter(|_| self.waits));
            }
        }
        Ok(())
    }
}
