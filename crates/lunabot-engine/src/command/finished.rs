//! What came of a remote command (reference 05.037, 05.038, 05.042).

use lunabot_model::Results;
use lunabot_proto::{FailureReason, Stat, Value};
use std::collections::BTreeMap;

/// A remote command that has ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FinishedCommand {
    /// Exit status; -1 if killed, an errno for file commands, none if interrupted before it was known.
    pub rc: Option<i64>,
    /// Collected text, if that was asked for. Not masked: secrets in it are as the command printed them.
    pub stdout: String,
    pub stderr: String,
    /// Answers of `stat`.
    pub stats: Vec<Stat>,
    /// Answers of `glob` and `listdir`.
    pub files: Vec<String>,
    /// Whether it answered with files, be they none.
    pub listed: bool,
    /// Every other update by its key, in order.
    pub updates: BTreeMap<String, Vec<Value>>,
    pub elapsed: Option<f64>,
    pub failure_reason: Option<FailureReason>,
    /// The build was stopped while it ran, or before.
    pub interrupted: bool,
    pub decode_rc: BTreeMap<i64, Results>,
}

impl FinishedCommand {
    /// 05.038.
    pub fn results(&self) -> Results {
        if self.interrupted {
            return Results::Cancelled;
        }
        let decoded = self.rc.and_then(|rc| self.decode_rc.get(&rc));
        decoded.copied().unwrap_or(Results::Failure)
    }

    pub fn did_fail(&self) -> bool {
        self.results() == Results::Failure
    }

    /// Killed for its time (05.042).
    pub fn timed_out(&self) -> bool {
        matches!(self.failure_reason, Some(FailureReason::Timeout | FailureReason::TimeoutWithoutOutput))
    }

    /// Killed for its output (05.042).
    pub fn max_lines_reached(&self) -> bool {
        self.failure_reason == Some(FailureReason::MaxLines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_05_038_results_follow_decode_rc_and_interruption() {
        let decode_rc = BTreeMap::from([(0, Results::Success), (5, Results::Warnings)]);
        let ended = |rc, interrupted| FinishedCommand {
            rc,
            interrupted,
            decode_rc: decode_rc.clone(),
            ..FinishedCommand::default()
        };
        assert_eq!(ended(Some(0), false).results(), Results::Success);
        assert_eq!(ended(Some(5), false).results(), Results::Warnings);
        assert_eq!(ended(Some(7), false).results(), Results::Failure);
        assert_eq!(ended(None, false).results(), Results::Failure);
        assert_eq!(ended(Some(0), true).results(), Results::Cancelled);
    }
}
