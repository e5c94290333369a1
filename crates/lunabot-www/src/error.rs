//! Why a page cannot be shown.

use crate::auth::OrderError;
use axum::http::StatusCode;
use lunabot_data::{ControlError, DataError};

/// Becomes an error page in the usual layout.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("{0}")]
    NotFound(String),
    /// The reader's mistake: a bad range, a form from elsewhere.
    #[error("{1}")]
    Refused(StatusCode, String),
    #[error("{0}")]
    Internal(String),
}

impl PageError {
    pub fn status(&self) -> StatusCode {
        match self {
            PageError::NotFound(_) => StatusCode::NOT_FOUND,
            PageError::Refused(status, _) => *status,
            PageError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What to do next, shown below the text.
    pub fn advice(&self) -> &'static str {
        match self {
            PageError::NotFound(_) => {
                "It may have been removed by retention, or the link is from another master."
            }
            PageError::Refused(..) => "Go back, look at what was asked, and try again.",
            PageError::Internal(_) => "The log of the master says more; the page Health shows how it is.",
        }
    }
}

impl From<DataError> for PageError {
    fn from(e: DataError) -> Self {
        match e {
            DataError::InvalidPath(_) | DataError::NotFound(_) => PageError::NotFound(e.to_string()),
            DataError::BadQuery(text) => PageError::Refused(StatusCode::BAD_REQUEST, text),
            DataError::Storage(text) => PageError::Internal(text),
        }
    }
}

impl From<ControlError> for PageError {
    fn from(e: ControlError) -> Self {
        match e {
            ControlError::InvalidPath(_) | ControlError::NotFound(_) => PageError::NotFound(e.to_string()),
            ControlError::Unsupported(_) => PageError::Refused(StatusCode::NOT_IMPLEMENTED, e.to_string()),
            ControlError::InvalidParams(_) => PageError::Refused(StatusCode::BAD_REQUEST, e.to_string()),
            ControlError::Internal(text) => PageError::Internal(text),
        }
    }
}

impl From<OrderError> for PageError {
    fn from(e: OrderError) -> Self {
        match e {
            OrderError::Denied(why) => PageError::Refused(StatusCode::FORBIDDEN, why),
            OrderError::Control(e) => e.into(),
        }
    }
}

impl From<minijinja::Error> for PageError {
    fn from(e: minijinja::Error) -> Self {
        PageError::Internal(format!("a template of the pages failed: {e:#}"))
    }
}
