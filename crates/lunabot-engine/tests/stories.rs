//! Stories of a running engine over a real store: a test configures it, asks for builds, and plays the workers.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod support;

#[path = "stories/builds.rs"]
mod builds;
#[path = "stories/callbacks.rs"]
mod callbacks;
#[path = "stories/cancelling.rs"]
mod cancelling;
#[path = "stories/collapsing.rs"]
mod collapsing;
#[path = "stories/explaining.rs"]
mod explaining;
#[path = "stories/faults.rs"]
mod faults;
#[path = "stories/latent.rs"]
mod latent;
#[path = "stories/locks.rs"]
mod locks;
#[path = "stories/patience.rs"]
mod patience;
#[path = "stories/queue.rs"]
mod queue;
#[path = "stories/services.rs"]
mod services;
#[path = "stories/steps.rs"]
mod steps;
#[path = "stories/unrest.rs"]
mod unrest;
