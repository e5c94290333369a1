//! The worker as a program of its own: its connection to a master over `msgpack_experimental_v7` (reference 8c, 16b).
//!
//! [`run`] connects, is asked what it is, runs what it is told, and comes back by itself when the connection breaks. Each
//! connection has a [`crate::WorkerCore`] of its own, so the end of one ends its commands, and nothing of it is left for the
//! next. What must never enter: what commands do, and what the bytes of the protocol mean ([`lunabot_proto::msgpack`]).

mod address;
mod connect;
mod life;
mod options;
mod outgoing;
mod pulse;
mod retry;
mod session;
mod side;
mod tls;

pub use address::{Address, BadAddress, DEFAULT_PORT};
pub use connect::notice_loss;
pub use life::{End, RemoteError, run};
pub use options::{RemoteOptions, Stops};
pub use tls::{secure, trust};

#[cfg(test)]
mod tests;
