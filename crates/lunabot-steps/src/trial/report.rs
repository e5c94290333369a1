//! Reading what trial prints (06.054).

use crate::common::{counted, counted_in};
use crate::kept::Kept;
use lunabot_engine::step::{Channel, LineObserver, Results};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The most different warnings that are kept.
const MAX_WARNINGS: usize = 10_000;

/// What the program has printed.
#[derive(Debug, Default)]
pub struct Report {
    /// What it said it ran, in its last lines.
    total: Option<u64>,
    failures: u64,
    errors: u64,
    skips: u64,
    expected_failures: u64,
    /// The report of failures has begun.
    in_problems: bool,
    pub problems: Kept,
    /// A warning whose source is on the next line.
    half: Option<String>,
    pub warnings: BTreeSet<String>,
}

static RAN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"Ran (\d+) tests").expect("a constant pattern"));
static COUNT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b([A-Za-z]+)=(\d+)").expect("a constant pattern"));

impl LineObserver for Report {
    fn line(&mut self, channel: Channel, line: &str) {
        if channel == Channel::Stdout {
            self.sum_up(line);
        }
        if self.in_problems {
            return self.problems.add(line);
        }
        self.warning(line);
        if line.starts_with(&"=".repeat(60)) || line.starts_with(&"-".repeat(60)) {
            self.in_problems = true;
            self.problems.add(line);
        }
    }
}

impl Report {
    /// The last lines: `Ran 7 tests in 0.1s`, `FAILED (failures=1, skips=2)`.
    fn sum_up(&mut self, line: &str) {
        self.total = counted_in(&RAN, line, 1).or(self.total);
        if !["OK", "FAILED ", "PASSED"].iter().any(|word| line.starts_with(word)) {
            return;
        }
        for found in COUNT.captures_iter(line) {
            let count = found[2].parse().unwrap_or(u64::MAX);
            match &found[1] {
                "failures" => self.failures = count,
                "errors" => self.errors = count,
                "skips" => self.skips = count,
                "expectedFailures" => self.expected_failures = count,
                _ => {}
            }
        }
    }

    fn warning(&mut self, line: &str) {
        let warning = match self.half.take() {
            Some(half) => format!("{half}\n{line}"),
            None if line.contains(" exceptions.DeprecationWarning: ") => line.into(),
            None if line.contains(" DeprecationWarning: ") || line.contains(" UserWarning: ") => {
                self.half = Some(line.into());
                return;
            }
            None if line.contains("Warning: ") => line.into(),
            None => return,
        };
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.insert(warning);
        }
    }

    /// The step's result and what it says.
    pub fn verdict(&self, failed: bool, reactor: Option<&str>) -> (Results, String) {
        let mut said = match (failed, self.total) {
            (false, Some(0)) => vec!["no tests run".into()],
            (false, Some(total)) => vec![counted(total, "test", "tests"), "passed".into()],
            (false, None) => vec!["testlog unparseable".into()],
            (true, Some(_)) => vec!["tests".into()],
            (true, None) => vec!["tests failed".into()],
        };
        if failed && self.total.is_some() {
            said.extend((self.failures > 0).then(|| counted(self.failures, "failure", "failures")));
            said.extend((self.errors > 0).then(|| counted(self.errors, "error", "errors")));
        }
        said.extend((self.skips > 0).then(|| counted(self.skips, "skip", "skips")));
        let expected = self.expected_failures;
        said.extend((expected > 0).then(|| counted(expected, "todo", "todos")));
        said.extend(reactor.map(|reactor| format!("({})", reactor.replace("reactor", ""))));
        let results = if failed || self.total.is_none() { Results::Failure } else { Results::Success };
        (results, said.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Report {
        let mut report = Report::default();
        lines.iter().for_each(|line| report.line(Channel::Stdout, line));
        report
    }

    #[test]
    fn row_06_054_the_report_decides_what_is_said() {
        let rule = "-".repeat(79);
        for (lines, failed, reactor, want) in [
            (vec!["Ran 7 tests in 0.1s", "", "PASSED (successes=7)"], false, None, (0, "7 tests passed")),
            (vec!["Ran 1 tests in 0.1s", "PASSED (skips=1)"], false, None, (0, "1 test passed 1 skip")),
            (vec!["Ran 0 tests in 0.1s", "OK"], false, Some("gtk2reactor"), (0, "no tests run (gtk2)")),
            (vec!["nothing"], false, None, (2, "testlog unparseable")),
            (vec!["nothing"], true, None, (2, "tests failed")),
            (
                vec![
                    &rule,
                    "Ran 9 tests in 1s",
                    "FAILED (failures=2, errors=1, skips=3, expectedFailures=2)",
                ],
                true,
                None,
                (2, "tests 2 failures 1 error 3 skips 2 todos"),
            ),
        ] {
            let (results, said) = read(&lines).verdict(failed, reactor);
            assert_eq!((results.code(), said.as_str()), want, "{lines:?}");
        }
    }

    #[test]
    fn row_06_054_problems_and_warnings_are_kept_apart() {
        let rule = "=".repeat(79);
        let report = read(&[
            "a.py:1: exceptions.DeprecationWarning: old",
            "b.py:2: UserWarning: careful",
            "  source of b",
            "c: Warning: again",
            "c: Warning: again",
            &rule,
            "[FAIL]",
            "Warning: not here",
        ]);
        let warnings: Vec<&str> = report.warnings.iter().map(String::as_str).collect();
        assert_eq!(
            warnings,
            [
                "a.py:1: exceptions.DeprecationWarning: old",
                "b.py:2: UserWarning: careful\n  source of b",
                "c: Warning: again"
            ]
        );
        assert_eq!(report.problems.count(), 3);
    }
}
