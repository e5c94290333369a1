//! Pollers in their manager, with the real programs and a real database (02.001–02.026).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "pollers/gerrit.rs"]
mod gerrit;
#[path = "pollers/master.rs"]
mod master;
#[path = "pollers/pull_requests.rs"]
mod pull_requests;
#[path = "pollers/server.rs"]
mod server;

mod support;
