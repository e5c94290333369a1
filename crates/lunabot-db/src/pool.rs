//! Connections to either engine behind one face: values in, rows out.

use crate::error::{DbError, Result};
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Arguments, Executor as _, Row as _, SqlSafeStr};

/// A value bound to a placeholder.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Int(i64),
    OptInt(Option<i64>),
    Bool(bool),
    Text(String),
    OptText(Option<String>),
    Blob(Vec<u8>),
}

macro_rules! values_from {
    ($($type:ty => $variant:ident),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::$variant(value)
            }
        })*
    };
}
values_from!(i64 => Int, Option<i64> => OptInt, bool => Bool, String => Text, Option<String> => OptText, Vec<u8> => Blob);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

/// How the places of values are written where there may be many. SQLite finds a numbered one by its name among all of the
/// statement, which costs the square of their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// `?`, in the order of the values.
    Bare,
    /// `$1`, `$2` …
    Numbered,
}

impl Marks {
    /// The place of the value `number`, from 1.
    pub fn place(self, number: usize) -> String {
        match self {
            Marks::Bare => "?".into(),
            Marks::Numbered => format!("${number}"),
        }
    }

    /// So many places from `first` on, with commas between them.
    pub fn list(self, first: usize, count: usize) -> String {
        (first..first + count).map(|number| self.place(number)).collect::<Vec<_>>().join(", ")
    }
}

/// Adds every value to the arguments of one engine.
macro_rules! arguments {
    ($type:ty, $values:expr) => {{
        let mut arguments = <$type>::default();
        let values = $values;
        arguments.reserve(values.len(), 0);
        for value in values {
            match value {
                Value::Int(v) => arguments.add(v),
                Value::OptInt(v) => arguments.add(v),
                Value::Bool(v) => arguments.add(v),
                Value::Text(v) => arguments.add(v),
                Value::OptText(v) => arguments.add(v),
                Value::Blob(v) => arguments.add(v),
            }
            .map_err(|e| DbError::Lasting(format!("a value cannot be stored: {e}")))?;
        }
        arguments
    }};
}

/// PostgreSQL's texts hold every character but NUL, which becomes the sign for what cannot be shown.
fn without_nul(mut values: Vec<Value>) -> Vec<Value> {
    let plain = |text: &mut String| {
        if text.contains('\0') {
            *text = text.replace('\0', "\u{fffd}");
        }
    };
    for value in &mut values {
        match value {
            Value::Text(text) | Value::OptText(Some(text)) => plain(text),
            Value::OptText(None) | Value::Int(_) | Value::OptInt(_) | Value::Bool(_) | Value::Blob(_) => {}
        }
    }
    values
}

/// Runs `$body` with the connection or pool of whichever engine it is.
macro_rules! on_engine {
    ($sql:expr, $values:expr, $target:expr, $enum:ident, |$query:ident, $on:ident, $wrap:ident| $body:expr) => {
        match $target {
            $enum::Sqlite($on) => {
                let $query = sqlx::query_with($sql, arguments!(SqliteArguments, $values));
                #[allow(unused_variables)]
                let $wrap = Row::Sqlite;
                $body
            }
            $enum::Postgres($on) => {
                let $query = sqlx::query_with($sql, arguments!(PgArguments, without_nul($values)));
                #[allow(unused_variables)]
                let $wrap = Row::Postgres;
                $body
            }
        }
    };
}

/// The connections for reading.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Pool::Sqlite(_))
    }

    /// How a statement of this engine writes its places.
    pub fn marks(&self) -> Marks {
        if self.is_sqlite() { Marks::Bare } else { Marks::Numbered }
    }

    pub async fn fetch(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(on_engine!(sql, values, self, Pool, |query, pool, wrap| {
            query.fetch_all(pool).await?.into_iter().map(wrap).collect()
        }))
    }

    /// Has the engine check a statement.
    pub async fn prepare(&self, sql: &str) -> Result<()> {
        let sql = sqlx::AssertSqlSafe(sql).into_sql_str();
        match self {
            Pool::Sqlite(pool) => pool.prepare(sql).await.map(|_| ())?,
            Pool::Postgres(pool) => pool.prepare(sql).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Connections that are in use.
    pub fn in_use(&self) -> usize {
        let (all, idle) = match self {
            Pool::Sqlite(pool) => (pool.size(), pool.num_idle()),
            Pool::Postgres(pool) => (pool.size(), pool.num_idle()),
        };
        (all as usize).saturating_sub(idle)
    }

    pub async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// The connection that writes.
pub(crate) enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Conn {
    pub fn marks(&self) -> Marks {
        match self {
            Conn::Sqlite(_) => Marks::Bare,
            Conn::Postgres(_) => Marks::Numbered,
        }
    }

    pub async fn execute(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<()> {
        on_engine!(sql, values, self, Conn, |query, conn, wrap| {
            query.execute(&mut *conn).await?;
        });
        Ok(())
    }

    pub async fn fetch(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(on_engine!(sql, values, self, Conn, |query, conn, wrap| {
            query.fetch_all(&mut *conn).await?.into_iter().map(wrap).collect()
        }))
    }

    /// Several statements without values.
    pub async fn script(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Conn::Sqlite(conn) => sqlx::raw_sql(sql).execute(&mut *conn).await.map(|_| ())?,
            Conn::Postgres(conn) => sqlx::raw_sql(sql).execute(&mut *conn).await.map(|_| ())?,
        }
        Ok(())
    }

    /// On SQLite a transaction takes the write lock at once, so that it cannot fail half-way for want of it.
    pub async fn begin(&mut self) -> Result<()> {
        match self {
            Conn::Sqlite(_) => self.script("BEGIN IMMEDIATE").await,
            Conn::Postgres(_) => self.script("BEGIN").await,
        }
    }
}

/// A row of either engine.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// Reads the columns from the first on.
    pub fn cols(&self) -> Cols<'_> {
        Cols { row: self, next: 0 }
    }
}

/// Reads the columns of a row one after the other.
pub struct Cols<'a> {
    row: &'a Row,
    next: usize,
}

macro_rules! reader {
    ($name:ident, $type:ty) => {
        pub fn $name(&mut self) -> Result<$type> {
            let at = self.next;
            self.next += 1;
            Ok(match self.row {
                Row::Sqlite(row) => row.try_get_unchecked::<$type, _>(at)?,
                Row::Postgres(row) => row.try_get::<$type, _>(at)?,
            })
        }
    };
}

#[allow(missing_docs)]
impl Cols<'_> {
    reader!(int, i64);
    reader!(opt_int, Option<i64>);
    reader!(bool, bool);
    reader!(text, String);
    reader!(opt_text, Option<String>);
    reader!(blob, Vec<u8>);
    reader!(opt_blob, Option<Vec<u8>>);

    /// A column of JSON text.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let text = self.text()?;
        serde_json::from_str(&text)
            .map_err(|e| DbError::Lasting(format!("the database holds bad JSON ({e}): {text:.80}")))
    }

    pub fn results(&mut self) -> Result<Option<lunabot_model::Results>> {
        Ok(self.opt_int()?.and_then(lunabot_model::Results::from_code))
    }
}
