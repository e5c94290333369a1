//! Live events: `/sse` for any client (09.102, 09.103), `/ws` for Buildbot's web client, `/live` for our pages.

mod command;
mod live;
mod sse;
mod ws;

pub use live::live;
pub use sse::{Consumers, sse};
pub use ws::{Sockets, ws};

use std::time::Duration;

/// A comment is sent after such a silence, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Topics one listener may ask for.
const MAX_TOPICS: usize = 64;
/// Paths that one WebSocket may consume: a page of Buildbot's client asks for some of each step and log it shows.
const MAX_PATHS: usize = 4096;
