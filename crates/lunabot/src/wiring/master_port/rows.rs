//! Rows of the data API as Lua sees them: properties are objects with values, not `[value, source]` (lua-api § 2).

use lunabot_model::Json;
use serde_json::{Map, json};

/// A row of `path`.
pub(super) fn row(path: &str, row: Json) -> Json {
    let all = path.rsplit('/').next() == Some("properties");
    if all && row.as_object().is_some_and(are_properties) {
        return json!({"$properties": row});
    }
    within(row)
}

fn within(value: Json) -> Json {
    match value {
        Json::Array(items) => items.into_iter().map(within).collect(),
        Json::Object(map) => map.into_iter().map(field).collect(),
        plain => plain,
    }
}

fn field((name, value): (String, Json)) -> (String, Json) {
    let value = match &value {
        Json::Object(map) if name == "properties" && are_properties(map) => json!({"$properties": value}),
        _ => within(value),
    };
    (name, value)
}

fn are_properties(map: &Map<String, Json>) -> bool {
    map.values().all(|pair| pair.as_array().is_some_and(|pair| pair.len() == 2 && pair[1].is_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_marked_at_every_depth_and_nothing_else_is() {
        let pairs = json!({"x": [1, "Change"], "y": [["a", "b"], "Build"]});
        let marked = json!({"$properties": pairs});
        assert_eq!(row("builds/3/properties", pairs.clone()), marked);
        let build = json!({"buildid": 1, "properties": pairs, "changes": [{"properties": {}}]});
        let wanted =
            json!({"buildid": 1, "properties": marked, "changes": [{"properties": {"$properties": {}}}]});
        assert_eq!(row("builds/1", build), wanted);
        for other in
            [json!({"properties": {"x": 1}}), json!({"properties": ["a"]}), json!({"x": [1, "Change"]})]
        {
            assert_eq!(row("builds", other.clone()), other);
        }
    }
}
