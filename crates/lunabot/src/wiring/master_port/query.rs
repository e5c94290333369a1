//! From the arguments of `master.data.get` to a path and a query of the data API.

use form_urlencoded::Serializer;
use lunabot_model::Json;

/// `"builds/12"` or `{"builds", 12}`.
pub(super) fn path(path: &Json) -> Result<String, String> {
    match path {
        Json::String(path) => Ok(path.trim_matches('/').to_string()),
        Json::Array(parts) => {
            let parts: Result<Vec<String>, String> = parts.iter().map(scalar).collect();
            Ok(parts?.join("/"))
        }
        _ => Err("the path is a text or an array of its parts".into()),
    }
}

/// The path that may be meant by one that leads nowhere.
pub(super) fn nearest(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let known = lunabot_data::dataspec();
    let patterns = known.iter().filter_map(|row| row["path"].as_str());
    let like: Vec<String> =
        patterns.filter_map(|pattern| filled(pattern.trim_start_matches('/'), &parts)).collect();
    lunabot_model::kind::nearest(path, like.iter().map(String::as_str)).map(str::to_owned)
}

/// A pattern with the path's own ids.
fn filled(pattern: &str, parts: &[&str]) -> Option<String> {
    let words: Vec<&str> = pattern.split('/').collect();
    let pick = |(word, part): (&&str, &&str)| {
        if word.contains(':') { (*part).to_owned() } else { (*word).to_owned() }
    };
    (words.len() == parts.len()).then(|| words.iter().zip(parts).map(pick).collect::<Vec<_>>().join("/"))
}

/// `{filters=, fields=, order=, limit=, offset=, properties=}` as a query string (09d).
pub(super) fn query(options: &Json) -> Result<String, String> {
    let Json::Object(options) = options else {
        return if options.is_null() {
            Ok(String::new())
        } else {
            Err("data.get takes a table of options".into())
        };
    };
    let mut query = Serializer::new(String::new());
    for (option, value) in options {
        match (option.as_str(), value) {
            (_, Json::Null) => {}
            ("filters", Json::Object(filters)) => {
                for (field, wanted) in filters {
                    filter(&mut query, field, wanted)?;
                }
            }
            // An empty table of Lua is an object.
            ("fields" | "order" | "properties", Json::Object(none)) if none.is_empty() => {}
            ("fields", value) => each(&mut query, "field", value)?,
            ("order", value) => each(&mut query, "order", value)?,
            ("properties", value) => each(&mut query, "property", value)?,
            ("limit" | "offset", value) => {
                query.append_pair(option, &scalar(value)?);
            }
            _ => return Err(unknown(option)),
        }
    }
    Ok(query.finish())
}

fn unknown(option: &str) -> String {
    let known = ["filters", "fields", "order", "limit", "offset", "properties"];
    match lunabot_model::kind::nearest(option, known) {
        Some(near) if near != option => format!("data.get: unknown option {option}, did you mean {near}?"),
        _ => format!("data.get: option {option} is not understood; options are {}", known.join(", ")),
    }
}

/// How a field may be compared (09.054).
const OPERATORS: [&str; 9] = ["eq", "ne", "lt", "le", "gt", "ge", "contains", "in", "notin"];

/// `complete = false`, `buildid = {gt = 5}`, `results = {1, 2}`.
fn filter(query: &mut Serializer<'_, String>, field: &str, wanted: &Json) -> Result<(), String> {
    let Json::Object(conditions) = wanted else { return each(query, field, wanted) };
    for (operator, wanted) in conditions {
        if !OPERATORS.contains(&operator.as_str()) {
            let hint = lunabot_model::kind::nearest(operator, OPERATORS)
                .map_or(String::new(), |near| format!(", did you mean {near}?"));
            return Err(format!("data.get: filters.{field}: there is no operator {operator}{hint}"));
        }
        each(query, &format!("{field}__{operator}"), wanted)?;
    }
    Ok(())
}

fn each(query: &mut Serializer<'_, String>, key: &str, value: &Json) -> Result<(), String> {
    let one = std::slice::from_ref(value);
    for value in value.as_array().map_or(one, Vec::as_slice) {
        query.append_pair(key, &scalar(value)?);
    }
    Ok(())
}

fn scalar(value: &Json) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => {
            Ok(match number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() < 9.0e15) {
                // `10 / 2` is 5.0 in Lua.
                Some(whole) => format!("{whole:.0}"),
                None => number.to_string(),
            })
        }
        Json::Bool(yes) => Ok(yes.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => {
            Err(format!("expected a text or a number, got {value}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_that_leads_nowhere_names_the_nearest_09_105() {
        for (path, near) in [
            ("build", Some("builds")),
            ("bilders/3/builds", Some("builders/3/builds")),
            ("builds/3/step", Some("builds/3/steps")),
            ("x/y/z", None),
        ] {
            assert_eq!(super::nearest(path).as_deref(), near, "{path}");
        }
    }

    #[test]
    fn options_become_the_query_of_the_api() {
        let options = json!({"filters": {"complete": false, "buildid": {"gt": 5}, "results": [1, 2]},
            "fields": ["a b"], "order": {}, "limit": 3, "properties": "*"});
        let expected = "buildid__gt=5&complete=false&results=1&results=2";
        let query = query(&options).unwrap();
        let mut parts: Vec<_> = query.split('&').collect();
        parts.sort_unstable();
        let mut wanted: Vec<_> = expected.split('&').chain(["field=a+b", "limit=3", "property=*"]).collect();
        wanted.sort_unstable();
        assert_eq!(parts, wanted);
        assert_eq!(path(&json!(["builds", 12, "steps"])).unwrap(), "builds/12/steps");
        assert_eq!(path(&json!("/builds/12")).unwrap(), "builds/12");
        assert_eq!(path(&json!(["builds", 12.0])).unwrap(), "builds/12");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(query(&json!({"filter": {}})).unwrap_err().contains("did you mean filters?"));
        assert!(query(&json!({"filters": {"a": {"eq": {"b": 1}}}})).unwrap_err().contains("expected a text"));
        assert!(query(&json!({"filters": {"a": {"gtt": 9}}})).unwrap_err().ends_with("did you mean gt?"));
        for operator in OPERATORS {
            assert!(query(&json!({"filters": {"a": {operator: 9}}})).is_ok(), "{operator}");
        }
        assert!(path(&json!(3)).is_err());
    }
}
