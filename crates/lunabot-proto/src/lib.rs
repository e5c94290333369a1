//! What a master and a worker say to each other, whatever carries it.
//!
//! The vocabulary here is shared by the engine (which sends [`Command`]s) and the worker (which
//! answers with [`Update`]s and asks for [`Transfer`]s). `LocalWorker` hands these values over
//! in memory; the wire protocols (PB and msgpack) translate them to bytes and will live in
//! modules of their own beside these, as state machines: bytes in, messages out.
//!
//! What must never enter: sockets, clocks, files, an async runtime.

mod command;
mod info;
mod transfer;
mod update;
mod value;

pub use command::{Command, names};
pub use info::{InfoError, WorkerInfo};
pub use transfer::Transfer;
pub use update::{FailureReason, Stat, Update};
pub use value::{Dict, Value};
