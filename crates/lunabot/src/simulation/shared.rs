//! What the parts of one simulated master share, and what it counts to know when it is at rest.

use super::answers::Answers;
use super::clock::VirtualClock;
use lunabot_data::{Answer, Data};
use lunabot_engine::Engine;
use lunabot_lua::Records;
use lunabot_model::{BuildId, BuilderId, Json, ScriptHost, StepId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
pub struct Shared {
    pub data: Data,
    pub engine: Engine,
    pub clock: VirtualClock,
    pub host: Arc<dyn ScriptHost>,
    pub records: Arc<Records>,
    pub builders: HashMap<String, BuilderId>,
    /// For whichever worker has no answer of its own.
    common: Mutex<Answers>,
    ran: Mutex<Vec<Ran>>,
    problems: Mutex<Vec<String>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    /// Commands under way.
    busy: AtomicUsize,
    /// Of these, those that wait for the virtual clock.
    waiting: AtomicUsize,
    /// Grows with everything that workers do.
    done: AtomicU64,
}

/// A command that a worker was given.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    pub worker: String,
    pub builder: String,
    pub build: Option<BuildId>,
    pub step: Option<StepId>,
    pub step_name: String,
    pub line: String,
    /// `None`: it did not end, or the worker was lost.
    pub rc: Option<i64>,
    /// What the build is about.
    pub revision: Option<String>,
}

/// Counts for as long as it lives.
pub struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    pub fn new(
        data: Data,
        engine: Engine,
        clock: VirtualClock,
        host: Arc<dyn ScriptHost>,
        records: Arc<Records>,
        builders: HashMap<String, BuilderId>,
    ) -> Arc<Self> {
        Arc::new(Shared {
            data,
            engine,
            clock,
            host,
            records,
            builders,
            common: Mutex::default(),
            ran: Mutex::default(),
            problems: Mutex::default(),
            counts: Counts::default(),
        })
    }

    pub fn common(&self) -> MutexGuard<'_, Answers> {
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn busy(&self) -> Counted<'_> {
        self.counts.busy.fetch_add(1, Ordering::SeqCst);
        self.counts.done.fetch_add(1, Ordering::SeqCst);
        Counted(&self.counts.busy)
    }

    pub fn waits(&self) -> Counted<'_> {
        self.counts.waiting.fetch_add(1, Ordering::SeqCst);
        Counted(&self.counts.waiting)
    }

    /// Commands that do something now, and those that wait for the clock.
    pub fn commands(&self) -> (usize, usize) {
        let (all, waiting) =
            (self.counts.busy.load(Ordering::SeqCst), self.counts.waiting.load(Ordering::SeqCst));
        (all.saturating_sub(waiting), waiting)
    }

    /// Grows with everything that workers do.
    pub fn done(&self) -> u64 {
        self.counts.done.load(Ordering::SeqCst)
    }

    /// Something is wrong with the test: told by the next method of the master that it calls.
    pub fn problem(&self, text: String) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !problems.contains(&text) {
            problems.push(text);
        }
    }

    pub fn problems(&self) -> Vec<String> {
        std::mem::take(&mut *self.problems.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ran(&self) -> MutexGuard<'_, Vec<Ran>> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All commands, in the order in which they began.
    pub fn all_ran(&self) -> Vec<Ran> {
        self.ran().clone()
    }

    /// Notes a command that begins; gives its place in the list, and what is known of it.
    pub async fn note(&self, worker: &str, builder: &str, line: &str) -> (usize, Ran) {
        let place = {
            let mut ran = self.ran();
            ran.push(Ran {
                worker: worker.into(),
                builder: builder.into(),
                line: line.into(),
                ..Ran::default()
            });
            ran.len() - 1
        };
        let (build, step) = self.running(worker, builder).await;
        let revision = match build {
            Some(build) => self.revision(build).await,
            None => None,
        };
        let mut ran = self.ran();
        let this = &mut ran[place];
        this.build = build;
        this.step = step.as_ref().and_then(|step| step["stepid"].as_i64());
        this.step_name = step.and_then(|step| Some(step["name"].as_str()?.to_owned())).unwrap_or_default();
        this.revision = revision;
        (place, this.clone())
    }

    /// A command has ended.
    pub fn ended(&self, place: usize, rc: Option<i64>) {
        self.ran()[place].rc = rc;
        self.counts.done.fetch_add(1, Ordering::SeqCst);
    }

    /// The build of this builder on this worker, and its step that runs. What is queued to be stored is stored first.
    async fn running(&self, worker: &str, builder: &str) -> (Option<BuildId>, Option<Json>) {
        let Some(builder) = self.builders.get(builder) else { return (None, None) };
        let workers = self.list(&format!("workers/{worker}")).await;
        let worker = workers.first().map(|row| row["workerid"].clone()).unwrap_or_default();
        let builds = self.list(&format!("builders/{builder}/builds")).await;
        let running = builds.iter().rfind(|build| build["complete"] == false && build["workerid"] == worker);
        let Some(build) = running.and_then(|build| build["buildid"].as_i64()) else { return (None, None) };
        let steps = self.list(&format!("builds/{build}/steps")).await;
        let step = steps.into_iter().rfind(|step| step["complete"] == false && !step["started_at"].is_null());
        (Some(build), step)
    }

    async fn revision(&self, build: BuildId) -> Option<String> {
        let properties = self.data.build_properties(build).await.ok()?;
        Some(properties.get("revision")?.as_str()?.to_owned())
    }

    /// Rows of the data API; none where the path leads nowhere.
    pub async fn list(&self, path: &str) -> Vec<Json> {
        // A store that takes no writes has what it has.
        let _ = self.data.flush().await;
        match self.data.get(path, "").await {
            Ok(Answer::List { items, .. }) => items,
            Ok(Answer::One { item, .. }) => vec![item],
            Ok(Answer::Raw) | Err(_) => Vec::new(),
        }
    }
}
