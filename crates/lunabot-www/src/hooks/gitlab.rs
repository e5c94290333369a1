//! The gitlab dialect (02.035).

use super::guard::{Guard, Proof};
use super::options::{Codebase, empty_secret};
use super::payload::{Part, branch_of};
use super::{Dialect, DialectOptions, Event, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Problem, Properties, Renderable};
use serde::Deserialize;

/// The options of `change_hook_dialects.gitlab`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GitLab {
    secret: Option<Renderable<String>>,
    /// Where the address has no `?codebase=`.
    codebase: Option<Codebase>,
}

impl DialectOptions for GitLab {
    fn problems(&self) -> Vec<Problem> {
        empty_secret(self.secret.as_ref()).into_iter().collect()
    }
}

#[async_trait]
impl Dialect for GitLab {
    fn guard(&self) -> Option<Guard<'_>> {
        Some(Guard { secret: self.secret.as_ref(), proof: Proof::Token("x-gitlab-token") })
    }

    fn event(&self, request: &HookRequest) -> Result<Option<Event>, HookError> {
        let payload = request.json()?;
        let named = Part::new(&payload).maybe_text("object_kind");
        let name = named.or_else(|| request.header("x-gitlab-event").map(String::from));
        Ok(name.map(|name| Event::new(name, payload)))
    }

    async fn of_event(
        &self,
        event: &Event,
        request: &HookRequest,
        scope: &HookScope,
    ) -> Result<Vec<NewChange>, HookError> {
        let part = Part::new(&event.payload);
        let codebase = Codebase::asked(self.codebase.as_ref(), request, &event.payload, scope).await?;
        match event.name.as_str() {
            name @ ("push" | "tag_push" | "Push Hook") => push(&part, name, codebase),
            name @ "merge_request" => merge_request(&part, name, codebase),
            name @ "note" => note(&part, name, codebase),
            _ => Ok(Vec::new()),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        &["getChanges", "handle_push", "handle_tag_push", "handle_merge_request", "handle_note"]
    }
}

fn event_property(event: &str) -> Properties {
    let mut properties = Properties::new();
    properties.set("event", event, "Change");
    properties
}

fn push(payload: &Part<'_>, event: &str, codebase: String) -> Result<Vec<NewChange>, HookError> {
    let reference = payload.text("ref")?;
    let Some((branch, _)) = branch_of(&reference) else { return Ok(Vec::new()) };
    if payload.is_true("deleted") {
        return Ok(Vec::new());
    }
    let common = NewChange {
        branch: Some(branch.into()),
        category: Some(event.into()),
        properties: event_property(event),
        repository: payload.text("repository.url")?,
        project: payload.first_text(&["repository.name", "project.name"])?,
        codebase,
        ..NewChange::default()
    };
    let commits = payload.list("commits")?.iter().enumerate();
    let distinct = commits.filter(|(_, commit)| commit.get("distinct") != Some(&Json::Bool(false)));
    distinct.map(|(i, json)| commit(&Part::item(json, &format!("commits[{i}].")), common.clone())).collect()
}

/// A commit as GitLab and Gitea tell it.
pub(super) fn commit(commit: &Part<'_>, common: NewChange) -> Result<NewChange, HookError> {
    Ok(NewChange {
        author: commit.person("author")?,
        files: commit.files(),
        comments: commit.text("message")?,
        revision: Some(commit.text("id")?),
        when_timestamp: Some(commit.time("timestamp")?),
        revlink: Some(commit.text("url")?),
        ..common
    })
}

/// Opened, reopened, or updated with new commits, which `oldrev` tells.
fn merge_request(payload: &Part<'_>, event: &str, codebase: String) -> Result<Vec<NewChange>, HookError> {
    let request = payload.part("object_attributes")?;
    if matches!(request.text("state")?.as_str(), "closed" | "merged" | "approved") {
        return Ok(Vec::new());
    }
    let wanted = match request.maybe_text("action").as_deref() {
        Some("open" | "reopen") => true,
        Some("update") => request.find("oldrev").is_some(),
        Some(_) | None => false,
    };
    if !wanted {
        return Ok(Vec::new());
    }
    Ok(vec![change(&request, event, codebase)?])
}

/// A comment on a merge request; others are of no interest.
fn note(payload: &Part<'_>, event: &str, codebase: String) -> Result<Vec<NewChange>, HookError> {
    if payload.find("merge_request").is_none() {
        return Ok(Vec::new());
    }
    let mut change = change(&payload.part("merge_request")?, event, codebase)?;
    change.properties.set("comments", payload.text("object_attributes.note")?, "Change");
    if change.revlink.is_none() {
        change.revlink = payload.maybe_text("object_attributes.url");
    }
    Ok(vec![change])
}

fn change(request: &Part<'_>, event: &str, codebase: String) -> Result<NewChange, HookError> {
    let (number, title) = (request.integer("iid")?, request.text("title")?);
    let description = request.maybe_text("description").unwrap_or_default();
    Ok(NewChange {
        author: request.person("last_commit.author")?,
        comments: format!("MR#{number}: {title}\n\n{description}"),
        revision: Some(request.text("last_commit.id")?),
        when_timestamp: Some(request.time("last_commit.timestamp")?),
        branch: Some(request.text("target_branch")?),
        category: Some(event.into()),
        revlink: request.maybe_text("url"),
        properties: sides(request, event)?,
        repository: request.text("target.git_http_url")?,
        project: request.text("target.name")?,
        codebase,
        ..NewChange::default()
    })
}

fn sides(request: &Part<'_>, event: &str) -> Result<Properties, HookError> {
    let mut properties = event_property(event);
    for side in ["source", "target"] {
        let mut set = |name: &str, value: Json| properties.set(format!("{side}_{name}"), value, "Change");
        set("branch", request.text(&format!("{side}_branch"))?.into());
        set("project_id", request.integer(&format!("{side}_project_id"))?.into());
        set("repository", request.text(&format!("{side}.git_http_url"))?.into());
        set("git_ssh_url", request.text(&format!("{side}.git_ssh_url"))?.into());
    }
    Ok(properties)
}
