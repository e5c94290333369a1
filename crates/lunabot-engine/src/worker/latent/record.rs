//! What is remembered of an instance, so that no end of the process can make it be forgotten.

use lunabot_data::new::StateKey;
use lunabot_data::{Data, DataError};
use lunabot_model::Json;
use serde::{Deserialize, Serialize};

/// An instance that was started, or was about to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What `start_instance` returned; null before it did.
    #[serde(default)]
    pub instance: Json,
}

impl Record {
    /// Completes when it is durable.
    pub async fn store(&self, data: &Data, worker: &str) -> Result<(), DataError> {
        let value = serde_json::to_value(self).unwrap_or_default();
        data.set_state(&key(worker), value).await?.await
    }

    /// Nothing of it is left. Completes when that is durable.
    pub async fn clear(data: &Data, worker: &str) -> Result<(), DataError> {
        data.set_state(&key(worker), Json::Null).await?.await
    }

    pub async fn read(data: &Data, worker: &str) -> Result<Option<Record>, DataError> {
        let stored = data.get_state(&key(worker)).await?.filter(|value| !value.is_null());
        // Whatever it says, it says that there is something to be stopped.
        Ok(stored.map(|value| serde_json::from_value(value).unwrap_or_default()))
    }
}

fn key(worker: &str) -> StateKey {
    StateKey { object: worker.into(), class: "lunabot.latent".into(), name: "instance".into() }
}
