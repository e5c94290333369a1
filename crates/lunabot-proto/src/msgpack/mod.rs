//! `msgpack_experimental_v7`: one msgpack map per WebSocket message (reference 8c; `docs/worker-protocols.md`).
//!
//! Builders do not exist here: every path in a command is absolute and made by the master.

mod args;
mod codec;
mod faces;
mod login;
mod machine;
mod message;
mod paths;
mod worker;

pub use codec::{CodecError, decode, encode};
pub use login::{BadLogin, Credentials};
pub use machine::MsgpackMaster;
pub use message::Message;
pub use paths::Places;
pub use worker::{Answer, MsgpackWorker, Order, Settings, Told};

/// What a worker cuts lines at; the original's value, which other tools may have been built on.
pub const NEWLINES: &str = r"(\r\n|\r(?=.)|\033\[u|\033\[[0-9]+;[0-9]+[Hf]|\033\[2J|\x08+)";

/// The longest message taken from a worker, in bytes. Workers send blocks of files and pieces of output; a list of a folder
/// with half a million names fits.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;
