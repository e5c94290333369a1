//! The github dialect (02.033, 02.034).

mod api;

use super::guard::{Guard, Proof};
use super::options::{Codebase, Patterns, Texts, empty_secret};
use super::payload::{Part, branch_of};
use super::{Dialect, DialectOptions, Event, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Problem, Properties, Renderable, glob};
use serde::Deserialize;
use serde_json::{Map, json};

const SIGNATURES: &[&str] = &["x-hub-signature-256", "x-hub-signature"];
/// A head commit whose message one of these matches is not built.
const SKIPS: &[&str] = &[r"\[ *skip *ci *\]", r"\[ *ci *skip *\]"];
/// Actions of a pull request that bring new commits.
const ACTIONS: &[&str] = &["opened", "reopened", "synchronize"];

/// The options of `change_hook_dialects.github`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GitHub {
    secret: Option<Renderable<String>>,
    /// Insists on a secret.
    strict: bool,
    codebase: Option<Codebase>,
    github_property_whitelist: Texts,
    skips: Patterns,
    github_api_endpoint: String,
    /// The part of `refs/pull/N/…` that is built: `merge` or `head`.
    pullrequest_ref: String,
    token: Option<Renderable<String>>,
    /// Logs what is asked of the API.
    debug: bool,
    /// Whether the API's certificate is checked.
    verify: bool,
}

impl Default for GitHub {
    fn default() -> Self {
        GitHub {
            secret: None,
            strict: false,
            codebase: None,
            github_property_whitelist: Texts::default(),
            skips: Patterns::of(SKIPS),
            github_api_endpoint: "https://api.github.com".into(),
            pullrequest_ref: "merge".into(),
            token: None,
            debug: false,
            verify: true,
        }
    }
}

impl DialectOptions for GitHub {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = empty_secret(self.secret.as_ref()).into_iter().collect();
        if self.strict && self.secret.is_none() {
            problems.push(Problem::new("strict", "strict mode is requested, but there is no secret"));
        }
        if !["merge", "head"].contains(&self.pullrequest_ref.as_str()) {
            problems.push(Problem::new("pullrequest_ref", "must be \"merge\" or \"head\""));
        }
        if let Err(problem) = api::address(&self.github_api_endpoint) {
            problems.push(Problem::new("github_api_endpoint", problem));
        }
        problems
    }
}

#[async_trait]
impl Dialect for GitHub {
    fn guard(&self) -> Option<Guard<'_>> {
        Some(Guard { secret: self.secret.as_ref(), proof: Proof::Signature(SIGNATURES) })
    }

    fn secrets(&self) -> Vec<(&'static str, &Renderable<String>)> {
        self.token.iter().map(|token| ("token", token)).collect()
    }

    fn event(&self, request: &HookRequest) -> Result<Option<Event>, HookError> {
        let payload = request.payload()?;
        match request.header("x-github-event") {
            Some(name) => Ok(Some(Event::new(name, payload))),
            None => Err(HookError::Bad("Unknown event: the header X-GitHub-Event is missing".into())),
        }
    }

    async fn of_event(
        &self,
        event: &Event,
        _: &HookRequest,
        scope: &HookScope,
    ) -> Result<Vec<NewChange>, HookError> {
        let part = Part::new(&event.payload);
        match event.name.as_str() {
            "ping" | "workflow_run" => Ok(Vec::new()),
            "push" => self.push(&part, scope).await,
            "pull_request" => self.pull_request(&part, scope).await,
            other => Err(HookError::Bad(format!("Unknown event: {other}"))),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        &[
            "getChanges",
            "handle_ping",
            "handle_workflow_run",
            "handle_push",
            "handle_pull_request",
            "extractProperties",
            "getCommitMessage",
            "hasSkip",
        ]
    }

    async fn fields(&self, scope: &HookScope) -> Result<Map<String, Json>, HookError> {
        let token = api::token(self, "", scope).await;
        let session = json!({"base_url": self.github_api_endpoint, "verify": self.verify, "token": token});
        let fields = json!({"pullrequest_ref": self.pullrequest_ref, "http": session});
        Ok(fields.as_object().cloned().unwrap_or_default())
    }

    async fn help(&self, method: &str, args: &[Json], scope: &HookScope) -> Result<Json, HookError> {
        match (method, args) {
            ("extractProperties", [payload @ Json::Object(_)]) => {
                let picked = glob::pick("github", payload, &self.github_property_whitelist.0);
                Ok(Json::Object(picked.into_iter().collect()))
            }
            ("hasSkip", [Json::String(message)]) => Ok(self.skips.any_match(message).into()),
            ("getCommitMessage", [Json::String(project), Json::String(revision)]) => {
                let message = api::Api::new(self, project, scope).await?.message(project, revision).await;
                message.map(Json::String).map_err(HookError::Failed)
            }
            _ => Err(HookError::Failed(format!("{method}: other arguments are wanted"))),
        }
    }
}

impl GitHub {
    async fn push(&self, payload: &Part<'_>, scope: &HookScope) -> Result<Vec<NewChange>, HookError> {
        let reference = payload.text("ref")?;
        let Some((branch, tag)) = branch_of(&reference) else { return Ok(Vec::new()) };
        if payload.is_true("deleted") {
            return Ok(Vec::new());
        }
        let head = payload.part("head_commit")?;
        if self.skips.any_match(&head.maybe_text("message").unwrap_or_default()) {
            return Ok(Vec::new());
        }
        let common = NewChange {
            branch: Some(branch.into()),
            category: tag.then(|| "tag".into()),
            repository: payload.text("repository.html_url")?,
            project: payload.text("repository.full_name")?,
            codebase: Codebase::of(self.codebase.as_ref(), payload.json(), scope).await?,
            properties: self.whitelisted(payload.json()),
            ..NewChange::default()
        };
        // The commits of a new branch are those of others; only its head is new.
        if payload.is_true("created") {
            return Ok(vec![commit(&Part::item(head.json(), "head_commit."), common)?]);
        }
        let commits = payload.list("commits")?.iter().enumerate();
        commits
            .map(|(i, json)| commit(&Part::item(json, &format!("commits[{i}].")), common.clone()))
            .collect()
    }

    async fn pull_request(&self, payload: &Part<'_>, scope: &HookScope) -> Result<Vec<NewChange>, HookError> {
        if !payload.maybe_text("action").is_some_and(|action| ACTIONS.contains(&action.as_str())) {
            return Ok(Vec::new());
        }
        let (number, pull) = (payload.integer("number")?, payload.part("pull_request")?);
        let (head, project) = (pull.text("head.sha")?, payload.text("repository.full_name")?);
        let api = api::Api::new(self, &project, scope).await?;
        let (message, files) = api.commit_and_files(&project, &head, number).await;
        if self.skips.any_match(&message) {
            return Ok(Vec::new());
        }
        let link = pull.text("_links.html.href")?;
        let mut properties = self.whitelisted(pull.json());
        properties.set("pullrequesturl", link.as_str(), "Change");
        properties.set("event", "pull_request", "Change");
        properties.set("basename", pull.text("base.ref")?, "Change");
        Ok(vec![NewChange {
            author: payload.text("sender.login")?,
            files,
            comments: comments(&pull, number)?,
            revision: Some(head),
            when_timestamp: Some(pull.time("created_at")?),
            branch: Some(format!("refs/pull/{number}/{}", self.pullrequest_ref)),
            category: Some("pull".into()),
            revlink: Some(link),
            properties,
            repository: payload.text("repository.html_url")?,
            project: pull.text("base.repo.full_name")?,
            codebase: Codebase::of(self.codebase.as_ref(), payload.json(), scope).await?,
            committer: None,
        }])
    }

    fn whitelisted(&self, payload: &Json) -> Properties {
        let picked = glob::pick("github", payload, &self.github_property_whitelist.0);
        Properties::from_plain(&picked, "Change")
    }
}

fn commit(commit: &Part<'_>, common: NewChange) -> Result<NewChange, HookError> {
    let mut properties = Properties::new();
    properties.set("event", "push", "Change");
    let distinct = commit.find("distinct").cloned().unwrap_or(Json::Bool(true));
    properties.set("github_distinct", distinct, "Change");
    for (name, property) in common.properties.iter() {
        properties.insert(name, property.clone());
    }
    Ok(NewChange {
        author: commit.person("author")?,
        committer: Some(commit.person("committer")?),
        files: commit.files(),
        comments: commit.text("message")?,
        revision: Some(commit.text("id")?),
        when_timestamp: Some(commit.time("timestamp")?),
        revlink: Some(commit.text("url")?),
        properties,
        ..common
    })
}

fn comments(pull: &Part<'_>, number: i64) -> Result<String, HookError> {
    let (title, body) = (pull.text("title")?, pull.maybe_text("body").unwrap_or_default());
    let commits = pull.integer("commits")?;
    let plural = if commits == 1 { "" } else { "s" };
    Ok(format!("GitHub Pull Request #{number} ({commits} commit{plural})\n{title}\n{body}"))
}
