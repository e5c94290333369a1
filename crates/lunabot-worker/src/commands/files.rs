//! `mkdir`, `stat`, `glob`, `listdir`, `rmfile`: one look at or change of the file system each.
//!
//! Success reports `rc` 0; an error of the system reports its number as `rc` and, behind `elapsed`, a
//! header `COMMAND: WHAT: PATH`.

use super::{Cx, Outcome, glob as pattern};
use crate::{args::Args, errors::Failure, report::Report};
use lunabot_proto::{Stat, Update};
use nix::errno::Errno;
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Exit status for an error that carries no number of the system.
const UNKNOWN_ERRNO: i32 = libc::EIO;

/// Makes a directory (or each of several) with its parents; an existing directory is fine.
pub(super) async fn mkdir(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let dirs = Args(&cx.command.args).texts_of(&["dir", "paths"])?;
    let dirs: Vec<_> = dirs.into_iter().map(|dir| cx.paths.resolve(dir)).collect();
    let made = blocking(move || {
        dirs.into_iter().try_for_each(|dir| fs::create_dir_all(&dir).map_err(|error| (error, dir)))
    });
    Ok(end(cx, report, made.await?.map_err(|(error, dir)| (mkdir_error(error, &dir), dir))))
}

/// The standard library says "not a directory" where the system call says "exists".
fn mkdir_error(error: io::Error, dir: &Path) -> io::Error {
    if dir.symlink_metadata().is_ok() { io::Error::from_raw_os_error(libc::EEXIST) } else { error }
}

/// The ten numbers of a file; links are followed.
pub(super) async fn stat(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let args = Args(&cx.command.args);
    let workdir = args.text("workdir")?.unwrap_or_default();
    let path = cx.paths.resolve_plain(workdir, args.text_of(&["file", "path"])?);
    let found = at(path, |path| fs::metadata(path)).await?;
    Ok(end(cx, report, found.map(|meta| vec![Update::Stat(numbers(&meta))])))
}

fn numbers(meta: &fs::Metadata) -> Stat {
    Stat {
        mode: meta.mode(),
        ino: meta.ino(),
        dev: meta.dev(),
        nlink: meta.nlink(),
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.size(),
        atime: meta.atime(),
        mtime: meta.mtime(),
        ctime: meta.ctime(),
    }
}

/// Absolute paths that match a pattern.
pub(super) async fn glob(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let path = cx.paths.resolve(Args(&cx.command.args).text_of(&["path"])?);
    let found = blocking(move || pattern::glob(&path)).await?;
    Ok(end(cx, report, Ok(vec![Update::Files(found.iter().map(|path| name(path)).collect())])))
}

/// Names in a directory.
pub(super) async fn listdir(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let dir = cx.paths.resolve(Args(&cx.command.args).text_of(&["dir", "path"])?);
    let list = |dir: &Path| fs::read_dir(dir)?.map(|entry| Ok(name(entry?.file_name().as_ref()))).collect();
    let found = at(dir, list).await?;
    Ok(end(cx, report, found.map(|names| vec![Update::Files(names)])))
}

/// Removes one file or link.
pub(super) async fn rmfile(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let path = cx.paths.resolve_home("", Args(&cx.command.args).text_of(&["path"])?);
    let removed = at(path, |path| fs::remove_file(path)).await?;
    Ok(end(cx, report, removed))
}

/// A name as text; bytes that are not UTF-8 become U+FFFD (the reference loses the whole list).
fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What a file command produces when it succeeds.
trait News {
    fn updates(self) -> Vec<Update>;
}

impl News for () {
    fn updates(self) -> Vec<Update> {
        Vec::new()
    }
}

impl News for Vec<Update> {
    fn updates(self) -> Vec<Update> {
        self
    }
}

fn end<T: News>(cx: &Cx, report: &mut Report, result: Result<T, (io::Error, PathBuf)>) -> Outcome {
    match result {
        Ok(news) => {
            news.updates().into_iter().for_each(|update| report.push(update));
            report.push(Update::Rc(0));
        }
        Err((error, path)) => {
            let errno = error.raw_os_error().unwrap_or(UNKNOWN_ERRNO);
            report.push(Update::Rc(errno.into()));
            let (command, what) = (&cx.command.name, Errno::from_raw(errno).desc());
            report.push_tail(Update::Header(format!("{command}: {what}: {}\n", path.display())));
        }
    }
    Outcome::Finished
}

/// `act` on `path`, off the runtime's threads; an error keeps the path for its message.
async fn at<T: Send + 'static>(
    path: PathBuf,
    act: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<Result<T, (io::Error, PathBuf)>, Failure> {
    blocking(move || act(&path).map_err(|error| (error, path))).await
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(act).await;
    done.map_err(|error| Failure::new(format!("internal error: {error}")))
}
