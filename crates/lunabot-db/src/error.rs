//! What can go wrong with the store, in an operator's words.

/// A failed operation of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// It may succeed when tried again: the database is locked, full or away.
    #[error("{0}")]
    Passing(String),
    /// Trying again would not help.
    #[error("{0}")]
    Lasting(String),
}

impl DbError {
    pub fn is_passing(&self) -> bool {
        matches!(self, DbError::Passing(_))
    }
}

/// SQLite's primary result codes that a change of circumstances can mend, and what an operator can do about each.
const SQLITE_PASSING: &[(i32, &str)] = &[
    (5, "the database is locked by another process: stop whatever else has the file open"),
    (6, "the database is locked by another process: stop whatever else has the file open"),
    (7, "there is not enough memory for the database"),
    (8, "the database cannot be written: check the permissions of the file and of its folder"),
    (10, "the disk reports errors: check the disk, and the file system's log"),
    (13, "the disk is full: free space on the file system of the database"),
    (
        14,
        "the database file cannot be opened: check that it exists, its permissions, and the limit of open files",
    ),
];

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) => from_code(inner.code().as_deref().unwrap_or(""), &error),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => DbError::Passing(format!(
                "the database does not answer: check that its server runs and can be reached ({error})"
            )),
            _ => DbError::Lasting(error.to_string()),
        }
    }
}

/// SQLite gives a number (the low byte is the primary code), PostgreSQL five characters.
fn from_code(code: &str, error: &sqlx::Error) -> DbError {
    if let (true, Ok(number)) = (code.len() < 5, code.parse::<i32>()) {
        return match SQLITE_PASSING.iter().find(|(known, _)| *known == number & 0xff) {
            Some((_, remedy)) => DbError::Passing(format!("{remedy} ({error})")),
            None => DbError::Lasting(error.to_string()),
        };
    }
    let remedy = match code.get(..2) {
        Some("08" | "57") => "the database server does not answer: check that it runs and can be reached",
        Some("53") => "the database server lacks disk, memory or connections",
        Some("40" | "55") => "the database is locked by another process",
        Some("25") => "the database refuses to be written: check whether it is a read-only replica",
        _ => return DbError::Lasting(error.to_string()),
    };
    DbError::Passing(format!("{remedy} ({error})"))
}

pub(crate) type Result<T, E = DbError> = std::result::Result<T, E>;
