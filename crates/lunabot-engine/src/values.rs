//! Values of the wire as plain data.

use lunabot_model::Json;
use lunabot_proto::Value;

/// Bytes, and numbers that JSON does not have, become null.
pub(crate) fn plain(value: &Value) -> Json {
    match value {
        Value::None | Value::Bytes(_) => Json::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => i64::try_from(*number).map_or(Json::Null, Json::from),
        Value::Float(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::List(items) | Value::Tuple(items) => items.iter().map(plain).collect(),
        Value::Dict(dict) => dict.iter().map(|(key, value)| (key.to_owned(), plain(value))).collect(),
    }
}
