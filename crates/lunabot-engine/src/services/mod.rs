//! Services that watch requests and builds and cancel what is not worth building (reference 03.025, 03.026), and those of
//! classes of the configuration (01.024).
//!
//! What must never enter: reporters, and anything else that talks to the outside world.

mod failing;
mod kinds;
mod old;
mod own;
mod stamps;

pub use kinds::KINDS;

use crate::Generation;
use lunabot_data::{Data, Delivery, Subscription};
use lunabot_model::{AnyObject, BuildRequestId, BuilderId, Clock, Pattern};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// What services of one generation work with.
#[derive(Clone)]
pub(crate) struct Around {
    pub data: Data,
    pub clock: Arc<dyn Clock>,
    pub generation: Arc<Generation>,
    /// Names of the configured builders.
    pub builders: Arc<HashMap<BuilderId, String>>,
}

impl Around {
    /// Cancels a request, running build included.
    async fn cancel(&self, service: &str, request: BuildRequestId, reason: &str) {
        tracing::info!(service, request, "cancelling: {reason}");
        let params = serde_json::json!({ "reason": reason });
        if let Err(error) = self.data.control(&format!("buildrequests/{request}"), "cancel", params).await {
            tracing::error!(service, request, "could not cancel: {error}");
        }
    }

    fn listen(&self, patterns: &[&str]) -> Subscription {
        self.data.bus().subscribe(patterns.iter().map(|pattern| Pattern::parse(pattern)).collect())
    }
}

/// The running services.
#[derive(Default)]
pub(crate) struct Services {
    /// Ends those of the newest generation.
    watching: Mutex<CancellationToken>,
    own: own::OwnServices,
}

impl Services {
    /// Ends the services of the past and starts those declared. They find out by themselves what is open, so that a
    /// reload or a restart loses nothing. Those of classes of the configuration are touched where they differ only. The
    /// error names the place.
    pub fn apply(&self, around: &Around) -> Result<(), String> {
        let declared = &around.generation.config.services;
        let services = declared.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let token = CancellationToken::new();
        let mut current = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, token.clone()).cancel();
        for service in services.into_iter().flatten() {
            let (around, token) = (around.clone(), token.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = token.cancelled() => {}
                    () = service.live(&around) => {}
                }
            });
        }
        self.own.apply(declared, around)
    }

    /// How those of classes of the configuration are, by name.
    pub fn status(&self) -> Vec<(String, String)> {
        self.own.status()
    }

    /// Ends all, and waits for what they have to finish.
    pub async fn shut_down(&self) {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        self.own.shut_down().await;
    }
}

enum Service {
    Old(old::OldBuilds),
    Failing(failing::FailingBuilds),
}

/// Nothing: a service of another room.
fn read(object: &AnyObject) -> Result<Option<Service>, String> {
    let at = |error: String| format!("{}: {}: {error}", object.at, object.kind);
    match object.kind.as_str() {
        "util.OldBuildCanceller" => old::OldBuilds::read(object).map(Service::Old).map(Some).map_err(at),
        "util.FailingBuildsetCanceller" => {
            failing::FailingBuilds::read(object).map(Service::Failing).map(Some).map_err(at)
        }
        _ => Ok(None),
    }
}

impl Service {
    async fn live(self, around: &Around) {
        match self {
            Service::Old(service) => service.live(around).await,
            Service::Failing(service) => service.live(around).await,
        }
    }
}

/// The id in a topic such as `buildrequests/7/new`; `None`: events were missed.
fn id_of(delivery: &Delivery) -> Option<i64> {
    match delivery {
        Delivery::Event(event) => event.topic.id(1),
        Delivery::Lagged(_) => None,
    }
}
