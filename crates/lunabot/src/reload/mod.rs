//! Going over from one configuration to the next (lua-api § 5, 01.010).

pub mod check;
pub mod diff;
pub mod generation;
pub mod history;
pub mod queue;
pub mod running;
pub mod watch;
