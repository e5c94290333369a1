//! Events: what a forge says has happened.

use super::HookError;
use lunabot_model::Json;

/// Something that a forge tells of.
pub struct Event {
    /// As the forge writes it: `pull_request`, `repo:push`.
    pub name: String,
    pub payload: Json,
}

impl Event {
    pub fn new(name: impl Into<String>, payload: Json) -> Self {
        Event { name: name.into(), payload }
    }

    /// Its name as a part of a method's: `repo_push`.
    pub fn word(&self) -> String {
        self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
    }

    pub fn unknown(&self) -> HookError {
        HookError::Bad(format!("Unknown event: {}", self.word()))
    }
}
