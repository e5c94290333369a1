//! Builds and their properties and data.

use super::said;
use crate::ack::Ack;
use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::{Live, LiveBuild, next};
use crate::new::NewBuild;
use crate::pending::Forget;
use lunabot_db::{BuildDataRow, BuildPropertyRow};
use lunabot_model::resources::Build;
use lunabot_model::{BuildId, Properties, Results};
use std::collections::HashSet;

fn missing(build: BuildId) -> DataError {
    DataError::NotFound(format!("build {build} does not run"))
}

impl Live {
    pub(super) fn running(&mut self, build: BuildId) -> Result<&mut LiveBuild> {
        self.builds.get_mut(&build).filter(|b| !b.row.complete).ok_or_else(|| missing(build))
    }

    /// Queues the row as it is now, and its announcement.
    fn put_build(&mut self, row: Build, what: Option<&'static str>) {
        if let Some(what) = what {
            self.heard_of(what, &row);
            self.report_build(what, &row);
            self.pending.announcements.push(Announcement::Build(row.clone(), what));
        }
        self.pending.batch.builds.put(row);
    }
}

/// Builds. These return as soon as the row has its place in the queue; the id is final.
impl Data {
    /// Adds a build with the builder's next number. No event yet (05 life cycle 1; [`Data::announce_build`]).
    pub async fn add_build(&self, build: NewBuild) -> Result<(Build, Ack)> {
        self.shared.room().await;
        let (now, masterid) = (self.shared.now(), self.shared.master_id);
        let (row, epoch) = self.shared.change(|live| {
            let number = live.names.build_numbers.entry(build.builderid).or_insert(0);
            *number += 1;
            let row = Build {
                buildid: next(&mut live.ids.builds),
                number: *number,
                builderid: build.builderid,
                buildrequestid: build.buildrequestid,
                workerid: build.workerid,
                masterid,
                started_at: now,
                complete: false,
                complete_at: None,
                locks_duration_s: 0,
                results: None,
                state_string: build.state_string,
                generation: build.generation,
                properties: Properties::new(),
            };
            let unheard = live.begins_unheard(&row);
            let running = LiveBuild {
                row: row.clone(),
                properties: Properties::new(),
                next_step: 0,
                step_names: HashSet::new(),
                steps: Vec::new(),
                unheard,
            };
            live.builds.insert(row.buildid, running);
            live.put_build(row.clone(), None);
            row
        });
        Ok((row, self.ack(epoch)))
    }

    pub(crate) fn ack(&self, epoch: u64) -> Ack {
        Ack::new(&self.shared, epoch)
    }

    async fn change_build(
        &self,
        id: BuildId,
        what: &'static str,
        change: impl FnOnce(&mut Build) + Send,
    ) -> Result<Ack> {
        self.shared.room().await;
        let (result, epoch) = self.shared.change(|live| {
            let build = live.running(id)?;
            change(&mut build.row);
            let row = build.row.clone();
            live.put_build(row, Some(what));
            Ok(())
        });
        result.map(|()| self.ack(epoch))
    }

    /// Event builds/N/new in its three forms (05 life cycle 6).
    pub async fn announce_build(&self, build: BuildId) -> Result<Ack> {
        self.change_build(build, "new", |_| {}).await
    }

    /// Event builds/N/update.
    pub async fn set_build_state(&self, build: BuildId, state: &str) -> Result<Ack> {
        self.change_build(build, "update", |row| row.state_string = said(state)).await
    }

    pub async fn add_build_locks_duration(&self, build: BuildId, seconds: i64) -> Result<Ack> {
        self.change_build(build, "update", |row| row.locks_duration_s += seconds).await
    }

    /// Writes only properties that changed (04.004). Event builds/N/properties/update with those.
    pub async fn set_build_properties(&self, build: BuildId, changed: Properties) -> Result<Ack> {
        self.shared.room().await;
        let (result, epoch) = self.shared.change(|live| {
            let own = &mut live.running(build)?.properties;
            let mut really = Properties::new();
            for (name, property) in changed.iter() {
                let same = |old: &lunabot_model::Property| {
                    old.value == property.value && old.source == property.source
                };
                if !own.property(name).is_some_and(same) {
                    really.insert(name, property.clone());
                    own.insert(name, property.clone());
                }
            }
            for (name, property) in really.iter() {
                live.pending.batch.build_properties.put(BuildPropertyRow {
                    owner: build,
                    name: name.to_owned(),
                    value: property.value.to_string(),
                    source: property.source.clone(),
                });
            }
            if !really.is_empty() {
                live.pending.announcements.push(Announcement::BuildProperties(build, really));
            }
            Ok(())
        });
        result.map(|()| self.ack(epoch))
    }

    pub async fn set_build_data(
        &self,
        build: BuildId,
        name: &str,
        value: Vec<u8>,
        source: &str,
    ) -> Result<Ack> {
        self.shared.room().await;
        let row = BuildDataRow { buildid: build, name: name.to_owned(), value, source: source.to_owned() };
        let (result, epoch) = self.shared.change(|live| {
            live.running(build)?;
            live.pending.bytes += row.value.len();
            live.pending.batch.build_data.put(row);
            Ok(())
        });
        result.map(|()| self.ack(epoch))
    }

    /// Event builds/N/finished.
    pub async fn finish_build(&self, build: BuildId, results: Results, state: &str) -> Result<Ack> {
        let now = self.shared.now();
        let (result, epoch) = self.shared.change(|live| {
            let running = live.running(build)?;
            running.row.complete = true;
            running.row.complete_at = Some(now);
            running.row.results = Some(results);
            running.row.state_string = said(state);
            let row = running.row.clone();
            live.complete_times.insert(row.builderid, now);
            live.put_build(row, Some("finished"));
            live.pending.after.push(Forget::Build(build));
            Ok(())
        });
        result.map(|()| self.ack(epoch))
    }
}
