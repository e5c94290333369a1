//! Asking the functions of the configuration: what they are called with, and what their answers mean (lua-api § 2).
//!
//! What must never enter: decisions of the master's own (those are the machines').

pub(crate) mod acting;
pub(crate) mod args;
mod asked;
mod bare;
mod build;
mod changes;
pub(crate) mod command;
mod log;
mod objects;
mod step;
mod triggered;
mod worker;

pub(crate) use asked::{Asked, Reply};
pub(crate) use build::{build_object, planned_step, props_field};
pub(crate) use changes::RequestChanges;
pub(crate) use objects::{BuilderView, builder_object, change_fields, id_of, master_object, request_object};
pub(crate) use step::{done_step, facts_of, facts_of_none, step_object};
