//! Reporters: what happens is told to others (reference area 11).
//!
//! What happened is written to the outbox in the transaction of the event (see `lunabot_data::Interest`), and stays there until
//! it is delivered or given up: neither a reload nor the end of the process loses it. One small task per reporter; a
//! reload stops what is gone or differs and starts what is new, and does not touch the others (11.007).

mod details;
mod formatters;
mod generators;
pub mod kinds;
mod means;
mod modes;
mod own;
mod reporter;
mod reports;
mod sets;
mod task;
mod texts;
mod wanted;
mod working;

pub use means::Site;

use crate::change_sources::error_at;
use lunabot_data::{Data, DataError, Interest};
use lunabot_model::config::ConfigError;
use lunabot_model::object::same;
use lunabot_model::reporters::{REPORTER, name_of};
use lunabot_model::{AnyObject, Clock, Json, ScriptHost, SecretSource, Templates};
use means::Means;
use reporter::{Parts, Reporter};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use task::{Board, Task};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use working::Working;

/// How long reporters may go on that are stopped with the master; what they do not deliver waits for the next start.
const FAREWELL: Duration = Duration::from_secs(15);

/// What one loaded configuration says.
#[derive(Clone)]
pub struct Declared {
    /// All services; those that are no reporters are passed over.
    pub services: Vec<AnyObject>,
    pub site: Site,
    pub script: Arc<dyn ScriptHost>,
    pub secrets: Arc<dyn SecretSource>,
    pub templates: Arc<dyn Templates>,
}

/// The manager.
pub struct Reporters {
    data: Data,
    clock: Arc<dyn Clock>,
    site: Arc<RwLock<Site>>,
    running: Mutex<BTreeMap<String, Running>>,
    board: Board,
    working: Working,
}

struct Running {
    /// The object as declared, to compare with.
    object: Json,
    reporter: Arc<Reporter>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What is to run, by name: as declared, and ready.
type Planned = BTreeMap<String, (Json, Arc<Reporter>)>;

impl Running {
    fn interest(&self) -> Interest {
        self.reporter.interest(&self.wake)
    }
}

/// What is wrong with the reporters among these services.
pub fn errors(services: &[AnyObject], templates: &dyn Templates) -> Vec<ConfigError> {
    let wrong = |object: &AnyObject| Some(error_at(object, Parts::read(object, templates).err()?));
    services.iter().filter(|object| object.kind == REPORTER).filter_map(wrong).collect()
}

impl Reporters {
    pub fn new(data: Data, clock: Arc<dyn Clock>) -> Self {
        let site = Arc::default();
        Reporters {
            data,
            clock,
            site,
            running: Mutex::default(),
            board: Board::default(),
            working: Working::default(),
        }
    }

    /// Makes those declared the running ones. To be called before anything happens under the new configuration.
    ///
    /// # Errors
    /// The store does not answer, or a mistake that [`errors`] would have told.
    pub async fn apply(&self, declared: &Declared) -> Result<(), DataError> {
        let told = |errors: Vec<ConfigError>| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            DataError::Storage(lines.join("\n"))
        };
        let mut wanted = self.plan(declared).map_err(told)?;
        *self.site.write().unwrap_or_else(PoisonError::into_inner) = declared.site.clone();
        let interests = {
            let mut running = self.running();
            let stays = |name: &String, one: &mut Running| {
                wanted.get(name).is_some_and(|(object, _)| same(object, &one.object))
            };
            let mut left: BTreeMap<String, Running> =
                running.extract_if(.., |name, one| !stays(name, one)).collect();
            left.values().for_each(|one| one.stop.cancel());
            wanted.retain(|name, _| !running.contains_key(name));
            for (name, (object, reporter)) in wanted {
                let before = left.remove(&name).map(|one| one.task);
                running.insert(name, self.start(object, reporter, before));
            }
            self.board.retain(|name| running.contains_key(name));
            running.values().map(Running::interest).collect()
        };
        self.data.set_reporting(interests).await
    }

    fn start(&self, object: Json, reporter: Arc<Reporter>, before: Option<JoinHandle<()>>) -> Running {
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = Task {
            reporter: reporter.clone(),
            clock: self.clock.clone(),
            wake: wake.clone(),
            stop: stop.clone(),
            board: self.board.clone(),
            rest: Mutex::default(),
        };
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // What it had under way is delivered by it.
                let _ = before.await;
            }
            Arc::new(task).run().await;
        });
        Running { object, reporter, wake, stop, task }
    }

    /// Whether any works at a report now; what waits for a function of the configuration does not count.
    pub fn working(&self) -> bool {
        self.working.any()
    }

    /// How each is, by name, in words.
    pub async fn status(&self) -> Vec<(String, String)> {
        let names: Vec<String> = self.running().keys().cloned().collect();
        let counts = if names.is_empty() { Ok(BTreeMap::new()) } else { self.data.outbox_counts().await };
        let counts = counts.unwrap_or_default();
        let how = |name: String| {
            let told = self.board.get(&name);
            let (waiting, tried) = counts.get(&name).copied().unwrap_or_default();
            let error = told.last_error.as_deref().unwrap_or("it could not deliver before the restart");
            let fails = tried > 0 || told.rests;
            let mut how = if fails { format!("failing: {error}") } else { "well".to_owned() };
            if waiting > 0 {
                how.push_str(&format!("; {waiting} to be delivered"));
            }
            if told.given_up > 0 {
                how.push_str(&format!("; {} given up, the last because of: {error}", told.given_up));
            }
            (name, how)
        };
        names.into_iter().map(how).collect()
    }

    /// Stops all. What is under way may end.
    pub async fn stop(&self) {
        let all = std::mem::take(&mut *self.running());
        all.values().for_each(|one| one.stop.cancel());
        let aborts: Vec<_> = all.values().map(|one| one.task.abort_handle()).collect();
        let ended = futures::future::join_all(all.into_values().map(|one| one.task));
        tokio::select! {
            _ = ended => {}
            () = self.clock.sleep(FAREWELL) => {
                tracing::warn!("some reports were under way for too long; they are delivered after the next start");
                aborts.iter().for_each(tokio::task::AbortHandle::abort);
            }
        }
    }

    fn plan(&self, declared: &Declared) -> Result<Planned, Vec<ConfigError>> {
        let (mut planned, mut errors) = (BTreeMap::new(), Vec::new());
        for object in declared.services.iter().filter(|object| object.kind == REPORTER) {
            let name = name_of(object);
            let means = Means {
                data: self.data.clone(),
                script: declared.script.clone(),
                secrets: declared.secrets.clone(),
                templates: declared.templates.clone(),
                site: self.site.clone(),
                concerns: format!("reporter {name}"),
                working: self.working.clone(),
            };
            match (Reporter::read(object, means), serde_json::to_value(object)) {
                (Ok(reporter), Ok(json)) => drop(planned.insert(name, (json, reporter))),
                (Err(error), _) => errors.push(error_at(object, error)),
                (_, Err(error)) => errors.push(error_at(object, error.to_string())),
            }
        }
        if errors.is_empty() { Ok(planned) } else { Err(errors) }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
