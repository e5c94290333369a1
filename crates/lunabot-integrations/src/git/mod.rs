//! The real git, run with bounds: one module to run it, one for each thing asked of it.

mod auth;
mod log;
mod mirror;
mod run;
mod text;

pub use auth::AuthFiles;
pub use log::Commit;
pub use mirror::{Mirror, RemoteRef};
pub use run::{Git, GitError, Limits, cover_passwords};
pub use text::Encoding;
