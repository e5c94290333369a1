//! What is announced after a commit: a snapshot of a row, and the topics of the reference (09.085–09.098).
//!
//! The snapshot is taken when the update is made; topics and JSON are made when it is stored, and only if somebody listens.

use crate::bus::Bus;
use lunabot_db::resources::TestResultSet;
use lunabot_model::resources::*;
use lunabot_model::{BuildId, Json, Pattern, Properties, Topic};
use serde::Serialize;

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
    pub fn publish(&self, bus: &Bus) {
        if bus.listens_to(self.firsts()) {
            let topics = self.topics();
            debug_assert!(
                topics.iter().all(|topic| TOPICS.iter().any(|form| Pattern::parse(form).matches(topic)))
            );
            bus.publish_lazily(topics, || self.payload());
        }
    }

    /// The first words of its topics.
    fn firsts(&self) -> &'static [&'static str] {
        match self {
            Announcement::Build(..) => &["builds", "builders", "workers"],
            Announcement::BuildProperties(..) => &["builds"],
            Announcement::Step(..) => &["steps", "builds"],
            Announcement::Log(..) => &["logs", "steps"],
            Announcement::Request(..) => &["buildrequests", "builders", "buildsets"],
            Announcement::Buildset(..) | Announcement::NewBuildset(..) => &["buildsets"],
            Announcement::Change(..) => &["changes"],
            Announcement::Builder(..) | Announcement::BuilderOn(..) => &["builders"],
            Announcement::Worker(..) => &["workers"],
            Announcement::Scheduler(..) => &["schedulers"],
            Announcement::Project(..) => &["projects"],
            Announcement::Codebase(..) => &["codebases"],
            Announcement::Commit(..) => &["commits", "codebases"],
            Announcement::Branch(..) => &["branches"],
            Announcement::TestResultSet(..) => &["test_result_sets"],
        }
    }

    fn topics(&self) -> Vec<Topic> {
        match self {
            Announcement::Build(b, what) => {
                let mut topics = vec![
                    Topic::new(&[&"builders", &b.builderid, &"builds", &b.number, what]),
                    Topic::new(&[&"builds", &b.buildid, what]),
                ];
                if let Some(worker) = b.workerid {
                    topics.push(Topic::new(&[&"workers", &worker, &"builds", &b.buildid, what]));
                }
                topics
            }
            Announcement::BuildProperties(id, _) => {
                vec![Topic::new(&[&"builds", id, &"properties", &"update"])]
            }
            Announcement::Step(s, what) => vec![
                Topic::new(&[&"builds", &s.buildid, &"steps", &s.stepid, what]),
                Topic::new(&[&"steps", &s.stepid, what]),
            ],
            Announcement::Log(l, what) => vec![
                Topic::new(&[&"logs", &l.logid, what]),
                Topic::new(&[&"steps", &l.stepid, &"logs", &l.slug, what]),
            ],
            Announcement::Request(r, what) => {
                let (set, builder, id) = (&r.buildsetid, &r.builderid, &r.buildrequestid);
                vec![
                    Topic::new(&[&"buildsets", set, &"builders", builder, &"buildrequests", id, what]),
                    Topic::new(&[&"buildrequests", id, what]),
                    Topic::new(&[&"builders", builder, &"buildrequests", id, what]),
                ]
            }
            Announcement::Buildset(s, what) => vec![Topic::new(&[&"buildsets", &s.bsid, what])],
            Announcement::NewBuildset(s, _) => vec![Topic::new(&[&"buildsets", &s.bsid, &"new"])],
            Announcement::Change(c) => vec![Topic::new(&[&"changes", &c.changeid, &"new"])],
            Announcement::Builder(b, what) | Announcement::BuilderOn(b, _, what) => {
                vec![Topic::new(&[&"builders", &b.builderid, what])]
            }
            Announcement::Worker(w, what) => vec![Topic::new(&[&"workers", &w.workerid, what])],
            Announcement::Scheduler(s) => vec![Topic::new(&[&"schedulers", &s.schedulerid, &"updated"])],
            Announcement::Project(p) => vec![Topic::new(&[&"projects", &p.projectid, &"update"])],
            Announcement::Codebase(c) => vec![Topic::new(&[&"codebases", &c.codebaseid, &"update"])],
            Announcement::Commit(c) => vec![
                Topic::new(&[&"commits", &c.commitid, &"new"]),
                Topic::new(&[&"codebases", &c.codebaseid, &"commits", &c.commitid, &"new"]),
            ],
            Announcement::Branch(b) => vec![Topic::new(&[&"branches", &b.branchid, &"update"])],
            Announcement::TestResultSet(s, what) => {
                vec![Topic::new(&[&"test_result_sets", &s.test_result_setid, what])]
            }
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
