//! The script host: turns a `master.lua` into a plain [`Config`](lunabot_model::config::Config), and callback ids
//! into calls.
//!
//! One interpreter on a thread of its own per loaded configuration (a *generation*). What must never leave this
//! room: any type of mlua. What must never enter: knowledge of a single kind; everything about kinds is in the
//! [`Kind`](lunabot_model::Kind) tables that the caller hands in.

mod beside;
mod bytecode;
mod cached;
mod class;
mod compared;
mod configurators;
mod construct;
mod convert;
mod copies;
mod custom;
mod declared;
mod documents;
mod extend;
mod failure;
mod fingerprint;
mod finish;
mod helpers;
mod host;
mod instances;
mod lifted;
mod limits;
mod live;
mod load;
mod locate;
mod modules;
mod origin;
mod params;
mod patterns;
mod plain;
mod plugins;
mod profile;
mod props;
mod records;
mod script_errors;
mod secrets;
mod serve;
mod shape;
mod spawned;
mod state;
mod stubs;
mod subscriptions;
mod tasks;
mod tests_of;
mod thread;
mod values;
mod vm;
mod watch;

pub use cached::Kept;
pub use load::{Host, LoadFailure, LoadOptions, Loaded};
pub use locate::place;
pub use profile::ProfileRow;
pub use records::Records;
pub use script_errors::ScriptErrorRow;
pub use stubs::stubs;
pub use tests_of::{TestCase, Tests};
