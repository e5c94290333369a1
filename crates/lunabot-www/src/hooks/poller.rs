//! The poller dialect (02.040): change sources that poll are asked to poll now.

use super::options::Texts;
use super::served::Refusal;
use super::{Dialect, DialectOptions, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::{BoxFuture, Json, Problem, ScriptObject};
use serde::Deserialize;
use std::sync::Arc;

/// The change sources of this master; the binary implements it.
pub trait PollPort: Send + Sync {
    /// Names of the sources that can be asked.
    fn pollers(&self) -> Vec<String>;

    /// Asks those named for a poll now; returns when they are asked. One that is gone by then is left out.
    fn poll<'a>(&'a self, names: &'a [String]) -> BoxFuture<'a, ()>;

    /// Whether one of them serves `/change_hook/custom/PATH`.
    fn serves(&self, path: &str) -> bool;

    /// Has a request answered by the source that serves `path`, with what its function returns.
    fn serve<'a>(&'a self, path: &'a str, request: ScriptObject) -> BoxFuture<'a, Result<Json, Refusal>>;

    /// The function for `path` has returned what is no answer; `text` says why. Tells it where errors of functions are.
    fn nonsense(&self, path: &str, text: &str);
}

/// The options of `change_hook_dialects.poller`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PollerHook {
    /// Sources that may be asked; not given: all.
    allowed: Option<Texts>,
}

impl DialectOptions for PollerHook {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

#[async_trait]
impl Dialect for PollerHook {
    async fn changes(
        &self,
        request: &Arc<HookRequest>,
        scope: &Arc<HookScope>,
    ) -> Result<Vec<NewChange>, HookError> {
        let mut names = scope.pollers.pollers();
        names.retain(|name| self.allowed.as_ref().is_none_or(|allowed| allowed.0.contains(name)));
        if let Some(asked) = request.values("poller") {
            let missing: Vec<_> =
                asked.iter().filter(|name| !names.contains(name)).map(String::as_str).collect();
            if !missing.is_empty() {
                return Err(HookError::Bad(format!("Could not find pollers: {}", missing.join(","))));
            }
            names.retain(|name| asked.contains(name));
        }
        scope.pollers.poll(&names).await;
        Ok(Vec::new())
    }
}
