//! `changes.GitHubPullrequestPoller` (02.024).

use super::{FILTER, Filter, Forge, PAGES, Pull, poll, seconds};
use crate::forge_api::{ForgeApi, Login, address, integer_at, maybe_at, text_at};
use crate::kinds::{ChangeSourceKind, checked};
use crate::poller_params::{CATEGORY, CHANGE_FN, poller_kind, poller_params};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::intake::ChangeFunctions;
use lunabot_data::new::NewChange;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{AnyObject, Json, Kind, Problem, Properties, Renderable, StringOrList, glob};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Rows of one page.
const PER_PAGE: usize = 100;

poller_params! {
/// Watches the pull requests of a repository on GitHub.
pub struct GitHubPullrequestPollerParams {
    /// The owner of the repository.
    pub owner: String,
    /// Its name.
    pub repo: String,
    /// Only pull requests for these branches. Default: for all.
    #[serde(default)]
    pub branches: Option<StringOrList>,
    /// The interface to ask. Default `https://api.github.com`.
    #[serde(default = "base_url", rename = "baseURL")]
    pub base_url: String,
    /// Which pull requests are reported: a function of what GitHub tells of one.
    #[serde(default = "all")]
    pullrequest_filter: Filter,
    /// For private repositories, and against GitHub's limits.
    #[serde(default)]
    pub token: Option<Renderable<String>>,
    /// The branch is `refs/pull/N/merge` of the repository, in place of the head in its own repository.
    #[serde(default)]
    pub magic_link: bool,
    /// Which address of the repository a change bears. Default `https`.
    #[serde(default)]
    pub repository_type: RepositoryType,
    /// What becomes a property: patterns over dotted names that begin with `github.`.
    #[serde(default)]
    pub github_property_whitelist: Option<StringOrList>,
}
}

/// The addresses that a repository has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryType {
    #[default]
    Https,
    Svn,
    Git,
    Ssh,
}

impl RepositoryType {
    fn field(self) -> &'static str {
        match self {
            RepositoryType::Https => "clone_url",
            RepositoryType::Svn => "svn_url",
            RepositoryType::Git => "git_url",
            RepositoryType::Ssh => "ssh_url",
        }
    }
}

fn base_url() -> String {
    "https://api.github.com".into()
}
fn all() -> Filter {
    Filter::Switch(true)
}

impl Params for GitHubPullrequestPollerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.common().problems();
        for (option, value) in [("owner", &self.owner), ("repo", &self.repo)] {
            if value.is_empty() || value.contains('/') {
                problems.push(Problem::new(option, "must be one part of OWNER/REPO"));
            }
        }
        problems.extend(address(&self.base_url).err().map(|problem| Problem::new("baseURL", problem)));
        problems
    }
}

static KIND: Kind = poller_kind(
    "GitHubPullrequestPoller",
    &["owner", "repo"],
    "Watches the pull requests of a repository on GitHub: each new head of an open one is a change.",
    schema_of::<GitHubPullrequestPollerParams>,
    check_as::<GitHubPullrequestPollerParams>,
    &[FILTER, CATEGORY, CHANGE_FN],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    let arg = |name: &str| object.arg(name).and_then(Json::as_str).unwrap_or_default();
    format!("GitHubPullrequestPoller:{}/{}", arg("owner"), arg("repo"))
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    Ok(Arc::new(GitHub(checked(object)?)))
}

struct GitHub(GitHubPullrequestPollerParams);

impl GitHub {
    async fn login(&self, cx: &SourceContext) -> Result<Login, SourceError> {
        match &self.0.token {
            None => Ok(Login::Nobody),
            Some(token) => Ok(Login::Token(cx.value("token", token).await?)),
        }
    }

    /// All rows of a list, page by page.
    async fn rows(&self, api: &ForgeApi, path: &[&str]) -> Result<Vec<Json>, SourceError> {
        let mut rows = Vec::new();
        let whole: Vec<&str> = ["repos", &self.0.owner, &self.0.repo].iter().chain(path).copied().collect();
        for page in 1..=PAGES {
            let query = [("per_page", &PER_PAGE.to_string()[..]), ("page", &page.to_string())];
            let Json::Array(more) = api.json(api.url(&whole, &query)).await? else {
                return Err(SourceError::Other(format!("{}: the answer is not a list", path.join("/"))));
            };
            let last = more.len() < PER_PAGE;
            rows.extend(more);
            if last {
                break;
            }
        }
        Ok(rows)
    }

    async fn files(&self, api: &ForgeApi, number: &str) -> Result<Vec<String>, SourceError> {
        let rows = self.rows(api, &["pulls", number, "files"]).await?;
        // A file that was renamed touches both places.
        let both = rows.iter().flat_map(|row| [row.get("filename"), row.get("previous_filename")]);
        Ok(both.flatten().filter_map(Json::as_str).map(String::from).collect())
    }

    /// Branch and address: of the merge, or of the head in its own repository, which may be gone.
    fn place(&self, pull: &Json, number: i64) -> Result<Option<(String, String)>, SourceError> {
        let field = self.0.repository_type.field();
        if self.0.magic_link {
            let repository = text_at(pull, &format!("base.repo.{field}"))?;
            return Ok(Some((format!("refs/pull/{number}/merge"), repository.into())));
        }
        if maybe_at(pull, "head.repo").is_none() {
            return Ok(None);
        }
        let repository = text_at(pull, &format!("head.repo.{field}"))?;
        Ok(Some((text_at(pull, "head.ref")?.into(), repository.into())))
    }

    fn properties(&self, pull: &Json, link: &str) -> Properties {
        let patterns = self.0.github_property_whitelist.clone().unwrap_or_default().0;
        let mut properties = Properties::from_plain(&glob::pick("github", pull, &patterns), "Change");
        properties.set("pullrequesturl", link, "Change");
        properties
    }
}

/// `NAME <EMAIL>` of who did something to a commit.
fn person(commit: Option<&Json>, what: &str) -> Result<String, SourceError> {
    let none = Json::Null;
    let commit = commit.unwrap_or(&none);
    let part = |name: &str| text_at(commit, &format!("commit.{what}.{name}"));
    Ok(format!("{} <{}>", part("name")?, part("email")?))
}

#[async_trait]
impl Forge for GitHub {
    async fn open(&self, api: &ForgeApi) -> Result<Vec<Pull>, SourceError> {
        let rows = self.rows(api, &["pulls"]).await?.into_iter();
        let read = rows.map(|json| {
            let (number, head) = (integer_at(&json, "number")?, text_at(&json, "head.sha")?.to_string());
            Ok(Pull { number, head, json })
        });
        read.collect()
    }

    async fn wanted(&self, pull: &Pull, cx: &SourceContext) -> Result<bool, SourceError> {
        let base = text_at(&pull.json, "base.ref")?;
        let watched = self.0.branches.as_ref().is_none_or(|names| names.0.iter().any(|name| name == base));
        Ok(watched && self.0.pullrequest_filter.passes(&pull.json, cx).await?)
    }

    async fn change(
        &self,
        pull: &Pull,
        api: &ForgeApi,
        cx: &SourceContext,
    ) -> Result<Option<NewChange>, SourceError> {
        let number = pull.number.to_string();
        let path = ["repos", &self.0.owner, &self.0.repo, "pulls", &number];
        let json = api.json(api.url(&path, &[])).await?;
        let Some((branch, repository)) = self.place(&json, pull.number)? else {
            tracing::info!("{}: pull request {number} is left out: its repository is gone", cx.concerns());
            return Ok(None);
        };
        let commits = self.rows(api, &["pulls", &number, "commits"]).await?;
        let (count, link) = (integer_at(&json, "commits")?, text_at(&json, "html_url")?);
        let plural = if count == 1 { "" } else { "s" };
        let (title, body) = (text_at(&json, "title")?, json["body"].as_str().unwrap_or_default());
        let project = self.0.project.clone();
        Ok(Some(NewChange {
            author: person(commits.first(), "author")?,
            committer: Some(person(commits.first(), "committer")?),
            files: self.files(api, &number).await?,
            comments: format!("GitHub Pull Request #{number} ({count} commit{plural})\n{title}\n{body}"),
            revision: Some(text_at(&json, "head.sha")?.into()),
            when_timestamp: Some(seconds(text_at(&json, "updated_at")?)?),
            branch: Some(branch),
            category: self.0.common().category().or_else(|| Some("pull".into())),
            revlink: Some(link.into()),
            properties: self.properties(&json, link),
            repository,
            project: project.map_or_else(|| text_at(&json, "base.repo.full_name").map(String::from), Ok)?,
            codebase: String::new(),
        }))
    }

    fn functions(&self) -> ChangeFunctions {
        self.0.common().functions()
    }
}

#[async_trait]
impl Poller for GitHub {
    fn times(&self) -> PollTimes {
        self.0.common().times()
    }

    fn describe(&self) -> String {
        format!("pull requests of {}/{} on GitHub", self.0.owner, self.0.repo)
    }

    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError> {
        self.login(cx).await.map(drop)
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let api = ForgeApi::new(&self.0.base_url, self.login(cx).await?)?;
        poll(self, &api, cx).await
    }
}
