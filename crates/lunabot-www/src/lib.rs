//! The web: REST at `/api/v2`, live events, change hooks, what operators ask (`/metrics`, `/livez`, `/readyz`), pages.
//!
//! Everything shown comes from [`lunabot_data::Data`]; every action goes through [`lunabot_data::Data::control`], so this
//! room knows no engine. [`router`] needs no socket; [`listen`] and [`serve`] add them. What must never enter:
//! SQL, decisions about builds, functions of the configuration other than those that hooks ask.

mod assets;
mod client;
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

pub use client::Client;
pub use health::{HealthPort, HealthReport, Queue};
pub use hooks::{
    HookMeans, Hooks, PollPort, USER_PASSWORD_AUTH, missing_secrets as missing_hook_secrets,
    unprotected as hook_warnings, wrong as hook_errors,
};
pub use listen::{Endpoint, ListenError, Listener, certificate, listen, take_passed_sockets};
pub use router::{WwwState, router};
pub use serve::serve;
pub use site::{Declared, SharedSite, Site};
