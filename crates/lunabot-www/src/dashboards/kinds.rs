//! `util.Dashboard` (lua-api § 3).

use crate::auth::kinds::kind;
use lunabot_model::Callback;
use lunabot_model::kind::{CallbackSpec, Kind, Params, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

/// `util.Dashboard{…}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardParams {
    /// Its address among the pages: letters, digits, `-` and `_`.
    pub name: String,
    /// What menus say; default: the name.
    #[serde(default)]
    pub caption: Option<String>,
    /// An icon of Font Awesome, for the menu of Buildbot's web client.
    #[serde(default)]
    pub icon: Option<String>,
    /// Where it stands among the others in menus: small numbers come first.
    #[serde(default = "last")]
    pub order: i64,
    /// Makes the answer to a request.
    pub app: Callback,
    /// A folder whose files are served below `static/`; relative to the configuration's folder.
    #[serde(default, rename = "static")]
    pub files: Option<String>,
    /// For how long an answer to a GET may be given again to the same user; 0: not at all.
    #[serde(default)]
    pub cache_seconds: u32,
}

fn last() -> i64 {
    99
}

impl Params for DashboardParams {
    fn validate(&self) -> Vec<Problem> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let good = !self.name.is_empty() && self.name.bytes().all(plain);
        let told = (!good).then(|| Problem::new("name", "is made of letters, digits, - and _"));
        told.into_iter().collect()
    }
}

pub static DASHBOARD: Kind = Kind {
    callbacks: &[CallbackSpec {
        option: "app",
        args: "request",
        returns: "HTML, {status=, headers=, body=}, or nil: there is no such page",
        on_error: "an error page",
    }],
    ..kind::<DashboardParams>(
        "Dashboard",
        &[],
        "A page of your own among the master's. For c.www.dashboards.",
    )
};
