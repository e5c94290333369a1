//! The bitbucketserver dialect (02.038): the payloads of Bitbucket Server's and Data Center's own web hooks, and those of
//! the older plug-in, which the reference reads.

use super::{Moved, Options, Pull, read, unknown};
use crate::hooks::guard::Guard;
use crate::hooks::options::Codebase;
use crate::hooks::payload::Part;
use crate::hooks::{Dialect, DialectOptions, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::Problem;
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

    async fn changes(&self, request: &HookRequest, scope: &HookScope) -> Result<Vec<NewChange>, HookError> {
        let (event, payload) = read(request)?;
        let part = Part::new(&payload);
        let codebase = || Codebase::of(self.0.codebase.as_ref(), &payload, scope);
        let what = match event.as_str() {
            "diagnostics:ping" => return Ok(Vec::new()),
            "repo:refs_changed" | "repo:push" => return push(part, codebase().await?),
            "pullrequest:created" | "pr:opened" => Pull::Created,
            "pullrequest:updated" | "pr:from_ref_updated" => Pull::Updated,
            "pullrequest:fulfilled" | "pr:merged" => Pull::Fulfilled,
            "pullrequest:rejected" | "pr:declined" => Pull::Rejected,
            other => return Err(unknown(other)),
        };
        self.pull(part, what, codebase().await?)
    }
}

fn author(payload: Part<'_>) -> Result<String, HookError> {
    let name = payload.text("actor.displayName")?;
    Ok(format!("{name} <{}>", payload.first_text(&["actor.username", "actor.name"])?))
}

/// The address of a repository's pages, ending in a slash; newer servers leave it out of pull requests.
fn address(repository: Part<'_>) -> String {
    let link = repository.maybe_text("links.self.0.href").unwrap_or_default();
    link.strip_suffix("browse").unwrap_or(&link).to_string()
}

fn push(payload: Part<'_>, codebase: String) -> Result<Vec<NewChange>, HookError> {
    let repository = address(payload.part("repository")?);
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
        let moved = if own { moved(part)? } else { Moved::read(part)? };
        let revlink = (!repository.is_empty()).then(|| format!("{repository}commits/{}", moved.hash));
        Ok(NewChange { revlink, ..moved.change("Server", &common) })
    });
    read.collect()
}

/// The server's own form: `refId`, `type`, `fromHash`, `toHash`.
fn moved(change: Part<'_>) -> Result<Moved, HookError> {
    let deleted = change.text("type")? == "DELETE";
    let hash = change.text(if deleted { "fromHash" } else { "toHash" })?;
    Ok(Moved { reference: change.first_text(&["refId", "ref.id"])?, hash, deleted })
}

impl BitbucketServer {
    fn pull(&self, payload: Part<'_>, what: Pull, codebase: String) -> Result<Vec<NewChange>, HookError> {
        let pull = payload.part("pullRequest").or_else(|_| payload.part("pullrequest"))?;
        let (from, to) = (pull.part("fromRef")?, pull.part("toRef")?);
        let (number, link) = (pull.integer("id")?, pull.first_text(&["link", "links.self.0.href"]).ok());
        let destination = to.first_text(&["branch.name", "displayId"])?;
        Ok(vec![NewChange {
            author: author(payload)?,
            comments: format!("Bitbucket Server Pull Request #{number}"),
            revision: Some(from.first_text(&["commit.hash", "latestCommit"])?),
            branch: Some(what.branch(number, &destination)),
            category: Some(what.category().into()),
            properties: self.0.properties(pull, link.as_deref()),
            revlink: link,
            repository: address(to.part("repository")?),
            project: to.text("repository.project.name")?,
            codebase,
            ..NewChange::default()
        }])
    }
}
