//! Which process groups run, on disk: if this process is killed, the next worker in the same directory finds
//! and kills what was left. Otherwise a build that is retried would run beside its old self.
//!
//! One file per group in `BASEDIR/info/.running` holds the boot, the owner, the group's number and its leader, the two
//! processes with their start times, so that a number that was used again is not mistaken for the old process. Without
//! `/proc` nothing is recorded.
//!
//! The file is there before the program starts. One that deletes its worker's whole directory would otherwise fail now and
//! then, because of a file that appears in a folder that it has just emptied.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Makes names of files unique in this process, which may have several ledgers in one directory.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The running groups of the workers in one directory.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    dir: PathBuf,
    /// Boot and owner of what is recorded; `None` without `/proc`.
    owner: Option<String>,
}

/// A place for a group that is about to start.
#[derive(Debug)]
pub(super) struct Place {
    file: File,
    entry: Entry,
}

/// A recorded group; dropping it takes it out.
#[derive(Debug)]
pub(super) struct Entry {
    path: PathBuf,
}

impl Drop for Entry {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.path);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Record {
    boot: String,
    owner: i32,
    owner_start: u64,
    /// Its number and when its leader started; nothing before it is known to have started.
    group: Option<(i32, u64)>,
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let boot = words.next()?.to_owned();
        let (owner, owner_start) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let mut group = || Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?));
        Some(Self { boot, owner, owner_start, group: group() })
    }
}

impl Ledger {
    /// Makes the directory.
    pub(crate) fn open(basedir: &Path) -> io::Result<Self> {
        // `info` is the one directory that never counts as left over from a builder.
        let dir = basedir.join("info/.running");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, owner: owner() })
    }

    /// Kills every recorded group whose owner is gone. Blocks.
    pub(crate) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            let record = fs::read_to_string(entry.path()).ok().and_then(|text| Record::parse(&text));
            if let Some(record) = record {
                if started(record.owner) == Some(record.owner_start) {
                    continue;
                }
                if let Some(pgid) = left(&record) {
                    tracing::warn!(pgid, "killing a command that outlived its worker");
                    _ = killpg(Pid::from_raw(pgid), Signal::SIGKILL);
                }
            }
            _ = fs::remove_file(entry.path());
        }
    }

    /// Makes a place for a group that is about to start. Blocks.
    pub(super) fn reserve(&self) -> Option<Place> {
        let owner = self.owner.as_ref()?;
        let name = format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = self.dir.join(name);
        // A build may have deleted the directory.
        let again = |_| fs::create_dir_all(&self.dir).and_then(|()| File::create(&path));
        let mut file = File::create(&path).or_else(again).ok()?;
        let entry = Entry { path };
        write!(file, "{owner}").ok()?;
        Some(Place { file, entry })
    }
}

impl Place {
    /// Records the group that has started. Blocks.
    pub(super) fn record(mut self, leader: Option<u32>) -> Option<Entry> {
        let leader = i32::try_from(leader?).ok()?;
        writeln!(self.file, " {leader} {}", started(leader)?).ok()?;
        Some(self.entry)
    }
}

/// The group, if some of it still runs. While one does, its number is not given to another group.
fn left(record: &Record) -> Option<i32> {
    let (pgid, leader_start) = record.group.filter(|_| boot().as_ref() == Some(&record.boot))?;
    let runs = match started(pgid) {
        Some(start) => start == leader_start,
        None => killpg(Pid::from_raw(pgid), None).is_ok(),
    };
    runs.then_some(pgid)
}

fn owner() -> Option<String> {
    let owner = i32::try_from(std::process::id()).ok()?;
    Some(format!("{} {owner} {}", boot()?, started(owner)?))
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// When a process started, in ticks since the boot.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The 22nd field; the name, which may hold anything, ends at the last bracket and is the second.
    stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_owner_keeps_its_groups() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let place = ledger.reserve().unwrap();
        ledger.sweep();
        let entry = place.record(Some(child.id())).unwrap();
        ledger.sweep();
        assert_eq!(child.try_wait().unwrap(), None);
        assert!(entry.path.exists());
        let path = entry.path.clone();
        drop(entry);
        assert!(!path.exists());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_number_that_was_used_again_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let boot = boot().unwrap();
        let start = started(child.id().try_into().unwrap()).unwrap();
        let pid = child.id();
        for text in [
            format!("{boot} 1 0 {pid} {}", start - 1),
            format!("other-boot 1 0 {pid} {start}"),
            format!("{boot} 1 0"),
            "nonsense".into(),
        ] {
            let path = ledger.dir.join("7.1");
            fs::write(&path, &text).unwrap();
            ledger.sweep();
            assert_eq!(child.try_wait().unwrap(), None, "{text}");
            assert!(!path.exists());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
