//! `changes.BitbucketPullrequestPoller` (02.025).

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
use std::sync::Arc;

poller_params! {
/// Watches the pull requests of a repository on bitbucket.org.
pub struct BitbucketPullrequestPollerParams {
    /// The owner of the repository (the workspace).
    pub owner: String,
    /// Its name.
    pub slug: String,
    /// Only pull requests from these branches. Default: from all.
    #[serde(default)]
    pub branch: Option<StringOrList>,
    /// Changes bear the time when the pull request was updated (default), or when it was found.
    #[serde(default = "yes", rename = "useTimestamps")]
    pub use_timestamps: bool,
    /// Which pull requests are reported: a function of what Bitbucket tells of one.
    #[serde(default = "all")]
    pullrequest_filter: Filter,
    /// `{user, password}`.
    #[serde(default)]
    pub auth: Option<Renderable<Vec<String>>>,
    /// What becomes a property: patterns over dotted names that begin with `bitbucket.`.
    #[serde(default)]
    pub bitbucket_property_whitelist: Option<StringOrList>,
    /// The interface to ask. Default `https://api.bitbucket.org/2.0`.
    #[serde(default = "base_url", rename = "baseURL")]
    pub base_url: String,
}
}

fn base_url() -> String {
    "https://api.bitbucket.org/2.0".into()
}
fn all() -> Filter {
    Filter::Switch(true)
}
fn yes() -> bool {
    true
}

impl Params for BitbucketPullrequestPollerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.common().problems();
        for (option, value) in [("owner", &self.owner), ("slug", &self.slug)] {
            if value.is_empty() || value.contains('/') {
                problems.push(Problem::new(option, "must be one part of OWNER/SLUG"));
            }
        }
        let pair = self.auth.as_ref().and_then(Renderable::literal);
        if pair.is_some_and(|pair| pair.len() != 2) {
            problems.push(Problem::new("auth", "must be {user, password}"));
        }
        problems.extend(address(&self.base_url).err().map(|problem| Problem::new("baseURL", problem)));
        problems
    }
}

static KIND: Kind = poller_kind(
    "BitbucketPullrequestPoller",
    &["owner", "slug"],
    "Watches the pull requests of a repository on bitbucket.org: each new head of an open one is a change.",
    schema_of::<BitbucketPullrequestPollerParams>,
    check_as::<BitbucketPullrequestPollerParams>,
    &[FILTER, CATEGORY, CHANGE_FN],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    let arg = |name: &str| object.arg(name).and_then(Json::as_str).unwrap_or_default();
    format!("{}/{}", arg("owner"), arg("slug"))
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    Ok(Arc::new(Bitbucket(checked(object)?)))
}

struct Bitbucket(BitbucketPullrequestPollerParams);

impl Bitbucket {
    async fn login(&self, cx: &SourceContext) -> Result<Login, SourceError> {
        let Some(auth) = &self.0.auth else { return Ok(Login::Nobody) };
        match <[String; 2]>::try_from(cx.value("auth", auth).await?) {
            Ok([user, password]) => Ok(Login::Basic(user, password)),
            Err(_) => Err(SourceError::Other("auth: must be {user, password}".into())),
        }
    }
}

#[async_trait]
impl Forge for Bitbucket {
    async fn open(&self, api: &ForgeApi) -> Result<Vec<Pull>, SourceError> {
        let path = ["repositories", &self.0.owner, &self.0.slug, "pullrequests"];
        let (mut url, mut pulls) = (api.url(&path, &[("pagelen", "50")]), Vec::new());
        for _ in 0..PAGES {
            let mut page = api.json(url).await?;
            let Json::Array(rows) = page["values"].take() else {
                return Err(SourceError::Other("the answer has no list of values".into()));
            };
            for json in rows {
                let head = text_at(&json, "source.commit.hash")?.to_string();
                pulls.push(Pull { number: integer_at(&json, "id")?, head, json });
            }
            match page["next"].as_str() {
                Some(next) => url = api.linked(next)?,
                None => break,
            }
        }
        Ok(pulls)
    }

    async fn wanted(&self, pull: &Pull, _: &SourceContext) -> Result<bool, SourceError> {
        let source = text_at(&pull.json, "source.branch.name")?;
        Ok(self.0.branch.as_ref().is_none_or(|names| names.0.iter().any(|name| name == source)))
    }

    async fn change(
        &self,
        pull: &Pull,
        api: &ForgeApi,
        cx: &SourceContext,
    ) -> Result<Option<NewChange>, SourceError> {
        let number = pull.number.to_string();
        let json = api.json(api.linked(text_at(&pull.json, "links.self.href")?)?).await?;
        if !self.0.pullrequest_filter.passes(&json, cx).await? {
            return Ok(None);
        }
        if maybe_at(&json, "source.repository").is_none() {
            tracing::info!("{}: pull request {number} is left out: its repository is gone", cx.concerns());
            return Ok(None);
        }
        // The list shortens the names of commits.
        let commit = api.json(api.linked(text_at(&json, "source.commit.links.self.href")?)?).await?;
        let repository = api.json(api.linked(text_at(&json, "source.repository.links.self.href")?)?).await?;
        let (title, link) = (text_at(&json, "title")?, text_at(&json, "links.html.href")?);
        let patterns = self.0.bitbucket_property_whitelist.clone().unwrap_or_default().0;
        let mut properties = Properties::from_plain(&glob::pick("bitbucket", &json, &patterns), "Change");
        properties.set("pullrequesturl", link, "Change");
        let updated = seconds(text_at(&json, "updated_on")?)?;
        Ok(Some(NewChange {
            author: text_at(&json, "author.display_name")?.into(),
            comments: format!("pull-request #{number}: {title}\n{link}"),
            revision: Some(text_at(&commit, "hash")?.into()),
            when_timestamp: self.0.use_timestamps.then_some(updated),
            branch: Some(text_at(&json, "source.branch.name")?.into()),
            category: self.0.common().category(),
            revlink: Some(text_at(&commit, "links.html.href")?.into()),
            properties,
            repository: text_at(&repository, "links.html.href")?.into(),
            project: self.0.project.clone().unwrap_or_default(),
            ..NewChange::default()
        }))
    }

    fn functions(&self) -> ChangeFunctions {
        self.0.common().functions()
    }
}

#[async_trait]
impl Poller for Bitbucket {
    fn times(&self) -> PollTimes {
        self.0.common().times()
    }

    fn describe(&self) -> String {
        format!("pull requests of {}/{} on Bitbucket", self.0.owner, self.0.slug)
    }

    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError> {
        self.login(cx).await.map(drop)
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let api = ForgeApi::new(&self.0.base_url, self.login(cx).await?)?;
        poll(self, &api, cx).await
    }
}
