//! The subunit protocol, version 1: lines such as `test: a` and `failure: a [`, details between brackets.

use crate::kept::Kept;
use lunabot_engine::step::{Channel, LineObserver};

/// What came of the tests so far.
#[derive(Debug, Default)]
pub struct Stream {
    pub total: u64,
    pub failures: u64,
    pub errors: u64,
    pub skips: u64,
    /// Names of what failed, each followed by its details.
    pub problems: Kept,
    /// Lines that are no protocol.
    pub other: Kept,
    running: Option<String>,
    details: Option<Details>,
}

/// The inside of a pair of brackets.
#[derive(Debug)]
struct Details {
    /// Belongs to a problem.
    kept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    Failure,
    Error,
    Skip,
}

/// The words that end a test.
const OUTCOMES: [(&str, Outcome); 9] = [
    ("success", Outcome::Good),
    ("successful", Outcome::Good),
    ("xfail", Outcome::Good),
    ("uxsuccess", Outcome::Failure),
    ("failure", Outcome::Failure),
    ("error", Outcome::Error),
    ("skip", Outcome::Skip),
    ("skipped", Outcome::Skip),
    ("excused", Outcome::Skip),
];

impl LineObserver for Stream {
    fn line(&mut self, _: Channel, line: &str) {
        if let Some(details) = &self.details {
            return match (line == "]", details.kept) {
                (true, _) => self.details = None,
                (false, true) => self.problems.add(line),
                (false, false) => {}
            };
        }
        if !self.command(line) {
            self.other.add(line);
        }
    }
}

impl Stream {
    /// The stream is over: a test that never ended is an error.
    pub fn end(&mut self) {
        if let Some(name) = self.running.take() {
            self.errors += 1;
            self.problems.add(&name);
            self.problems.add("the connection ended while the test ran");
        }
    }

    /// Whether the line is of the protocol.
    fn command(&mut self, line: &str) -> bool {
        let Some((word, rest)) = split(line) else { return false };
        match word {
            "test" | "testing" => {
                self.total += 1;
                self.running = Some(rest.into());
                true
            }
            "tags" | "time" | "progress" => true,
            _ => match OUTCOMES.iter().find(|(known, _)| *known == word) {
                Some((_, outcome)) => self.ended(*outcome, rest),
                None => false,
            },
        }
    }

    fn ended(&mut self, outcome: Outcome, rest: &str) -> bool {
        let (name, bracket) = match rest.strip_suffix(" [ multipart").or_else(|| rest.strip_suffix(" [")) {
            Some(name) => (name, true),
            None => (rest, false),
        };
        if self.running.as_deref() != Some(name) {
            return false;
        }
        self.running = None;
        match outcome {
            Outcome::Good => {}
            Outcome::Failure => self.failures += 1,
            Outcome::Error => self.errors += 1,
            Outcome::Skip => self.skips += 1,
        }
        let kept = matches!(outcome, Outcome::Failure | Outcome::Error);
        if kept {
            self.problems.add(name);
        }
        self.details = bracket.then_some(Details { kept });
        true
    }
}

/// `word: rest`; `test` and what ends a test may lack the colon.
fn split(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.split_once(' ')?;
    Some((word.strip_suffix(':').unwrap_or(word), rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_056_a_stream_is_counted() {
        let mut seen = Stream::default();
        let text = "hello\ntest: a\nsuccess: a\ntest: b\nfailure: b [\nwhy\n]\ntest: c\nskip: c [\nnot today\n]\n\
                    testing d\nerror d\ntags: x\ntest: e [odd]\nsuccessful: e [odd]\ntest: f\n";
        text.lines().for_each(|line| seen.line(Channel::Stdout, line));
        seen.end();
        assert_eq!((seen.total, seen.failures, seen.errors, seen.skips), (6, 1, 2, 1));
        assert_eq!((seen.problems.count(), seen.other.count()), (5, 1));
    }
}
