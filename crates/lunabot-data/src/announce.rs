//! What is announced after a commit: a snapshot of a row, and the topics of the reference (09.085–09.098).
//!
//! The snapshot is taken when the update is made; topics and JSON are made when it is stored, and only if somebody listens.

use crate::bus::Bus;
use lunabot_db::resources::TestResultSet;
use lunabot_model::resources::*;
use lunabot_model::{BuildId, Json, Pattern, Payload, Properties, Topic};
use serde::Serialize;
use std::fmt::Display;

/// The forms of all topics: `*` stands for an id or for what happened.
pub const TOPICS: &[&str] = &[
    "branches/*/*",
    "builders/*/*",
    "builders/*/buildrequests/*/*",
    "builders/*/builds/*/*",
    "buildrequests/*/*",
    "builds/*/*",
    "builds/*/progress/*",
    "builds/*/properties/*",
    "builds/*/steps/*/*",
    "buildsets/*/*",
    "buildsets/*/builders/*/buildrequests/*/*",
    "changes/*/*",
    "codebases/*/*",
    "codebases/*/commits/*/*",
    "commits/*/*",
    "control/*/*/*",
    "logs/*/*",
    "masters/*/*",
    "projects/*/*",
    "schedulers/*/*",
    "steps/*/*",
    "steps/*/logs/*/*",
    "test_result_sets/*/*",
    "workers/*/*",
    "workers/*/builds/*/*",
];

/// One thing to announce.
pub(crate) enum Announcement {
    Build(Build, &'static str),
    /// The properties that changed.
    BuildProperties(BuildId, Properties),
    Step(Step, &'static str),
    Log(Log, &'static str),
    Request(BuildRequest, &'static str),
    Buildset(Box<Buildset>, &'static str),
    /// With the name of its scheduler (09.087).
    NewBuildset(Box<Buildset>, String),
    Change(Box<Change>),
    /// The row as a whole.
    Builder(Builder, &'static str),
    /// Of a master: started or stopped (09.091).
    BuilderOn(Builder, i64, &'static str),
    Worker(Box<Worker>, &'static str),
    Scheduler(Scheduler),
    Project(Project),
    Codebase(Codebase),
    Commit(Box<Commit>),
    Branch(Branch),
    TestResultSet(TestResultSet, &'static str),
}

/// What the payload of an ordinary row keeps in memory, with its text.
const ROW_WEIGHT: usize = 1024;

fn of_properties(properties: &Properties) -> usize {
    properties.iter().map(|(name, property)| 2 * name.len() + Payload::weight_of(&property.value)).sum()
}

fn json<T: Serialize>(row: &T) -> Json {
    let mut value = serde_json::to_value(row).unwrap_or(Json::Null);
    value.sort_all_objects();
    value
}

/// Results are null here, though they are -1 elsewhere (07 a 3), and nothing is said of how it belongs to its parent.
fn new_set(set: &Buildset, scheduler: &str) -> Json {
    let mut value = json(set);
    value["scheduler"] = scheduler.into();
    if set.results.is_none() {
        value["results"] = Json::Null;
    }
    if let Some(fields) = value.as_object_mut() {
        fields.remove("parent_relationship");
    }
    value.sort_all_objects();
    value
}

impl Announcement {
    pub fn publish(self, bus: &Bus) {
        let topics = self.topics(&|first| bus.listens_to(first));
        if topics.is_empty() {
            return;
        }
        debug_assert!(
            topics.iter().all(|topic| TOPICS.iter().any(|form| Pattern::parse(form).matches(topic)))
        );
        let weight = self.weight();
        bus.publish_lazily(topics, weight, move || self.payload());
    }

    /// Those that begin with a word that somebody listens to.
    fn topics(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Topic> {
        let mut topics = Vec::new();
        let mut add = |first: &str, rest: &[&dyn Display]| {
            if wanted(first) {
                let mut parts: Vec<&dyn Display> = vec![&first];
                parts.extend(rest);
                topics.push(Topic::new(&parts));
            }
        };
        match self {
            Announcement::Build(b, what) => {
                add("builders", &[&b.builderid, &"builds", &b.number, what]);
                add("builds", &[&b.buildid, what]);
                if let Some(worker) = b.workerid {
                    add("workers", &[&worker, &"builds", &b.buildid, what]);
                }
            }
            Announcement::BuildProperties(id, _) => add("builds", &[id, &"properties", &"update"]),
            Announcement::Step(s, what) => {
                add("builds", &[&s.buildid, &"steps", &s.stepid, what]);
                add("steps", &[&s.stepid, what]);
            }
            Announcement::Log(l, what) => {
                add("logs", &[&l.logid, what]);
                add("steps", &[&l.stepid, &"logs", &l.slug, what]);
            }
            Announcement::Request(r, what) => {
                let (set, builder, id) = (&r.buildsetid, &r.builderid, &r.buildrequestid);
                add("buildsets", &[set, &"builders", builder, &"buildrequests", id, what]);
                add("buildrequests", &[id, what]);
                add("builders", &[builder, &"buildrequests", id, what]);
            }
            Announcement::Buildset(s, what) => add("buildsets", &[&s.bsid, what]),
            Announcement::NewBuildset(s, _) => add("buildsets", &[&s.bsid, &"new"]),
            Announcement::Change(c) => add("changes", &[&c.changeid, &"new"]),
            Announcement::Builder(b, what) | Announcement::BuilderOn(b, _, what) => {
                add("builders", &[&b.builderid, what]);
            }
            Announcement::Worker(w, what) => add("workers", &[&w.workerid, what]),
            Announcement::Scheduler(s) => add("schedulers", &[&s.schedulerid, &"updated"]),
            Announcement::Project(p) => add("projects", &[&p.projectid, &"update"]),
            Announcement::Codebase(c) => add("codebases", &[&c.codebaseid, &"update"]),
            Announcement::Commit(c) => {
                add("commits", &[&c.commitid, &"new"]);
                add("codebases", &[&c.codebaseid, &"commits", &c.commitid, &"new"]);
            }
            Announcement::Branch(b) => add("branches", &[&b.branchid, &"update"]),
            Announcement::TestResultSet(s, what) => add("test_result_sets", &[&s.test_result_setid, what]),
        }
        topics
    }

    /// Bytes that its payload keeps in memory, roughly: what may be large is counted.
    fn weight(&self) -> usize {
        ROW_WEIGHT
            + match self {
                Announcement::Change(change) => {
                    2 * (change.comments.len() + change.files.iter().map(String::len).sum::<usize>())
                        + of_properties(&change.properties)
                }
                Announcement::BuildProperties(_, changed) => of_properties(changed),
                _ => 0,
            }
    }

    fn payload(&self) -> Json {
        match self {
            Announcement::Build(build, _) => json(build),
            Announcement::BuildProperties(_, changed) => json(changed),
            Announcement::Step(step, _) => json(step),
            Announcement::Log(log, _) => json(log),
            Announcement::Request(request, _) => json(request),
            Announcement::Buildset(set, _) => json(set),
            Announcement::NewBuildset(set, scheduler) => new_set(set, scheduler),
            Announcement::Change(change) => json(change),
            Announcement::Builder(builder, _) => json(builder),
            Announcement::BuilderOn(builder, master, _) => serde_json::json!({
                "builderid": builder.builderid, "masterid": master, "name": builder.name,
            }),
            Announcement::Worker(worker, _) => json(worker),
            Announcement::Scheduler(scheduler) => json(scheduler),
            Announcement::Project(project) => json(project),
            Announcement::Codebase(codebase) => json(codebase),
            Announcement::Commit(commit) => json(commit),
            Announcement::Branch(branch) => json(branch),
            Announcement::TestResultSet(set, _) => json(set),
        }
    }
}
