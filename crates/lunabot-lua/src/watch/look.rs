//! What lies at a watched path, and what has become different since it was last looked at. Blocks.

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// Files of one folder.
const MOST: usize = 10_000;
/// How often it looks which folders to watch before it is content with what it has: they may come and go meanwhile.
const TRIES: usize = 8;

/// The paths that have changed, as the user names them; else what is wrong.
pub(super) type Look = Result<Vec<String>, String>;

/// What tells one state of a file from another.
type Stamp = (i64, i64, u64, u64);

/// By the name within the folder; that of the place itself is empty. Nothing where there is nothing.
type Seen = BTreeMap<String, Stamp>;

/// A path, and what was seen there.
pub(super) struct Watched {
    path: PathBuf,
    name: String,
    heard: Arc<Notify>,
    /// The folders that are watched, with their inodes, and what does so.
    folders: Vec<(PathBuf, u64)>,
    watcher: Option<RecommendedWatcher>,
    seen: Option<Seen>,
}

impl Watched {
    /// `name` is what the user calls it.
    pub fn new(path: PathBuf, name: String) -> Self {
        Watched { path, name, heard: Arc::default(), folders: Vec::new(), watcher: None, seen: None }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Notified when the system tells of something that may have changed it.
    pub fn heard(&self) -> Arc<Notify> {
        self.heard.clone()
    }

    /// What differs from the last look; nothing at the first.
    pub fn look(&mut self) -> Look {
        // Before it looks: what comes meanwhile is heard.
        self.listen();
        let now = seen(&self.path).map_err(|fault| format!("{}: {fault}", self.name))?;
        let before = self.seen.replace(now);
        let (Some(before), Some(now)) = (before, &self.seen) else { return Ok(Vec::new()) };
        let of_now = now.iter().filter(|(name, stamp)| before.get(*name) != Some(stamp));
        let gone = before.keys().filter(|name| !now.contains_key(*name));
        let mut names: Vec<&String> = of_now.map(|(name, _)| name).chain(gone).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|name| self.shown(name)).collect())
    }

    fn shown(&self, name: &str) -> String {
        match name {
            "" => self.name.clone(),
            _ => format!("{}/{name}", self.name.trim_end_matches('/')),
        }
    }

    /// Watches the folders that can tell of a change, where those are others than before.
    fn listen(&mut self) {
        for _ in 0..TRIES {
            let folders = folders_of(&self.path);
            if folders == self.folders {
                return;
            }
            self.watcher = self.watcher(&folders);
            if self.watcher.is_none() {
                // Tried again at the next look.
                self.folders.clear();
                return;
            }
            self.folders = folders;
        }
    }

    fn watcher(&self, folders: &[(PathBuf, u64)]) -> Option<RecommendedWatcher> {
        let (heard, path) = (self.heard.clone(), self.path.clone());
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if !may_concern(&event, &path) => {}
            _ => heard.notify_one(),
        });
        let complain = |error: &notify::Error| {
            tracing::warn!("util.watch: {}: {error}; it is looked at now and then", self.name);
        };
        let mut watcher = made.inspect_err(complain).ok()?;
        for (folder, _) in folders {
            // One that is gone again is noticed.
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                complain(&error);
            }
        }
        Some(watcher)
    }
}

/// Whether it may tell of a change at a path, or of a folder above it. Looking there is an event too, and must not make it
/// look again; what else happens in the same folder may be a lot.
fn may_concern(event: &Event, path: &Path) -> bool {
    let near = |other: &PathBuf| other.starts_with(path) || path.starts_with(other);
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(near) || event.need_rescan()
}

/// The nearest folder above that is there, and the place itself where it is a folder.
fn folders_of(path: &Path) -> Vec<(PathBuf, u64)> {
    let folder = |path: &Path| {
        let found = std::fs::metadata(path).ok().filter(Metadata::is_dir)?;
        Some((path.to_owned(), found.ino()))
    };
    let above = path.ancestors().skip(1).find_map(|path| {
        // The last ancestor of a relative path.
        folder(if path.as_os_str().is_empty() { Path::new(".") } else { path })
    });
    above.into_iter().chain(folder(path)).collect()
}

fn seen(path: &Path) -> Result<Seen, String> {
    let Some(found) = there(std::fs::metadata(path))? else { return Ok(Seen::new()) };
    let mut all = Seen::from([(String::new(), stamp(&found))]);
    let entries = if found.is_dir() { there(std::fs::read_dir(path))? } else { None };
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(|error| error.to_string())?;
        // One that is gone again, or a link to nothing.
        let Some(found) = there(std::fs::metadata(entry.path()))? else { continue };
        all.insert(entry.file_name().to_string_lossy().into_owned(), stamp(&found));
        if all.len() > MOST {
            return Err(format!("more than {MOST} files lie in it; watch a folder with fewer"));
        }
    }
    Ok(all)
}

fn there<T>(found: std::io::Result<T>) -> Result<Option<T>, String> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Of a folder only which one it is: what lies in it is told by itself.
fn stamp(found: &Metadata) -> Stamp {
    match found.is_dir() {
        true => (0, 0, 0, found.ino()),
        false => (found.mtime(), found.mtime_nsec(), found.size(), found.ino()),
    }
}
