//! How a step ends when it does not return a result (reference 05c, after item 8).

use lunabot_model::{Results, render::RenderError};

/// Why `run` gave no result; each variant has its result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StepError {
    /// The step gives up: FAILURE, the text in its header, no traceback (BuildStepFailed).
    #[error("{0}")]
    Failed(String),
    /// It was stopped: CANCELLED.
    #[error("cancelled")]
    Cancelled,
    /// The connection to the worker is gone: RETRY.
    #[error("lost connection to the worker")]
    Lost,
    /// Anything else: EXCEPTION, the text in the logs `err.text` and `err.html`.
    #[error("{0}")]
    Exception(String),
}

impl StepError {
    pub fn results(&self) -> Results {
        match self {
            StepError::Failed(_) => Results::Failure,
            StepError::Cancelled => Results::Cancelled,
            StepError::Lost => Results::Retry,
            StepError::Exception(_) => Results::Exception,
        }
    }
}

impl From<RenderError> for StepError {
    fn from(error: RenderError) -> Self {
        StepError::Exception(error.to_string())
    }
}

impl From<lunabot_data::DataError> for StepError {
    fn from(error: lunabot_data::DataError) -> Self {
        StepError::Exception(error.to_string())
    }
}
