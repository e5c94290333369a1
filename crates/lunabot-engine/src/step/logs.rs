//! Logs of a step (reference 13.002–13.005).

use super::StepError;
use lunabot_model::LogId;

/// A log that a step writes. Clones write the same log.
#[derive(Clone)]
pub struct LogHandle {}

impl LogHandle {
    pub fn id(&self) -> LogId {
        todo!()
    }

    pub fn name(&self) -> &str {
        todo!()
    }

    /// Text for standard output (logs of type `s`). Any split is fine: whole lines are stored (13.003), secrets masked.
    /// Waits while the store is behind.
    pub async fn add_stdout(&self, text: &str) -> Result<(), StepError> {
        let _ = text;
        todo!()
    }

    pub async fn add_stderr(&self, text: &str) -> Result<(), StepError> {
        let _ = text;
        todo!()
    }

    pub async fn add_header(&self, text: &str) -> Result<(), StepError> {
        let _ = text;
        todo!()
    }

    /// Text for logs of type `t` and `h`.
    pub async fn add_content(&self, text: &str) -> Result<(), StepError> {
        let _ = text;
        todo!()
    }

    /// Writes what is left of an unfinished line and closes the log. The engine does this for logs left open.
    pub async fn finish(&self) -> Result<(), StepError> {
        todo!()
    }
}
