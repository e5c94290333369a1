//! Stories of a running engine over a real store: a test configures it, asks for builds, and plays the workers.

mod support;

#[path = "stories/builds.rs"]
mod builds;
