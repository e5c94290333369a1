//! What reporters are called (11.001): the service's name, under which its outbox and its state are kept.

use crate::{AnyObject, Json};

/// The kind of reporters of one's own.
pub const REPORTER: &str = "reporters.ReporterBase";

/// The name that was given, else that of the class with those of the generators.
pub fn name_of(object: &AnyObject) -> String {
    if let Some(given) = object.arg("name").and_then(Json::as_str) {
        return given.to_owned();
    }
    let generators = object.arg("generators").and_then(Json::as_array).into_iter().flatten();
    let generators = generators.filter_map(AnyObject::from_json).map(|generator| generator_name(&generator));
    std::iter::once(class_name(object)).chain(generators).collect::<Vec<_>>().join("_")
}

/// The builders that generators of a reporter name, with the generator.
pub fn named_builders(reporter: &AnyObject) -> Vec<(AnyObject, String)> {
    named(reporter, "builders")
}

/// The workers that generators of a reporter name, with the generator; `all` is none.
pub fn named_workers(reporter: &AnyObject) -> Vec<(AnyObject, String)> {
    named(reporter, "workers").into_iter().filter(|(_, name)| name != "all").collect()
}

fn named(reporter: &AnyObject, option: &str) -> Vec<(AnyObject, String)> {
    let generators = reporter.arg("generators").and_then(Json::as_array).into_iter().flatten();
    let generators = generators.filter_map(AnyObject::from_json);
    let named = |generator: AnyObject| {
        let names: Vec<String> = texts(generator.arg(option)).into_iter().map(str::to_owned).collect();
        names.into_iter().map(move |name| (generator.clone(), name))
    };
    generators.flat_map(named).collect()
}

fn class_name(object: &AnyObject) -> String {
    let own = object.class.as_ref().and_then(|class| class["name"].as_str());
    own.unwrap_or(&object.kind).trim_start_matches("reporters.").to_owned()
}

/// The class, what it is limited to, and its modes.
fn generator_name(generator: &AnyObject) -> String {
    let mut name = class_name(generator);
    for option in ["tags", "builders", "schedulers", "branches"] {
        let names = texts(generator.arg(option));
        if !names.is_empty() {
            name.push_str(&format!("_{option}_{}", names.join("+")));
        }
    }
    for mode in texts(generator.arg("mode")) {
        name.push('_');
        name.push_str(mode);
    }
    name
}

fn texts(value: Option<&Json>) -> Vec<&str> {
    match value {
        Some(Json::String(one)) => vec![one.as_str()],
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_11_001_a_reporter_is_called_by_its_class_and_its_generators() {
        let object = |kind: &str, class: Option<&str>, args: Json| AnyObject {
            kind: kind.into(),
            id: 1,
            at: "m.lua:1".into(),
            class: class.map(|name| json!({ "name": name })),
            args,
        };
        let status =
            object("reporters.BuildStatusGenerator", None, json!({"mode": "all", "tags": ["a", "b"]}));
        let both = object(
            "reporters.BuildStartEndStatusGenerator",
            Some("Both"),
            json!({"builders": ["x"], "mode": ["failing", "passing"]}),
        );
        for (class, args, name) in [
            (Some("Mine"), json!({"name": "given", "generators": [status]}), "given"),
            (
                Some("Mine"),
                json!({"generators": [status, both]}),
                "Mine_BuildStatusGenerator_tags_a+b_all_Both_builders_x_failing_passing",
            ),
            (None, json!({"generators": [both]}), "ReporterBase_Both_builders_x_failing_passing"),
            (None, json!({}), "ReporterBase"),
        ] {
            assert_eq!(name_of(&object(REPORTER, class, args)), name);
        }
    }
}
