//! The web, called without a socket, over a real store on a temporary SQLite file.

#![allow(clippy::unwrap_used, reason = "a failure here is the test's")]

mod support;

#[path = "web/auth.rs"]
mod auth;
#[path = "web/authz.rs"]
mod authz;
#[path = "web/badges.rs"]
mod badges;
#[path = "web/client.rs"]
mod client;
#[path = "web/contents.rs"]
mod contents;
#[path = "web/control.rs"]
mod control;
#[path = "web/events.rs"]
mod events;
#[path = "web/hooks.rs"]
mod hooks;
#[path = "web/oauth.rs"]
mod oauth;
#[path = "web/operations.rs"]
mod operations;
#[path = "web/pages.rs"]
mod pages;
#[path = "web/reading.rs"]
mod reading;
#[path = "web/rest.rs"]
mod rest;
#[path = "web/serving.rs"]
mod serving;
