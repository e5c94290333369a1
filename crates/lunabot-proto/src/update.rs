//! What a running command reports.

use crate::Value;

/// One piece of news about a running command. Text is whole lines, each ending in `\n`.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Text made by the worker itself: the command, its surroundings, what happened to it.
    Header(String),
    /// Lines of standard output.
    Stdout(String),
    /// Lines of standard error, and the worker's own complaints about transfers.
    Stderr(String),
    /// Lines of a watched log file.
    Log {
        /// The name under `logfiles`.
        name: String,
        /// The lines.
        text: String,
    },
    /// Exit status; -1 if killed by a signal; an errno for file commands. Text may still follow.
    Rc(i64),
    /// Seconds the command took. Missing after an interrupt.
    Elapsed(f64),
    /// Why the worker itself ended the command.
    FailureReason(FailureReason),
    /// Result of `stat`.
    Stat(Stat),
    /// Result of `glob` (absolute paths) and `listdir` (names), unsorted.
    Files(Vec<String>),
    /// A key this vocabulary does not know.
    Other {
        /// The key.
        key: String,
        /// Its value.
        value: Value,
    },
}

impl Update {
    /// The key of this update in the wire protocols.
    pub fn key(&self) -> &str {
        match self {
            Update::Header(_) => "header",
            Update::Stdout(_) => "stdout",
            Update::Stderr(_) => "stderr",
            Update::Log { .. } => "log",
            Update::Rc(_) => "rc",
            Update::Elapsed(_) => "elapsed",
            Update::FailureReason(_) => "failure_reason",
            Update::Stat(_) => "stat",
            Update::Files(_) => "files",
            Update::Other { key, .. } => key,
        }
    }
}

/// Why a worker ended a shell command by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    /// `timeout` seconds passed without output.
    TimeoutWithoutOutput,
    /// `maxTime` seconds passed.
    Timeout,
    /// More than `max_lines` lines came.
    MaxLines,
}

impl FailureReason {
    /// The text in the wire protocols.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureReason::TimeoutWithoutOutput => "timeout_without_output",
            FailureReason::Timeout => "timeout",
            FailureReason::MaxLines => "max_lines_failure",
        }
    }

    /// The reason of that text.
    pub fn from_wire(text: &str) -> Option<Self> {
        [FailureReason::TimeoutWithoutOutput, FailureReason::Timeout, FailureReason::MaxLines]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// Result of `stat`, the ten numbers in the order of the wire protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Kind of file and permissions (`st_mode`).
    pub mode: u32,
    /// Inode number.
    pub ino: u64,
    /// Device number.
    pub dev: u64,
    /// Number of hard links.
    pub nlink: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last access, whole seconds since the epoch.
    pub atime: i64,
    /// Last modification, whole seconds since the epoch.
    pub mtime: i64,
    /// Last change of the inode, whole seconds since the epoch.
    pub ctime: i64,
}

impl Stat {
    /// Whether `mode` says directory.
    pub fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Whether `mode` says regular file.
    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_reasons_survive_the_wire() {
        for reason in [FailureReason::TimeoutWithoutOutput, FailureReason::Timeout, FailureReason::MaxLines] {
            assert_eq!(FailureReason::from_wire(reason.as_str()), Some(reason));
        }
        assert_eq!(FailureReason::from_wire("other"), None);
    }
}
