//! The query language of the data API (reference 09.057–09.074): what a query string asks for, checked against the
//! fields of a resource. Compiling it to SQL is the database room's work; [`ResultSpec::apply`] answers for the few
//! resources that live in memory.

use crate::Json;
use std::cmp::Ordering;
use std::collections::HashMap;

/// What a field holds, and so how a filter's text is read (09.066).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Numbers and times.
    Int,
    Bool,
    Text,
    Identifier,
    /// Lists of numbers or of texts: only `__contains` finds something in them.
    Ints,
    Texts,
    /// Objects and free JSON: cannot be filtered.
    Json,
}

/// What `__contains` looks for at most; databases have limits of their own, beyond which they fail.
const MAX_PARTS: usize = 500;
/// How long each may be, in bytes.
const MAX_PART: usize = 10_000;

/// A field of a resource, as far as the language cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    pub name: &'static str,
    pub kind: FieldKind,
}

/// A filter's operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Contains,
    In,
    NotIn,
}

impl Op {
    fn parse(text: &str) -> Option<Op> {
        Some(match text {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "lt" => Op::Lt,
            "le" => Op::Le,
            "gt" => Op::Gt,
            "ge" => Op::Ge,
            "contains" => Op::Contains,
            "in" => Op::In,
            "notin" => Op::NotIn,
            _ => return None,
        })
    }

    /// Whether several values make sense (09.060, 09.063).
    fn takes_many(self) -> bool {
        !matches!(self, Op::Lt | Op::Le | Op::Gt | Op::Ge)
    }
}

/// One value of a filter, read as its field's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Int(i64),
    Bool(bool),
    Text(String),
}

/// `field op values`; several values are alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub field: &'static str,
    pub op: Op,
    pub values: Vec<Value>,
}

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderKey {
    pub field: &'static str,
    pub descending: bool,
}

/// A parsed query string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultSpec {
    /// Which fields to give; empty: all.
    pub fields: Vec<&'static str>,
    pub filters: Vec<Filter>,
    pub order: Vec<OrderKey>,
    pub limit: Option<i64>,
    pub offset: Option<i64>,
    /// Properties to include; `*` means all (09.071).
    pub properties: Vec<String>,
}

/// A bad query, with the text of the answer (09.051, 09.057–09.070).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(pub String);

fn fail<T>(text: impl Into<String>) -> Result<T, SpecError> {
    Err(SpecError(text.into()))
}

impl ResultSpec {
    /// Reads a raw query string (`a=1&b=x%20y`) for a resource with these fields.
    pub fn parse(query: &str, fields: &[FieldSpec], is_collection: bool) -> Result<Self, SpecError> {
        let mut spec = ResultSpec::default();
        for (name, values) in grouped(query) {
            spec.read(&name, &values, fields)?;
        }
        spec.check_selection()?;
        if !is_collection && !spec.filters.is_empty() {
            return fail("this is not a collection");
        }
        Ok(spec)
    }

    fn read(&mut self, name: &str, values: &[String], fields: &[FieldSpec]) -> Result<(), SpecError> {
        match name {
            "order" => self.order = read_order(values, fields)?,
            "field" => self.fields = values.iter().map(|v| known(v, fields)).collect::<Result<_, _>>()?,
            "limit" => self.limit = Some(read_count(values, "invalid limit")?),
            "offset" => self.offset = Some(read_count(values, "invalid offset")?),
            "property" => self.properties.extend_from_slice(values),
            _ => {
                if let Some(filter) = read_filter(name, values, fields)? {
                    self.filters.push(filter);
                }
            }
        }
        Ok(())
    }

    /// 09.069.
    fn check_selection(&self) -> Result<(), SpecError> {
        let selected = |field: &str| self.fields.is_empty() || self.fields.contains(&field);
        if !self.order.iter().all(|key| selected(key.field)) {
            return fail("cannot order on un-selected fields");
        }
        if !self.filters.iter().all(|filter| selected(filter.field)) {
            return fail("cannot filter on un-selected fields");
        }
        Ok(())
    }

    /// The first filter on `field` that asks for one truth value, e.g. `complete=false`.
    pub fn flag(&self, field: &str) -> Option<bool> {
        self.filters.iter().find_map(|f| match (f.field == field, f.op, f.values.as_slice()) {
            (true, Op::Eq, [Value::Bool(wanted)]) => Some(*wanted),
            _ => None,
        })
    }

    /// Answers the query from rows in memory: filter, order, total, page. Fields are left to [`ResultSpec::project`].
    pub fn apply(&self, mut rows: Vec<Json>) -> (Vec<Json>, usize) {
        rows.retain(|row| self.filters.iter().all(|filter| filter.matches(&row[filter.field])));
        for key in self.order.iter().rev() {
            rows.sort_by(|a, b| {
                let order = compare(&a[key.field], &b[key.field]);
                if key.descending { order.reverse() } else { order }
            });
        }
        let total = rows.len();
        let at =
            |n: Option<i64>, default: usize| n.map_or(default, |n| usize::try_from(n).unwrap_or(default));
        let page = rows.into_iter().skip(at(self.offset, 0)).take(at(self.limit, usize::MAX));
        (page.collect(), total)
    }

    /// Leaves only the fields asked for.
    pub fn project(&self, row: &mut Json) {
        if let (false, Some(map)) = (self.fields.is_empty(), row.as_object_mut()) {
            map.retain(|name, _| self.fields.contains(&name.as_str()));
        }
    }
}

impl Filter {
    fn matches(&self, have: &Json) -> bool {
        let any = |test: &dyn Fn(&Value) -> bool| self.values.iter().any(test);
        match self.op {
            Op::Eq | Op::In => any(&|v| is(have, v)),
            Op::Ne | Op::NotIn => !any(&|v| is(have, v)),
            Op::Contains => any(&|v| match have {
                Json::Array(items) => items.iter().any(|item| is(item, v)),
                Json::String(text) => matches!(v, Value::Text(part) if text.contains(part.as_str())),
                _ => false,
            }),
            Op::Lt => any(&|v| against(have, v) == Some(Ordering::Less)),
            Op::Le => any(&|v| matches!(against(have, v), Some(Ordering::Less | Ordering::Equal))),
            Op::Gt => any(&|v| against(have, v) == Some(Ordering::Greater)),
            Op::Ge => any(&|v| matches!(against(have, v), Some(Ordering::Greater | Ordering::Equal))),
        }
    }
}

/// Parameters in the order of their first appearance, each with all its values; limit and offset use the first (09.064).
fn grouped(query: &str) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut places = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = *places.entry(name.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, values)) => values.push(value.into_owned()),
            None => groups.push((name.into_owned(), vec![value.into_owned()])),
        }
    }
    groups
}

fn find(name: &str, fields: &[FieldSpec]) -> Option<FieldSpec> {
    fields.iter().copied().find(|field| field.name == name)
}

fn known(name: &str, fields: &[FieldSpec]) -> Result<&'static str, SpecError> {
    find(name, fields).map_or_else(|| fail(format!("no such field '{name}'")), |field| Ok(field.name))
}

fn read_order(values: &[String], fields: &[FieldSpec]) -> Result<Vec<OrderKey>, SpecError> {
    let key = |text: &String| {
        let (descending, name) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        let field = known(name, fields)?;
        match find(field, fields).map(|f| f.kind) {
            Some(FieldKind::Json | FieldKind::Ints | FieldKind::Texts) => {
                fail(format!("cannot order on field '{field}'"))
            }
            _ => Ok(OrderKey { field, descending }),
        }
    };
    let mut keys: Vec<OrderKey> = Vec::new();
    for text in values {
        let key = key(text)?;
        // What is ordered once need not be ordered again.
        if !keys.iter().any(|known| known.field == key.field) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn read_count(values: &[String], error: &str) -> Result<i64, SpecError> {
    let count = values.first().and_then(|text| text.trim().parse::<i64>().ok());
    count.filter(|n| *n >= 0).map_or_else(|| fail(error), Ok)
}

/// `Ok(None)`: a parameter that is ignored (09.060, 09.065).
fn read_filter(name: &str, values: &[String], fields: &[FieldSpec]) -> Result<Option<Filter>, SpecError> {
    let (field, op) = match find(name, fields) {
        Some(field) => (field, Op::Eq),
        None => match name.rsplit_once("__") {
            None => return fail(format!("unrecognized query parameter '{name}'")),
            Some((field, op)) => match (find(field, fields), Op::parse(op)) {
                (Some(field), Some(op)) if values.len() == 1 || op.takes_many() => (field, op),
                _ => return Ok(None),
            },
        },
    };
    if op == Op::Contains && (values.len() > MAX_PARTS || values.iter().any(|part| part.len() > MAX_PART)) {
        return fail(format!(
            "{name}: at most {MAX_PARTS} values of at most {MAX_PART} bytes are looked for"
        ));
    }
    let read: Option<Vec<Value>> = values.iter().map(|text| read_value(text, field.kind)).collect();
    match read {
        Some(values) => Ok(Some(Filter { field: field.name, op, values })),
        None => fail(format!("invalid filter value for {name}")),
    }
}

/// 09.066.
fn read_value(text: &str, kind: FieldKind) -> Option<Value> {
    match kind {
        FieldKind::Int | FieldKind::Ints => text.trim().parse().ok().map(Value::Int),
        FieldKind::Bool => match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Some(Value::Bool(true)),
            "off" | "false" | "no" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldKind::Text | FieldKind::Texts => Some(Value::Text(text.to_owned())),
        FieldKind::Identifier => is_identifier(text).then(|| Value::Text(text.to_owned())),
        FieldKind::Json => None,
    }
}

/// A letter, `_` or `-`, then letters, digits, `.`, `_`, `-` (9b).
pub fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_' || c == '-')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn is(have: &Json, want: &Value) -> bool {
    match want {
        Value::Int(n) => have.as_i64() == Some(*n),
        Value::Bool(b) => have.as_bool() == Some(*b),
        Value::Text(t) => have.as_str() == Some(t.as_str()),
    }
}

fn against(have: &Json, want: &Value) -> Option<Ordering> {
    match want {
        Value::Int(n) => match have.as_i64() {
            Some(h) => Some(h.cmp(n)),
            // Seconds with a fraction.
            None => have.as_f64()?.partial_cmp(&(*n as f64)),
        },
        Value::Bool(b) => have.as_bool().map(|h| h.cmp(b)),
        Value::Text(t) => have.as_str().map(|h| h.cmp(t.as_str())),
    }
}

/// Nulls sort lowest (09.067).
fn compare(a: &Json, b: &Json) -> Ordering {
    match (a, b) {
        (Json::Null, Json::Null) => Ordering::Equal,
        (Json::Null, _) => Ordering::Less,
        (_, Json::Null) => Ordering::Greater,
        (Json::Number(a), Json::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (Json::String(a), Json::String(b)) => a.cmp(b),
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FIELDS: &[FieldSpec] = &[
        FieldSpec { name: "id", kind: FieldKind::Int },
        FieldSpec { name: "complete", kind: FieldKind::Bool },
        FieldSpec { name: "name", kind: FieldKind::Text },
        FieldSpec { name: "slug", kind: FieldKind::Identifier },
        FieldSpec { name: "tags", kind: FieldKind::Texts },
        FieldSpec { name: "info", kind: FieldKind::Json },
        FieldSpec { name: "seconds", kind: FieldKind::Int },
    ];

    fn parse(query: &str) -> Result<ResultSpec, String> {
        ResultSpec::parse(query, FIELDS, true).map_err(|e| e.0)
    }

    #[test]
    fn every_refusal_has_its_text_09_057_to_09_070() {
        for (query, text) in [
            ("field=x", "no such field 'x'"),
            ("order=-x", "no such field 'x'"),
            ("foo=1", "unrecognized query parameter 'foo'"),
            ("id=abc", "invalid filter value for id"),
            ("complete__ne=maybe", "invalid filter value for complete__ne"),
            ("slug=1a", "invalid filter value for slug"),
            ("info=1", "invalid filter value for info"),
            ("limit=x", "invalid limit"),
            ("limit=-1", "invalid limit"),
            ("offset=", "invalid offset"),
            ("field=id&order=name", "cannot order on un-selected fields"),
            ("field=id&name=x", "cannot filter on un-selected fields"),
            ("order=tags", "cannot order on field 'tags'"),
        ] {
            assert_eq!(parse(query).unwrap_err(), text, "{query}");
        }
        let single = ResultSpec::parse("id=1", FIELDS, false).unwrap_err();
        assert_eq!(single.0, "this is not a collection");
    }

    #[test]
    fn unknown_operators_and_several_values_of_comparisons_are_ignored_09_060_09_065() {
        for query in ["x__foo=1", "id__foo=1", "id__lt=1&id__lt=2", ""] {
            assert_eq!(parse(query), Ok(ResultSpec::default()), "{query}");
        }
        assert_eq!(parse("limit=3&limit=x").unwrap().limit, Some(3));
    }

    #[test]
    fn what_no_database_takes_is_refused_or_left_out() {
        let many = "name__contains=a&".repeat(MAX_PARTS + 1);
        assert!(parse(&many).unwrap_err().starts_with("name__contains: at most 500 values"));
        let long = format!("name__contains={}", "a".repeat(MAX_PART + 1));
        assert!(parse(&long).unwrap_err().starts_with("name__contains: at most 500 values"));
        assert_eq!(parse(&"order=-id&order=id&order=name&".repeat(2000)).unwrap().order.len(), 2);
    }

    #[test]
    fn rows_in_memory_are_filtered_ordered_and_cut() {
        let rows = vec![
            json!({"id": 1, "complete": true, "name": "ab", "tags": ["x"]}),
            json!({"id": 2, "complete": false, "name": "b", "tags": ["x", "y"], "seconds": 1.5}),
            json!({"id": null, "complete": false, "name": "c", "tags": []}),
        ];
        for (query, names, total) in [
            ("tags__contains=y", vec!["b"], 1),
            ("tags__contains=x&order=-id", vec!["b", "ab"], 2),
            ("name__contains=b", vec!["ab", "b"], 2),
            ("order=id", vec!["c", "ab", "b"], 3),
            ("order=complete&order=-name", vec!["c", "b", "ab"], 3),
            ("complete=NO&limit=1&offset=1", vec!["c"], 2),
            ("id__in=1&id__in=2&id__ne=2", vec!["ab"], 1),
            ("id__ge=2", vec!["b"], 1),
            ("seconds__gt=1", vec!["b"], 1),
        ] {
            let (found, count) = parse(query).unwrap().apply(rows.clone());
            let found: Vec<_> = found.iter().map(|row| row["name"].as_str().unwrap()).collect();
            assert_eq!((found, count), (names, total), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_string_panics(query in "\\PC{0,80}") {
            let _ = parse(&query);
        }

        #[test]
        fn what_was_asked_is_what_is_parsed(
            id in any::<i64>(), text in "\\PC{0,12}", limit in 0..1_000_000i64, desc in any::<bool>()
        ) {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("id__gt", &id.to_string())
                .append_pair("name", &text)
                .append_pair("limit", &limit.to_string())
                .append_pair("order", if desc { "-id" } else { "id" })
                .finish();
            let spec = parse(&query).unwrap();
            prop_assert_eq!(&spec.filters[0], &Filter { field: "id", op: Op::Gt, values: vec![Value::Int(id)] });
            prop_assert_eq!(&spec.filters[1].values, &vec![Value::Text(text)]);
            prop_assert_eq!(spec.limit, Some(limit));
            prop_assert_eq!(&spec.order, &vec![OrderKey { field: "id", descending: desc }]);
        }
    }
}
