//! Test results (05.033, 09.022, 09.023).

use crate::ack::Ack;
use crate::announce::Announcement;
use crate::data::Data;
use crate::error::Result;
use crate::live::next;
use crate::new::{NewTestResult, NewTestResultSet};
use lunabot_db::resources::TestResultSet;

/// Results of tests. These return as soon as the rows have their place in the queue.
impl Data {
    /// Adds a set of a running build; results go into it until it is complete.
    pub async fn add_test_result_set(&self, new: NewTestResultSet) -> Result<(TestResultSet, Ack)> {
        self.shared.room().await;
        let (result, epoch) = self.shared.change(|live| {
            live.running(new.buildid)?;
            let set = TestResultSet {
                test_result_setid: next(&mut live.ids.test_result_sets),
                builderid: new.builderid,
                buildid: new.buildid,
                stepid: new.stepid,
                description: new.description,
                category: new.category,
                value_unit: new.value_unit,
                tests_passed: None,
                tests_failed: None,
                complete: false,
            };
            live.pending.batch.test_result_set(&set);
            live.pending.announcements.push(Announcement::TestResultSet(set.clone(), "new"));
            Ok(set)
        });
        result.map(|set| (set, self.ack(epoch)))
    }

    /// Adds results to a set.
    pub async fn add_test_results(&self, set: &TestResultSet, results: &[NewTestResult]) -> Result<Ack> {
        self.shared.room().await;
        let ((), epoch) = self.shared.change(|live| {
            for result in results {
                live.pending.bytes += result.value.len();
                live.pending.batch.test_result(set.builderid, set.test_result_setid, result);
            }
        });
        Ok(self.ack(epoch))
    }

    /// Closes a set with its counts, where its category has any.
    pub async fn complete_test_result_set(&self, mut set: TestResultSet) -> Result<Ack> {
        self.shared.room().await;
        set.complete = true;
        let ((), epoch) = self.shared.change(|live| {
            live.pending.batch.test_result_set(&set);
            live.pending.announcements.push(Announcement::TestResultSet(set, "completed"));
        });
        Ok(self.ack(epoch))
    }
}
