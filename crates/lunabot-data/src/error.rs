//! Why the store could not do what was asked.

use lunabot_db::DbError;

/// Why the store could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// `Invalid path: a/b` (09.050).
    #[error("Invalid path: {0}")]
    InvalidPath(String),
    #[error("{0}")]
    NotFound(String),
    /// A bad query (09.051), with the reference's texts.
    #[error("{0}")]
    BadQuery(String),
    /// The database failed; details are in the log, the text says what an operator can do.
    #[error("{0}")]
    Storage(String),
}

impl From<DbError> for DataError {
    fn from(error: DbError) -> Self {
        DataError::Storage(error.to_string())
    }
}

pub(crate) type Result<T, E = DataError> = std::result::Result<T, E>;
