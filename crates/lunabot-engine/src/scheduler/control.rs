//! Control actions on schedulers: `enable` (03.003) and `force` (03.032).

use super::actor::Order;
use super::{Current, Entry, Role, Schedulers, dependent, tries};
use lunabot_data::{ControlError, ControlHandler, Data, DataError};
use lunabot_model::{BoxFuture, Json};
use std::sync::{Arc, Weak};

/// Registers the handlers. They hold the schedulers weakly: the data API must not keep the engine alive.
pub(super) fn register(schedulers: &Arc<Schedulers>, data: &Data) {
    let weak = Arc::downgrade(schedulers);
    data.on_control("schedulers", Arc::new(EnableHandler(weak.clone())));
    data.on_control("forceschedulers", Arc::new(ForceHandler(weak)));
}

struct EnableHandler(Weak<Schedulers>);

impl ControlHandler for EnableHandler {
    fn control<'a>(
        &'a self,
        id: &'a str,
        action: &'a str,
        params: Json,
    ) -> BoxFuture<'a, Result<Json, ControlError>> {
        Box::pin(async move {
            if action != "enable" {
                return Err(ControlError::Unsupported(action.into()));
            }
            let enabled = params["enabled"].as_bool().ok_or_else(|| {
                ControlError::InvalidParams("enabled must be true or false".into()) //
            })?;
            let schedulers = self.0.upgrade().ok_or_else(gone)?;
            schedulers.enable(id, enabled).await
        })
    }
}

struct ForceHandler(Weak<Schedulers>);

impl ControlHandler for ForceHandler {
    fn control<'a>(
        &'a self,
        id: &'a str,
        action: &'a str,
        params: Json,
    ) -> BoxFuture<'a, Result<Json, ControlError>> {
        Box::pin(async move {
            if action != "force" {
                return Err(ControlError::Unsupported(action.into()));
            }
            let schedulers = self.0.upgrade().ok_or_else(gone)?;
            let current = schedulers.current();
            match current.all.get(id) {
                Some(Entry { role: Role::Forced(_), enabled: false, .. }) => {
                    Err(ControlError::InvalidParams(format!("force scheduler {id} is disabled").into()))
                }
                Some(Entry { role: Role::Forced(force), .. }) => force.force(&params).await,
                Some(_) | None => Err(ControlError::NotFound(format!("no force scheduler {id}"))),
            }
        })
    }
}

fn gone() -> ControlError {
    ControlError::Internal("the master is shutting down".into())
}

pub(super) fn failed(error: DataError) -> ControlError {
    ControlError::Internal(error.to_string())
}

impl Schedulers {
    async fn enable(&self, id: &str, enabled: bool) -> Result<Json, ControlError> {
        let _turn = self.turn.lock().await;
        let current = self.current();
        let found = current.all.iter().find(|(_, entry)| entry.id.to_string() == id);
        let (name, entry) = found.ok_or_else(|| ControlError::NotFound(format!("no scheduler {id}")))?;
        let data = current.data.as_ref().ok_or_else(gone)?;
        data.set_scheduler_enabled(entry.id, enabled).await.map_err(failed)?;
        match &entry.role {
            Role::Follows { inbox, .. } => {
                inbox.send(Order::Enable(enabled)).await.map_err(|_| gone())?;
            }
            Role::Depends { inbox, .. } => {
                inbox.send(dependent::Order::Enable(enabled)).await.map_err(|_| gone())?;
            }
            Role::Watches { inbox, .. } => {
                inbox.send(tries::Order::Enable(enabled)).await.map_err(|_| gone())?;
            }
            Role::Forced(_) | Role::Triggered(_) | Role::Tried(_) => {}
        }
        let mut all = current.all.clone();
        all.insert(name.clone(), Entry { enabled, ..entry.clone() });
        self.replace(Current { data: current.data.clone(), all });
        Ok(Json::Null)
    }
}
