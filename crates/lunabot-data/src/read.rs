//! Typed readers for the engine and others in this process. They see every update made before them: rows that can
//! still change, and those whose last state is not stored yet, are in memory; all others are in the database.

use crate::data::Data;
use crate::error::Result;
use crate::new::PendingRequest;
use lunabot_db::PropertiesOf;
use lunabot_model::resources::*;
use lunabot_model::{
    BuildId, BuildRequestId, BuilderId, BuildsetId, ChangeId, LogId, Properties, Results, SourceStampId,
};
use std::collections::HashMap;

/// Chunks read at a time.
const CHUNKS: i64 = 16;

impl Data {
    pub async fn build(&self, id: BuildId) -> Result<Option<Build>> {
        let live = self.shared.live().builds.get(&id).map(|b| b.row.clone());
        match live {
            Some(build) => Ok(Some(build)),
            None => Ok(self.shared.store.by_id(id).await?),
        }
    }

    pub async fn build_properties(&self, id: BuildId) -> Result<Properties> {
        let live = self.shared.live().builds.get(&id).map(|b| b.properties.clone());
        match live {
            Some(properties) => Ok(properties),
            None => Ok(self.shared.store.properties(PropertiesOf::Build(id)).await?),
        }
    }

    pub async fn build_request(&self, id: BuildRequestId) -> Result<Option<BuildRequest>> {
        let live = self.shared.live().requests.get(&id).cloned();
        match live {
            Some(request) => Ok(Some(request)),
            None => Ok(self.shared.store.by_id(id).await?),
        }
    }

    pub async fn buildset(&self, id: BuildsetId) -> Result<Option<Buildset>> {
        let live = self.shared.live().buildsets.get(&id).map(|s| s.row.clone());
        match live {
            Some(set) => Ok(Some(set)),
            None => Ok(self.shared.store.by_id(id).await?),
        }
    }

    pub async fn buildset_properties(&self, id: BuildsetId) -> Result<Properties> {
        let live = self.shared.live().buildsets.get(&id).map(|s| s.properties.clone());
        match live {
            Some(properties) => Ok((*properties).clone()),
            None => Ok(self.shared.store.properties(PropertiesOf::Buildset(id)).await?),
        }
    }

    /// What a request has of its own, without the properties of its buildset.
    pub async fn request_properties(&self, id: BuildRequestId) -> Result<Properties> {
        let live = {
            let live = self.shared.live();
            let own = live.extras.get(&id).map(|extras| extras.properties.clone()).unwrap_or_default();
            live.requests.contains_key(&id).then_some(own)
        };
        match live {
            Some(properties) => Ok(properties),
            None => Ok(self.shared.store.properties(PropertiesOf::Request(id)).await?),
        }
    }

    /// A force scheduler as it was last listed: nobody is asked what can be chosen.
    pub fn force_scheduler(&self, name: &str) -> Option<ForceScheduler> {
        self.registered().force_schedulers.iter().find(|scheduler| scheduler.name == name).cloned()
    }

    /// A change; it is durable before anyone learns its id.
    pub async fn change(&self, id: ChangeId) -> Result<Option<Change>> {
        Ok(self.shared.store.by_id(id).await?)
    }

    /// All changes attached to these source stamps, by id: the last one of each stamp is its newest.
    pub async fn changes_of_stamps(&self, stamps: &[SourceStampId]) -> Result<Vec<Change>> {
        Ok(self.shared.store.changes_of_stamps(stamps).await?)
    }

    /// Unclaimed, incomplete requests, by id; all, or those named.
    pub async fn pending_requests(&self, only: Option<&[BuildRequestId]>) -> Result<Vec<PendingRequest>> {
        Ok(self.open_requests(only, |request| !request.claimed))
    }

    /// Incomplete requests, claimed ones too, by id; all, or those named.
    pub async fn incomplete_requests(&self, only: Option<&[BuildRequestId]>) -> Result<Vec<PendingRequest>> {
        Ok(self.open_requests(only, |_| true))
    }

    /// The incomplete requests of a buildset, claimed ones too, by id.
    pub async fn incomplete_requests_of_set(&self, set: BuildsetId) -> Result<Vec<PendingRequest>> {
        Ok(self.open_requests(None, |request| request.buildsetid == set))
    }

    /// Those of incomplete buildsets whose builds failed, by id.
    pub async fn failed_requests_of_open_sets(&self) -> Result<Vec<BuildRequest>> {
        self.flush().await?;
        let mut all = self.shared.store.requests_of_open_sets().await?;
        all.retain(|request| request.results == Some(Results::Failure));
        all.sort_by_key(|request| request.buildrequestid);
        Ok(all)
    }

    fn open_requests(
        &self,
        only: Option<&[BuildRequestId]>,
        wanted: impl Fn(&BuildRequest) -> bool,
    ) -> Vec<PendingRequest> {
        let live = self.shared.live();
        let complete = |request: &BuildRequest| {
            let set = live.buildsets.get(&request.buildsetid)?;
            let extras = live.extras.get(&request.buildrequestid);
            let mut properties = (*set.properties).clone();
            if let Some(extras) = extras {
                properties.update(&extras.properties);
            }
            Some(PendingRequest {
                request: request.clone(),
                buildset: set.row.clone(),
                properties,
                limits: extras.map(|extras| extras.limits).unwrap_or_default(),
            })
        };
        let open = |request: &&BuildRequest| !request.complete && wanted(request);
        let mut found: Vec<PendingRequest> = match only {
            Some(ids) => {
                ids.iter().filter_map(|id| live.requests.get(id)).filter(open).filter_map(complete).collect()
            }
            None => live.requests.values().filter(open).filter_map(complete).collect(),
        };
        found.sort_by_key(|pending| pending.request.buildrequestid);
        found.dedup_by_key(|pending| pending.request.buildrequestid);
        found
    }

    /// Completion time of each builder's newest build, for `getNewestCompleteTime` (07.012).
    pub async fn newest_complete_times(&self) -> Result<HashMap<BuilderId, i64>> {
        let mut times = self.shared.store.complete_times().await?;
        times.extend(self.shared.live().complete_times.iter().map(|(builder, time)| (*builder, *time)));
        Ok(times)
    }

    /// Lines `first ..= last` of a log, prefixed as stored, each with its newline.
    pub async fn log_lines(&self, log: LogId, first: i64, last: i64) -> Result<String> {
        if self.shared.live().logs.contains_key(&log) {
            self.flush().await?;
        }
        self.stored_lines(log, first, last).await
    }

    /// What is stored of the lines asked for.
    pub(crate) async fn stored_lines(&self, log: LogId, first: i64, last: i64) -> Result<String> {
        let (mut text, mut next) = (String::new(), first.max(0));
        while next <= last {
            let chunks = self.shared.store.chunks(log, next, last, CHUNKS).await?;
            let Some(end) = chunks.last().map(|chunk| chunk.last_line) else { break };
            chunks.iter().for_each(|chunk| chunk.lines(next, last, &mut text));
            next = end + 1;
        }
        Ok(text)
    }
}
