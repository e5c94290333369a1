//! `lunabot.pid`: who runs here, and the lock that lets only one do so.
//!
//! The lock, not the number, tells whether a master runs: the kernel drops it however the process ends, so a file that a
//! killed master left behind is merely overwritten, and a reused process id misleads nobody. Asking does not take the lock, so
//! a curious command never makes a starting master fail.

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The held pid file of this process; removed and unlocked when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _locked: File,
}

impl PidFile {
    /// Writes this process's id into `path` and locks it. `what` runs here, a master or a worker, and is ended with `how`.
    ///
    /// # Errors
    /// Another one holds it, or the folder cannot be written.
    pub fn take(path: &Path, what: &str, how: &str) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => {
                let who =
                    read_pid(&mut file).map_or("another process".into(), |pid| format!("process {pid}"));
                bail!("a {what} already runs here ({who}); end it with: {how}");
            }
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
        file.rewind().and_then(|()| file.set_len(0))?;
        writeln!(file, "{}", std::process::id())
            .with_context(|| format!("cannot write {}; is the disk full?", path.display()))?;
        Ok(PidFile { path: path.to_owned(), _locked: file })
    }

    /// The process that holds `path`; `None` if no master runs.
    pub fn holder(path: &Path) -> Result<Option<Pid>> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut found = whole_file();
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found)).context("cannot ask for the lock of the pid file")?;
        if i32::from(found.l_type) == libc::F_UNLCK {
            return Ok(None);
        }
        match read_pid(&mut file) {
            Some(pid) => Ok(Some(pid)),
            None => bail!("{} is locked but holds no process id; a master is just starting", path.display()),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read_pid(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// An exclusive lock on all of a file, held by the open file and not the process.
fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_asking_does_not_take_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lunabot.pid");
        assert_eq!(PidFile::holder(&path).unwrap(), None);
        let held = PidFile::take(&path, "master", "lunabot stop").unwrap();
        assert_eq!(PidFile::holder(&path).unwrap(), Some(Pid::this()));
        let refused = PidFile::take(&path, "master", "lunabot stop").unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_left_behind_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lunabot.pid");
        std::fs::write(&path, "1\nleft by a killed master").unwrap();
        assert_eq!(PidFile::holder(&path).unwrap(), None);
        let _held = PidFile::take(&path, "master", "lunabot stop").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }
}
