//! Building something else from within a step (06.045–06.049).

use super::{StepContext, StepError};
use crate::scheduler::{Completed, PartialStamp, TriggerOrder, Triggered};
use lunabot_data::ControlError;
use lunabot_model::{BuildRequestId, BuildsetId, Json, Properties, Property};
use serde_json::json;
use std::time::Duration;

/// How long an interrupted step waits for the builds that it has cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(60);

/// What a step asks of a scheduler. The parent and its priority follow from the step's build.
#[derive(Debug, Clone, Default)]
pub struct TriggerRequest {
    /// Name of a Triggerable or NightlyTriggerable.
    pub scheduler: String,
    pub sourcestamps: Vec<PartialStamp>,
    pub properties: Properties,
    /// Whether this build waits for the result.
    pub waited_for: bool,
    /// In words, for the pages of the triggered builds.
    pub relationship: String,
}

/// What a step has triggered.
pub struct TriggeredSet {
    /// Name of the scheduler.
    pub scheduler: String,
    triggered: Triggered,
}

impl TriggeredSet {
    /// None where the scheduler builds later (03.020).
    pub fn bsid(&self) -> Option<BuildsetId> {
        self.triggered.bsid
    }

    pub fn requests(&self) -> impl Iterator<Item = BuildRequestId> + '_ {
        self.triggered.requests.values().copied()
    }

    /// The next request that completes; `None` when all have. Nothing is lost when it is dropped while it waits.
    pub async fn next(&mut self) -> Result<Option<Completed>, StepError> {
        Ok(self.triggered.next().await?)
    }
}

impl StepContext {
    /// Whether there is a scheduler of this name that can be triggered. The error says what is wrong.
    pub fn check_triggerable(&self, scheduler: &str) -> Result<(), StepError> {
        let checked = self.0.build.services.schedulers.check_triggerable(scheduler);
        checked.map_err(|error| StepError::Exception(error.to_string()))
    }

    /// Triggers a scheduler and links its requests from the step (06.048). Durable when it returns.
    pub async fn trigger(&self, request: TriggerRequest) -> Result<TriggeredSet, StepError> {
        let TriggerRequest { scheduler, sourcestamps, properties, waited_for, relationship } = request;
        let properties = self.handed_on(&properties)?;
        let order = TriggerOrder {
            sourcestamps,
            properties,
            waited_for,
            parent_buildid: Some(self.build().buildid),
            parent_relationship: Some(relationship),
            priority: Some(self.build().priority),
        };
        let triggered = self.0.build.services.schedulers.trigger(&scheduler, order).await;
        let triggered = triggered.map_err(|error| StepError::Exception(error.to_string()))?;
        let set = TriggeredSet { scheduler, triggered };
        for request in set.requests() {
            let url = format!("{}#/buildrequests/{request}", self.base_url());
            self.add_url(&format!("{} #{request}", set.scheduler), &url).await?;
        }
        Ok(set)
    }

    /// Properties as another build gets them: secrets that this one knows are named and not told (04.039), so that the
    /// other fetches and masks them itself. The reason is for people.
    fn handed_on(&self, properties: &Properties) -> Result<Properties, StepError> {
        let handed_on = |(name, property): (&str, &Property)| {
            let value = match name {
                "reason" => Ok(self.masks().mask_json(&property.value)),
                _ => self.masks().sealed(&property.value, "a Trigger step"),
            };
            let value = value.map_err(|held| StepError::Exception(format!("the property {name} {held}")))?;
            Ok((name.to_owned(), Property { value, ..property.clone() }))
        };
        properties.iter().map(handed_on).collect()
    }

    /// Links the builds of a request that is complete: `success: builder #1` (06.048).
    pub async fn link_builds(&self, completed: &Completed) -> Result<(), StepError> {
        for build in &completed.builds {
            let name = format!("{}: {} #{}", build.results, build.builder, build.number);
            let url = format!("{}#/builders/{}/builds/{}", self.base_url(), build.builderid, build.number);
            self.add_url(&name, &url).await?;
        }
        Ok(())
    }

    /// Cancels what was triggered, whether it runs or waits (06.047), and waits a while until it is over. After a lost
    /// connection nothing is waited for.
    pub async fn cancel_triggered(&self, sets: &mut [TriggeredSet]) {
        for request in sets.iter().flat_map(TriggeredSet::requests) {
            let reason: Json = json!({"reason": "parent build was interrupted"});
            let path = format!("buildrequests/{request}");
            match self.0.build.services.data.control(&path, "cancel", reason).await {
                Ok(_) | Err(ControlError::NotFound(_)) => {}
                Err(error) => tracing::error!(step = self.step_id(), request, "could not cancel: {error}"),
            }
        }
        let over = async {
            for set in sets {
                while let Ok(Some(_)) = set.next().await {}
            }
        };
        tokio::select! {
            () = over => {}
            () = self.0.build.worker.lost.cancelled() => {}
            () = self.0.build.services.clock.sleep(CANCEL_PATIENCE) => {}
        }
    }

    fn base_url(&self) -> &str {
        &self.0.build.builder.generation.config.buildbot_url
    }
}
