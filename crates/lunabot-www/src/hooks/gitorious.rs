//! The gitorious dialect (02.039): the service is gone, machines of one's own that run it may not be.

use super::payload::Part;
use super::{Dialect, DialectOptions, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Problem};
use serde::Deserialize;
use std::sync::Arc;

/// The options of `change_hook_dialects.gitorious`: none.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gitorious {}

impl DialectOptions for Gitorious {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

#[async_trait]
impl Dialect for Gitorious {
    async fn changes(
        &self,
        request: &Arc<HookRequest>,
        _: &Arc<HookScope>,
    ) -> Result<Vec<NewChange>, HookError> {
        changes(&request.payload()?)
    }
}

/// One per commit; none for a branch that was deleted, whose new revision is all noughts. Files are never sent.
fn changes(payload: &Json) -> Result<Vec<NewChange>, HookError> {
    let payload = Part::new(payload);
    let common = NewChange {
        branch: Some(payload.text("ref")?),
        repository: payload.text("repository.url")?,
        project: payload.text("project.name")?,
        ..NewChange::default()
    };
    if payload.text("after")?.bytes().all(|byte| byte == b'0') {
        return Ok(Vec::new());
    }
    let commits = payload.list("commits")?.iter().enumerate().map(|(i, commit)| {
        let at = format!("commits[{i}].");
        let commit = Part::item(commit, &at);
        Ok(NewChange {
            author: commit.person("author")?,
            comments: commit.text("message")?,
            revision: Some(commit.text("id")?),
            revlink: Some(commit.text("url")?),
            when_timestamp: Some(commit.time("timestamp")?),
            ..common.clone()
        })
    });
    commits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn push() -> Json {
        json!({
            "after": "df5744f7bc8663b39717f87742dc94f52ccbf4dd", "before": "b4ca2d38e756695133cbd0e03d078804e1dc6610",
            "ref": "master", "pushed_by": "jason", "project": {"name": "mozilla", "description": "x"},
            "repository": {"name": "buildbot", "url": "http://gitorious.org/q/mozilla/buildbot", "owner": {"name": "q"}},
            "commits": [{
                "author": {"name": "jason", "email": "jason@nospam.org"}, "committed_at": "2012-01-10T11:02:27-07:00",
                "id": "df5744f7bc8663b39717f87742dc94f52ccbf4dd", "message": "added a place",
                "timestamp": "2012-01-10T11:02:27-07:00", "url": "http://gitorious.org/q/commit/df5744f7",
            }],
        })
    }

    #[test]
    fn row_02_039_commits_become_changes_and_a_deleted_branch_none() {
        let all = changes(&push()).unwrap();
        let change = &all[0];
        assert_eq!((all.len(), change.author.as_str()), (1, "jason <jason@nospam.org>"));
        assert_eq!((change.branch.as_deref(), change.project.as_str()), (Some("master"), "mozilla"));
        assert_eq!(change.when_timestamp, Some(1_326_218_547));
        assert_eq!(change.repository, "http://gitorious.org/q/mozilla/buildbot");
        let mut gone = push();
        gone["after"] = json!("0000000000000000000000000000000000000000");
        assert_eq!(changes(&gone).unwrap().len(), 0);
        let mut odd = push();
        odd["commits"][0]["timestamp"] = json!("yesterday");
        assert!(format!("{:?}", changes(&odd)).contains("commits[0].timestamp: 'yesterday' is not a time"));
    }
}
