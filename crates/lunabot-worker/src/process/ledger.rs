//! Which process groups run, on disk: if this process is killed, the next worker in the same directory finds
//! and kills what was left. Otherwise a build that is retried would run beside its old self.
//!
//! One file per group, `BASEDIR/info/.running/PGID`, holds the boot, the owner and the group's leader, each with its
//! start time, so that a number that was used again is not mistaken for the old process. Without `/proc` nothing
//! is recorded.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The running groups of the workers in one directory.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    dir: PathBuf,
    /// Boot and owner of what is recorded; `None` without `/proc`.
    owner: Option<String>,
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
    leader_start: u64,
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let record = Self {
            boot: words.next()?.to_owned(),
            owner: words.next()?.parse().ok()?,
            owner_start: words.next()?.parse().ok()?,
            leader_start: words.next()?.parse().ok()?,
        };
        Some(record)
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
            let pgid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let record = fs::read_to_string(entry.path()).ok().and_then(|text| Record::parse(&text));
            if let (Some(pgid), Some(record)) = (pgid, record) {
                if started(record.owner) == Some(record.owner_start) {
                    continue;
                }
                if is_left(pgid, &record) {
                    tracing::warn!(pgid, "killing a command that outlived its worker");
                    _ = killpg(Pid::from_raw(pgid), Signal::SIGKILL);
                }
            }
            _ = fs::remove_file(entry.path());
        }
    }

    /// Records a group that was just started. Blocks.
    pub(super) fn record(&self, leader: Option<u32>) -> Option<Entry> {
        let leader = i32::try_from(leader?).ok()?;
        let path = self.dir.join(leader.to_string());
        let record = format!("{} {}\n", self.owner.as_ref()?, started(leader)?);
        // A build may have deleted the directory.
        let again = |_| fs::create_dir_all(&self.dir).and_then(|()| fs::write(&path, &record));
        fs::write(&path, &record).or_else(again).ok()?;
        Some(Entry { path })
    }
}

/// Whether some of the group still runs. While one does, its number is not given to another group.
fn is_left(pgid: i32, record: &Record) -> bool {
    if boot().as_ref() != Some(&record.boot) {
        return false;
    }
    match started(pgid) {
        Some(start) => start == record.leader_start,
        None => killpg(Pid::from_raw(pgid), None).is_ok(),
    }
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
        let entry = ledger.record(Some(child.id())).unwrap();
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
        for text in
            [format!("{boot} 1 0 {}", start - 1), format!("other-boot 1 0 {start}"), "nonsense".into()]
        {
            let path = ledger.dir.join(child.id().to_string());
            fs::write(&path, &text).unwrap();
            ledger.sweep();
            assert_eq!(child.try_wait().unwrap(), None, "{text}");
            assert!(!path.exists());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
