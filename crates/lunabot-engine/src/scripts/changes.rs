//! The changes of requests, read for many at once.

use lunabot_data::new::PendingRequest;
use lunabot_data::{Data, DataError};
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::{ChangeId, SourceStampId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// See the module. Copies share what was read.
#[derive(Default, Clone)]
pub(crate) struct RequestChanges(Arc<HashMap<SourceStampId, Vec<Change>>>);

impl RequestChanges {
    pub async fn read(data: &Data, requests: Vec<Arc<PendingRequest>>) -> Result<Self, DataError> {
        let stamps = requests.iter().flat_map(|request| &request.buildset.sourcestamps);
        let stamps: BTreeSet<_> = stamps.map(|stamp| stamp.ssid).collect();
        let mut by_stamp: HashMap<SourceStampId, Vec<Change>> = HashMap::new();
        for change in data.changes_of_stamps(&stamps.into_iter().collect::<Vec<_>>()).await? {
            by_stamp.entry(change.sourcestamp.ssid).or_default().push(change);
        }
        Ok(RequestChanges(Arc::new(by_stamp)))
    }

    /// The same where nobody can be told of an error: no changes then.
    pub async fn read_or_none(data: &Data, requests: Vec<Arc<PendingRequest>>) -> Self {
        Self::read(data, requests).await.unwrap_or_else(|error| {
            tracing::error!("could not read changes: {error}");
            RequestChanges::default()
        })
    }

    /// The id of the newest change of a source stamp; 0: it has none.
    pub fn newest(&self, stamp: &SourceStamp) -> ChangeId {
        let changes = self.0.get(&stamp.ssid).into_iter().flatten();
        changes.map(|change| change.changeid).max().unwrap_or(0)
    }

    /// Those of one request, by id.
    pub fn of(&self, request: &PendingRequest) -> Vec<&Change> {
        let stamps = request.buildset.sourcestamps.iter();
        let mut all: Vec<_> = stamps.filter_map(|stamp| self.0.get(&stamp.ssid)).flatten().collect();
        all.sort_by_key(|change| change.changeid);
        all
    }
}
