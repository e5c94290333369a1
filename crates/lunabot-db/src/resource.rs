//! How a resource of the data API is declared: its table, its fields, what each is in SQL, how a row is read.

use crate::error::Result;
use crate::pool::{Cols, Pool};
use lunabot_model::BoxFuture;
use lunabot_model::result_spec::{FieldKind, FieldSpec};

/// What a field is in SQL, for filters and orders.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// A column that is never null.
    Set(&'static str),
    Nullable(&'static str),
    /// A truth value: whether the column holds something.
    Present(&'static str),
    /// Conditions of its own: for true, and for false.
    Flag(&'static str, &'static str),
    /// A list in another table: a condition with `{}` where the comparison of an element goes.
    Elements(&'static str),
    /// Neither filtered nor ordered by.
    None,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub column: Column,
    /// Its type as the API tells it (09.024): `integer`, `string?` may be null, `[integer]` a list.
    pub api: &'static str,
}

impl Field {
    /// The same with another type in the API.
    pub const fn of(mut self, api: &'static str) -> Field {
        self.api = api;
        self
    }
}

/// One resource.
#[derive(Debug)]
pub struct Decl {
    pub plural: &'static str,
    /// The `FROM` clause.
    pub from: &'static str,
    /// The tables whose changes can change an answer.
    pub tables: &'static [&'static str],
    /// The columns that [`Resource::read`] takes, in its order.
    pub columns: &'static str,
    /// The column that orders rows where nothing else does; unique.
    pub key: &'static str,
    /// Rows are only added, with growing keys, and never change whose they are: then counting goes on from the last
    /// count.
    pub grows: bool,
    pub fields: &'static [Field],
}

/// A resource that is read from rows.
pub trait Resource: serde::Serialize + Send + Sync + Sized + 'static {
    const DECL: &'static Decl;
    fn read(cols: &mut Cols<'_>) -> Result<Self>;

    /// Adds what other tables hold, with one statement for all rows.
    fn complete<'a>(pool: &'a PoolRef<'a>, rows: &'a mut [Self]) -> BoxFuture<'a, Result<()>> {
        let _ = (pool, rows);
        Box::pin(async { Ok(()) })
    }
}

/// What [`Resource::complete`] may read from.
pub struct PoolRef<'a>(pub(crate) &'a Pool);

/// The fields as the query language sees them.
pub fn field_specs(decl: &Decl) -> Vec<FieldSpec> {
    decl.fields.iter().map(|f| FieldSpec { name: f.name, kind: f.kind }).collect()
}
