//! What a change source is to its manager: something that can be polled, and how often.

use crate::change_sources::Served;
use crate::program::ProgramError;
use async_trait::async_trait;
use lunabot_data::intake::{Intake, IntakeError};
use lunabot_data::new::StateKey;
use lunabot_data::{Data, DataError};
use lunabot_model::render::ServiceScope;
use lunabot_model::{ClassOf, Clock, Json, Renderable, ScriptError, ScriptHost, SecretSource};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

/// When to poll (02.005).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PollTimes {
    /// Zero: only when asked to.
    pub interval: std::time::Duration,
    pub at_launch: bool,
    /// Bounds of the random delay added to each time but the first at launch.
    pub delay: (std::time::Duration, std::time::Duration),
}

/// A source that is asked again and again. It keeps nothing in memory that a restart may not lose.
#[async_trait]
pub trait Poller: Send + Sync {
    fn times(&self) -> PollTimes;

    /// What it watches, in words.
    fn describe(&self) -> String;

    /// The same in the words of a class of the configuration, asked once it runs.
    async fn described(&self, _: &SourceContext) -> Option<String> {
        None
    }

    /// Whether it acts by itself: [`Poller::activate`] and [`Poller::deactivate`] mean something.
    fn is_active(&self) -> bool {
        false
    }

    /// It begins to act. Repeated until it succeeds.
    async fn activate(&self, _: &SourceContext) -> Result<(), SourceError> {
        Ok(())
    }

    /// It acts no more. Repeated until it succeeds.
    async fn deactivate(&self, _: &SourceContext) -> Result<(), SourceError> {
        Ok(())
    }

    /// Finds what would make every poll fail, e.g. a secret nobody knows (12.009).
    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError>;

    /// What outlives a reload that changed nothing in the source, such as a connection.
    fn keep(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Takes over what the same source of an older configuration kept.
    fn resume(&self, _kept: Arc<dyn Any + Send + Sync>) {}

    /// Completes when there is something to look at before the time has come. May be dropped and asked again.
    async fn arrived(&self) {
        std::future::pending::<()>().await;
    }

    /// Looks once and adds what is new. Dropped when the source is stopped: whatever it starts must end with it.
    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError>;

    /// Goes past `revision` without looking at it; never called during a poll. What it did, in words.
    async fn skip(&self, cx: &SourceContext, revision: &str) -> Result<String, SourceError> {
        Err(SourceError::Other(format!(
            "{} does not number its revisions: {revision} cannot be skipped; leave it out in change_fn",
            cx.name
        )))
    }
}

/// What a source has to work with during one poll.
#[derive(Clone)]
pub struct SourceContext {
    pub name: String,
    /// `GitPoller`, as in the owner's row of object state (14.028).
    pub class: &'static str,
    /// No poll has succeeded yet since it was started: an earlier one may have been cut off anywhere.
    pub first: bool,
    pub basedir: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub intake: Intake,
    pub secrets: Arc<dyn SecretSource>,
    /// Where it may serve requests.
    pub served: Served,
}

/// Why a poll failed. It is logged, shown and tried again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error("{0}")]
    Other(String),
}

impl SourceContext {
    pub fn data(&self) -> &Data {
        &self.intake.data
    }

    pub fn script(&self) -> &Arc<dyn ScriptHost> {
        &self.intake.script
    }

    /// `change source NAME`, for messages.
    pub fn concerns(&self) -> String {
        format!("change source {}", self.name)
    }

    /// A value that survived the last restart.
    pub async fn state(&self, name: &str) -> Result<Option<Json>, SourceError> {
        Ok(self.data().get_state(&self.key(name)).await?)
    }

    pub fn key(&self, name: &str) -> StateKey {
        StateKey { object: self.name.clone(), class: self.class.into(), name: name.into() }
    }

    /// Renders options of a service: secrets and functions, no properties of a build.
    pub async fn render(&self, value: &Json) -> Result<Json, SourceError> {
        self.scope().render(value).await.map_err(|error| SourceError::Other(error.to_string()))
    }

    /// The parameters of a class of the configuration.
    pub async fn params(&self, class: &ClassOf) -> Result<Json, SourceError> {
        self.scope().params(class).await.map_err(|error| SourceError::Other(error.to_string()))
    }

    /// The value of an option.
    pub async fn value<T: DeserializeOwned>(
        &self,
        option: &str,
        value: &Renderable<T>,
    ) -> Result<T, SourceError> {
        self.scope().value(value).await.map_err(|error| SourceError::Other(format!("{option}: {error}")))
    }

    fn scope(&self) -> ServiceScope {
        let (script, secrets) = (Arc::clone(self.script()), Arc::clone(&self.secrets));
        ServiceScope { script, secrets, concerns: self.concerns() }
    }
}
