//! Pollers in their manager, with the real programs and a real database (02.001–02.026).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "pollers/bzr.rs"]
mod bzr;
#[path = "pollers/gerrit.rs"]
mod gerrit;
#[path = "pollers/git.rs"]
mod git;
#[path = "pollers/hg.rs"]
mod hg;
#[path = "pollers/mail.rs"]
mod mail;
#[path = "pollers/master.rs"]
mod master;
#[path = "pollers/p4.rs"]
mod p4;
#[path = "pollers/pull_requests.rs"]
mod pull_requests;
#[path = "pollers/server.rs"]
mod server;
#[path = "pollers/svn.rs"]
mod svn;

mod support;
