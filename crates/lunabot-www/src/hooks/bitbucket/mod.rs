//! The dialects of Bitbucket: bitbucketcloud (02.037) and bitbucketserver (02.038).

mod cloud;
mod server;

pub use cloud::BitbucketCloud;
pub use server::BitbucketServer;

use super::guard::{Guard, Proof};
use super::options::{Codebase, Texts, empty_secret};
use super::payload::Part;
use super::{DialectOptions, Event, HookError, HookRequest};
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Problem, Properties, Renderable, glob};
use serde::Deserialize;

/// The options of both dialects.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    secret: Option<Renderable<String>>,
    codebase: Option<Codebase>,
    bitbucket_property_whitelist: Texts,
}

impl DialectOptions for Options {
    fn problems(&self) -> Vec<Problem> {
        empty_secret(self.secret.as_ref()).into_iter().collect()
    }
}

impl Options {
    fn guard(&self) -> Guard<'_> {
        Guard { secret: self.secret.as_ref(), proof: Proof::Signature(&["x-hub-signature"]) }
    }

    /// Properties of a change for a pull request.
    fn properties(&self, pull: &Part<'_>, link: Option<&str>) -> Properties {
        let picked = glob::pick("bitbucket", pull.json(), &self.bitbucket_property_whitelist.0);
        let mut properties = Properties::from_plain(&picked, "Change");
        properties.set("pullrequesturl", link.map_or(Json::Null, Json::from), "Change");
        properties
    }
}

/// The event that a request tells of.
fn event(request: &HookRequest) -> Result<Option<Event>, HookError> {
    if request.content_type() != "application/json" {
        return Err(HookError::Bad(format!("Unknown content type: {}", request.content_type())));
    }
    let payload = request.json()?;
    let name = request.header("x-event-key");
    let name = name.ok_or_else(|| HookError::Bad("Header X-Event-Key was not present".into()))?;
    Ok(Some(Event::new(name, payload)))
}

/// What classes of the configuration may ask: `extractProperties(payload)`.
fn help(options: &Options, method: &str, args: &[Json]) -> Result<Json, HookError> {
    match (method, args) {
        ("extractProperties", [payload @ Json::Object(_)]) => Ok(Json::Object(
            glob::pick("bitbucket", payload, &options.bitbucket_property_whitelist.0).into_iter().collect(),
        )),
        _ => Err(HookError::Failed("extractProperties(payload): a table is wanted".into())),
    }
}

/// What happened to a pull request; the word of its category (`pull-WORD`).
#[derive(Clone, Copy, PartialEq)]
enum Pull {
    Created,
    Updated,
    Fulfilled,
    Rejected,
}

impl Pull {
    fn category(self) -> &'static str {
        match self {
            Pull::Created => "pull-created",
            Pull::Updated => "pull-updated",
            Pull::Fulfilled => "pull-fulfilled",
            Pull::Rejected => "pull-rejected",
        }
    }

    /// While it is open, its merge is built; then the branch it was for, or where it was rejected the one it came from.
    fn branch(self, number: i64, from: &Part<'_>, to: &Part<'_>) -> Result<String, HookError> {
        let name = |side: &Part<'_>| side.first_text(&["branch.name", "displayId"]);
        Ok(match self {
            Pull::Created | Pull::Updated => format!("refs/pull-requests/{number}/merge"),
            Pull::Fulfilled => format!("refs/heads/{}", name(to)?),
            Pull::Rejected => format!("refs/heads/{}", name(from)?),
        })
    }
}

/// One reference that a push moved or deleted.
struct Moved {
    reference: String,
    hash: String,
    deleted: bool,
}

impl Moved {
    /// `{new, old}` with `type`, `name` and `target.hash`; a deletion has no `new`.
    fn read(change: &Part<'_>) -> Result<Self, HookError> {
        let deleted = change.find("new").is_none();
        let side = change.part(if deleted { "old" } else { "new" })?;
        let kind = if side.text("type")? == "tag" { "tags" } else { "heads" };
        let reference = format!("refs/{kind}/{}", side.text("name")?);
        Ok(Moved { reference, hash: side.text("target.hash")?, deleted })
    }

    fn change(self, product: &str, common: &NewChange) -> NewChange {
        let category = if self.deleted { "ref-deleted" } else { "push" };
        NewChange {
            comments: format!("Bitbucket {product} commit {}", self.hash),
            revision: Some(self.hash),
            branch: Some(self.reference),
            category: Some(category.into()),
            ..common.clone()
        }
    }
}
