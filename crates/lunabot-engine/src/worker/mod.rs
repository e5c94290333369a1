//! Workers as the engine sees them: a connected one behind [`WorkerLink`], whatever carries it, and the kinds that declare one.
//!
//! What must never enter: sockets, protocols, and the worker's own code.

mod handle;
mod kinds;
mod link;

pub(crate) use handle::WorkerHandle;
pub use kinds::{KINDS, LocalWorkerParams};
pub use link::{CommandSink, LinkError, WorkerLink};
