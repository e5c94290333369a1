//! What a load of the configuration says about the tokens that are declared in it.

use super::{Algorithm, Key};
use crate::change_sources::error_at;
use lunabot_model::config::ConfigError;
use lunabot_model::object::token_name;
use lunabot_model::{AnyObject, Json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Key files, of the objects in some values of a configuration, that make no token as they are now. They may be put there
/// later; relative ones are below `base`.
pub async fn unusable_keys(values: Vec<Json>, base: PathBuf) -> Vec<ConfigError> {
    let looking = move || {
        let mut found = BTreeMap::new();
        values.iter().for_each(|value| find(value, &mut found));
        found.values().filter_map(|object| Some(error_at(object, problem(object, &base)?))).collect()
    };
    tokio::task::spawn_blocking(looking).await.unwrap_or_default()
}

/// By their identities: one may be used in several places.
fn find(value: &Json, found: &mut BTreeMap<u64, AnyObject>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| find(item, found)),
        Json::Object(map) => {
            let object = map.contains_key("$kind").then(|| AnyObject::from_json(value)).flatten();
            let object = object.filter(|object| token_name(&object.kind).is_some());
            found.extend(object.map(|object| (object.id, object)));
            map.values().for_each(|item| find(item, found));
        }
        _ => {}
    }
}

fn problem(object: &AnyObject, base: &std::path::Path) -> Option<String> {
    let file = object.arg("key_file")?.as_str()?;
    let algorithm = object.arg("algorithm").cloned().map(serde_json::from_value::<Algorithm>);
    let algorithm = algorithm.and_then(Result::ok).unwrap_or_default();
    Key::File(file.into()).used(base, |key| algorithm.sign(key, &[])).err()
}
