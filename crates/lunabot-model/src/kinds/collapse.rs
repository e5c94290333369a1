//! `util.collapse_by`: collapsing by a key instead of pair by pair (lua-api § 2).

use crate::Callback;
use crate::kind::{CallbackSpec, Category, Kind, Params, check_as, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollapseByParams {
    /// Called once per request; gives the key. Requests of one builder with equal keys collapse; nil never does.
    #[serde(rename = "fn")]
    pub function: Callback,
    /// Only where the default rule agrees (07.007).
    #[serde(default)]
    pub compatible: bool,
}

impl Params for CollapseByParams {}

pub const COLLAPSE_BY: Kind = Kind {
    namespace: "util",
    name: "collapse_by",
    aliases: &[],
    category: Category::Value,
    positional: &["fn"],
    flat: false,
    doc: "In place of a function for collapseRequests: requests of one builder with equal keys collapse. The key is asked \
          once per request, however many wait.",
    schema: schema_of::<CollapseByParams>,
    check: check_as::<CollapseByParams>,
    callbacks: &[CallbackSpec {
        option: "fn",
        args: "request",
        returns: "a key: a text, a number, a boolean, or a list or table of such; nil: never collapsed",
        on_error: "not collapsed",
    }],
    extensible: false,
};
