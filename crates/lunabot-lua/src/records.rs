//! What is known of the calls of all generations.

use crate::profile::{Profile, ProfileRow, Spent};
use crate::script_errors::{ScriptErrorRow, ScriptErrors};
use crate::serve::Job;
use lunabot_model::script::{CallSite, Conceal, ScriptError, ScriptErrorKind};
use lunabot_model::{Clock, Time, Token};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// The failures of the configuration's functions, and what they cost. Shared by all generations.
#[derive(Default)]
pub struct Records {
    errors: ScriptErrors,
    profile: Profile,
    secrets: Option<Arc<dyn Conceal>>,
    /// The doors of the interpreters that serve, by generation.
    doors: Mutex<BTreeMap<u64, mpsc::WeakSender<Job>>>,
}

impl Records {
    /// Such that hide the secrets that they are told of.
    pub fn hiding(secrets: Arc<dyn Conceal>) -> Self {
        Records { secrets: Some(secrets), ..Records::default() }
    }

    /// An interpreter serves from now on.
    pub(crate) fn serves(&self, generation: u64, jobs: &mpsc::Sender<Job>) {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|_, door| door.strong_count() > 0);
        doors.insert(generation, jobs.downgrade());
    }

    /// The door of a generation, if somebody still needs that.
    pub(crate) fn door(&self, generation: u64) -> Option<mpsc::Sender<Job>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).get(&generation)?.upgrade()
    }

    /// A secret was asked for.
    pub fn learn(&self, name: &str, value: &str) {
        if let Some(secrets) = &self.secrets {
            secrets.learn(name, value);
        }
    }

    /// A token was made.
    pub fn learn_token(&self, name: &str, token: &Token, now: Time) {
        if let Some(secrets) = &self.secrets {
            secrets.learn_token(name, token, now);
        }
    }

    /// What functions of the configuration say, as people may see it.
    pub fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.secrets.as_ref().map_or(Cow::Borrowed(text), |secrets| secrets.conceal(text))
    }

    /// What has failed, the newest first.
    pub fn errors(&self) -> Vec<ScriptErrorRow> {
        self.errors.rows()
    }

    /// What was called, the most expensive first.
    pub fn profile(&self) -> Vec<ProfileRow> {
        self.profile.rows()
    }

    /// Keeps an error, and counts it; gives it as people may see it.
    pub(crate) fn failed(
        &self,
        site: &CallSite,
        error: &ScriptError,
        at: &str,
        clock: &dyn Clock,
    ) -> ScriptError {
        let error = self.concealed(error);
        self.errors.record(site, &error, at, clock);
        if error.kind == ScriptErrorKind::Nonsense {
            self.profile.nonsense(site, at);
        }
        let (callback, kind) = (site.callback.clone(), error.kind.name());
        metrics::counter!("lunabot_callback_errors_total", "callback" => callback, "kind" => kind)
            .increment(1);
        error
    }

    /// The same without secrets.
    pub(crate) fn concealed(&self, error: &ScriptError) -> ScriptError {
        let seen = |text: &str| crate::failure::seen(&self.conceal(text));
        ScriptError { kind: error.kind, message: seen(&error.message), traceback: seen(&error.traceback) }
    }

    pub(crate) fn called(
        &self,
        site: &CallSite,
        at: &str,
        spent: impl IntoIterator<Item = Spent>,
        clock: &dyn Clock,
    ) {
        self.profile.record(site, at, spent, clock);
    }
}
