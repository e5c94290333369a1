//! Live events: `/sse` for any client (09.102, 09.103), `/live` for our pages.

mod live;
mod sse;

pub use live::live;
pub use sse::{Consumers, sse};

use std::time::Duration;

/// A comment is sent after such a silence, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Topics one listener may ask for.
const MAX_TOPICS: usize = 64;
