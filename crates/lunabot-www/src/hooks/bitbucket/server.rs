//! The bitbucketserver dialect (02.038): the payloads of Bitbucket Server's and Data Center's own web hooks, and those of
//! the older plug-in, which the reference reads.

use super::{Moved, Options, Pull, event, help};
use crate::hooks::guard::Guard;
use crate::hooks::options::Codebase;
use crate::hooks::payload::Part;
use crate::hooks::{Dialect, DialectOptions, Event, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Problem};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct BitbucketServer(Options);

impl DialectOptions for BitbucketServer {
    fn problems(&self) -> Vec<Problem> {
        self.0.problems()
    }
}

#[async_trait]
impl Dialect for BitbucketServer {
    fn guard(&self) -> Option<Guard<'_>> {
        Some(self.0.guard())
    }

    fn event(&self, request: &HookRequest) -> Result<Option<Event>, HookError> {
        event(request)
    }

    async fn of_event(
        &self,
        event: &Event,
        _: &HookRequest,
        scope: &HookScope,
    ) -> Result<Vec<NewChange>, HookError> {
        let part = Part::new(&event.payload);
        let codebase = || Codebase::of(self.0.codebase.as_ref(), &event.payload, scope);
        let what = match event.word().as_str() {
            "diagnostics_ping" => return Ok(Vec::new()),
            "repo_refs_changed" | "repo_push" => return push(&part, codebase().await?),
            "pullrequest_created" | "pr_opened" => Pull::Created,
            "pullrequest_updated" | "pr_from_ref_updated" => Pull::Updated,
            "pullrequest_fulfilled" | "pr_merged" => Pull::Fulfilled,
            "pullrequest_rejected" | "pr_declined" => Pull::Rejected,
            _ => return Err(event.unknown()),
        };
        self.pull(&part, what, codebase().await?)
    }

    fn methods(&self) -> &'static [&'static str] {
        &[
            "getChanges",
            "handle_diagnostics_ping",
            "handle_repo_refs_changed",
            "handle_repo_push",
            "handle_pullrequest_created",
            "handle_pullrequest_updated",
            "handle_pullrequest_fulfilled",
            "handle_pullrequest_rejected",
            "handle_pr_opened",
            "handle_pr_from_ref_updated",
            "handle_pr_merged",
            "handle_pr_declined",
            "extractProperties",
        ]
    }

    async fn help(&self, method: &str, args: &[Json], _: &HookScope) -> Result<Json, HookError> {
        help(&self.0, method, args)
    }
}

fn author(payload: &Part<'_>) -> Result<String, HookError> {
    let name = payload.text("actor.displayName")?;
    Ok(format!("{name} <{}>", payload.first_text(&["actor.username", "actor.name"])?))
}

/// The address of a repository's pages, ending in a slash; newer servers leave it out of pull requests.
fn address(repository: &Part<'_>) -> String {
    let link = repository.maybe_text("links.self.0.href").unwrap_or_default();
    link.strip_suffix("browse").unwrap_or(&link).to_string()
}

fn push(payload: &Part<'_>, codebase: String) -> Result<Vec<NewChange>, HookError> {
    let repository = address(&payload.part("repository")?);
    let common = NewChange {
        author: author(payload)?,
        repository: repository.clone(),
        project: payload.text("repository.project.name")?,
        codebase,
        ..NewChange::default()
    };
    let own = payload.find("changes").is_some();
    let path = if own { "changes" } else { "push.changes" };
    let changes = payload.list(path)?.iter().enumerate();
    let read = changes.map(|(i, json)| {
        let at = format!("{path}[{i}].");
        let part = Part::item(json, &at);
        let moved = if own { moved(&part)? } else { Moved::read(&part)? };
        let revlink = (!repository.is_empty()).then(|| format!("{repository}commits/{}", moved.hash));
        Ok(NewChange { revlink, ..moved.change("Server", &common) })
    });
    read.collect()
}

/// The server's own form: `refId`, `type`, `fromHash`, `toHash`.
fn moved(change: &Part<'_>) -> Result<Moved, HookError> {
    let deleted = change.text("type")? == "DELETE";
    let hash = change.text(if deleted { "fromHash" } else { "toHash" })?;
    Ok(Moved { reference: change.first_text(&["refId", "ref.id"])?, hash, deleted })
}

impl BitbucketServer {
    fn pull(&self, payload: &Part<'_>, what: Pull, codebase: String) -> Result<Vec<NewChange>, HookError> {
        let pull = payload.part("pullRequest").or_else(|_| payload.part("pullrequest"))?;
        let (from, to) = (pull.part("fromRef")?, pull.part("toRef")?);
        let (number, link) = (pull.integer("id")?, pull.first_text(&["link", "links.self.0.href"]).ok());
        Ok(vec![NewChange {
            author: author(payload)?,
            comments: format!("Bitbucket Server Pull Request #{number}"),
            revision: Some(from.first_text(&["commit.hash", "latestCommit"])?),
            branch: Some(what.branch(number, &from, &to)?),
            category: Some(what.category().into()),
            properties: self.0.properties(&pull, link.as_deref()),
            revlink: link,
            repository: address(&to.part("repository")?),
            project: to.text("repository.project.name")?,
            codebase,
            ..NewChange::default()
        }])
    }
}
