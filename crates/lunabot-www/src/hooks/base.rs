//! The base dialect (02.032): one change, from plain arguments.

use super::{Dialect, DialectOptions, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::object::{MARKS, is_dynamic};
use lunabot_model::{Json, Problem, Properties};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

type Arguments = BTreeMap<String, String>;

/// The options of `change_hook_dialects.base`: none.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Base {}

impl DialectOptions for Base {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

#[async_trait]
impl Dialect for Base {
    async fn changes(
        &self,
        request: &Arc<HookRequest>,
        _: &Arc<HookScope>,
    ) -> Result<Vec<NewChange>, HookError> {
        changes(&request.arguments())
    }
}

pub(super) fn changes(arguments: &Arguments) -> Result<Vec<NewChange>, HookError> {
    let get = |name: &str| arguments.get(name).cloned();
    let said = |who: &String| !who.trim().is_empty();
    let author = get("author").filter(said).or_else(|| get("who").filter(said));
    Ok(vec![NewChange {
        author: author.ok_or_else(|| HookError::Bad("author: missing; say who made the change".into()))?,
        committer: get("committer"),
        files: files(arguments)?,
        comments: get("comments").unwrap_or_default(),
        revision: get("revision"),
        when_timestamp: when(arguments)?,
        branch: get("branch"),
        category: get("category"),
        revlink: get("revlink"),
        properties: properties(arguments)?,
        repository: get("repository").unwrap_or_default(),
        project: get("project").unwrap_or_default(),
        codebase: get("codebase").unwrap_or_default(),
    }])
}

fn files(arguments: &Arguments) -> Result<Vec<String>, HookError> {
    let Some(text) = arguments.get("files") else { return Ok(Vec::new()) };
    serde_json::from_str(text)
        .map_err(|e| HookError::Bad(format!("files: a JSON list of names is wanted: {e}")))
}

fn properties(arguments: &Arguments) -> Result<Properties, HookError> {
    let Some(text) = arguments.get("properties") else { return Ok(Properties::new()) };
    let plain: BTreeMap<String, Json> = serde_json::from_str(text)
        .map_err(|e| HookError::Bad(format!("properties: a JSON object is wanted: {e}")))?;
    if let Some((name, _)) = plain.iter().find(|(_, value)| is_dynamic(value)) {
        let names = MARKS.join(" and ");
        return Err(HookError::Bad(format!(
            "properties: {name}: {names} are names that only the master gives"
        )));
    }
    Ok(Properties::from_plain(&plain, "Change"))
}

/// Whole seconds; `when_timestamp` before `when`.
fn when(arguments: &Arguments) -> Result<Option<i64>, HookError> {
    let Some(text) = arguments.get("when_timestamp").or_else(|| arguments.get("when")) else {
        return Ok(None);
    };
    match text.trim().parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds.abs() < 1e12 => Ok(Some(seconds.floor() as i64)),
        _ => Err(HookError::Bad(format!("could not convert string to float: '{text}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<NewChange, String> {
        let arguments = pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        match changes(&arguments) {
            Ok(mut changes) => Ok(changes.remove(0)),
            Err(HookError::Bad(text) | HookError::Failed(text)) => Err(text),
        }
    }

    #[test]
    fn arguments_become_a_change_02_032() {
        let change = read(&[
            ("author", ""),
            ("who", "joe"),
            ("files", r#"["a.c", "b/c.h"]"#),
            ("properties", r#"{"x": 1}"#),
            ("when", "1700000000.9"),
            ("branch", "main"),
        ]);
        let change = change.unwrap();
        assert_eq!((change.author.as_str(), change.when_timestamp), ("joe", Some(1_700_000_000)));
        assert_eq!(change.files, ["a.c", "b/c.h"]);
        assert_eq!(change.properties.get("x"), Some(&Json::from(1)));
        assert_eq!((change.branch.as_deref(), change.revision), (Some("main"), None));
    }

    #[test]
    fn bad_arguments_are_told_02_029() {
        for (name, value) in [
            ("files", "a.c"),
            ("files", "{}"),
            ("properties", "[]"),
            ("properties", r#"{"x": [{"$kind": "util.Secret"}]}"#),
            ("when", "noon"),
            ("when", "inf"),
        ] {
            assert!(read(&[("author", "joe"), (name, value)]).is_err(), "{name}={value}");
        }
        assert!(read(&[]).unwrap_err().starts_with("author"));
    }
}
