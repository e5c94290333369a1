//! Pollers of pull requests (02.024, 02.025): one change for each new head of an open one.
//!
//! What was reported is kept by number; a pull request that is closed is forgotten. Several heads are reported one after
//! the other, and remembered one by one, so that nothing is lost and nothing repeated, wherever the process ends.

mod bitbucket;
mod github;

pub use bitbucket::SOURCE as BITBUCKET;
pub use github::SOURCE as GITHUB;

use crate::forge_api::ForgeApi;
use crate::known::{self, Known};
use crate::source::{SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::intake::ChangeFunctions;
use lunabot_data::new::NewChange;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, CallbackSpec, Json};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;

/// Pages of open pull requests that are read at most.
const PAGES: usize = 100;

const FILTER: CallbackSpec = CallbackSpec {
    option: "pullrequest_filter",
    args: "pull request",
    returns: "true or false",
    on_error: "the poll is repeated",
};

/// `pullrequest_filter`: a switch or a function of what the forge tells of a pull request.
#[derive(Debug, Clone, PartialEq)]
enum Filter {
    Switch(bool),
    Function(Callback),
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        match (&value, Callback::from_json(&value)) {
            (Json::Bool(switch), _) => Ok(Filter::Switch(*switch)),
            (_, Some(callback)) => Ok(Filter::Function(callback)),
            (other, None) => Err(D::Error::custom(format!("expected true or a function, not {other}"))),
        }
    }
}

impl JsonSchema for Filter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PullrequestFilter".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "boolean"}, {"type": "object", "x-callback": true}]})
    }
}

impl Filter {
    async fn passes(&self, pull: &Json, cx: &SourceContext) -> Result<bool, SourceError> {
        let callback = match self {
            Filter::Switch(switch) => return Ok(*switch),
            Filter::Function(callback) => callback,
        };
        let site = CallSite::new("pullrequest_filter", cx.concerns());
        match cx.script().call(callback, site.clone(), vec![Arg::Value(pull.clone())]).await? {
            Json::Bool(passes) => Ok(passes),
            Json::Null => Ok(false),
            other => {
                let shown = cx.script().shown(&other);
                let message = format!("pullrequest_filter returned {shown}; wanted true or false");
                cx.script().nonsense(callback, site, &message);
                Err(SourceError::Other(message))
            }
        }
    }
}

/// An open pull request, as the list tells it.
struct Pull {
    number: i64,
    /// Its newest commit; may be shortened.
    head: String,
    json: Json,
}

/// What differs between forges.
#[async_trait]
trait Forge: Sync {
    /// All that are open.
    async fn open(&self, api: &ForgeApi) -> Result<Vec<Pull>, SourceError>;

    /// Whether it is watched, as far as the list tells.
    async fn wanted(&self, pull: &Pull, cx: &SourceContext) -> Result<bool, SourceError>;

    /// The change that it is now; none: it is not to be reported.
    async fn change(
        &self,
        pull: &Pull,
        api: &ForgeApi,
        cx: &SourceContext,
    ) -> Result<Option<NewChange>, SourceError>;

    fn functions(&self) -> ChangeFunctions;
}

async fn poll(forge: &impl Forge, api: &ForgeApi, cx: &SourceContext) -> Result<(), SourceError> {
    let mut pulls = forge.open(api).await?;
    pulls.sort_by_key(|pull| pull.number);
    let mut known = Known::load(cx).await?;
    for pull in &pulls {
        let number = pull.number.to_string();
        let seen = known
            .get(&number)
            .is_some_and(|seen| seen.starts_with(&pull.head) || pull.head.starts_with(seen));
        if seen || !forge.wanted(pull, cx).await? {
            continue;
        }
        if let Some(change) = forge.change(pull, api, cx).await? {
            known.set(&number, change.revision.as_deref().unwrap_or(&pull.head));
            report(change, &forge.functions(), cx).await?;
            known.save(cx).await?;
        }
    }
    let open: BTreeSet<String> = pulls.iter().map(|pull| pull.number.to_string()).collect();
    if !known.retain(&open.iter().map(String::as_str).collect()).is_empty() {
        known.save(cx).await?;
    }
    Ok(())
}

/// Adds a change, unless a process that was killed has managed to.
async fn report(
    change: NewChange,
    functions: &ChangeFunctions,
    cx: &SourceContext,
) -> Result<(), SourceError> {
    let place = (change.branch.clone().unwrap_or_default(), change.revision.clone().unwrap_or_default());
    if cx.first && known::already_added(cx, &change.repository).await?.contains(&place) {
        return Ok(());
    }
    known::announce(cx, &[place]).await?;
    cx.intake.add(change, functions, &cx.concerns()).await?;
    Ok(())
}

/// Reads the time of a forge.
fn seconds(text: &str) -> Result<i64, SourceError> {
    let time = text.parse::<jiff::Timestamp>();
    time.map(jiff::Timestamp::as_second).map_err(|_| SourceError::Other(format!("'{text}' is not a time")))
}
