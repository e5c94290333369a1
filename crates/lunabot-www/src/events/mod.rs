//! Live events: `/sse` for any client (09.102, 09.103), `/ws` for Buildbot's web client, `/live` for our pages.

mod command;
mod live;
mod sse;
mod ws;

pub use live::live;
pub use sse::{Consumers, sse};
pub use ws::{Sockets, ws};

use crate::auth::User;
use crate::router::App;
use std::time::Duration;

/// The path that somebody must be allowed to read to hear of a topic: without its last word, and up to the first `*`.
fn read_by(topic: &str) -> String {
    let mut parts: Vec<&str> = topic.split('/').filter(|part| !part.is_empty()).collect();
    parts.pop();
    let end = parts.iter().position(|part| *part == "*").unwrap_or(parts.len());
    parts.truncate(end);
    parts.join("/")
}

/// Whether somebody may hear of a topic; the error says why not.
async fn may_hear(app: &App, user: &User, topic: &str) -> Result<(), String> {
    app.may_read(user, &read_by(topic)).await
}

/// A comment is sent after such a silence, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Topics one listener may ask for.
const MAX_TOPICS: usize = 64;
/// Paths that one WebSocket may consume: a page of Buildbot's client asks for some of each step and log it shows.
const MAX_PATHS: usize = 4096;
