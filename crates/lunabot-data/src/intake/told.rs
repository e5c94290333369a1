//! Changes as functions of the configuration tell them: `addChange{…}`, and what web hooks of one's own return.

use crate::new::NewChange;
use lunabot_model::kind;
use lunabot_model::object::{MARKS, is_dynamic};
use lunabot_model::{Json, Properties};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Names of Buildbot's `addChange` (02.002).
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Told {
    #[serde(alias = "who")]
    author: String,
    committer: Option<String>,
    files: Vec<String>,
    comments: String,
    revision: Option<String>,
    /// Seconds since 1970.
    #[serde(alias = "when")]
    when_timestamp: Option<f64>,
    branch: Option<String>,
    category: Option<String>,
    revlink: Option<String>,
    properties: BTreeMap<String, Json>,
    repository: String,
    project: String,
    codebase: String,
    /// Where users come from. There are none to make: checked, and without effect (02.002).
    src: Option<String>,
}

/// Reads a change. Parts of seconds are dropped. The error names what is wrong.
pub fn read_change(mut told: Json) -> Result<NewChange, String> {
    if let Json::Object(fields) = &mut told {
        fields.retain(|_, value| !value.is_null());
    }
    let told: Told = kind::read(&told).map_err(|problem| problem.to_string())?;
    let _ = told.src;
    if let Some((name, _)) = told.properties.iter().find(|(_, value)| is_dynamic(value)) {
        let marks = MARKS.join(" and ");
        return Err(format!(
            "properties: {name}: values are plain; {marks} are names that only the master gives"
        ));
    }
    if told.when_timestamp.is_some_and(|when| !when.is_finite() || when.abs() > 1e12) {
        return Err("when_timestamp: seconds since 1970 are wanted".into());
    }
    Ok(NewChange {
        author: told.author,
        committer: told.committer,
        files: told.files,
        comments: told.comments,
        revision: told.revision,
        when_timestamp: told.when_timestamp.map(|when| when.floor() as i64),
        branch: told.branch,
        category: told.category,
        revlink: told.revlink,
        properties: Properties::from_plain(&told.properties, "Change"),
        repository: told.repository,
        project: told.project,
        codebase: told.codebase,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_is_read_by_name_02_002() {
        let told = json!({"author": "ann", "files": {}, "branch": null, "when_timestamp": 1_700_000_000.9,
                          "properties": {"n": 1}});
        let change = read_change(json!({"who": "ann", "src": "git", "when": 1.75})).unwrap();
        assert_eq!((change.author.as_str(), change.when_timestamp), ("ann", Some(1)));
        let change = read_change(told).unwrap();
        assert_eq!((change.author.as_str(), change.files.len(), change.branch), ("ann", 0, None));
        assert_eq!(
            (change.when_timestamp, change.properties.get("n")),
            (Some(1_700_000_000), Some(&json!(1)))
        );
    }

    #[test]
    fn what_is_no_change_is_told() {
        for (told, wanted) in [
            (json!({"whom": "ann"}), "whom: unknown option, did you mean who?"),
            (json!({"author": 3}), "author: got the number `3`, expected a text"),
            (json!("ann"), "got the text \"ann\", expected a table"),
            (json!({"when_timestamp": 1e300}), "when_timestamp"),
            (json!({"properties": {"p": [{"$kind": "util.Secret"}]}}), "properties: p: values are plain"),
        ] {
            let error = read_change(told.clone()).unwrap_err();
            assert!(error.starts_with(wanted), "{told}: {error}");
        }
    }
}
