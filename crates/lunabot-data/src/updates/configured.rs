//! What is configured: builders, projects, workers, schedulers, change sources. A reload writes only what differs.

use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::Live;
use crate::new::{BuilderDecl, ProjectDecl, WorkerDecl};
use lunabot_model::resources::{Builder, ConfiguredOn, Master, Project, Scheduler, Worker};
use lunabot_model::{BuilderId, ChangeSourceId, Id, Json, MasterId, SchedulerId};
use std::collections::{HashMap, HashSet};

/// The id of a name, a new one if it has none.
fn id_of(ids: &mut HashMap<String, Id>, highest: &mut Option<Id>, name: &str) -> Id {
    if let Some(id) = ids.get(name) {
        return *id;
    }
    let id = 1 + highest.unwrap_or_else(|| ids.values().max().copied().unwrap_or(0));
    *highest = Some(id);
    ids.insert(name.to_owned(), id);
    id
}

impl Live {
    fn sync_builders(&mut self, decls: &[BuilderDecl], master: MasterId) -> HashMap<String, BuilderId> {
        let (mut highest, mut ids) = (None, HashMap::new());
        for decl in decls {
            let id = id_of(&mut self.names.builders, &mut highest, &decl.name);
            ids.insert(decl.name.clone(), id);
            self.put_builder(id, decl, master);
        }
        let kept: HashSet<Id> = ids.values().copied().collect();
        let here = |b: &&Builder| b.masterids.contains(&master) && !kept.contains(&b.builderid);
        let gone: Vec<Builder> = self.builders.values().filter(here).cloned().collect();
        for mut builder in gone {
            builder.masterids.retain(|m| *m != master);
            self.store_builder(&builder, master);
            self.pending.announcements.push(Announcement::BuilderOn(builder.clone(), master, "stopped"));
            self.builders.insert(builder.builderid, builder);
        }
        ids
    }

    fn put_builder(&mut self, id: BuilderId, decl: &BuilderDecl, master: MasterId) {
        let old = self.builders.get(&id);
        let started = !old.is_some_and(|b| b.masterids.contains(&master));
        let mut masterids = old.map(|b| b.masterids.clone()).unwrap_or_default();
        if started {
            masterids.push(master);
        }
        let mut tags = decl.tags.clone();
        let mut seen = HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        let builder = Builder {
            builderid: id,
            name: decl.name.clone(),
            masterids,
            description: decl.description.clone(),
            description_format: decl.description_format.clone(),
            description_html: decl.description_html.clone(),
            projectid: decl.project.as_ref().and_then(|name| self.names.projects.get(name).copied()),
            tags,
        };
        if old == Some(&builder) {
            return;
        }
        self.store_builder(&builder, master);
        if started {
            self.pending.announcements.push(Announcement::BuilderOn(builder.clone(), master, "started"));
        }
        self.pending.announcements.push(Announcement::Builder(builder.clone(), "update"));
        self.builders.insert(id, builder);
    }

    fn store_builder(&mut self, builder: &Builder, master: MasterId) {
        let mut highest = None;
        let mut tags = Vec::with_capacity(builder.tags.len());
        for name in &builder.tags {
            let known = self.names.tags.contains_key(name);
            let id = id_of(&mut self.names.tags, &mut highest, name);
            if !known {
                self.pending.batch.tag(id, name);
            }
            tags.push(id);
        }
        self.pending.batch.builder(builder, &tags, master);
    }

    fn sync_projects(&mut self, decls: &[ProjectDecl]) -> HashMap<String, Id> {
        let (mut highest, mut ids) = (None, HashMap::new());
        for decl in decls {
            let id = id_of(&mut self.names.projects, &mut highest, &decl.name);
            ids.insert(decl.name.clone(), id);
            let old = self.projects.get(&id);
            let project = Project {
                projectid: id,
                name: decl.name.clone(),
                slug: decl.slug.clone(),
                active: old.and_then(|p| p.active),
                description: decl.description.clone(),
                description_format: decl.description_format.clone(),
                description_html: decl.description_html.clone(),
            };
            if old != Some(&project) {
                self.pending.batch.project(&project);
                self.pending.announcements.push(Announcement::Project(project.clone()));
                self.projects.insert(id, project);
            }
        }
        ids
    }

    fn sync_workers(&mut self, decls: &[WorkerDecl], master: MasterId) -> HashMap<String, Worker> {
        let (mut highest, mut found) = (None, HashMap::new());
        for decl in decls {
            let id = id_of(&mut self.names.workers, &mut highest, &decl.name);
            let builders = decl.builders.iter().filter_map(|name| self.names.builders.get(name).copied());
            let builders: Vec<Id> = builders.collect();
            found.insert(decl.name.clone(), self.configure_worker(id, &decl.name, builders, master));
        }
        let here = |w: &&Worker| w.configured_on.iter().any(|c| c.masterid == master);
        let kept: HashSet<Id> = found.values().map(|w| w.workerid).collect();
        let all = self.workers.values().filter(here).filter(|w| !kept.contains(&w.workerid));
        let gone: Vec<(Id, String)> = all.map(|w| (w.workerid, w.name.clone())).collect();
        for (id, name) in gone {
            self.configure_worker(id, &name, Vec::new(), master);
        }
        found
    }

    fn configure_worker(&mut self, id: Id, name: &str, mut builders: Vec<Id>, master: MasterId) -> Worker {
        builders.sort_unstable();
        builders.dedup();
        let fresh = || Worker {
            workerid: id,
            name: name.to_owned(),
            connected_to: Vec::new(),
            configured_on: Vec::new(),
            workerinfo: Json::Object(serde_json::Map::new()),
            paused: false,
            pause_reason: None,
            graceful: false,
        };
        let old = self.workers.get(&id).cloned();
        let mut worker = old.clone().unwrap_or_else(fresh);
        worker.configured_on.retain(|c| c.masterid != master);
        let mine = builders.iter().map(|builder| ConfiguredOn { masterid: master, builderid: *builder });
        worker.configured_on.extend(mine);
        worker.configured_on.sort_by_key(|c| (c.masterid, c.builderid));
        if old.as_ref() != Some(&worker) {
            self.pending.batch.workers.put(worker.clone());
            self.pending.batch.configured(id, master, builders.into_iter());
            self.workers.insert(id, worker.clone());
        }
        worker
    }

    fn sync_schedulers(&mut self, names: &[String], master: &Master) -> HashMap<String, Scheduler> {
        let (mut highest, mut found) = (None, HashMap::new());
        for name in names {
            let id = id_of(&mut self.names.schedulers, &mut highest, name);
            let enabled = self.schedulers.get(&id).is_none_or(|s| s.enabled);
            let row =
                Scheduler { schedulerid: id, name: name.clone(), enabled, master: Some(master.clone()) };
            self.put_scheduler(row.clone());
            found.insert(name.clone(), row);
        }
        let here = |s: &&Scheduler| {
            s.master.as_ref().is_some_and(|m| m.masterid == master.masterid) && !found.contains_key(&s.name)
        };
        let gone: Vec<Scheduler> = self.schedulers.values().filter(here).cloned().collect();
        for row in gone {
            self.put_scheduler(Scheduler { master: None, ..row });
        }
        found
    }

    fn put_scheduler(&mut self, row: Scheduler) {
        let same = |old: &Scheduler| {
            let id = |s: &Scheduler| s.master.as_ref().map(|m| m.masterid);
            old.enabled == row.enabled && id(old) == id(&row)
        };
        if !self.schedulers.get(&row.schedulerid).is_some_and(same) {
            let master = row.master.as_ref().map(|m| m.masterid);
            self.pending.batch.scheduler(row.schedulerid, &row.name, row.enabled, master);
            self.pending.announcements.push(Announcement::Scheduler(row.clone()));
        }
        self.schedulers.insert(row.schedulerid, row);
    }
}

/// What is configured.
impl Data {
    /// Changes the configuration and waits until that is durable.
    pub(super) async fn configure<T>(
        &self,
        change: impl FnOnce(&mut Live, MasterId) -> T + Send,
    ) -> Result<T> {
        self.shared.room().await;
        let _one_at_a_time = self.shared.configuring.lock().await;
        let master = self.shared.master_id;
        let (result, _) = self.shared.change(|live| change(live, master));
        self.flush().await?;
        Ok(result)
    }

    /// Makes the configured builders the active ones of this master; others lose it (01.066). Events builders/N/….
    pub async fn sync_builders(&self, builders: &[BuilderDecl]) -> Result<HashMap<String, BuilderId>> {
        self.configure(|live, master| live.sync_builders(builders, master)).await
    }

    /// Before [`Data::sync_builders`], which refers to projects by name.
    pub async fn sync_projects(&self, projects: &[ProjectDecl]) -> Result<HashMap<String, Id>> {
        self.configure(|live, _| live.sync_projects(projects)).await
    }

    /// After [`Data::sync_builders`].
    pub async fn sync_workers(&self, workers: &[WorkerDecl]) -> Result<HashMap<String, Worker>> {
        self.configure(|live, master| live.sync_workers(workers, master)).await
    }

    pub async fn sync_schedulers(&self, names: &[String]) -> Result<HashMap<String, Scheduler>> {
        let master = self.shared.store.by_id::<Master>(self.shared.master_id).await?;
        let master = master.ok_or_else(|| DataError::Storage("the row of this master is gone".into()))?;
        self.configure(|live, _| live.sync_schedulers(names, &master)).await
    }

    pub async fn sync_change_sources(&self, names: &[String]) -> Result<HashMap<String, ChangeSourceId>> {
        self.configure(|live, master| {
            let mut highest = None;
            let id = |name: &String| (name.clone(), id_of(&mut live.names.changesources, &mut highest, name));
            let ids: HashMap<String, ChangeSourceId> = names.iter().map(id).collect();
            let rows: Vec<(i64, &str)> = ids.iter().map(|(name, id)| (*id, name.as_str())).collect();
            live.pending.batch.change_sources(master, &rows);
            ids
        })
        .await
    }

    /// Durable when it returns. Event schedulers/N/updated.
    pub async fn set_scheduler_enabled(&self, id: SchedulerId, enabled: bool) -> Result<()> {
        let known = self
            .configure(|live, _| match live.schedulers.get(&id).cloned() {
                Some(row) => {
                    live.put_scheduler(Scheduler { enabled, ..row });
                    true
                }
                None => false,
            })
            .await?;
        match known {
            true => Ok(()),
            false => Err(DataError::NotFound(format!("there is no scheduler {id}"))),
        }
    }
}
