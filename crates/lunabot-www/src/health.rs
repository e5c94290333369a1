//! The port through which the web asks how the master itself is; the binary implements it.

use lunabot_model::BoxFuture;
use lunabot_model::config::ConfigError;
use serde::Serialize;

/// Answers `/readyz` and the page Health. Generations and errors of callbacks are resources of the data API and need
/// not be repeated here.
pub trait HealthPort: Send + Sync {
    /// Whether the master takes work: configuration loaded, store writable, not stopping. The error says what is missing.
    fn ready(&self) -> Result<(), String>;

    fn report<'a>(&'a self) -> BoxFuture<'a, HealthReport>;
}

/// What the page Health shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HealthReport {
    pub version: String,
    /// Seconds since 1970.
    pub started_at: i64,
    /// Number of the configuration that runs; absent before the first.
    pub generation: Option<u64>,
    /// Mistakes of the last load, if it was refused: the generation above goes on without it.
    #[serde(serialize_with = "as_texts")]
    pub config_errors: Vec<ConfigError>,
    pub queues: Vec<Queue>,
    /// `sqlite` or `postgresql`.
    pub database: String,
    pub database_bytes: Option<u64>,
    /// Other facts, in words: name and value.
    pub facts: Vec<(String, String)>,
}

/// A bounded queue inside the master.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Queue {
    pub name: String,
    pub length: u64,
    pub limit: Option<u64>,
}

fn as_texts<S: serde::Serializer>(errors: &[ConfigError], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(errors.iter().map(ToString::to_string))
}
