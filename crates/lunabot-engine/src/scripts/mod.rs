//! Asking the functions of the configuration: what they are called with, and what their answers mean (lua-api § 2).
//!
//! What must never enter: decisions of the master's own (those are the machines').

mod asked;
mod bare;
mod changes;
mod objects;
mod step;
mod worker;

pub(crate) use asked::Asked;
pub(crate) use changes::RequestChanges;
pub(crate) use objects::{BuilderView, builder_object, master_object, request_object};
pub(crate) use step::{build_object, step_object};
