//! The actor of a Try_Jobdir: takes job files out of a maildir (03.022).
//!
//! A file in `new/` becomes a buildset and moves to `cur/`; one that is no job moves to `bad/`. Which file was taken last
//! is stored together with its buildset, so that a master killed in between neither loses a job nor builds it twice.

use super::kinds::TryJobdirParams;
use super::maildir::{self, Found, Mark};
use super::{Try, TryError};
use crate::scheduler::{Surroundings, state_key};
use lunabot_data::new::{Settled, StateKey};
use lunabot_model::{AnyObject, Json, SchedulerId};
use lunabot_proto::{TryJob, try_job};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

pub(in crate::scheduler) const CLASS: &str = "Try_Jobdir";
/// The state that holds what was taken and may lie in `new/` still.
const TAKEN: &str = "taken";
/// How often the folder is looked at although nothing was noticed: watching fails on network file systems.
const RESCAN: Duration = Duration::from_secs(10);

/// A Try_Jobdir of one generation.
#[derive(Clone)]
pub(in crate::scheduler) struct Definition {
    pub tried: Try,
    folder: PathBuf,
}

impl Definition {
    pub fn read(object: &AnyObject, around: &Surroundings) -> Result<Self, String> {
        let params = object.typed::<TryJobdirParams>().map_err(|error| error.to_string())?.args;
        let folder = around.data.basedir().join(&params.jobdir);
        Ok(Definition { tried: Try::new(params.common(), &params.codebases, around, false), folder })
    }

    pub fn name(&self) -> &str {
        &self.tried.common.name
    }
}

/// What the actor is told.
pub(in crate::scheduler) enum Order {
    Define(Box<Definition>),
    Enable(bool),
}

/// The actor: one task per Try_Jobdir.
pub(in crate::scheduler) struct Actor {
    pub id: SchedulerId,
    pub definition: Definition,
    pub enabled: bool,
    pub inbox: mpsc::Receiver<Order>,
    pub stop: CancellationToken,
}

impl Actor {
    /// Runs until it is stopped or its inbox is gone.
    pub async fn run(self) {
        let Actor { id, definition, enabled, mut inbox, stop } = self;
        let mut running = Running {
            id,
            definition,
            enabled,
            taken: None,
            watch: None,
            changed: Arc::default(),
            complaint: String::new(),
        };
        loop {
            // Never in the middle of a job: what is begun is finished.
            running.look().await;
            let clock = running.definition.tried.around.clock.clone();
            let changed = running.changed.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                order = inbox.recv() => match order {
                    Some(Order::Define(definition)) => running.define(*definition),
                    Some(Order::Enable(enabled)) => running.enabled = enabled,
                    None => return,
                },
                () = changed.notified() => {}
                () = clock.sleep(RESCAN) => {}
            }
        }
    }
}

struct Running {
    id: SchedulerId,
    definition: Definition,
    enabled: bool,
    /// Jobs whose buildsets are stored and whose files may not have been moved; `None`: not read yet.
    taken: Option<Vec<Mark>>,
    watch: Option<RecommendedWatcher>,
    changed: Arc<Notify>,
    /// What was last said about the folder, so that it is not said every few seconds.
    complaint: String,
}

impl Running {
    fn define(&mut self, definition: Definition) {
        if definition.folder != self.definition.folder {
            self.watch = None;
        }
        self.definition = definition;
    }

    /// Takes all jobs that lie there. What fails is tried again at the next look.
    async fn look(&mut self) {
        if !self.enabled {
            return;
        }
        match self.take_all().await {
            Ok(()) => self.complaint.clear(),
            Err(why) if why == self.complaint => {}
            Err(why) => {
                tracing::error!(scheduler = self.definition.name(), "{why}; trying again");
                self.complaint = why;
            }
        }
    }

    async fn take_all(&mut self) -> Result<(), String> {
        let folder = self.definition.folder.clone();
        let in_words = |error| format!("the job folder {}: {error}", folder.display());
        maildir::make(&folder).await.map_err(in_words)?;
        if self.watch.is_none() {
            // Before it is read: what comes meanwhile is noticed.
            self.watch = self.watched();
        }
        self.read_taken().await?;
        let marks = maildir::list(&folder).await.map_err(in_words)?;
        let any = !marks.is_empty();
        for mark in marks {
            self.take(mark).await?;
        }
        for part in [maildir::CUR, maildir::BAD].iter().filter(|_| any) {
            maildir::prune(&folder, part).await.map_err(in_words)?;
        }
        Ok(())
    }

    fn watched(&self) -> Option<RecommendedWatcher> {
        let changed = self.changed.clone();
        let folder = self.definition.folder.join(maildir::NEW);
        // Looking into the folder is an event too, and must not make it look again.
        let made = notify::recommended_watcher(move |event| match event {
            Ok(notify::Event { kind: notify::EventKind::Access(_), .. }) => {}
            _ => changed.notify_one(),
        });
        let watched = made.and_then(|mut watcher| {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let complain = |error: &notify::Error| {
            tracing::warn!("cannot watch {}: {error}; looking every {RESCAN:?}", folder.display());
        };
        watched.inspect_err(complain).ok()
    }

    fn key(&self) -> StateKey {
        state_key(self.definition.name(), CLASS, TAKEN)
    }

    async fn read_taken(&mut self) -> Result<(), String> {
        if self.taken.is_none() {
            let stored = self.definition.tried.around.data.get_state(&self.key()).await;
            let stored = stored.map_err(|error| error.to_string())?.unwrap_or_default();
            self.taken = Some(serde_json::from_value(stored).unwrap_or_default());
        }
        Ok(())
    }

    async fn take(&mut self, mark: Mark) -> Result<(), String> {
        let taken = self.taken.iter().flatten().any(|other| *other == mark);
        let bad = if taken { None } else { self.submit(&mark).await? };
        let place = if bad.is_some() { maildir::BAD } else { maildir::CUR };
        if let Some(why) = &bad {
            tracing::warn!(
                scheduler = self.definition.name(),
                "the job file {} was not taken: {why}; it is in {place}/ now",
                mark.name
            );
        }
        let moved = maildir::shift(&self.definition.folder, &mark.name, place).await;
        moved.map_err(|error| format!("the job file {} cannot be moved to {place}/: {error}", mark.name))?;
        self.taken.iter_mut().for_each(|all| all.retain(|other| *other != mark));
        Ok(())
    }

    /// Makes the buildset of a file. `Some`: why it is no job. The error: it is to be tried again.
    async fn submit(&mut self, mark: &Mark) -> Result<Option<String>, String> {
        let job = match self.read(mark).await? {
            Ok(job) => job,
            Err(why) => return Ok(Some(why)),
        };
        let mut taken = self.taken.clone().unwrap_or_default();
        taken.push(mark.clone());
        let state = vec![(self.key(), serde_json::to_value(&taken).unwrap_or(Json::Null))];
        let settled = Settled { schedulerid: self.id, changes: Vec::new(), state };
        let id = job.id.clone();
        match self.definition.tried.submit(job, Some(settled)).await {
            Ok((bsid, requests)) => {
                let name = self.definition.name();
                tracing::info!(scheduler = name, bsid, requests = requests.len(), "took the try job {id}");
                self.taken = Some(taken);
                Ok(None)
            }
            Err(TryError::Data(error)) => Err(error.to_string()),
            Err(other) => Ok(Some(other.to_string())),
        }
    }

    async fn read(&self, mark: &Mark) -> Result<Result<TryJob, String>, String> {
        let found = maildir::read(&self.definition.folder, &mark.name).await;
        let found = found.map_err(|error| format!("the job file {} cannot be read: {error}", mark.name))?;
        Ok(match found {
            Found::Content(content) => try_job::read(&content).map_err(|bad| bad.to_string()),
            Found::Other(what) => Err(what),
        })
    }
}
