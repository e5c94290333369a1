//! Workers as the engine sees them: a connected one behind [`WorkerLink`], whatever carries it, the kinds that declare one,
//! and the door for those that connect over a network.
//!
//! What must never enter: the bytes of protocols (those are `lunabot-proto`'s) and the worker's own code.

mod handle;
mod kinds;
pub(crate) mod latent;
mod link;
mod remote;

pub(crate) use handle::WorkerHandle;
pub use kinds::{KINDS, LocalWorkerParams};
pub(crate) use kinds::{REMOTE, RemoteWorkerParams};
pub use latent::latent_errors;
pub use link::{CommandSink, LinkError, WorkerLink};
pub(crate) use remote::PB_CHANGE_SOURCE;
pub use remote::{PB_CHANGES, Prepared, RemoteError, RemoteWorkers, change_source_names, client_errors};
