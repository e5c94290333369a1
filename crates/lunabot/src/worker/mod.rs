//! A worker's folder, its configuration, and its life as a process (reference 16b).
//!
//! What a worker does is in [`lunabot_worker::remote`]; here are files, signals and words. Nothing of a master may be started
//! here: a worker takes a few megabytes.

pub mod config;
pub mod folder;
pub mod process;
