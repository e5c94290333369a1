//! What is to be reported: written in the transaction of what happened, and kept until it is delivered or given up, so
//! that no end of this process loses a report (11.002, 11.006).
//!
//! Who wants to hear of what is registered by [`Data::set_reporting`]; where nobody does, nothing is written.

use crate::ack::Ack;
use crate::data::Data;
use crate::error::Result;
use crate::live::{Live, next};
use lunabot_db::{OutboxRow, UNHEARD};
use lunabot_model::resources::{Build, BuildRequest, Builder};
use lunabot_model::{BuildRequestId, BuilderId, BuildsetId, Json, Results, WorkerId};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tokio::sync::Notify;

/// What can be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happening {
    BuildNew,
    BuildFinished,
    RequestNew,
    RequestCancelled,
    BuildsetComplete,
    WorkerMissing,
}

use Happening::{BuildFinished, BuildNew, BuildsetComplete, RequestCancelled, RequestNew, WorkerMissing};

impl Happening {
    pub const ALL: [Happening; 6] =
        [BuildNew, BuildFinished, RequestNew, RequestCancelled, BuildsetComplete, WorkerMissing];

    /// The first and the last part of its topics.
    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            BuildNew => ("builds", "new"),
            BuildFinished => ("builds", "finished"),
            RequestNew => ("buildrequests", "new"),
            RequestCancelled => ("buildrequests", "cancel"),
            BuildsetComplete => ("buildsets", "complete"),
            WorkerMissing => ("workers", "missing"),
        }
    }

    /// `builds/12/finished`, and what it is about, `builds/12`.
    fn topic(self, id: i64) -> (String, String) {
        let (first, last) = self.parts();
        (format!("{first}/{id}/{last}"), format!("{first}/{id}"))
    }

    /// `builds/*/finished`.
    pub fn pattern(self) -> String {
        let (first, last) = self.parts();
        format!("{first}/*/{last}")
    }

    /// Of a topic or its pattern.
    pub fn of(topic: &str) -> Option<Happening> {
        let mut parts = topic.split('/');
        let (first, _, last) = (parts.next()?, parts.next()?, parts.next()?);
        let found = Self::ALL.into_iter().find(|one| one.parts() == (first, last));
        found.filter(|_| parts.next().is_none())
    }
}

/// What one reporter wants to hear of, in alternatives.
pub struct Interest {
    /// Its name, under which it finds its rows.
    pub reporter: String,
    pub wants: Vec<Wish>,
    /// Told when there are new rows.
    pub wake: Arc<Notify>,
}

impl Interest {
    fn takes(&self, what: Happening, builder: Option<&Builder>) -> bool {
        self.wants.iter().any(|wish| wish.takes(what, builder))
    }
}

/// See [`Interest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    pub happenings: Vec<Happening>,
    /// Names of builders; `None`: all. Rows for others would be read in vain.
    pub builders: Option<Vec<String>>,
    /// The builder has one of these; `None`: any.
    pub tags: Option<Vec<String>>,
}

impl Wish {
    fn takes(&self, what: Happening, builder: Option<&Builder>) -> bool {
        let of = |builder: &Builder| {
            self.builders.as_ref().is_none_or(|names| names.contains(&builder.name))
                && self.tags.as_ref().is_none_or(|tags| tags.iter().any(|tag| builder.tags.contains(tag)))
        };
        self.happenings.contains(&what) && builder.is_none_or(of)
    }
}

/// Something that is to be reported, and was not yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub id: i64,
    /// `builds/12/finished`.
    pub topic: String,
    /// The row when it happened.
    pub payload: Json,
    /// Seconds since 1970, as all times here.
    pub created_at: i64,
    /// When it is its turn: at first when it happened.
    pub next_at: i64,
    /// How often it was tried.
    pub tries: i64,
}

/// Something that happened when nobody could hear of it.
enum Unheard {
    Build(Happening, Build),
    Buildset(BuildsetId),
}

/// A build as it was at its beginning.
fn begun(build: &Build) -> Build {
    Build { complete: false, complete_at: None, results: None, ..build.clone() }
}

impl Live {
    fn hear(&mut self, one: Unheard, now: i64) {
        match one {
            Unheard::Build(BuildNew, build) => self.report_build("new", &begun(&build)),
            Unheard::Build(_, build) => self.report_build("finished", &build),
            Unheard::Buildset(set) => self.report_buildset(set, now),
        }
    }

    /// A build is stored before it is announced. Where its beginning is wanted, the next process tells it should this one
    /// end between; else it would tell its end alone.
    pub(crate) fn begins_unheard(&mut self, build: &Build) -> Option<i64> {
        let builder = self.builders.get(&build.builderid);
        if !self.reporting.iter().any(|interest| interest.takes(BuildNew, builder)) {
            return None;
        }
        let (topic, _) = BuildNew.topic(build.buildid);
        Some(self.queue(UNHEARD, &topic, &topic, "null", build.started_at))
    }

    /// Puts something into the outbox; gives its row.
    fn queue(&mut self, reporter: &str, topic: &str, subject: &str, payload: &str, at: i64) -> i64 {
        let id = next(&mut self.ids.outbox);
        self.pending.batch.outbox.put(OutboxRow {
            id,
            reporter: reporter.into(),
            topic: topic.into(),
            subject: subject.into(),
            payload: payload.into(),
            created_at: at,
            next_at: at,
            tries: 0,
        });
        id
    }

    /// It is announced; or it ends without, and has begun all the same.
    pub(crate) fn heard_of(&mut self, what: &'static str, build: &Build) {
        if !matches!(what, "new" | "finished") {
            return;
        }
        let running = self.builds.get_mut(&build.buildid);
        let Some(row) = running.and_then(|build| build.unheard.take()) else { return };
        self.pending.batch.outbox_done(row);
        if what == "finished" {
            self.report_build("new", &begun(build));
        }
    }

    pub(crate) fn report_build(&mut self, what: &'static str, build: &Build) {
        let what = match what {
            "new" => BuildNew,
            "finished" => BuildFinished,
            _ => return,
        };
        let at = build.complete_at.unwrap_or(build.started_at);
        // A build comes after its request.
        let subject = RequestNew.topic(build.buildrequestid).1;
        self.report(what, build.buildid, subject, Some(build.builderid), at, || serde_json::json!(build));
    }

    pub(crate) fn report_request(&mut self, what: Happening, request: &BuildRequest, now: i64) {
        let (id, row) = (request.buildrequestid, || serde_json::json!(request));
        self.report(what, id, what.topic(id).1, Some(request.builderid), now, row);
    }

    pub(crate) fn report_buildset(&mut self, set: BuildsetId, now: i64) {
        let row = || serde_json::json!({"bsid": set});
        self.report(BuildsetComplete, set, BuildsetComplete.topic(set).1, None, now, row);
    }

    /// Queues a row for each who wants to hear of it.
    fn report(
        &mut self,
        what: Happening,
        id: i64,
        subject: String,
        builder: Option<BuilderId>,
        now: i64,
        payload: impl FnOnce() -> Json,
    ) {
        if self.reporting.is_empty() {
            return;
        }
        let reporting = Arc::clone(&self.reporting);
        let builder = builder.and_then(|id| self.builders.get(&id));
        let wanted: Vec<&Interest> =
            reporting.iter().filter(|interest| interest.takes(what, builder)).collect();
        if wanted.is_empty() {
            return;
        }
        let ((topic, _), payload) = (what.topic(id), payload().to_string());
        for interest in wanted {
            self.queue(&interest.reporter, &topic, &subject, &payload, now);
            self.pending.wakes.push(Arc::clone(&interest.wake));
        }
    }
}

impl Data {
    /// From now on these hear of what happens. What waits for others is given up. The first who come also hear of what
    /// ended when the process did: builds that it interrupted, buildsets whose end it left to the next.
    pub async fn set_reporting(&self, all: Vec<Interest>) -> Result<()> {
        let names: HashSet<String> = all.iter().map(|interest| interest.reporter.clone()).collect();
        let all = Arc::new(all);
        let unheard = if self.shared.live().reporters_came { Vec::new() } else { self.unheard().await? };
        let now = self.shared.now();
        // One change, that nothing is told twice or to nobody, whenever this process ends.
        self.shared.change(|live| {
            live.reporting = all;
            if !std::mem::replace(&mut live.reporters_came, true) {
                unheard.into_iter().for_each(|one| live.hear(one, now));
                live.pending.batch.outbox_drop(UNHEARD);
            }
        });
        self.flush().await?;
        for (reporter, (count, _)) in self.shared.store.outbox_counts().await? {
            if !names.contains(&reporter) {
                tracing::warn!(
                    reporter,
                    count,
                    "reports wait for a reporter that is not there any more; they are given up"
                );
                self.shared.change(|live| live.pending.batch.outbox_drop(&reporter));
            }
        }
        self.flush().await
    }

    /// What is to be reported to one: of each thing what happened first, at most `most`; whose turn is earliest first.
    pub async fn outbox(&self, reporter: &str, most: usize) -> Result<Vec<Due>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.shared.store.outbox(reporter, most).await?;
        Ok(rows.into_iter().map(due).collect())
    }

    /// How much waits, and how much of it was tried in vain, by reporter.
    pub async fn outbox_counts(&self) -> Result<BTreeMap<String, (i64, i64)>> {
        Ok(self.shared.store.outbox_counts().await?.into_iter().collect())
    }

    /// Something is delivered, or given up.
    pub fn outbox_done(&self, id: i64) -> Ack {
        let ((), epoch) = self.shared.change(|live| live.pending.batch.outbox_done(id));
        self.ack(epoch)
    }

    /// Something failed, and is to be tried again at this time.
    pub fn outbox_later(&self, id: i64, next_at: i64, tries: i64) -> Ack {
        let ((), epoch) = self.shared.change(|live| live.pending.batch.outbox_later(id, next_at, tries));
        self.ack(epoch)
    }

    /// Completes a request that nobody builds, which is reported as cancelled. Event …/complete.
    pub async fn retire_request(&self, request: BuildRequestId, results: Results) -> Result<Ack> {
        let now = self.shared.now();
        let ((), epoch) = self.shared.change(|live| live.retire_request(request, results, now));
        Ok(self.ack(epoch))
    }

    /// A worker is missing: `row` is what is announced of it.
    pub fn report_missing_worker(&self, worker: WorkerId, row: &Json) -> Ack {
        let now = self.shared.now();
        let ((), epoch) = self.shared.change(|live| {
            let subject = WorkerMissing.topic(worker).1;
            live.report(WorkerMissing, worker, subject, None, now, || row.clone());
        });
        self.ack(epoch)
    }

    /// What the last process, or its end, left for those who come.
    async fn unheard(&self) -> Result<Vec<Unheard>> {
        let mut rows = self.shared.store.outbox(UNHEARD, i64::MAX).await?;
        // As it happened: none of these waits for a time of its own.
        rows.sort_by_key(|row| row.id);
        let mut all = Vec::new();
        for row in rows {
            let id = row.topic.split('/').nth(1).and_then(|id| id.parse().ok());
            let (Some(what), Some(id)) = (Happening::of(&row.topic), id) else { continue };
            match what {
                BuildNew | BuildFinished => {
                    all.extend(self.build(id).await?.map(|build| Unheard::Build(what, build)));
                }
                _ => all.push(Unheard::Buildset(id)),
            }
        }
        Ok(all)
    }
}

fn due(row: OutboxRow) -> Due {
    let OutboxRow { id, topic, payload, created_at, next_at, tries, .. } = row;
    let payload = serde_json::from_str(&payload).unwrap_or(Json::Null);
    Due { id, topic, payload, created_at, next_at, tries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_11_001_happenings_are_known_by_their_topics() {
        for what in Happening::ALL {
            assert_eq!(Happening::of(&what.pattern()), Some(what));
            assert_eq!(Happening::of(&what.pattern().replace('*', "12")), Some(what));
        }
        for other in ["builds/*/*", "builds/1/update", "builds/1", "changes/1/new", "builds/1/finished/x", ""]
        {
            assert_eq!(Happening::of(other), None, "{other}");
        }
    }

    #[test]
    fn row_11_012_wishes_are_about_builders_and_tags() {
        let builder = |name: &str, tags: &[&str]| Builder {
            builderid: 1,
            name: name.into(),
            masterids: Vec::new(),
            description: None,
            description_format: None,
            description_html: None,
            projectid: None,
            tags: tags.iter().map(ToString::to_string).collect(),
        };
        let wish = |builders: Option<&[&str]>, tags: Option<&[&str]>| {
            let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
            Wish { happenings: vec![BuildFinished], builders: builders.map(texts), tags: tags.map(texts) }
        };
        for (wish, takes) in [
            (wish(None, None), true),
            (wish(Some(&["a", "b"]), None), true),
            (wish(Some(&["b"]), None), false),
            (wish(Some(&[]), None), false),
            (wish(None, Some(&["x", "fast"])), true),
            (wish(None, Some(&["x"])), false),
        ] {
            assert_eq!(wish.takes(BuildFinished, Some(&builder("a", &["fast"]))), takes, "{wish:?}");
            assert!(!wish.takes(BuildNew, Some(&builder("a", &["fast"]))));
        }
    }
}
