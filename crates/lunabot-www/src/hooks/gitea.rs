//! The gitea dialect, of Gitea and Forgejo.

use super::gitlab::commit;
use super::guard::{Guard, Proof};
use super::options::{Codebase, empty_secret};
use super::payload::{Part, branch_of};
use super::{Dialect, DialectOptions, Event, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Problem, Properties, Renderable};
use serde::Deserialize;

const SIGNATURES: &[&str] = &["x-forgejo-signature", "x-gitea-signature", "x-hub-signature-256"];
const EVENTS: &[&str] = &["x-forgejo-event", "x-gitea-event"];
/// Actions of a pull request that may bring something new.
const ACTIONS: &[&str] = &["opened", "reopened", "synchronized", "edited"];

/// The options of `change_hook_dialects.gitea`; names as in the plug-in for Buildbot.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gitea {
    secret: Option<Renderable<String>>,
    codebase: Option<Codebase>,
    /// Of a push, only the newest commit.
    #[serde(rename = "onlyIncludePushCommit")]
    only_include_push_commit: bool,
    /// Leaves out pull requests that the forge cannot merge.
    #[serde(rename = "onlyMergeablePullRequest")]
    only_mergeable_pull_request: bool,
}

impl Default for Gitea {
    fn default() -> Self {
        Gitea {
            secret: None,
            codebase: None,
            only_include_push_commit: false,
            only_mergeable_pull_request: true,
        }
    }
}

impl DialectOptions for Gitea {
    fn problems(&self) -> Vec<Problem> {
        empty_secret(self.secret.as_ref()).into_iter().collect()
    }
}

#[async_trait]
impl Dialect for Gitea {
    fn guard(&self) -> Option<Guard<'_>> {
        Some(Guard { secret: self.secret.as_ref(), proof: Proof::Sha256(SIGNATURES) })
    }

    fn event(&self, request: &HookRequest) -> Result<Option<Event>, HookError> {
        let payload = request.payload()?;
        let name = EVENTS.iter().find_map(|name| request.header(name));
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
            "push" => self.push(&part, codebase),
            "pull_request" => self.pull_request(&part, codebase),
            _ => Ok(Vec::new()),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        &["getChanges", "handle_push", "handle_pull_request"]
    }
}

impl Gitea {
    fn push(&self, payload: &Part<'_>, codebase: String) -> Result<Vec<NewChange>, HookError> {
        let reference = payload.text("ref")?;
        let Some((branch, _)) = branch_of(&reference) else { return Ok(Vec::new()) };
        let common = NewChange {
            branch: Some(branch.into()),
            category: Some("push".into()),
            properties: properties(payload, "push")?,
            repository: payload.text("repository.ssh_url")?,
            project: payload.text("repository.full_name")?,
            codebase,
            ..NewChange::default()
        };
        let mut commits = payload.list("commits")?;
        if self.only_include_push_commit {
            commits = commits.get(..1).unwrap_or(commits);
        }
        // They come newest first.
        let oldest_first = commits.iter().enumerate().rev();
        oldest_first
            .map(|(i, json)| commit(&Part::item(json, &format!("commits[{i}].")), common.clone()))
            .collect()
    }

    fn pull_request(&self, payload: &Part<'_>, codebase: String) -> Result<Vec<NewChange>, HookError> {
        let pull = payload.part("pull_request")?;
        let action = payload.text("action")?;
        let mergeable = pull.is_true("mergeable") || !self.only_mergeable_pull_request;
        if !ACTIONS.contains(&action.as_str()) || pull.is_true("merged") || !mergeable {
            return Ok(Vec::new());
        }
        let (number, title) = (pull.integer("number")?, pull.text("title")?);
        let body = pull.maybe_text("body").unwrap_or_default();
        Ok(vec![NewChange {
            author: format!("{} <{}>", pull.text("user.full_name")?, pull.text("user.email")?),
            comments: format!("PR#{number}: {title}\n\n{body}"),
            revision: Some(pull.text("base.sha")?),
            when_timestamp: Some(pull.time("updated_at")?),
            branch: Some(pull.text("base.ref")?),
            category: Some("pull_request".into()),
            revlink: Some(pull.text("html_url")?),
            properties: pull_properties(payload, &pull)?,
            repository: pull.text("base.repo.ssh_url")?,
            project: payload.text("repository.full_name")?,
            codebase,
            ..NewChange::default()
        }])
    }
}

fn properties(payload: &Part<'_>, event: &str) -> Result<Properties, HookError> {
    let mut properties = Properties::new();
    properties.set("event", event, "Change");
    properties.set("repository_name", payload.text("repository.name")?, "Change");
    properties.set(
        "owner",
        payload.first_text(&["repository.owner.username", "repository.owner.login"])?,
        "Change",
    );
    Ok(properties)
}

fn pull_properties(payload: &Part<'_>, pull: &Part<'_>) -> Result<Properties, HookError> {
    let mut properties = properties(payload, "pull_request")?;
    let mut set = |name: &str, value: Json| properties.set(name, value, "Change");
    set("pr_id", pull.integer("id")?.into());
    set("pr_number", pull.integer("number")?.into());
    for side in ["base", "head"] {
        let of = pull.part(side)?;
        set(&format!("{side}_branch"), of.text("ref")?.into());
        set(&format!("{side}_sha"), of.text("sha")?.into());
        set(&format!("{side}_repo_id"), of.integer("repo_id")?.into());
        set(&format!("{side}_repository"), of.text("repo.clone_url")?.into());
        set(&format!("{side}_git_ssh_url"), of.text("repo.ssh_url")?.into());
    }
    let head = pull.part("head")?;
    set("head_owner", head.first_text(&["repo.owner.username", "repo.owner.login"])?.into());
    set("head_reponame", head.text("repo.name")?.into());
    Ok(properties)
}
