//! `c.lua.watch = true`: a changed file of the configuration asks for a reload.
//!
//! Folders are watched, not files: editors replace a file by renaming another over it. A burst of events makes one
//! reload, once it has been quiet for a moment.

use super::queue::Wish;
use anyhow::Result;
use lunabot_model::{Clock, Time};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// How long files must be quiet before they are loaded.
const QUIET: Duration = Duration::from_millis(200);

/// Times of files lag behind the clock by as much.
const FILE_CLOCK: Duration = Duration::from_millis(10);

/// Watches the files of the newest load.
pub struct FileWatch {
    shared: Arc<Shared>,
    watcher: Mutex<Option<RecommendedWatcher>>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeSet<PathBuf>>,
    changed: Notify,
}

impl FileWatch {
    pub fn new() -> Self {
        FileWatch { shared: Arc::default(), watcher: Mutex::new(None) }
    }

    /// Watches exactly these files from now on; none: stops watching. What changed since they were read, at `read_at`,
    /// counts as a change.
    pub fn set(&self, files: impl IntoIterator<Item = PathBuf>, read_at: Time) {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        let folders: BTreeSet<PathBuf> =
            files.iter().filter_map(|file| file.parent().map(Path::to_owned)).collect();
        let old = std::mem::replace(&mut *lock(&self.shared.files), files.clone());
        if old != files {
            *lock(&self.watcher) = if folders.is_empty() { None } else { self.watch(&folders) };
        }
        if files.iter().any(|file| changed_since(file, read_at)) {
            self.shared.changed.notify_one();
        }
    }

    fn watch(&self, folders: &BTreeSet<PathBuf>) -> Option<RecommendedWatcher> {
        let shared = Arc::clone(&self.shared);
        let made = notify::recommended_watcher(move |event| shared.take_in(event));
        let mut watcher =
            made.inspect_err(|error| tracing::warn!("cannot watch the configuration: {error}")).ok()?;
        for folder in folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!("cannot watch {}: {error}", folder.display());
            }
        }
        Some(watcher)
    }

    /// Asks for reloads until `stop`.
    pub async fn run(
        self: Arc<Self>,
        clock: Arc<dyn Clock>,
        wishes: mpsc::Sender<Wish>,
        stop: CancellationToken,
    ) -> Result<()> {
        while stop.run_until_cancelled(self.shared.changed.notified()).await.is_some() {
            loop {
                tokio::select! {
                    () = self.shared.changed.notified() => {}
                    () = clock.sleep(QUIET) => break,
                }
            }
            tracing::info!("a file of the configuration changed");
            if wishes.send(Wish::Reload).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Default for FileWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn take_in(&self, event: notify::Result<Event>) {
        match event {
            Ok(Event { kind: EventKind::Access(_), .. }) => {}
            Ok(event) => {
                let files = lock(&self.files);
                if event.paths.iter().any(|path| files.contains(path)) || event.need_rescan() {
                    self.changed.notify_one();
                }
            }
            Err(error) => tracing::warn!("watching the configuration: {error}"),
        }
    }
}

fn changed_since(file: &Path, moment: Time) -> bool {
    let micros = u64::try_from(moment.0).unwrap_or_default();
    let since = std::time::UNIX_EPOCH + Duration::from_micros(micros).saturating_sub(FILE_CLOCK);
    std::fs::metadata(file).and_then(|found| found.modified()).is_ok_and(|modified| modified >= since)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_replaced_file_asks_for_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let file = folder.join("master.lua");
        std::fs::write(&file, "1").unwrap();
        let watch = Arc::new(FileWatch::new());
        let clock = SystemClock::new();
        watch.set([file.clone()], clock.now());
        let (send, mut wishes) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&watch).run(Arc::new(clock), send, stop.clone()));
        std::fs::write(folder.join("new"), "2").unwrap();
        std::fs::rename(folder.join("new"), &file).unwrap();
        let wish = tokio::time::timeout(Duration::from_secs(30), wishes.recv()).await.unwrap();
        assert!(matches!(wish, Some(Wish::Reload)));
        // A change before the watch began is not missed either.
        watch.set([file], Time(0));
        let wish = tokio::time::timeout(Duration::from_secs(30), wishes.recv()).await.unwrap();
        assert!(matches!(wish, Some(Wish::Reload)));
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}
