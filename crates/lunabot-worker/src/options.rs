//! What an owner decides about a worker.

use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Settings of one worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Where builders' directories live; made if absent.
    pub basedir: PathBuf,
    /// The environment commands start from. Names and values may be any bytes.
    pub env: Vec<(OsString, OsString)>,
    /// File creation mask of the programs that are run; `None` keeps the process's own.
    pub umask: Option<u32>,
    /// Version to report.
    pub version: String,
    /// Processors to report; `None` asks the system.
    pub numcpus: Option<u32>,
    /// Whether to report that directories of no builder should be deleted.
    pub delete_leftover_dirs: bool,
    /// How output is cut and batched.
    pub output: OutputOptions,
}

impl WorkerOptions {
    /// Defaults, with this process's environment.
    pub fn new(basedir: impl Into<PathBuf>) -> Self {
        Self {
            basedir: basedir.into(),
            env: std::env::vars_os().collect(),
            umask: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            numcpus: None,
            delete_leftover_dirs: false,
            output: OutputOptions::default(),
        }
    }
}

/// How output is cut into lines and batched into updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputOptions {
    /// Held text that is sent at once when it is reached, in bytes (65536).
    pub buffer_size: usize,
    /// How long text is held at most (100 ms: in one process, live logs are cheap; a remote worker
    /// of the reference uses 5 s).
    pub buffer_timeout: Duration,
    /// Longer lines are cut into pieces of so many characters (4096); nothing is lost.
    pub max_line_length: usize,
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self { buffer_size: 65_536, buffer_timeout: Duration::from_millis(100), max_line_length: 4096 }
    }
}
