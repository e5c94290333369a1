//! The folders of builders, where the worker leaves them to the master (reference row 08.033).

use super::session::Session;
use crate::worker::{CommandSink, LinkError};
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_proto::msgpack::Places;
use lunabot_proto::{Command, Dict, Stat, Transfer, Update, WorkerInfo, names};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The worker's own folder beside those of builders.
const INFO: &str = "info";

/// Seconds without progress that deleting may take.
const DELETE: f64 = 1200.0;

/// Makes the folders of `builders`, and deletes what belongs to none where the worker is set up so.
pub(super) async fn make(
    session: &Session,
    info: &WorkerInfo,
    builders: &[(String, String)],
) -> Result<(), LinkError> {
    let places = Places::of(info);
    let run = |name: &str, args: Dict| run(session, name.to_string(), args);
    let listed = run(names::LISTDIR, Dict::new().with("dir", places.basedir())).await?;
    let present: BTreeSet<String> = listed.files.into_iter().collect();
    let wanted: BTreeSet<&str> = builders.iter().map(|(_, dir)| dir.as_str()).chain([INFO]).collect();
    if info.delete_leftover_dirs {
        let first = |dir: &'_ str| dir.split(['/', '\\']).next().unwrap_or_default().to_owned();
        let kept: BTreeSet<String> = wanted.iter().map(|dir| first(dir)).collect();
        let mut leftover = Vec::new();
        for name in present.iter().filter(|name| !kept.contains(*name)) {
            let path = places.join(&[name]);
            let found = run(names::STAT, Dict::new().with("file", path.as_str())).await?;
            if found.stat.is_some_and(|stat| stat.is_dir()) {
                leftover.push(path);
            }
        }
        if !leftover.is_empty() {
            let args = Dict::new().with("dir", leftover).with("timeout", DELETE).with("logEnviron", false);
            run(names::RMDIR, args).await?;
        }
    }
    let missing: Vec<String> =
        wanted.iter().filter(|dir| !present.contains(**dir)).map(|dir| places.join(&[dir])).collect();
    if !missing.is_empty() {
        run(names::MKDIR, Dict::new().with("dir", missing)).await?;
    }
    Ok(())
}

/// What came of a command of the master's own.
#[derive(Default)]
struct Done {
    files: Vec<String>,
    stat: Option<Stat>,
}

/// Runs a command for the master itself, to its end.
async fn run(session: &Session, name: String, args: Dict) -> Result<Done, LinkError> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = format!("master-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let (over, ended) = oneshot::channel();
    let sink = Collect { done: Mutex::default(), over: Mutex::new(Some(over)) };
    session.start_command(None, Command::new(id, name, args), Arc::new(sink), None).await?;
    ended.await.map_err(|_| LinkError::Lost)
}

struct Collect {
    done: Mutex<Done>,
    over: Mutex<Option<oneshot::Sender<Done>>>,
}

#[async_trait]
impl CommandSink for Collect {
    async fn update(&self, updates: Vec<Update>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        for update in updates {
            match update {
                Update::Files(files) => done.files.extend(files),
                Update::Stat(stat) => done.stat = Some(stat),
                other => tracing::debug!("while folders are made: {other:?}"),
            }
        }
    }

    async fn complete(&self, failure: Option<String>) {
        if let Some(failure) = failure {
            tracing::warn!("a folder of a worker could not be made or deleted: {failure}");
        }
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(over) = self.over.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Whoever asked may have gone away.
            let _ = over.send(done);
        }
    }

    async fn transfer(&self, _: Transfer) -> Result<Bytes, String> {
        Err("this command transfers nothing".into())
    }
}
