//! The declarations: each resource of the data API as fields, columns, and the reading of a row (09.001–09.023).

mod builders;
mod builds;
mod changes;
mod codebases;
mod configured;
mod requests;
mod results;

pub use builds::{PropertyItem, StepWithBuild};
pub use results::{TestResult, TestResultSet};

use crate::error::Result;
use crate::pool::{Marks, Pool, Row, Value};
use crate::resource::{Column, Field};
use lunabot_model::result_spec::FieldKind;
use sqlx::AssertSqlSafe;

const fn field(name: &'static str, kind: FieldKind, column: Column) -> Field {
    let api = match kind {
        FieldKind::Int => "integer",
        FieldKind::Bool => "boolean",
        FieldKind::Text => "string",
        FieldKind::Identifier => "identifier",
        FieldKind::Ints => "[integer]",
        FieldKind::Texts => "[string]",
        FieldKind::Json => "jsonobject",
    };
    Field { name, kind, column, api }
}

const fn int(name: &'static str, column: &'static str) -> Field {
    field(name, FieldKind::Int, Column::Set(column))
}

const fn opt_int(name: &'static str, column: &'static str) -> Field {
    field(name, FieldKind::Int, Column::Nullable(column)).of("integer?")
}

const fn text(name: &'static str, column: &'static str) -> Field {
    field(name, FieldKind::Text, Column::Set(column))
}

const fn opt_text(name: &'static str, column: &'static str) -> Field {
    field(name, FieldKind::Text, Column::Nullable(column)).of("string?")
}

const fn flag(name: &'static str, column: &'static str) -> Field {
    field(name, FieldKind::Bool, Column::Set(column))
}

const fn json(name: &'static str) -> Field {
    field(name, FieldKind::Json, Column::None)
}

/// Rows of another table that belong to `ids`. `{}` in the statement is the list of ids; the first column is the
/// id that a row belongs to. Lists are padded to powers of two, so that there are few different texts.
pub(crate) async fn belonging(
    pool: &Pool,
    sql: &'static str,
    ids: impl Iterator<Item = i64>,
) -> Result<Vec<Row>> {
    belonging_with(pool, sql, &[], ids).await
}

/// The same with values for the statement's first placeholders.
pub(crate) async fn belonging_with(
    pool: &Pool,
    sql: &'static str,
    first: &[Value],
    ids: impl Iterator<Item = i64>,
) -> Result<Vec<Row>> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    let marks = if first.is_empty() { pool.marks() } else { Marks::Numbered };
    for part in ids.chunks(1024) {
        let size = part.len().next_power_of_two();
        let last = part.last().copied().unwrap_or(0);
        let padded = part.iter().copied().chain(std::iter::repeat(last)).take(size);
        let values = first.iter().cloned().chain(padded.map(Value::Int)).collect();
        found.extend(
            pool.fetch(AssertSqlSafe(sql.replace("{}", &marks.list(first.len() + 1, size))), values).await?,
        );
    }
    Ok(found)
}
