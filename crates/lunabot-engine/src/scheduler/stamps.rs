//! Source stamps that somebody asks for, laid over the defaults of a scheduler's codebases (03.006).

use super::buildset::new_stamp;
use super::params::Codebases;
use lunabot_data::new::{NewPatch, NewSourceStamp, StampRef};
use lunabot_model::resources::SourceStamp;
use lunabot_model::{Json, percent};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A source stamp of which some fields are given. The others come from the scheduler.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PartialStamp {
    pub codebase: String,
    /// `Some(None)` is the default branch.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TextOrNumber")]
    pub branch: Option<Option<String>>,
    /// `Some(None)` is the newest.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TextOrNumber")]
    pub revision: Option<Option<String>>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The patch, if it has one.
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub patch_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_level: Option<i64>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub patch_subdir: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub patch_author: Option<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub patch_comment: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum TextOrNumber {
    Text(String),
    Number(i64),
    Null(()),
}

/// A text, or a number written as one (revisions of Subversion); null counts as given.
fn given<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    text(d).map(Some)
}

fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    match Json::deserialize(d)? {
        Json::Null => Ok(None),
        value @ (Json::String(_) | Json::Number(_)) => Ok(Some(percent::text(&value))),
        other => Err(serde::de::Error::custom(format!("expected a text, not {other}"))),
    }
}

impl From<&SourceStamp> for PartialStamp {
    fn from(stamp: &SourceStamp) -> Self {
        let patch = stamp.patch.as_ref();
        PartialStamp {
            codebase: stamp.codebase.clone(),
            branch: Some(stamp.branch.clone()),
            revision: Some(stamp.revision.clone()),
            repository: Some(stamp.repository.clone()),
            project: Some(stamp.project.clone()),
            patch_body: patch.map(|patch| patch.body.clone()),
            patch_level: patch.map(|patch| patch.level),
            patch_subdir: patch.map(|patch| patch.subdir.clone()),
            patch_author: patch.map(|patch| patch.author.clone()),
            patch_comment: patch.map(|patch| patch.comment.clone()),
        }
    }
}

impl PartialStamp {
    fn patch(&self) -> Option<NewPatch> {
        Some(NewPatch {
            body: self.patch_body.clone()?.into_bytes(),
            level: self.patch_level.unwrap_or(0),
            subdir: self.patch_subdir.clone().unwrap_or_default(),
            author: self.patch_author.clone().unwrap_or_default(),
            comment: self.patch_comment.clone().unwrap_or_default(),
        })
    }
}

/// The source stamps of a buildset: of each codebase of the scheduler what is asked for, laid over its defaults. A
/// codebase that the scheduler does not have keeps repository, branch and revision only. The error names a codebase that
/// is asked for twice.
pub(super) fn with_defaults(
    codebases: &Codebases,
    asked: &[PartialStamp],
) -> Result<Vec<(StampRef, SourceStamp)>, String> {
    let mut left: Vec<&PartialStamp> = asked.iter().collect();
    left.sort_by(|a, b| a.codebase.cmp(&b.codebase));
    if let Some(twice) = left.windows(2).find(|pair| pair[0].codebase == pair[1].codebase) {
        return Err(format!("the codebase '{}' is given more than one source stamp", twice[0].codebase));
    }
    let mut stamps = Vec::new();
    for (codebase, defaults) in &codebases.0 {
        let found = left.iter().position(|stamp| stamp.codebase == *codebase);
        let asked = found.map(|index| left.remove(index).clone()).unwrap_or_default();
        stamps.push(new_stamp(NewSourceStamp {
            branch: asked.branch.clone().unwrap_or_else(|| defaults.branch.clone()),
            revision: asked.revision.clone().unwrap_or_else(|| defaults.revision.clone()),
            repository: asked.repository.clone().or(defaults.repository.clone()).unwrap_or_default(),
            project: asked.project.clone().unwrap_or_default(),
            codebase: codebase.clone(),
            patch: asked.patch(),
        }));
    }
    stamps.extend(left.into_iter().map(|extra| {
        new_stamp(NewSourceStamp {
            branch: extra.branch.clone().flatten(),
            revision: extra.revision.clone().flatten(),
            repository: extra.repository.clone().unwrap_or_default(),
            codebase: extra.codebase.clone(),
            ..NewSourceStamp::default()
        })
    }));
    Ok(stamps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stamps(codebases: Json, asked: Json) -> Result<Json, String> {
        let codebases: Codebases = serde_json::from_value(codebases).unwrap();
        let asked: Vec<PartialStamp> = serde_json::from_value(asked).map_err(|error| error.to_string())?;
        let all = with_defaults(&codebases, &asked)?;
        let fields =
            all.iter().map(|(_, s)| json!([s.codebase, s.project, s.repository, s.branch, s.revision]));
        Ok(fields.collect())
    }

    #[test]
    fn row_03_006_what_is_asked_for_lies_over_the_defaults() {
        let codebases = json!({"a": {"branch": "main", "revision": "1"}, "b": {"repository": "rb"}});
        for (asked, want) in [
            (json!([]), json!([["a", "", "", "main", "1"], ["b", "", "rb", null, null]])),
            (
                json!([{"codebase": "b", "branch": "x", "project": "p"}, {"codebase": "a", "revision": null}]),
                json!([["a", "", "", "main", null], ["b", "p", "rb", "x", null]]),
            ),
            (
                json!([{"codebase": "a", "revision": 42}, {"codebase": "c", "project": "p", "branch": "y"}]),
                json!([["a", "", "", "main", "42"], ["b", "", "rb", null, null], ["c", "", "", "y", null]]),
            ),
        ] {
            assert_eq!(stamps(codebases.clone(), asked.clone()), Ok(want), "{asked}");
        }
        let twice = json!([{"codebase": "a"}, {"codebase": "a"}]);
        assert!(stamps(codebases.clone(), twice).unwrap_err().contains("'a' is given more than one"));
        assert!(stamps(codebases, json!([{"brnch": "a"}])).unwrap_err().contains("brnch"));
    }
}
