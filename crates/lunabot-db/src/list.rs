//! A query of the data API as SQL: filters, order and page of one resource (09.058–09.073).

use crate::error::{DbError, Result};
use crate::pool::Value;
use crate::resource::{Column, Decl, Field, PoolRef, Resource};
use crate::store::Store;
use lunabot_model::result_spec::{Filter, Op, OrderKey, ResultSpec, Value as Asked};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::PoisonError;

/// Counts that are gone on from; more than this many are begun anew.
const COUNTS: usize = 4096;

/// How many rows of growing tables there were, up to which key, by condition.
#[derive(Default)]
pub(crate) struct Counts(std::sync::Mutex<HashMap<String, (i64, i64)>>);

impl Counts {
    fn get(&self, name: &str) -> Option<(i64, i64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn put(&self, name: String, count: (i64, i64)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTS {
            counts.clear();
        }
        counts.insert(name, count);
    }
}

/// What to list.
pub struct ListQuery<'a> {
    /// A condition on the rows, with `$1 …` for `args`; empty: all.
    pub scope: &'a str,
    pub args: Vec<Value>,
    pub spec: &'a ResultSpec,
    /// Whether the number of all matches is wanted too.
    pub total: bool,
}

/// One page of rows.
pub struct Page<R> {
    pub rows: Vec<R>,
    pub total: Option<i64>,
}

impl Store {
    /// To be called after rows of growing tables were deleted.
    pub fn forget_counts(&self) {
        self.counts.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The rows that a query asks for.
    pub async fn list<R: Resource>(&self, query: ListQuery<'_>) -> Result<Page<R>> {
        let compiled = Compiled::new(R::DECL, &query)?;
        let (sql, values) = compiled.page(R::DECL, query.spec);
        let found = self.fetch(AssertSqlSafe(sql), values).await?;
        let mut rows: Vec<R> = found.iter().map(|row| R::read(&mut row.cols())).collect::<Result<_>>()?;
        R::complete(&PoolRef(&self.pool), &mut rows).await?;
        let total = match query.total {
            true => Some(self.count(R::DECL, &compiled, query.spec, rows.len()).await?),
            false => None,
        };
        Ok(Page { rows, total })
    }

    /// How many match; without asking where the page itself tells.
    async fn count(&self, decl: &Decl, compiled: &Compiled, spec: &ResultSpec, got: usize) -> Result<i64> {
        let got = i64::try_from(got).unwrap_or(i64::MAX);
        let offset = spec.offset.unwrap_or(0);
        if spec.limit.is_none_or(|limit| got < limit) && (got > 0 || offset == 0) {
            return Ok(offset + got);
        }
        if decl.grows && spec.filters.is_empty() {
            return self.count_on(decl, compiled).await;
        }
        let (sql, values) = compiled.count(decl);
        let rows = self.fetch(AssertSqlSafe(sql), values).await?;
        rows.first().map_or(Ok(0), |row| row.cols().int())
    }

    /// Counts only what was added since the last time.
    async fn count_on(&self, decl: &Decl, compiled: &Compiled) -> Result<i64> {
        let name = format!("{} {} {:?}", decl.from, compiled.condition, compiled.values);
        let (known, upto) = self.counts.get(&name).unwrap_or_default();
        let (sql, values) = compiled.count_after(decl, upto);
        let rows = self.fetch(AssertSqlSafe(sql), values).await?;
        let Some(row) = rows.first() else { return Ok(known) };
        let mut cols = row.cols();
        let (new, last) = (cols.int()?, cols.opt_int()?);
        self.counts.put(name, (known + new, last.unwrap_or(upto)));
        Ok(known + new)
    }

    /// The plan of the statement that answers a query: for tests, which forbid table scans.
    pub async fn explain<R: Resource>(&self, query: ListQuery<'_>) -> Result<Vec<String>> {
        let (sql, values) = Compiled::new(R::DECL, &query)?.page(R::DECL, query.spec);
        let rows = self.fetch(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")), values).await?;
        let detail = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            let _ids = (cols.int()?, cols.int()?, cols.int()?);
            cols.text()
        };
        rows.iter().map(detail).collect()
    }
}

/// The condition of a query, and its values.
struct Compiled {
    condition: String,
    values: Vec<Value>,
}

impl Compiled {
    fn new(decl: &Decl, query: &ListQuery<'_>) -> Result<Self> {
        let mut compiled = Compiled { condition: String::new(), values: query.args.clone() };
        if !query.scope.is_empty() {
            compiled.condition.push_str(query.scope);
        }
        for filter in &query.spec.filters {
            let field = field(decl, filter.field)?;
            compiled.and(field, filter);
        }
        Ok(compiled)
    }

    fn and(&mut self, field: &Field, filter: &Filter) {
        if !self.condition.is_empty() {
            self.condition.push_str(" AND ");
        }
        let condition = match field.column {
            Column::Set(column) | Column::Nullable(column) => self.compare(column, filter),
            Column::Present(column) => {
                truth(filter, &format!("{column} IS NOT NULL"), &format!("{column} IS NULL"))
            }
            Column::Flag(yes, no) => truth(filter, yes, no),
            Column::Elements(template) => self.element(template, filter),
            Column::None => "1 = 0".to_owned(),
        };
        self.condition.push_str(&condition);
    }

    fn place(&mut self, value: &Asked) -> String {
        self.values.push(match value {
            Asked::Int(n) => Value::Int(*n),
            Asked::Bool(b) => Value::Bool(*b),
            Asked::Text(text) => Value::Text(text.clone()),
        });
        format!("${}", self.values.len())
    }

    fn compare(&mut self, column: &str, filter: &Filter) -> String {
        // Truth values as literals, so that indexes over a part of a table apply.
        if let [Asked::Bool(wanted)] = filter.values.as_slice() {
            let wanted = *wanted == !matches!(filter.op, Op::Ne | Op::NotIn);
            return format!("{column} = {}", if wanted { "TRUE" } else { "FALSE" });
        }
        let simple = |this: &mut Self, op: &str| match filter.values.first() {
            Some(value) => format!("{column} {op} {}", this.place(value)),
            None => "1 = 0".to_owned(),
        };
        match (filter.op, filter.values.len()) {
            (Op::Eq | Op::In, 1) => simple(self, "="),
            (Op::Ne | Op::NotIn, 1) => simple(self, "<>"),
            (Op::Eq | Op::In, _) => format!("{column} IN ({})", self.places(filter)),
            (Op::Ne | Op::NotIn, _) => format!("{column} NOT IN ({})", self.places(filter)),
            (Op::Lt, _) => simple(self, "<"),
            (Op::Le, _) => simple(self, "<="),
            (Op::Gt, _) => simple(self, ">"),
            (Op::Ge, _) => simple(self, ">="),
            (Op::Contains, _) => self.like(column, filter),
        }
    }

    fn places(&mut self, filter: &Filter) -> String {
        let places: Vec<String> = filter.values.iter().map(|value| self.place(value)).collect();
        places.join(", ")
    }

    /// Several substrings are alternatives (09.063).
    fn like(&mut self, column: &str, filter: &Filter) -> String {
        let mut any: Vec<String> = Vec::new();
        for value in &filter.values {
            let text = match value {
                Asked::Text(text) => text.clone(),
                Asked::Int(n) => n.to_string(),
                Asked::Bool(b) => b.to_string(),
            };
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            self.values.push(Value::Text(format!("%{escaped}%")));
            any.push(format!("CAST({column} AS TEXT) LIKE ${} ESCAPE '\\'", self.values.len()));
        }
        format!("({})", any.join(" OR "))
    }

    /// Only `contains` finds something in a list; a list as a whole equals no single value.
    fn element(&mut self, template: &str, filter: &Filter) -> String {
        match filter.op {
            Op::Contains => {
                let test = format!("IN ({})", self.places(filter));
                template.replace("{}", &test)
            }
            Op::Ne | Op::NotIn => "1 = 1".to_owned(),
            Op::Eq | Op::In | Op::Lt | Op::Le | Op::Gt | Op::Ge => "1 = 0".to_owned(),
        }
    }

    fn page(&self, decl: &Decl, spec: &ResultSpec) -> (String, Vec<Value>) {
        let mut values = self.values.clone();
        let mut sql = format!("SELECT {} FROM {}", decl.columns, decl.from);
        if !self.condition.is_empty() {
            let _ = write!(sql, " WHERE {}", self.condition);
        }
        let _ = write!(sql, " ORDER BY {}", order(decl, &spec.order));
        if let Some(limit) = spec.limit.or(spec.offset.map(|_| i64::MAX)) {
            values.push(Value::Int(limit));
            let _ = write!(sql, " LIMIT ${}", values.len());
        }
        if let Some(offset) = spec.offset {
            values.push(Value::Int(offset));
            let _ = write!(sql, " OFFSET ${}", values.len());
        }
        (sql, values)
    }

    fn count_after(&self, decl: &Decl, upto: i64) -> (String, Vec<Value>) {
        let and = if self.condition.is_empty() { "" } else { " AND " };
        let mut values = self.values.clone();
        values.push(Value::Int(upto));
        let (key, from, condition, place) = (decl.key, decl.from, &self.condition, values.len());
        (format!("SELECT COUNT(*), MAX({key}) FROM {from} WHERE {condition}{and}{key} > ${place}"), values)
    }

    fn count(&self, decl: &Decl) -> (String, Vec<Value>) {
        let condition = if self.condition.is_empty() { "1 = 1" } else { &self.condition };
        (format!("SELECT COUNT(*) FROM {} WHERE {condition}", decl.from), self.values.clone())
    }
}

fn field<'a>(decl: &'a Decl, name: &str) -> Result<&'a Field> {
    let found = decl.fields.iter().find(|field| field.name == name);
    found.ok_or_else(|| DbError::Lasting(format!("{} has no field {name}", decl.plural)))
}

/// A filter on a truth value.
fn truth(filter: &Filter, yes: &str, no: &str) -> String {
    let asked = |wanted: bool| filter.values.contains(&Asked::Bool(wanted));
    let negated = matches!(filter.op, Op::Ne | Op::NotIn);
    match (asked(true) != negated, asked(false) != negated) {
        (true, false) => yes.to_owned(),
        (false, true) => no.to_owned(),
        (true, true) => "1 = 1".to_owned(),
        (false, false) => "1 = 0".to_owned(),
    }
}

/// Nulls lowest on both engines (09.067); the key last, in the direction of the first, so that an index serves.
fn order(decl: &Decl, keys: &[OrderKey]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for key in keys {
        let direction = if key.descending { "DESC" } else { "ASC" };
        let nulls = if key.descending { "NULLS LAST" } else { "NULLS FIRST" };
        match field(decl, key.field).map(|f| f.column) {
            Ok(Column::Set(column)) => parts.push(format!("{column} {direction}")),
            Ok(Column::Nullable(column)) => parts.push(format!("{column} {direction} {nulls}")),
            Ok(Column::Present(column)) => parts.push(format!("({column} IS NOT NULL) {direction}")),
            Ok(Column::Flag(yes, _)) => parts.push(format!("({yes}) {direction}")),
            Ok(Column::Elements(_) | Column::None) | Err(_) => {}
        }
        if matches!(field(decl, key.field).map(|f| f.column), Ok(Column::Set(c)) if c == decl.key) {
            return parts.join(", ");
        }
    }
    let direction = if keys.first().is_some_and(|key| key.descending) { "DESC" } else { "ASC" };
    parts.push(format!("{} {direction}", decl.key));
    parts.join(", ")
}
