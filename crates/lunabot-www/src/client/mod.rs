//! Buildbot's own web client, unmodified: its files, its plug-ins' files, and the settings it starts from (10.011, 10.012, 10.039).
//!
//! It is served below a path of its own, and asks there for everything: what is not its own goes to the same handlers as at the root.

mod avatar;
mod load;
mod page;
mod serve;

pub use avatar::avatar;
pub use serve::entry;

use lunabot_model::Json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The client as one generation of the configuration has it. Made by [`Client::load`].
#[derive(Debug, Clone)]
pub struct Client {
    /// Begins and ends with a slash.
    path: String,
    dir: PathBuf,
    plugins: BTreeMap<String, Plugin>,
    /// The client's page, around the place where its settings go.
    page: (String, String),
    /// What does not depend on who asks.
    settings: Json,
}

/// A view plug-in.
#[derive(Debug, Clone)]
struct Plugin {
    dir: PathBuf,
    settings: Json,
}

impl Client {
    /// Where it is served, from the root.
    pub fn path(&self) -> &str {
        &self.path[1..]
    }
}
