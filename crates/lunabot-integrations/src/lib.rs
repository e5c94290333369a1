//! The outside world: change sources, reporters, secret stores, and tokens that are made.
//!
//! What a configuration may declare here is listed in [`CHANGE_SOURCES`] and [`SECRETS`]; the binary hands the kinds
//! to the script host, and what was declared to [`ChangeSources`] and [`Secrets`], which start, change and stop what
//! differs. What must never enter: decisions about builds, HTTP endpoints, SQL. No file is read or written on the
//! runtime's threads, and nothing outside is trusted to answer: every wait has an end.

mod bzr_log;
mod bzr_poller;
pub mod change_sources;
mod counted;
mod forge_api;
mod gerrit;
pub mod git;
pub mod git_poller;
mod hg_poller;
mod kinds;
mod known;
mod maildir;
mod own_source;
mod p4_source;
mod poller_params;
pub mod program;
mod pull_requests;
pub mod reporters;
pub mod secrets;
pub mod source;
mod split_file;
mod svn_poller;
pub mod tokens;

pub use change_sources::{
    Applied, ChangeSources, Environment, Generation, Served, SourceStatus, taken_names,
};
pub use kinds::{CHANGE_SOURCES, ChangeSourceKind, SECRETS, kinds};
pub use reporters::Reporters;
pub use secrets::Secrets;
pub use tokens::Tokens;
