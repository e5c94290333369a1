//! One loaded configuration with what its functions and secrets need.

use lunabot_model::config::Config;
use lunabot_model::{ScriptHost, SecretSource};
use std::sync::Arc;

/// A loaded configuration. Running builds hold on to theirs; the last one dropped lets the interpreter go.
pub struct Generation {
    /// Counts the loads of this process.
    pub number: u64,
    /// Of all files that were read; equal for equal files. Builds record it.
    pub content_hash: String,
    pub config: Config,
    /// The configuration file's name, the source of global properties (04.006): `master.lua`.
    pub file: String,
    pub host: Arc<dyn ScriptHost>,
    pub secrets: Arc<dyn SecretSource>,
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.host.retired();
    }
}
