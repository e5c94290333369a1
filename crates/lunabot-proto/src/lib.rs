//! What a master and a worker say to each other, whatever carries it.
//!
//! The vocabulary here is shared by the engine (which sends [`Command`]s) and the worker (which
//! answers with [`Update`]s and asks for [`Transfer`]s). `LocalWorker` hands these values over
//! in memory; the wire protocols ([`msgpack`], [`pb`]) translate them to bytes as state machines behind
//! [`master::MasterProtocol`]: bytes in, messages out.
//!
//! What must never enter: sockets, clocks, files, an async runtime.

mod arguments;
mod command;
mod compare;
mod info;
pub mod master;
pub mod msgpack;
pub mod pb;
pub mod python;
mod transfer;
pub mod try_job;
mod update;
mod value;
mod wire_update;

pub use command::{Command, names};
pub use compare::same;
pub use info::{InfoError, WorkerInfo};
pub use transfer::Transfer;
pub use try_job::TryJob;
pub use update::{FailureReason, Stat, Update};
pub use value::{Dict, Value};
