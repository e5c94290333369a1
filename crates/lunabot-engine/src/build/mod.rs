//! One build: its properties, its life cycle as a machine, and the actor that performs what the machine decides.
//!
//! What must never enter: the choice of what is built where (that is [`crate::distributor`]).

mod actor;
mod locking;
mod machine;
mod patience;
pub(crate) mod properties;
mod prospect;
mod render;
pub(crate) mod scripted;
mod shared;

pub(crate) use actor::{BuildJob, Orders, run as run_build};
pub(crate) use machine::Outcome;
pub(crate) use patience::{Patience, Stop};
pub(crate) use prospect::Prospect;
pub(crate) use render::PropertiesHandle;
pub(crate) use shared::{BuildShared, PropertyStore, Services};
