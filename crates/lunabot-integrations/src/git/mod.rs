//! The real git, run with bounds: one module for each thing asked of it.

mod auth;
mod log;
mod mirror;
mod text;

pub use crate::program::{Limits, Program as Git, ProgramError as GitError, cover_passwords};
pub use auth::AuthFiles;
pub use log::Commit;
pub use mirror::{Mirror, RemoteRef};
pub use text::Encoding;
