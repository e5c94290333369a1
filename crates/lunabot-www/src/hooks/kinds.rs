//! The handlers that a configuration may extend: `change_hook_dialects.NAME.class` (02.031, lua-api § 3).

use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{Category, Kind};
use schemars::JsonSchema;
use serde::Deserialize;

/// Handlers are classes; their options stand beside them, in the table of the dialect.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandlerParams {}

impl Params for HandlerParams {}

const fn handler(name: &'static str, aliases: &'static [&'static str], doc: &'static str) -> Kind {
    Kind {
        namespace: "webhooks",
        name,
        aliases,
        category: Category::WebHook,
        positional: &[],
        flat: false,
        doc,
        schema: schema_of::<HandlerParams>,
        check: check_as::<HandlerParams>,
        callbacks: &[],
        extensible: true,
    }
}

/// Of dialects of one's own.
pub static BASE: Kind = handler(
    "BaseHookHandler",
    &["base"],
    "The base of web hook dialects of your own: extend it with getChanges(self, request), which returns a list of changes.",
);
/// Of the dialect of this name, like those that follow.
pub static GITHUB: Kind = handler(
    "GitHubEventHandler",
    &["GitHubHandler", "github"],
    "What the dialect github does: extend it with handle_EVENT(self, payload, event).",
);
pub static GITLAB: Kind = handler(
    "GitLabHandler",
    &["GitLabEventHandler", "gitlab"],
    "What the dialect gitlab does: extend it with handle_EVENT(self, payload, event).",
);
pub static GITEA: Kind = handler(
    "GiteaHandler",
    &["GiteaEventHandler", "gitea"],
    "What the dialect gitea does: extend it with handle_EVENT(self, payload, event).",
);
pub static BITBUCKET_CLOUD: Kind = handler(
    "BitbucketCloudEventHandler",
    &["BitbucketCloudHandler", "bitbucketcloud"],
    "What the dialect bitbucketcloud does: extend it with handle_EVENT(self, payload, event).",
);
pub static BITBUCKET_SERVER: Kind = handler(
    "BitbucketServerEventHandler",
    &["BitbucketServerHandler", "bitbucketserver"],
    "What the dialect bitbucketserver does: extend it with handle_EVENT(self, payload, event).",
);
