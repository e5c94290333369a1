//! The bitbucketcloud dialect (02.037).

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
pub struct BitbucketCloud(Options);

impl DialectOptions for BitbucketCloud {
    fn problems(&self) -> Vec<Problem> {
        self.0.problems()
    }
}

#[async_trait]
impl Dialect for BitbucketCloud {
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
        match event.word().as_str() {
            "repo_push" => push(&part, codebase().await?),
            "pullrequest_created" => self.pull(&part, Pull::Created, codebase().await?),
            "pullrequest_updated" => self.pull(&part, Pull::Updated, codebase().await?),
            "pullrequest_fulfilled" => self.pull(&part, Pull::Fulfilled, codebase().await?),
            "pullrequest_rejected" => self.pull(&part, Pull::Rejected, codebase().await?),
            _ => Err(event.unknown()),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        &[
            "getChanges",
            "handle_repo_push",
            "handle_pullrequest_created",
            "handle_pullrequest_updated",
            "handle_pullrequest_fulfilled",
            "handle_pullrequest_rejected",
            "extractProperties",
        ]
    }

    async fn help(&self, method: &str, args: &[Json], _: &HookScope) -> Result<Json, HookError> {
        help(&self.0, method, args)
    }
}

fn author(payload: &Part<'_>) -> Result<String, HookError> {
    let name = payload.text("actor.display_name")?;
    Ok(format!("{name} <{}>", payload.first_text(&["actor.nickname", "actor.username"])?))
}

fn push(payload: &Part<'_>, codebase: String) -> Result<Vec<NewChange>, HookError> {
    let common = NewChange {
        author: author(payload)?,
        repository: payload.text("repository.links.self.href")?,
        project: payload.first_text(&["repository.project.name", "repository.name"])?,
        codebase,
        ..NewChange::default()
    };
    let page = payload.text("repository.links.html.href")?;
    let changes = payload.list("push.changes")?.iter().enumerate();
    let read = changes.map(|(i, json)| {
        let moved = Moved::read(&Part::item(json, &format!("push.changes[{i}].")))?;
        let revlink = Some(format!("{page}/commits/{}", moved.hash));
        Ok(NewChange { revlink, ..moved.change("Cloud", &common) })
    });
    read.collect()
}

impl BitbucketCloud {
    fn pull(&self, payload: &Part<'_>, what: Pull, codebase: String) -> Result<Vec<NewChange>, HookError> {
        let pull = payload.part("pullrequest")?;
        // Bitbucket says source and destination; the reference reads fromRef and toRef.
        let from = pull.part("source").or_else(|_| pull.part("fromRef"))?;
        let to = pull.part("destination").or_else(|_| pull.part("toRef"))?;
        let (number, link) = (pull.integer("id")?, pull.first_text(&["links.html.href", "link"])?);
        Ok(vec![NewChange {
            author: author(payload)?,
            comments: format!("Bitbucket Cloud Pull Request #{number}"),
            revision: Some(from.text("commit.hash")?),
            branch: Some(what.branch(number, &from, &to)?),
            category: Some(what.category().into()),
            properties: self.0.properties(&pull, Some(&link)),
            revlink: Some(link),
            repository: to.text("repository.links.self.href")?,
            project: to.first_text(&["repository.project.name", "repository.name"])?,
            codebase,
            ..NewChange::default()
        }])
    }
}
