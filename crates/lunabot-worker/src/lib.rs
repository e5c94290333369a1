//! The worker: runs the commands a master sends, on this machine.
//!
//! A [`WorkerCore`] takes [`lunabot_proto::Command`]s and reports to a [`MasterSide`]: whole lines
//! of output, exit codes, blocks of files. Who carries these values is not its business: in one
//! process with the master it is `LocalWorker`; in a program of its own it is [`remote`], over a WebSocket.
//!
//! Behaviour is the reference worker's (rows 08.023 to 08.029, 13.017 to 13.019); where the reference
//! loses data (long lines, file names that are not text) this one does not.
//!
//! What must never enter: anything of the master (database, bus, configuration); sockets and protocols anywhere but in
//! [`remote`]. Time is tokio's.

mod args;
mod commands;
mod core;
mod errors;
mod info;
mod master;
mod options;
mod paths;
mod process;
pub mod remote;
mod report;
mod text;

pub use crate::core::WorkerCore;
pub use errors::{CommandError, TransferError, WorkerError};
pub use master::MasterSide;
pub use options::{OutputOptions, WorkerOptions};
