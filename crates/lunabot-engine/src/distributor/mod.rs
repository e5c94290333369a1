//! Which request is built where, and when (reference area 07).
//!
//! [`machine::Machine`] decides, without I/O, from what changed only: its work per decision does not grow with the number of
//! idle builders. The actor around it asks the configuration's functions, claims, and starts builds. What must never
//! enter: what happens inside a build.

mod actor;
mod attach;
mod builder;
mod choice;
mod configure;
mod deadlines;
mod details;
mod downtimes;
mod explain;
mod keys;
mod latent;
mod lock_replies;
mod locks;
mod looking;
mod machine;
mod messages;
mod order;
mod patience;
mod presence;
pub(crate) mod retire;
mod running;
mod start;
mod units;
mod worker;

pub(crate) use actor::Actor;
pub(crate) use builder::{BuilderSetup, Queue, Waiting};
pub(crate) use explain::{Noted, Remark, Verdict};
pub(crate) use keys::{Keyed, Of};
pub(crate) use locks::{BuilderLocks, LockSetup};
pub(crate) use machine::{Answer, Effect, Event, Machine, Question};
pub(crate) use messages::{Message, Plan, WorkerOrder, info_json};
pub(crate) use patience::offline_state;
pub(crate) use running::Run;
pub(crate) use units::Suits;
pub(crate) use worker::WorkerSetup;

#[cfg(test)]
mod lock_tests;
#[cfg(test)]
mod tests;
