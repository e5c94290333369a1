//! What the commands in somebody's work tree have in common: talking to a master, options files, patches.

pub mod job;
pub mod options;
pub mod pb;
pub mod place;
pub mod progress;
pub mod secret;
pub mod ssh;
pub mod tree;
