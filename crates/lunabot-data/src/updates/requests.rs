//! Build requests: claimed, given back, complete.

use crate::ack::Ack;
use crate::announce::Announcement;
use crate::data::Data;
use crate::error::Result;
use crate::live::Live;
use crate::outbox::Happening;
use crate::pending::Forget;
use lunabot_db::RequestPropertyRow;
use lunabot_model::resources::BuildRequest;
use lunabot_model::{BuildRequestId, BuildsetId, Properties, Results};

impl Live {
    fn put_request(&mut self, row: BuildRequest, what: &'static str) {
        self.pending.announcements.push(Announcement::Request(row.clone(), what));
        self.pending.batch.requests.change(row);
    }

    /// An incomplete request of this id.
    fn open_request(&mut self, id: BuildRequestId) -> Option<&mut BuildRequest> {
        self.requests.get_mut(&id).filter(|r| !r.complete)
    }

    fn is_free(&mut self, id: BuildRequestId) -> bool {
        self.open_request(id).is_some_and(|request| !request.claimed)
    }

    fn claim(&mut self, ids: &[BuildRequestId], master: i64, now: i64) -> bool {
        let free = ids.iter().all(|id| self.is_free(*id));
        if free {
            self.claim_free(ids, master, now);
        }
        free
    }

    fn claim_free(&mut self, ids: &[BuildRequestId], master: i64, now: i64) -> Vec<BuildRequestId> {
        let mut claimed = Vec::new();
        for id in ids {
            let Some(request) = self.open_request(*id).filter(|request| !request.claimed) else { continue };
            request.claimed = true;
            request.claimed_at = Some(now);
            request.claimed_by_masterid = Some(master);
            let row = request.clone();
            self.put_request(row, "claimed");
            claimed.push(*id);
        }
        claimed
    }

    fn unclaim(&mut self, id: BuildRequestId) {
        let Some(request) = self.open_request(id).filter(|r| r.claimed) else { return };
        request.claimed = false;
        request.claimed_at = None;
        request.claimed_by_masterid = None;
        let row = request.clone();
        self.put_request(row, "unclaimed");
    }

    fn set_request_properties(&mut self, id: BuildRequestId, properties: &Properties) {
        if self.open_request(id).is_none() {
            return;
        }
        self.extras.entry(id).or_default().properties.update(properties);
        for (name, property) in properties.iter() {
            self.pending.batch.request_properties.put(RequestPropertyRow {
                owner: id,
                name: name.to_owned(),
                value: property.value.to_string(),
                source: property.source.clone(),
            });
        }
    }

    fn complete_request(&mut self, id: BuildRequestId, results: Results, now: i64) {
        let Some(request) = self.open_request(id) else { return };
        request.complete = true;
        request.complete_at = Some(now);
        request.results = Some(results);
        let row = request.clone();
        let set = row.buildsetid;
        self.put_request(row, "complete");
        self.pending.after.push(Forget::Request(id));
        self.count_down(set, results, now);
    }

    /// The same for one that nobody builds.
    pub(crate) fn retire_request(&mut self, id: BuildRequestId, results: Results, now: i64) {
        if self.open_request(id).is_none() {
            return;
        }
        self.complete_request(id, results, now);
        let Some(row) = self.requests.get(&id).cloned() else { return };
        self.report_request(Happening::RequestCancelled, &row, now);
    }

    /// One request less; the last one completes the buildset (05.006).
    fn count_down(&mut self, set: BuildsetId, results: Results, now: i64) {
        let Some(live) = self.buildsets.get_mut(&set) else { return };
        live.remaining = live.remaining.saturating_sub(1);
        live.worst = live.worst.worst(results);
        if live.remaining > 0 {
            return;
        }
        live.row.complete = true;
        live.row.complete_at = Some(now);
        live.row.results = Some(live.worst);
        let row = live.row.clone();
        self.pending.announcements.push(Announcement::Buildset(Box::new(row.clone()), "complete"));
        self.pending.batch.buildsets.change(row);
        self.report_buildset(set, now);
        self.pending.after.push(Forget::Buildset(set));
    }
}

impl Data {
    /// Claims requests for this master; false: one of them is not claimable any more (07.024). Event …/claimed.
    pub async fn claim(&self, requests: &[BuildRequestId]) -> Result<bool> {
        self.shared.room().await;
        let (now, master) = (self.shared.now(), self.shared.master_id);
        Ok(self.shared.change(|live| live.claim(requests, master, now)).0)
    }

    /// Claims those of the requests that are still claimable and completes them with these properties, in one change: what
    /// another has taken is left to it, and all are left where `into`, which makes them needless, is complete itself; it never
    /// makes itself needless. Tells which. Events …/claimed, …/complete, in this order.
    pub async fn complete_free(
        &self,
        requests: &[BuildRequestId],
        into: BuildRequestId,
        results: Results,
        why: &Properties,
    ) -> Result<(Vec<BuildRequestId>, Ack)> {
        self.shared.room().await;
        let (now, master) = (self.shared.now(), self.shared.master_id);
        let (ours, epoch) = self.shared.change(|live| {
            if live.open_request(into).is_none() {
                return Vec::new();
            }
            let others: Vec<_> = requests.iter().copied().filter(|id| *id != into).collect();
            let ours = live.claim_free(&others, master, now);
            for id in &ours {
                live.set_request_properties(*id, why);
                live.complete_request(*id, results, now);
            }
            ours
        });
        Ok((ours, self.ack(epoch)))
    }

    /// Gives requests back to the queue (RETRY, 07.025). Event …/unclaimed.
    pub async fn unclaim(&self, requests: &[BuildRequestId]) -> Result<Ack> {
        let ((), epoch) = self.shared.change(|live| requests.iter().for_each(|id| live.unclaim(*id)));
        Ok(self.ack(epoch))
    }

    /// Completes requests, and buildsets that have no incomplete request left, with the worst of their results
    /// (05.006). Events …/complete.
    pub async fn complete_requests(&self, requests: &[BuildRequestId], results: Results) -> Result<Ack> {
        let now = self.shared.now();
        let ((), epoch) = self
            .shared
            .change(|live| requests.iter().for_each(|id| live.complete_request(*id, results, now)));
        Ok(self.ack(epoch))
    }

    /// Gives an incomplete request properties of its own, which win over those of its buildset; another is left alone.
    pub async fn set_request_properties(
        &self,
        request: BuildRequestId,
        properties: &Properties,
    ) -> Result<Ack> {
        self.shared.room().await;
        let ((), epoch) = self.shared.change(|live| live.set_request_properties(request, properties));
        Ok(self.ack(epoch))
    }

    /// Of an incomplete request (07.026); another is left alone.
    pub async fn set_request_priority(&self, request: BuildRequestId, priority: i64) -> Result<Ack> {
        self.shared.room().await;
        let ((), epoch) = self.shared.change(|live| {
            let Some(row) = live.open_request(request) else { return };
            row.priority = priority;
            let row = row.clone();
            live.pending.batch.requests.change(row);
        });
        Ok(self.ack(epoch))
    }
}
