//! Buildsets with their requests.

use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::{Live, LiveExtras, LiveSet, next};
use crate::new::{NewBuildset, Patience, RequestLimits};
use crate::outbox::Happening;
use lunabot_db::{BuildsetPropertyRow, BuildsetStampRow, RequestLimitRow};
use lunabot_model::resources::{BuildRequest, Buildset, SourceStamp};
use lunabot_model::{BoxFuture, BuildRequestId, BuilderId, BuildsetId, Results};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Looks at new requests before they are announced.
pub trait Collapser: Send + Sync {
    fn collapse<'a>(&'a self, new: &'a [BuildRequestId]) -> BoxFuture<'a, ()>;
}

/// What was stored.
struct Added {
    set: Buildset,
    requests: Vec<BuildRequest>,
}

impl Live {
    fn add_buildset(&mut self, new: &NewBuildset, sourcestamps: Vec<SourceStamp>, now: i64) -> Added {
        let done = new.builderids.is_empty();
        let set = Buildset {
            bsid: next(&mut self.ids.buildsets),
            external_idstring: new.external_idstring.clone(),
            reason: new.reason.clone(),
            rebuilt_buildid: new.rebuilt_buildid,
            submitted_at: now,
            complete: done,
            complete_at: done.then_some(now),
            results: done.then_some(Results::Success),
            sourcestamps,
            parent_buildid: new.parent_buildid,
            parent_relationship: new.parent_relationship.clone(),
        };
        self.put_set_details(&set, new);
        if let Some(settled) = &new.settled {
            self.settle(settled);
        }
        let requests: Vec<BuildRequest> =
            new.builderids.iter().map(|builder| self.request(&set, *builder, new, now)).collect();
        for request in &requests {
            self.pending.batch.requests.put(request.clone());
            self.requests.insert(request.buildrequestid, request.clone());
            self.limit(request.buildrequestid, new.patience, now);
            self.report_request(Happening::RequestNew, request, now);
        }
        if done {
            self.report_buildset(set.bsid, now);
        } else {
            let live = LiveSet {
                row: set.clone(),
                properties: Arc::new(new.properties.clone()),
                remaining: requests.len(),
                worst: Results::Success,
            };
            self.buildsets.insert(set.bsid, live);
        }
        Added { set, requests }
    }

    fn put_set_details(&mut self, set: &Buildset, new: &NewBuildset) {
        let batch = &mut self.pending.batch;
        batch.buildsets.put(set.clone());
        for stamp in &set.sourcestamps {
            batch.buildset_stamps.put(BuildsetStampRow { buildsetid: set.bsid, sourcestampid: stamp.ssid });
        }
        for (name, property) in new.properties.iter() {
            batch.buildset_properties.put(BuildsetPropertyRow {
                owner: set.bsid,
                name: name.to_owned(),
                value: property.value.to_string(),
                source: property.source.clone(),
            });
        }
    }

    fn limit(&mut self, request: BuildRequestId, patience: Patience, now: i64) {
        let limits = RequestLimits {
            expires_at: patience.request.map(|seconds| now.saturating_add(seconds)),
            offline_timeout: patience.offline_workers,
        };
        if limits.is_empty() {
            return;
        }
        self.extras.insert(request, LiveExtras { limits, ..LiveExtras::default() });
        self.pending.batch.request_limits.put(RequestLimitRow {
            buildrequestid: request,
            expires_at: limits.expires_at,
            offline_timeout: limits.offline_timeout,
        });
    }

    fn request(&mut self, set: &Buildset, builderid: BuilderId, new: &NewBuildset, now: i64) -> BuildRequest {
        BuildRequest {
            buildrequestid: next(&mut self.ids.buildrequests),
            buildsetid: set.bsid,
            builderid,
            priority: new.priority,
            claimed: false,
            claimed_at: None,
            claimed_by_masterid: None,
            complete: false,
            results: None,
            submitted_at: now,
            complete_at: None,
            waited_for: new.waited_for,
            properties: None,
        }
    }
}

impl Data {
    /// Stores a buildset, its properties, stamps and requests in one transaction, lets the collapser look at the new
    /// requests, then announces buildset and requests (07.001). Durable when it returns. No builders: completes
    /// at once with SUCCESS. `settled` is written in the same transaction.
    pub async fn add_buildset(
        &self,
        mut new: NewBuildset,
    ) -> Result<(BuildsetId, BTreeMap<BuilderId, BuildRequestId>)> {
        self.shared.refuse_when_stuck()?;
        self.shared.room().await;
        let mut seen = std::collections::HashSet::new();
        new.builderids.retain(|builder| seen.insert(*builder));
        if let Some(unknown) = self.unknown_builder(&new.builderids) {
            return Err(DataError::NotFound(format!("there is no builder {unknown}")));
        }
        let intake = self.shared.intake.lock().await;
        let mut stamps = Vec::with_capacity(new.sourcestamps.len());
        for stamp in &new.sourcestamps {
            let stamp = self.stamp(stamp).await?;
            if !stamps.iter().any(|known: &SourceStamp| known.ssid == stamp.ssid) {
                stamps.push(stamp);
            }
        }
        let now = self.shared.now();
        let (added, epoch) = self.shared.change(|live| live.add_buildset(&new, stamps, now));
        drop(intake);
        self.ack(epoch).await?;
        let requests: Vec<BuildRequestId> = added.requests.iter().map(|r| r.buildrequestid).collect();
        let collapser = self.registered().collapser.clone();
        if let (Some(collapser), false) = (collapser, requests.is_empty()) {
            collapser.collapse(&requests).await;
        }
        self.announce(&added, &new.scheduler);
        let map = added.requests.iter().map(|r| (r.builderid, r.buildrequestid)).collect();
        Ok((added.set.bsid, map))
    }

    fn unknown_builder(&self, ids: &[BuilderId]) -> Option<BuilderId> {
        let live = self.shared.live();
        ids.iter().copied().find(|id| !live.builders.contains_key(id))
    }

    /// The set first, then its requests (07 a 3). They are stored already, so nothing has to wait for the writer.
    fn announce(&self, added: &Added, scheduler: &str) {
        let bus = &self.shared.bus;
        let set = Box::new(added.set.clone());
        Announcement::NewBuildset(set.clone(), scheduler.to_owned()).publish(bus);
        for request in &added.requests {
            Announcement::Request(request.clone(), "new").publish(bus);
        }
        if added.set.complete {
            Announcement::Buildset(set, "complete").publish(bus);
        }
    }
}
