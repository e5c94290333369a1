//! The engine: schedulers, the distributor, builds, workers as the master sees them, and the step API.
//!
//! What is decided here is decided by machines without I/O (an event and the time go in, effects come out); small actors
//! around them receive, sleep and perform. What must never enter: SQL, Lua, sockets, particular steps (those are in
//! `lunabot-steps`), or the reading of wall clocks.

// The macro `step_params!` names this crate as others do.
extern crate self as lunabot_engine;

mod build;
mod collapse;
pub mod command;
mod control;
mod distributor;
mod engine;
mod feed;
mod generation;
pub mod locks;
mod logs;
mod orphans;
mod plan;
mod progress;
pub mod scheduler;
mod scripts;
pub mod services;
pub mod step;
mod values;
pub mod worker;

pub use collapse::can_be_collapsed;
pub use engine::{Engine, EngineError, EngineOptions, EngineStatus, Stop};
pub use generation::Generation;
pub use logs::Masks;
pub use scripts::command::REMOTE_COMMANDS;
