//! What an event of Gerrit means as a change (02.022).

use crate::forge_api::maybe_at;
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Properties};

/// The file list of an event that tells none and is not asked for.
const UNKNOWN: &str = "unknown";
/// A reference that is gone.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// How events become changes.
pub struct Reading<'a> {
    /// Types of events that are of interest.
    pub handled: &'a [String],
    /// Before the project's name; together the repository.
    pub git_base_url: &'a str,
    /// The property `event.source`.
    pub source: &'static str,
}

/// A change, and the patch set that it is, whose files can be asked for.
#[derive(Debug, PartialEq)]
pub struct Event {
    pub change: NewChange,
    pub patch_set: Option<PatchSet>,
}

/// A patch set of a review.
#[derive(Debug, PartialEq)]
pub struct PatchSet {
    pub number: String,
    pub patch: String,
}

impl Reading<'_> {
    /// The change that an event is. `None`: it is not of interest, or lacks what a change needs.
    pub fn read(&self, event: &Json) -> Option<Event> {
        let kind = event["type"].as_str()?;
        if !self.handled.iter().any(|handled| handled == kind) {
            return None;
        }
        let read = if kind == "ref-updated" { self.moved(event) } else { self.review(event, kind) };
        if read.is_none() {
            tracing::debug!("an event of type {kind} is passed over");
        }
        read
    }

    /// A branch or tag that moved. What happens to reviews is told by their own events.
    fn moved(&self, event: &Json) -> Option<Event> {
        let text = |name: &str| maybe_at(event, &format!("refUpdate.{name}"))?.as_str();
        let (reference, revision) = (text("refName")?, text("newRev")?);
        let reviews = self.handled.iter().any(|handled| handled == "patchset-created");
        if revision == NOTHING || reviews && reference.starts_with("refs/changes/") {
            return None;
        }
        let project = text("project")?;
        let change = NewChange {
            author: event.get("submitter").and_then(person).unwrap_or_else(|| "gerrit".into()),
            comments: "Commits pushed to Gerrit".into(),
            revision: Some(revision.into()),
            branch: Some(reference.strip_prefix("refs/heads/").unwrap_or(reference).into()),
            ..self.common(event, "ref-updated", project)
        };
        Some(Event { change, patch_set: None })
    }

    /// What happened to a review.
    fn review(&self, event: &Json, kind: &str) -> Option<Event> {
        let at = |path: &str| maybe_at(event, path);
        let text = |path: &str| at(path)?.as_str();
        let target = text("change.branch")?;
        let mut change = NewChange {
            author: at("change.owner").and_then(person).unwrap_or_else(|| "unknown".into()),
            comments: text("change.subject")?.into(),
            revision: Some(text("patchSet.revision")?.into()),
            revlink: text("change.url").map(String::from),
            ..self.common(event, kind, text("change.project")?)
        };
        if kind == "change-merged" {
            change.branch = Some(target.into());
        } else {
            change.branch = Some(text("patchSet.ref")?.into());
            change.properties.set("target_branch", target, "Change");
        }
        let number = |path: &str| Some(digits(at(path)?));
        let patch_set = number("change.number").zip(number("patchSet.number"));
        Some(Event { change, patch_set: patch_set.map(|(number, patch)| PatchSet { number, patch }) })
    }

    fn common(&self, event: &Json, kind: &str, project: &str) -> NewChange {
        NewChange {
            files: vec![UNKNOWN.into()],
            category: Some(kind.into()),
            properties: self.properties(event),
            repository: format!("{}/{project}", self.git_base_url),
            project: project.into(),
            ..NewChange::default()
        }
    }

    /// Everything that the event tells, names joined by dots.
    fn properties(&self, event: &Json) -> Properties {
        let mut properties = Properties::new();
        flatten("event", event, &mut properties);
        properties.set("event.source", self.source, "Change");
        properties
    }
}

fn flatten(base: &str, value: &Json, properties: &mut Properties) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = format!("{base}.{name}");
        if value.is_object() {
            flatten(&name, value, properties);
        } else if name != "event.eventCreatedOn" {
            properties.set(&name, value.clone(), "Change");
        }
    }
}

/// `NAME <EMAIL>`, as far as Gerrit knows them.
fn person(account: &Json) -> Option<String> {
    let text = |name: &str| account[name].as_str();
    let name = text("name").or_else(|| text("username"));
    match (name, text("email")) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (one, other) => one.or(other).map(String::from),
    }
}

/// A number, which older servers send as a text.
fn digits(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

/// Seconds since 1970 of an event, if it tells them.
pub fn time(event: &Json) -> Option<i64> {
    event["eventCreatedOn"].as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(handled: &[&str], event: &Json) -> Option<Event> {
        let handled: Vec<String> = handled.iter().map(|name| (*name).into()).collect();
        Reading { handled: &handled, git_base_url: "ssh://git", source: "GerritChangeSource" }.read(event)
    }

    fn review(kind: &str) -> Json {
        json!({"type": kind, "eventCreatedOn": 1_614_528_683, "project": "pr",
               "change": {"branch": "master", "project": "pr", "number": "4321", "subject": "fix 1234", "url": "http://g/1",
                          "owner": {"name": "Dustin", "email": "dustin@example.org", "username": "d"}},
               "patchSet": {"revision": "abcdef", "number": 12, "ref": "refs/changes/21/4321/12", "parents": ["p"]}})
    }

    #[test]
    fn a_patch_set_is_a_change_02_022() {
        let event = read(&["patchset-created"], &review("patchset-created")).unwrap();
        let change = event.change;
        assert_eq!(
            (change.author.as_str(), change.comments.as_str()),
            ("Dustin <dustin@example.org>", "fix 1234")
        );
        assert_eq!(
            (change.branch.as_deref(), change.revision.as_deref()),
            (Some("refs/changes/21/4321/12"), Some("abcdef"))
        );
        assert_eq!(
            (change.category.as_deref(), change.revlink.as_deref()),
            (Some("patchset-created"), Some("http://g/1"))
        );
        assert_eq!((change.repository.as_str(), change.project.as_str()), ("ssh://git/pr", "pr"));
        assert_eq!((change.files, change.when_timestamp), (vec!["unknown".to_string()], None));
        let wanted = json!({
            "event.type": "patchset-created", "event.project": "pr", "event.source": "GerritChangeSource",
            "event.change.branch": "master", "event.change.project": "pr", "event.change.number": "4321",
            "event.change.subject": "fix 1234", "event.change.url": "http://g/1", "event.change.owner.name": "Dustin",
            "event.change.owner.email": "dustin@example.org", "event.change.owner.username": "d",
            "event.patchSet.revision": "abcdef", "event.patchSet.number": 12, "event.patchSet.parents": ["p"],
            "event.patchSet.ref": "refs/changes/21/4321/12", "target_branch": "master",
        });
        assert_eq!(json!(change.properties.as_dict()), wanted);
        assert_eq!(event.patch_set, Some(PatchSet { number: "4321".into(), patch: "12".into() }));
    }

    #[test]
    fn a_merge_is_of_the_branch_and_a_comment_of_the_patch_set_02_022() {
        let merged = read(&["change-merged"], &review("change-merged")).unwrap().change;
        assert_eq!(
            (merged.branch.as_deref(), merged.properties.get("target_branch")),
            (Some("master"), None)
        );
        let comment = read(&["comment-added"], &review("comment-added")).unwrap().change;
        assert_eq!(comment.branch.as_deref(), Some("refs/changes/21/4321/12"));
        assert_eq!(comment.properties.get("target_branch"), Some(&json!("master")));
    }

    #[test]
    fn which_moved_references_count_02_022() {
        let moved = |reference: &str, revision: &str| json!({"type": "ref-updated", "refUpdate": {"oldRev": "1", "newRev": revision, "refName": reference, "project": "pr"}});
        let both = ["patchset-created", "ref-updated"];
        let branch =
            |handled: &[&str], event: &Json| read(handled, event).and_then(|event| event.change.branch);
        assert_eq!(branch(&both, &moved("refs/heads/main", "2")).as_deref(), Some("main"));
        assert_eq!(branch(&both, &moved("refs/tags/v1", "2")).as_deref(), Some("refs/tags/v1"));
        assert_eq!(branch(&both, &moved("refs/changes/1/1/1", "2")), None);
        assert_eq!(
            branch(&["ref-updated"], &moved("refs/changes/1/1/1", "2")).as_deref(),
            Some("refs/changes/1/1/1")
        );
        assert_eq!(branch(&both, &moved("refs/heads/gone", NOTHING)), None);
        assert_eq!(branch(&["patchset-created"], &moved("refs/heads/main", "2")), None);
        assert_eq!(read(&both, &moved("refs/heads/main", "2")).unwrap().change.author, "gerrit");
    }

    #[test]
    fn what_is_no_event_is_passed_over_02_022() {
        for event in [
            json!(3),
            json!({}),
            json!({"type": 1}),
            json!({"type": "patchset-created", "change": {"branch": "x"}}),
        ] {
            assert_eq!(read(&["patchset-created"], &event), None, "{event}");
        }
    }
}
