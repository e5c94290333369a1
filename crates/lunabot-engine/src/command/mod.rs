//! Remote commands as steps see them (reference 05d): what is asked, where its output goes, what came of it.
//!
//! What must never enter: how a worker is reached (that is [`crate::worker::WorkerLink`]).

mod decode;
mod finished;
mod kinds;
mod run;
mod transfer;

pub use finished::FinishedCommand;
pub use kinds::{KINDS, RemoteCommandParams};
pub(crate) use run::run;
pub use transfer::{BytesReader, BytesWriter, TransferPeer};

use crate::step::LogHandle;
use lunabot_model::{Callback, Results};
/// The words commands are made of, for steps that make their own.
pub use lunabot_proto::{Dict, Stat, Transfer, Value, names};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A command to be run with [`crate::step::StepContext::run_command`] (05.037).
#[derive(Clone)]
pub struct RemoteCommand {
    /// One of [`lunabot_proto::names`].
    pub name: String,
    pub args: Dict,
    /// Keys of updates that are dropped.
    pub ignore_updates: Vec<String>,
    pub collect_stdout: bool,
    pub collect_stderr: bool,
    /// Exit status → result; others are FAILURE.
    pub decode_rc: BTreeMap<i64, Results>,
    /// The log that stdout, stderr and headers go to.
    pub stdio_log: Option<LogUse>,
    /// Logs for updates `log`, by the name the worker knows (05.039).
    pub logs: BTreeMap<String, LogTarget>,
    /// Answers the worker's requests for file contents, where the command makes any.
    pub transfer: Option<Arc<dyn TransferPeer>>,
    /// Cleans up: runs to its end in a stopped build too (06.017). Only for what ends soon.
    pub even_when_stopped: bool,
}

/// A log that a command writes to.
#[derive(Clone)]
pub struct LogUse {
    pub log: LogHandle,
    pub close_when_finished: bool,
}

/// Where the content of a watched file goes.
#[derive(Clone)]
pub enum LogTarget {
    Ready(LogUse),
    /// Made at its first content (`lazylogfiles`).
    Lazy,
    /// What this function of the configuration returns at the first content (`useLogDelayed`).
    Asked {
        activate: Callback,
        close_when_finished: bool,
    },
}

impl RemoteCommand {
    pub fn new(name: impl Into<String>, args: Dict) -> Self {
        RemoteCommand {
            name: name.into(),
            args,
            ignore_updates: Vec::new(),
            collect_stdout: false,
            collect_stderr: false,
            decode_rc: BTreeMap::from([(0, Results::Success)]),
            stdio_log: None,
            logs: BTreeMap::new(),
            transfer: None,
            even_when_stopped: false,
        }
    }

    /// Sends stdout, stderr and headers to `log`.
    pub fn use_log(mut self, log: LogHandle, close_when_finished: bool) -> Self {
        self.stdio_log = Some(LogUse { log, close_when_finished });
        self
    }

    /// Sends the watched file `name` to `log`.
    pub fn use_log_for(mut self, name: &str, log: LogHandle, close_when_finished: bool) -> Self {
        self.logs.insert(name.into(), LogTarget::Ready(LogUse { log, close_when_finished }));
        self
    }

    /// Makes a log for the watched file `name` when it has content.
    pub fn use_log_delayed(mut self, name: &str) -> Self {
        self.logs.insert(name.into(), LogTarget::Lazy);
        self
    }

    pub fn collecting_stdout(mut self) -> Self {
        self.collect_stdout = true;
        self
    }

    /// See [`RemoteCommand::even_when_stopped`].
    pub fn even_when_stopped(mut self) -> Self {
        self.even_when_stopped = true;
        self
    }

    pub fn with_transfer(mut self, peer: Arc<dyn TransferPeer>) -> Self {
        self.transfer = Some(peer);
        self
    }
}
