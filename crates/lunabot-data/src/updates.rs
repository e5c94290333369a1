//! The updates, by what they concern. Each changes live rows, queues what has to be written, and what to announce.

mod builds;
mod buildsets;
mod changes;
mod codebases;
mod configured;
mod logs;
mod requests;
mod state;
mod steps;
mod test_results;
mod workers;

pub use buildsets::Collapser;

/// Shortens a name so that `suffix` fits within `limit` characters, and joins both.
fn fitted(name: &str, suffix: &str, limit: usize) -> String {
    let room = limit.saturating_sub(suffix.chars().count());
    name.chars().take(room).chain(suffix.chars()).collect()
}

/// What a step or a build says of itself, which pages show in one line. A command may have a word of a megabyte.
fn said(text: &str) -> String {
    lunabot_model::text::shortened_to(SAID, text).into_owned()
}

/// Longer texts of steps and builds, in characters, are cut.
const SAID: usize = 1000;

/// The names of steps and the slugs of logs have at most this many characters (09.007, 09.008).
const IDENTIFIER: usize = 50;
