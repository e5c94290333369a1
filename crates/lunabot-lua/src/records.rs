//! What is known of the calls of all generations.

use crate::profile::{Profile, ProfileRow, Spent};
use crate::script_errors::{ScriptErrorRow, ScriptErrors};
use lunabot_model::Clock;
use lunabot_model::script::{CallSite, ScriptError};

/// The failures of the configuration's functions, and what they cost. Shared by all generations.
#[derive(Debug, Default)]
pub struct Records {
    errors: ScriptErrors,
    profile: Profile,
}

impl Records {
    /// What has failed, the newest first.
    pub fn errors(&self) -> Vec<ScriptErrorRow> {
        self.errors.rows()
    }

    /// What was called, the most expensive first.
    pub fn profile(&self) -> Vec<ProfileRow> {
        self.profile.rows()
    }

    pub(crate) fn failed(&self, site: &CallSite, error: &ScriptError, at: &str, clock: &dyn Clock) {
        self.errors.record(site, error, at, clock);
    }

    pub(crate) fn called(&self, site: &CallSite, at: &str, spent: Spent, clock: &dyn Clock) {
        self.profile.record(site, at, spent, clock);
    }
}
