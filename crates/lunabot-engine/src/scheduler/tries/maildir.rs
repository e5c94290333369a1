//! The folder of job files: `new/`, `cur/`, `tmp/` of a maildir, and `bad/`. Nothing here waits on the runtime's threads.

use lunabot_proto::try_job::MAX_JOB;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(super) const NEW: &str = "new";
pub(super) const CUR: &str = "cur";
pub(super) const BAD: &str = "bad";
/// Where writers make files before they move them to `new/`.
const TMP: &str = "tmp";
/// Files that are kept in `cur/` and in `bad/`.
const KEPT: usize = 1000;
/// Files looked at in one go; the others come next.
const AT_ONCE: usize = 1000;

/// One file, told from another that bears the same name later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub name: String,
    inode: u64,
    /// Nanoseconds since 1970.
    modified: i64,
}

/// What a file holds.
pub(super) enum Found {
    Content(Vec<u8>),
    /// What it is, if it is no file that can be a job.
    Other(String),
}

/// Makes the folders that are missing.
pub(super) async fn make(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    away(move || [NEW, CUR, TMP, BAD].iter().try_for_each(|part| std::fs::create_dir_all(folder.join(part))))
        .await
}

/// The files in `new/`, oldest first. Hidden ones are somebody's work in progress.
pub(super) async fn list(folder: &Path) -> io::Result<Vec<Mark>> {
    let new = folder.join(NEW);
    away(move || {
        let mut marks = Vec::new();
        for entry in std::fs::read_dir(&new)?.take(AT_ONCE) {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                tracing::warn!("{}: the name is no UTF-8; left alone", entry.path().display());
                continue;
            };
            match entry.metadata() {
                Ok(found) if !name.starts_with('.') => marks.push(Mark {
                    name,
                    inode: found.ino(),
                    modified: found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec()),
                }),
                // Gone meanwhile.
                Ok(_) | Err(_) => {}
            }
        }
        marks.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        Ok(marks)
    })
    .await
}

/// Reads a file of `new/`, within the bounds of a job.
pub(super) async fn read(folder: &Path, name: &str) -> io::Result<Found> {
    let path = folder.join(NEW).join(name);
    away(move || {
        let found = std::fs::symlink_metadata(&path)?;
        if !found.is_file() {
            return Ok(Found::Other("it is no plain file".into()));
        }
        if found.len() > MAX_JOB as u64 {
            return Ok(Found::Other(format!("it holds more than {MAX_JOB} bytes")));
        }
        std::fs::read(&path).map(Found::Content)
    })
    .await
}

/// Moves a file of `new/` to another of the folders, in place of one that has the same name there.
pub(super) async fn shift(folder: &Path, name: &str, to: &str) -> io::Result<()> {
    let (from, to) = (folder.join(NEW).join(name), folder.join(to).join(name));
    away(move || replace(&from, &to)).await
}

/// Removes what was moved to one of the folders long ago: all but the newest [`KEPT`] files.
pub(super) async fn prune(folder: &Path, part: &str) -> io::Result<()> {
    let part = folder.join(part);
    away(move || {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&part)? {
            let entry = entry?;
            // Moving a file changes its ctime: that is when it was taken.
            match entry.metadata() {
                Ok(found) if found.is_file() => files.push((found.ctime(), found.ctime_nsec(), entry.path())),
                Ok(_) | Err(_) => {}
            }
        }
        files.sort();
        let old = files.len().saturating_sub(KEPT);
        files.into_iter().take(old).try_for_each(|(.., path)| match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    })
    .await
}

/// A folder, which may have got here by mistake, does not replace anything.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let mut target: PathBuf = to.to_owned();
    let is_folder = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let mut count = 0_u32;
    while is_folder(&target) || (is_folder(from) && target.exists()) {
        count += 1;
        target = to.with_extension(count.to_string());
    }
    std::fs::rename(from, target)
}

async fn away<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn row_03_022_the_newest_jobs_that_were_taken_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).await.unwrap();
        for n in 0..KEPT + 3 {
            let name = format!("{n:04}");
            std::fs::write(dir.path().join(NEW).join(&name), "x").unwrap();
            shift(dir.path(), &name, CUR).await.unwrap();
        }
        std::fs::create_dir(dir.path().join(CUR).join("folder")).unwrap();
        prune(dir.path(), CUR).await.unwrap();
        let left = std::fs::read_dir(dir.path().join(CUR)).unwrap().count();
        assert_eq!(left, KEPT + 1);
        for (name, kept) in
            [("0000", false), ("0002", false), ("0003", true), ("1002", true), ("folder", true)]
        {
            assert_eq!(dir.path().join(CUR).join(name).exists(), kept, "{name}");
        }
    }
}
