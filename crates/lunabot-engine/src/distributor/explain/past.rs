//! What kept a request waiting before a build of it began: told again where that build ends with *retry*.

use super::look::{Computed, Look};
use super::ring::Ring;
use lunabot_model::Mono;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Of its builder.
    pub looks: Ring<Look>,
    /// Its own.
    pub computed: Ring<Computed>,
}

impl Past {
    /// With what was found since.
    pub fn and(mut self, looks: &Ring<Look>, computed: Option<&Ring<Computed>>) -> Self {
        self.looks.absorb(looks);
        if let Some(computed) = computed {
            self.computed.absorb(computed);
        }
        self
    }

    /// A build begins: nothing of it holds.
    pub fn ended(mut self, now: Mono) -> Self {
        self.looks.end(now);
        self.computed.end(now);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.looks.iter().next().is_none() && self.computed.iter().next().is_none()
    }
}
