//! Free state of objects, and schedulers' verdicts on changes.

use crate::ack::Ack;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::Live;
use crate::new::{Classified, Settled, StateKey, StateValue};
use lunabot_model::{ChangeId, SchedulerId};

impl Live {
    pub(super) fn set_state(&mut self, key: &StateKey, value: &StateValue) {
        let object = (key.object.clone(), key.class.clone());
        let known = self.names.objects.get(&object).copied();
        let id = known.unwrap_or_else(|| {
            let id = 1 + self.names.objects.values().max().copied().unwrap_or(0);
            self.pending.batch.object(id, &object.0, &object.1);
            self.names.objects.insert(object, id);
            id
        });
        self.pending.batch.state(id, &key.name, value.to_string());
    }

    /// What a scheduler need not remember any more.
    pub(super) fn settle(&mut self, settled: &Settled) {
        for change in &settled.changes {
            self.pending.batch.settle(settled.schedulerid, *change);
        }
        for (key, value) in &settled.state {
            self.set_state(key, value);
        }
    }
}

impl Data {
    pub async fn get_state(&self, key: &StateKey) -> Result<Option<StateValue>> {
        let object = (key.object.clone(), key.class.clone());
        let object = self.shared.live().names.objects.get(&object).copied();
        let Some(object) = object else { return Ok(None) };
        self.flush().await?;
        let text = self.shared.store.state(object, &key.name).await?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|e| {
                DataError::Storage(format!("the state {} of {} is no JSON: {e}", key.name, key.object))
            })
        };
        text.map(read).transpose()
    }

    /// Durable when the ack resolves.
    pub async fn set_state(&self, key: &StateKey, value: StateValue) -> Result<Ack> {
        self.shared.room().await;
        let ((), epoch) = self.shared.change(|live| live.set_state(key, &value));
        Ok(self.ack(epoch))
    }

    /// Remembers a scheduler's verdict on a change until its timer fires (03.012).
    pub async fn classify_change(&self, scheduler: SchedulerId, verdict: Classified) -> Result<Ack> {
        self.shared.room().await;
        let ((), epoch) = self
            .shared
            .change(|live| live.pending.batch.classify(scheduler, verdict.changeid, verdict.important));
        Ok(self.ack(epoch))
    }

    /// In the order of the changes.
    pub async fn classified_changes(&self, scheduler: SchedulerId) -> Result<Vec<Classified>> {
        self.flush().await?;
        let found = self.shared.store.classified(scheduler).await?;
        Ok(found.into_iter().map(|(changeid, important)| Classified { changeid, important }).collect())
    }

    /// Forgets verdicts up to and including `last`; all, if absent.
    pub async fn flush_classifications(&self, scheduler: SchedulerId, last: Option<ChangeId>) -> Result<Ack> {
        let ((), epoch) = self.shared.change(|live| live.pending.batch.flush_classified(scheduler, last));
        Ok(self.ack(epoch))
    }
}
