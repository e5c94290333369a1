//! Test results of a step (reference 05.033).

use super::{StepContext, StepError};
pub use lunabot_data::new::NewTestResult;
use lunabot_data::new::{NewTestResultSet, TestResultSet};
use std::sync::{Mutex, PoisonError};

/// So many results are stored at once.
const BATCH: usize = 500;

/// A set that takes results until its step ends.
pub struct TestResults {
    set: TestResultSet,
    waiting: Mutex<Vec<NewTestResult>>,
    /// Passed and failed so far.
    counts: Mutex<(i64, i64)>,
}

impl TestResults {
    /// Takes a result. One that is no 0 has passed, in a set whose category counts.
    fn take(&self, result: NewTestResult) -> Option<Vec<NewTestResult>> {
        let passed = match self.set.category.as_str() {
            "pass_fail" => Some(result.value.trim().parse::<f64>().is_ok_and(|value| value != 0.0)),
            "pass_only" => Some(true),
            "fail_only" => Some(false),
            _ => None,
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match passed {
            Some(true) => counts.0 += 1,
            Some(false) => counts.1 += 1,
            None => {}
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(result);
        (waiting.len() >= BATCH).then(|| std::mem::take(&mut *waiting))
    }

    /// The set with its counts, and what is not stored yet.
    fn close(&self) -> (TestResultSet, Vec<NewTestResult>) {
        let (passed, failed) = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let category = self.set.category.as_str();
        let set = TestResultSet {
            tests_passed: matches!(category, "pass_fail" | "pass_only").then_some(passed),
            tests_failed: matches!(category, "pass_fail" | "fail_only").then_some(failed),
            ..self.set.clone()
        };
        (set, std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl StepContext {
    /// Adds a set of test results; the answer is its number for [`StepContext::add_test_result`]. Results of the
    /// categories `pass_fail`, `pass_only` and `fail_only` are counted.
    pub async fn add_test_result_set(
        &self,
        description: &str,
        category: &str,
        value_unit: &str,
    ) -> Result<i64, StepError> {
        let new = NewTestResultSet {
            builderid: self.build().builderid,
            buildid: self.build().buildid,
            stepid: self.step_id(),
            description: Some(description.into()),
            category: category.into(),
            value_unit: value_unit.into(),
        };
        let (set, ack) = self.0.build.services.data.add_test_result_set(new).await?;
        ack.detach();
        let id = set.test_result_setid;
        let results = TestResults { set, waiting: Mutex::default(), counts: Mutex::default() };
        self.test_results().push(std::sync::Arc::new(results));
        Ok(id)
    }

    /// Adds a result to a set of this step. Stored in batches, the last when the step ends.
    pub async fn add_test_result(&self, set: i64, mut result: NewTestResult) -> Result<(), StepError> {
        let found = self.test_results().iter().find(|known| known.set.test_result_setid == set).cloned();
        let Some(results) = found else {
            return Err(StepError::Exception(format!("the step has no test result set {set}")));
        };
        result.value = self.masks().mask(&result.value).into_owned();
        if let Some(batch) = results.take(result) {
            self.0.build.services.data.add_test_results(&results.set, &batch).await?.detach();
        }
        Ok(())
    }

    /// Stores what waits, and completes the sets (05c item 13).
    pub(crate) async fn finish_test_results(&self) -> Result<(), StepError> {
        let sets = std::mem::take(&mut *self.test_results());
        let data = &self.0.build.services.data;
        for (set, rest) in sets.iter().map(|results| results.close()) {
            data.add_test_results(&set, &rest).await?.detach();
            data.complete_test_result_set(set).await?.detach();
        }
        Ok(())
    }
}
