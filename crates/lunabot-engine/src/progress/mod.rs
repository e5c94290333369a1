//! When builds should end (lua-api § 3, "Builds"): what earlier builds of the builder took is compared with how far a build
//! is. It is kept as state of the builder, and read when its first build since the start begins.

mod expected;
mod history;
mod running;

use expected::{Expected, MAX_STEPS};
use lunabot_data::{Data, Progresses};
use lunabot_model::progress::BuildProgress;
use lunabot_model::resources::Build;
use lunabot_model::{BuildId, BuilderId, Clock, Results};
use running::Running;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::OnceCell;

/// What is known of a builder, once it was read.
type Memory = OnceCell<Mutex<Arc<Expected>>>;

/// All builds that run, and what their builders' earlier ones took.
pub(crate) struct Desk {
    data: Data,
    clock: Arc<dyn Clock>,
    running: Mutex<HashMap<BuildId, Weak<Watch>>>,
    known: Mutex<HashMap<BuilderId, Arc<Memory>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub fn new(data: Data, clock: Arc<dyn Clock>) -> Arc<Self> {
        let desk = Arc::new(Desk { data, clock, running: Mutex::default(), known: Mutex::default() });
        desk.data.set_progresses(desk.clone());
        desk
    }

    fn memory(&self, builder: BuilderId) -> Arc<Memory> {
        lock(&self.known).entry(builder).or_default().clone()
    }

    /// A build begins. What is expected of it is read beside it, where it is not known yet; nothing is expected of one
    /// that is not `measured`, and nothing learned from it.
    pub fn watch(self: &Arc<Self>, build: &Build, measured: bool) -> Arc<Watch> {
        let (id, builder) = (build.buildid, build.builderid);
        let running = Mutex::new(Running::new(id, build.started_at));
        let watch = Arc::new(Watch { desk: self.clone(), build: id, builder, measured, running });
        lock(&self.running).insert(id, Arc::downgrade(&watch));
        if !measured {
            return watch;
        }
        let memory = self.memory(build.builderid);
        match memory.get() {
            Some(known) => lock(&watch.running).expect(lock(known).clone()),
            None => {
                let (desk, builder, watch) = (self.clone(), build.builderid, Arc::downgrade(&watch));
                tokio::spawn(async move {
                    let known = desk.read(&memory, builder).await;
                    if let (Some(known), Some(watch)) = (known, watch.upgrade()) {
                        lock(&watch.running).expect(known);
                        watch.tell();
                    }
                });
            }
        }
        watch
    }

    async fn read(&self, memory: &Memory, builder: BuilderId) -> Option<Arc<Expected>> {
        let read = memory.get_or_try_init(|| async {
            history::read(&self.data, builder).await.map(|known| Mutex::new(Arc::new(known)))
        });
        match read.await {
            Ok(known) => Some(lock(known).clone()),
            Err(error) => {
                tracing::warn!(builder, "what earlier builds took could not be read: {error}");
                None
            }
        }
    }
}

impl Progresses for Desk {
    fn progress(&self, build: BuildId) -> Option<BuildProgress> {
        let watch = lock(&self.running).get(&build).and_then(Weak::upgrade)?;
        let shown = lock(&watch.running).shown(self.clock.mono(), self.clock.now());
        Some(shown)
    }
}

/// One build that runs.
pub(crate) struct Watch {
    desk: Arc<Desk>,
    build: BuildId,
    builder: BuilderId,
    /// Whether its steps count.
    measured: bool,
    running: Mutex<Running>,
}

impl Watch {
    /// A step begins, with the metrics that it will set; `output` counts the bytes of its logs.
    pub fn begin(&self, step: &str, metrics: &[String], output: Arc<AtomicU64>) {
        if !self.measured {
            return;
        }
        lock(&self.running).begin(step, metrics, output, self.desk.clock.mono());
        self.tell();
    }

    /// A step has what it waited for.
    pub fn set_out(&self, step: &str) {
        lock(&self.running).set_out(step, self.desk.clock.mono());
    }

    /// How far a step is. The error says what is wrong with it.
    pub fn set(&self, step: &str, metric: &str, value: f64) -> Result<(), String> {
        lock(&self.running).set(step, metric, value)?;
        self.tell();
        Ok(())
    }

    pub fn end(&self, step: &str, results: Results) {
        lock(&self.running).end(step, results, self.desk.clock.mono());
        self.tell();
    }

    /// The build has ended. One that went well is what the next is compared with.
    pub async fn finish(&self, results: Results) {
        if !self.measured || !matches!(results, Results::Success | Results::Warnings) {
            return;
        }
        let steps = lock(&self.running).learned();
        let memory = self.desk.memory(self.builder);
        if self.desk.read(&memory, self.builder).await.is_none() {
            return;
        }
        let Some(known) = memory.get() else { return };
        let learned = {
            let mut known = lock(known);
            let mut expected = Expected::clone(&known);
            expected.learn(steps);
            *known = Arc::new(expected);
            known.clone()
        };
        if let Err(error) = history::store(&self.desk.data, self.builder, &learned).await {
            tracing::warn!(builder = self.builder, "what the build took could not be stored: {error}");
        }
    }

    /// Announces the expected end, where it is news.
    fn tell(&self) {
        let clock = &self.desk.clock;
        let news = lock(&self.running).news(clock.mono(), clock.now());
        if let Some(news) = news {
            self.desk.data.announce_progress(&news);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.desk.running).remove(&self.build);
    }
}
