//! `steps.PerlModuleTest` (06.008).

use crate::common::{counted_in, step_kind};
use crate::test::{DEFAULTS, TestCounts};
use crate::warning_counting_shell_command::{CALLBACKS, POSITIONAL, counting};
use crate::warnings::{Counting, HasWarnings, warning_params};
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, LineObserver, OverAll, OwnChecks, Results, Step, StepContext, StepError, StepKind, read,
};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Kind, Problem};
use regex::Regex;

warning_params! {
    /// Runs the tests of a Perl module.
    pub struct PerlModuleTestParams {}
}

impl OwnChecks for PerlModuleTestParams {
    fn problems(&self) -> Vec<Problem> {
        self.warning_problems()
    }
}

/// Declares the step.
pub static PERL_MODULE_TEST: StepKind = StepKind {
    kind: Kind {
        callbacks: CALLBACKS,
        ..step_kind(
            "PerlModuleTest",
            POSITIONAL,
            "A Test that runs `prove --lib lib -r t` unless told otherwise, and counts what its report says.",
            schema_of::<PerlModuleTestParams>,
            check_as::<PerlModuleTestParams>,
        )
    },
    defaults: DEFAULTS,
    build: |rendered| {
        let params: PerlModuleTestParams = read(rendered)?;
        let counting = counting(&params, true, &["prove", "--lib", "lib", "-r", "t"])?;
        Ok(Box::new(PerlModuleTest { counting, counts: None }))
    },
};

struct PerlModuleTest {
    counting: Counting,
    /// What the report said, if it said something.
    counts: Option<TestCounts>,
}

#[async_trait]
impl Step for PerlModuleTest {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let report = cx.observe_lines("stdio", Report::default()).await;
        let counted = self.counting.run(cx).await?;
        let report = report.lock().clone();
        if report.total > 0 {
            let counts = TestCounts {
                total: report.total,
                failed: report.failed,
                passed: report.total.saturating_sub(report.failed),
                warnings: counted.warnings,
            };
            counts.keep(cx);
            self.counts = Some(counts);
        }
        // The report decides, not the exit status; but a program that was stopped, or told nothing, did not succeed.
        Ok(match report.failure {
            true => Results::Failure,
            false if report.total == 0 || counted.command.interrupted => {
                counted.results(&self.counting.warnings)
            }
            false => self.counting.warnings.results(counted.warnings),
        })
    }

    fn description_done(&self, _: Option<&str>) -> Option<String> {
        self.counts?.summary()
    }

    fn over_all(&self) -> Option<&dyn OverAll> {
        Some(&self.counting)
    }
}

/// The report of `prove`, in its older and its newer form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Report {
    /// The newer form has begun.
    newer: bool,
    failure: bool,
    total: u64,
    failed: u64,
}

/// `Files=2, Tests=9`.
static TESTS: std::sync::LazyLock<Regex> =
    std::sync::LazyLock::new(|| Regex::new(r"Files=\d+, Tests=(\d+)").expect("a constant pattern"));
/// `Tests: 9 Failed: 2)`, one for each file.
static FAILED: std::sync::LazyLock<Regex> =
    std::sync::LazyLock::new(|| Regex::new(r"Tests: \d+ Failed: (\d+)\)").expect("a constant pattern"));
/// `2/9 subtests failed`.
static OLDER: std::sync::LazyLock<Regex> =
    std::sync::LazyLock::new(|| Regex::new(r"(\d+)/(\d+) subtests failed").expect("a constant pattern"));

impl LineObserver for Report {
    fn line(&mut self, channel: Channel, line: &str) {
        if channel != Channel::Stdout {
            return;
        }
        self.newer |= line.starts_with("Test Summary Report");
        if self.newer {
            self.failed += counted_in(&FAILED, line, 1).unwrap_or(0);
            self.failure |= line.starts_with("Result: FAIL") || self.failed > 0;
        } else if let Some(failed) = counted_in(&OLDER, line, 1) {
            self.failed = failed;
            self.total = counted_in(&OLDER, line, 2).unwrap_or(0);
            self.failure = true;
        }
        if let Some(total) = counted_in(&TESTS, line, 1) {
            self.total = total;
        }
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
    fn row_06_008_both_forms_of_the_report_are_read() {
        let older =
            read(&["Failed 1/1 test programs. 2/9 subtests failed.", "Files=1, Tests=9,  0 wallclock"]);
        assert_eq!(older, Report { newer: false, failure: true, total: 9, failed: 2 });
        let newer = read(&[
            "Test Summary Report",
            "t/a.t (Wstat: 256 Tests: 5 Failed: 1)",
            "t/b.t (Wstat: 512 Tests: 4 Failed: 2)",
            "Files=2, Tests=9,  1 wallclock secs",
            "Result: FAIL",
        ]);
        assert_eq!(newer, Report { newer: true, failure: true, total: 9, failed: 3 });
        let good = read(&["All tests successful.", "Files=1, Tests=9,  0 wallclock", "Result: PASS"]);
        assert_eq!(good, Report { newer: false, failure: false, total: 9, failed: 0 });
    }
}
