//! Source steps with the real programs on a real worker (06.014–06.030).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "sources/bzr.rs"]
mod bzr;
#[path = "sources/git.rs"]
mod git;
#[path = "sources/mercurial.rs"]
mod mercurial;
#[path = "sources/p4.rs"]
mod p4;
#[path = "sources/svn.rs"]
mod svn;

mod support;
