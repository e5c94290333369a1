//! Values of the master as Lua sees them.

use crate::support::{call, function, function_with};
use lunabot_model::{Arg, Json, ScriptErrorKind};
use serde_json::json;

#[tokio::test]
async fn data_becomes_tables() {
    let (loaded, callback) = function(
        r#"function(v)
  assert(v.gone == nil and v.list[2] == util.null and #v.list == 3 and v.list[3].a[1] == true)
  assert(math.type(v.whole) == "integer" and math.type(v.part) == "float")
  assert(v.most == math.huge and v.least == -math.huge)
  assert(v.text == "a\0b" and #v.empty == 0 and next(v.none) == nil)
  assert(v.owner.properties.os == "linux" and v.owner.name == "w")
  return "as it should be"
end"#,
    )
    .await;
    let value = json!({
        "whole": 3, "part": 1.5, "most": f64::MAX, "least": f64::MIN, "text": "a\0b", "empty": [], "none": {},
        "list": [1, null, {"a": [true], "gone": null}], "gone": null,
        "owner": {"name": "w", "properties": {"$properties": {"os": ["linux", "Worker"]}}, "gone": null},
    });
    assert_eq!(call(&loaded, &callback, vec![Arg::Value(value)]).await.unwrap(), "as it should be");
}

#[tokio::test]
async fn data_comes_back_as_it_went() {
    let (loaded, callback) = function("function(v) return v end").await;
    let value = json!({"a": [1, [], null, {"b": {}, "c": ["x", 2.5, false]}], "d": "ü", "e": []});
    assert_eq!(call(&loaded, &callback, vec![Arg::Value(value.clone())]).await.unwrap(), value);
}

#[tokio::test]
async fn data_may_be_deep() {
    let depth = "function(v) local n = 0 while v[1] do v, n = v[1], n + 1 end return n end";
    let (loaded, callback) = function(depth).await;
    let deep = (0..2000).fold(json!([]), |inner, _| Json::Array(vec![inner]));
    assert_eq!(call(&loaded, &callback, vec![Arg::Value(deep)]).await.unwrap(), 2000);
}

#[tokio::test]
async fn data_beyond_the_memory_fails_the_call_alone() {
    let (loaded, callback) =
        function_with("function(v) return #v end", "c.lua = {memory_limit = '64 MB'}").await;
    let large: Json = (0..2000).map(|number| format!("{number:060000}")).collect();
    let error = call(&loaded, &callback, vec![Arg::Value(large)]).await.unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::Memory, "{error}");
    assert_eq!(call(&loaded, &callback, vec![Arg::Value(json!([1, 2]))]).await.unwrap(), 2);
}
