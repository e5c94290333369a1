//! Operators between rendered values (04.028). Numbers compare and add as numbers, whatever their type; texts and
//! lists join with `+` and `..`.

use super::truthy;
use crate::Json;
use crate::kinds::renderables::Op;
use crate::percent::text;
use std::cmp::Ordering;

/// Longest text or list that an operator may make.
const MAX_LENGTH: usize = 1 << 20;

/// `left op right`. The error names the values that do not fit.
pub(super) fn apply(op: Op, left: &Json, right: &Json) -> Result<Json, String> {
    match op {
        Op::Eq => Ok(equal(left, right).into()),
        Op::Ne => Ok((!equal(left, right)).into()),
        Op::Lt => Ok(order(left, right)?.is_lt().into()),
        Op::Le => Ok(order(left, right)?.is_le().into()),
        Op::Gt => Ok(order(left, right)?.is_gt().into()),
        Op::Ge => Ok(order(left, right)?.is_ge().into()),
        Op::In => contains(right, left).map(Json::from),
        Op::Not => Ok((!truthy(left)).into()),
        Op::Add => join(left, right, "+"),
        Op::Concat => match (left, right) {
            (Json::String(_) | Json::Number(_), Json::String(_) | Json::Number(_)) => {
                join(&text(left).into(), &text(right).into(), "..")
            }
            _ => join(left, right, ".."),
        },
        Op::Sub | Op::Mul | Op::Div | Op::Idiv | Op::Mod => number_op(op, left, right),
    }
}

/// All lists inside `items` dissolved; an empty table is one.
pub(super) fn flat(items: Vec<Json>) -> Vec<Json> {
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Json::Array(inner) => out.extend(flat(inner)),
            Json::Object(map) if map.is_empty() => {}
            other => out.push(other),
        }
    }
    out
}

/// Deep equality in which `1` and `1.0` are the same.
pub fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(_), Json::Number(_)) => order(a, b) == Ok(Ordering::Equal),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|other| equal(v, other)))
        }
        _ => a == b,
    }
}

fn order(a: &Json, b: &Json) -> Result<Ordering, String> {
    let unordered = || format!("{} and {} cannot be ordered", shown(a), shown(b));
    match (a, b) {
        (Json::String(a), Json::String(b)) => Ok(a.cmp(b)),
        (Json::Number(x), Json::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => Ok(x.cmp(&y)),
            _ => x.as_f64().partial_cmp(&y.as_f64()).ok_or_else(unordered),
        },
        (Json::Array(a), Json::Array(b)) => {
            for (a, b) in a.iter().zip(b) {
                if !equal(a, b) {
                    return order(a, b);
                }
            }
            Ok(a.len().cmp(&b.len()))
        }
        _ => Err(unordered()),
    }
}

fn contains(container: &Json, item: &Json) -> Result<bool, String> {
    match (container, item) {
        (Json::Array(items), _) => Ok(items.iter().any(|other| equal(other, item))),
        (Json::Object(map), Json::String(key)) => Ok(map.contains_key(key)),
        (Json::Object(_), _) => Ok(false),
        (Json::String(whole), Json::String(part)) => Ok(whole.contains(part.as_str())),
        _ => Err(format!("{} cannot be in {}", shown(item), shown(container))),
    }
}

fn join(left: &Json, right: &Json, sign: &str) -> Result<Json, String> {
    let empty = |value: &Json| value.as_object().is_some_and(serde_json::Map::is_empty);
    match (left, right) {
        // An empty table beside a list is one.
        (Json::Array(_), right) if empty(right) => Ok(left.clone()),
        (left, Json::Array(_)) if empty(left) => Ok(right.clone()),
        (Json::String(a), Json::String(b)) if a.len() + b.len() <= MAX_LENGTH => Ok(format!("{a}{b}").into()),
        (Json::Array(a), Json::Array(b)) if a.len() + b.len() <= MAX_LENGTH => {
            Ok(a.iter().chain(b).cloned().collect())
        }
        (Json::String(_), Json::String(_)) | (Json::Array(_), Json::Array(_)) => {
            Err(format!("the result of {sign} is too long"))
        }
        (Json::Number(_), Json::Number(_)) => number_op(Op::Add, left, right),
        _ => Err(format!("{} {sign} {} is not possible", shown(left), shown(right))),
    }
}

fn number_op(op: Op, left: &Json, right: &Json) -> Result<Json, String> {
    let wrong = || format!("{} and {} are not both numbers", shown(left), shown(right));
    let (Json::Number(a), Json::Number(b)) = (left, right) else { return Err(wrong()) };
    if op != Op::Div
        && let (Some(a), Some(b)) = (a.as_i64(), b.as_i64())
    {
        return whole(op, a, b).map(Json::from);
    }
    let (a, b) = (a.as_f64().ok_or_else(wrong)?, b.as_f64().ok_or_else(wrong)?);
    if b == 0.0 && matches!(op, Op::Div | Op::Idiv | Op::Mod) {
        return Err(format!("{} is divided by zero", shown(left)));
    }
    let result = match op {
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::Idiv => (a / b).floor(),
        Op::Mod => a - b * (a / b).floor(),
        _ => a + b,
    };
    serde_json::Number::from_f64(result).map(Json::Number).ok_or_else(|| "the result is not a number".into())
}

fn whole(op: Op, a: i64, b: i64) -> Result<i64, String> {
    if b == 0 && matches!(op, Op::Idiv | Op::Mod) {
        return Err(format!("{a} is divided by zero"));
    }
    let floor_div = || a.checked_div(b).map(|q| if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q });
    let result = match op {
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Idiv => floor_div(),
        Op::Mod => floor_div().and_then(|q| q.checked_mul(b)).and_then(|p| a.checked_sub(p)),
        _ => a.checked_add(b),
    };
    result.ok_or_else(|| format!("the result of an operation on {a} and {b} is too large"))
}

fn shown(value: &Json) -> String {
    crate::text::shortened(&value.to_string()).into_owned()
}
