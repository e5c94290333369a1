//! The web: REST at `/api/v2`, live events, change hooks, what operators ask (`/metrics`, `/livez`, `/readyz`), pages.
//!
//! Everything shown comes from [`lunabot_data::Data`]; every action goes through [`lunabot_data::Data::control`], so this
//! room knows no engine. [`router`] needs no socket; [`listen`] and [`serve`] add them. What must never enter:
//! SQL, decisions about builds, functions of the configuration other than those that hooks and rights ask.

/// The variables of a template; any value that serialises.
macro_rules! view {
    (@value $name:ident) => { minijinja::Value::from(minijinja::value::Serde(&$name)) };
    (@value $name:ident $value:expr) => { minijinja::Value::from(minijinja::value::Serde(&$value)) };
    ($($name:ident $(=> $value:expr)?),* $(,)?) => {
        minijinja::Value::from(std::collections::BTreeMap::from([
            $((stringify!($name).to_string(), view!(@value $name $($value)?))),*
        ]))
    };
}

mod access_log;
mod assets;
mod auth;
mod authz;
mod badges;
mod client;
mod dashboards;
mod error;
mod events;
mod format;
mod health;
mod hooks;
mod listen;
mod ops;
mod origin;
mod pages;
mod rest;
mod router;
mod serve;
mod site;

pub use auth::{Access, Peer};
pub use authz::{Question, explain};
pub use badges::Badges;
pub use client::Client;
pub use dashboards::{Dashboards, SiteTemplates};
pub use format::spent;
pub use health::{HealthPort, HealthReport, Queue};
pub use hooks::{
    HookMeans, Hooks, PollPort, Refusal as ServeRefusal, missing_secrets as missing_hook_secrets,
    unprotected as hook_warnings, wrong as hook_errors,
};
pub use listen::{Endpoint, ListenError, Listener, certificate, listen, take_passed_sockets};
pub use rest::document as openapi_document;
pub use router::{WwwState, router};
pub use serve::serve;
pub use site::{Declared, SharedSite, Site};

/// What a configuration can declare about web hooks, logins and rights.
pub static KINDS: &[&lunabot_model::Kind] = &[
    &hooks::kinds::BASE,
    &hooks::kinds::GITHUB,
    &hooks::kinds::GITLAB,
    &hooks::kinds::GITEA,
    &hooks::kinds::BITBUCKET_CLOUD,
    &hooks::kinds::BITBUCKET_SERVER,
    &auth::kinds::NO_AUTH,
    &auth::kinds::USER_PASSWORD_AUTH,
    &auth::kinds::HTPASSWD_AUTH,
    &auth::kinds::CUSTOM_AUTH,
    &auth::kinds::REMOTE_USER_AUTH,
    &auth::kinds::AVATAR_GRAVATAR,
    &auth::oauth::kinds::GITHUB,
    &auth::oauth::kinds::GITLAB,
    &auth::oauth::kinds::GOOGLE,
    &auth::oauth::kinds::BITBUCKET,
    &auth::oauth::kinds::OPEN_ID,
    &authz::kinds::AUTHZ,
    &authz::kinds::ANY_ENDPOINT,
    &authz::kinds::ANY_CONTROL,
    &authz::kinds::FORCE_BUILD,
    &authz::kinds::STOP_BUILD,
    &authz::kinds::REBUILD_BUILD,
    &authz::kinds::ENABLE_SCHEDULER,
    &authz::kinds::ENDPOINT,
    &authz::kinds::FROM_GROUPS,
    &authz::kinds::FROM_EMAILS,
    &authz::kinds::FROM_DOMAIN,
    &authz::kinds::FROM_USERNAME,
    &authz::kinds::FROM_OWNER,
    &authz::kinds::FROM_WORKER_OWNER,
    &authz::kinds::ROLES,
    &dashboards::kinds::DASHBOARD,
];
