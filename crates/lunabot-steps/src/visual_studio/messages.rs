//! Reading what Visual Studio prints.

use crate::common::counted;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, LogHandle, LogObserver, MAX_LINE_LENGTH, Observed, Results, StepContext, StepError, short_lines,
};
use regex::Regex;
use std::sync::LazyLock;

/// How many there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    projects: u64,
    files: u64,
    warnings: u64,
    errors: u64,
}

impl Counts {
    /// Keeps them as statistics of the step.
    pub fn keep(&self, cx: &StepContext) {
        for (name, count) in [
            ("projects", self.projects),
            ("files", self.files),
            ("warnings", self.warnings),
            ("errors", self.errors),
        ] {
            cx.set_statistic(name, count.into());
        }
    }

    pub fn results(&self) -> Results {
        match (self.errors, self.warnings) {
            (0, 0) => Results::Success,
            (0, _) => Results::Warnings,
            _ => Results::Failure,
        }
    }

    pub fn summary(&self) -> String {
        let mut text = format!("compile {} projects {} files", self.projects, self.files);
        for (count, what) in [(self.warnings, "warnings"), (self.errors, "errors")] {
            if count > 0 {
                text.push(' ');
                text.push_str(&counted(count, what, what));
            }
        }
        text
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Project,
    File,
    Warning,
    Error,
}

/// `------ Build started: Project: a ------`, perhaps of one of several at once (`2>------`).
static PROJECT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+>)?-{5}.+-{5}$"));
static FILE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+>)?[^ ]+\.(cpp|c)$"));
static WARNING: LazyLock<Regex> = LazyLock::new(|| pattern(r" ?: warning [A-Z]+[0-9]+:"));
static ERROR: LazyLock<Regex> = LazyLock::new(|| pattern(r" ?error ([A-Z]+[0-9]+)?\s?: "));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

impl Message {
    fn of(line: &str) -> Option<Self> {
        let kinds = [
            (&PROJECT, Message::Project),
            (&FILE, Message::File),
            (&WARNING, Message::Warning),
            (&ERROR, Message::Error),
        ];
        kinds.into_iter().find(|(pattern, _)| pattern.is_match(line)).map(|(_, message)| message)
    }
}

/// Counts messages, and copies warnings and errors, by project, into logs of their own.
pub struct Messages {
    warnings: LogHandle,
    errors: LogHandle,
    counts: Observed<Counts>,
}

impl Messages {
    pub fn new(warnings: LogHandle, errors: LogHandle) -> (Self, Observed<Counts>) {
        let counts = Observed::new(Counts::default());
        (Messages { warnings, errors, counts: counts.clone() }, counts)
    }
}

#[async_trait]
impl LogObserver for Messages {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        if channel != Channel::Stdout {
            return Ok(());
        }
        for line in short_lines(lines, MAX_LINE_LENGTH) {
            let line_end = format!("{line}\n");
            match Message::of(line) {
                Some(Message::Project) => {
                    self.counts.lock().projects += 1;
                    self.warnings.add_stdout(&line_end).await?;
                    self.errors.add_stdout(&line_end).await?;
                }
                Some(Message::File) => self.counts.lock().files += 1,
                Some(Message::Warning) => {
                    self.counts.lock().warnings += 1;
                    self.warnings.add_stdout(&line_end).await?;
                }
                Some(Message::Error) => {
                    self.counts.lock().errors += 1;
                    self.errors.add_stderr(&line_end).await?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_058_messages_of_visual_studio_are_told_apart() {
        for (line, want) in [
            ("------ Build started: Project: a, Configuration: release ------", Some(Message::Project)),
            ("2>------ Rebuild All started ------", Some(Message::Project)),
            ("main.cpp", Some(Message::File)),
            ("1>sub\\main.c", Some(Message::File)),
            ("a.cpp(3) : warning C4101: 'x': unreferenced", Some(Message::Warning)),
            ("a.cpp(3): error C2065: 'y': undeclared", Some(Message::Error)),
            ("LINK : fatal error LNK1104: cannot open", Some(Message::Error)),
            ("Linking...", None),
        ] {
            assert_eq!(Message::of(line), want, "{line}");
        }
        let counts = Counts { projects: 2, files: 5, warnings: 1, errors: 0 };
        assert_eq!(counts.summary(), "compile 2 projects 5 files 1 warnings");
        assert_eq!(counts.results(), Results::Warnings);
    }
}
