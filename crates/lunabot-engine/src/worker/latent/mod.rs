//! Workers whose machines are started when a build needs them, and stopped when none does (reference 8d): classes of the
//! configuration that extend `worker.AbstractLatentWorker`.
//!
//! [`machine`] decides; the distributor's actor, which knows which build is on which worker, performs
//! (`distributor/latent.rs`). [`class`] calls what the configuration says, [`record`] remembers what must outlive the process.

mod calls;
mod class;
mod desk;
mod kind;
mod link;
mod machine;
mod passwords;
mod record;
mod terms;

pub(crate) use calls::{check, start, stop};
pub(crate) use class::LatentClass;
pub(crate) use desk::LatentDesk;
pub use kind::latent_errors;
pub(crate) use kind::{ABSTRACT, KIND, LatentParams, LatentSpec};
pub(crate) use link::LatentLink;
pub(crate) use machine::Machine;
pub(crate) use passwords::Passwords;
pub(crate) use record::Record;
pub(crate) use terms::{Call, Effect, Event, Failure, State};
