//! `steps.Test` (06.006, 06.007).

use crate::common::step_kind;
use crate::warning_counting_shell_command::{CALLBACKS, POSITIONAL, counting};
use crate::warnings::{Counting, HasWarnings, add_statistic, warning_params};
use async_trait::async_trait;
use lunabot_engine::step::{
    OverAll, OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, read,
};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Kind, Problem};

warning_params! {
    /// Runs tests.
    pub struct TestParams {}
}

impl OwnChecks for TestParams {
    fn problems(&self) -> Vec<Problem> {
        self.warning_problems()
    }
}

/// Declares the step.
pub static TEST: StepKind = StepKind {
    kind: Kind {
        callbacks: CALLBACKS,
        ..step_kind(
            "Test",
            POSITIONAL,
            "A WarningCountingShellCommand that runs `make test` unless told otherwise; a failure gives the build \
             warnings too.",
            schema_of::<TestParams>,
            check_as::<TestParams>,
        )
    },
    defaults: DEFAULTS,
    build: |rendered| {
        let params: TestParams = read(rendered)?;
        Ok(Box::new(Test { counting: counting(&params, true, &["make", "test"])? }))
    },
};

/// Of steps that run tests (05.005).
pub const DEFAULTS: StepDefaults =
    StepDefaults::named("test").warning_on_failure().described("testing", "test");

struct Test {
    counting: Counting,
}

#[async_trait]
impl Step for Test {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        Ok(self.counting.run(cx).await?.results(&self.counting.warnings))
    }

    fn over_all(&self) -> Option<&dyn OverAll> {
        Some(&self.counting)
    }
}

/// How many tests did what (06.007).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TestCounts {
    pub total: u64,
    pub passed: u64,
    pub failed: u64,
    pub warnings: u64,
}

impl TestCounts {
    /// Adds them to the step's statistics.
    pub fn keep(&self, cx: &StepContext) {
        for (name, count) in [
            ("tests-total", self.total),
            ("tests-failed", self.failed),
            ("tests-warnings", self.warnings),
            ("tests-passed", self.passed),
        ] {
            add_statistic(cx, name, count);
        }
    }

    /// `7 tests 5 passed 2 failed`; what there is none of is left out. `None`: there is nothing to say.
    pub fn summary(&self) -> Option<String> {
        let sum = self.failed + self.passed + self.warnings;
        let total = if self.total == 0 { sum } else { self.total };
        let parts =
            [(total, "tests"), (self.passed, "passed"), (self.warnings, "warnings"), (self.failed, "failed")];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!said.is_empty()).then(|| said.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_007_counts_are_said_where_there_are_any() {
        let counts =
            |total, passed, failed, warnings| TestCounts { total, passed, failed, warnings }.summary();
        for (found, want) in [
            (counts(7, 5, 2, 0), Some("7 tests 5 passed 2 failed")),
            (counts(0, 3, 1, 2), Some("6 tests 3 passed 2 warnings 1 failed")),
            (counts(4, 4, 0, 0), Some("4 tests 4 passed")),
            (counts(0, 0, 0, 0), None),
        ] {
            assert_eq!(found.as_deref(), want);
        }
    }
}
