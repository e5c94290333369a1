//! Why requests wait: what is noted while it is decided about them, and how it is told (lua-api § 6).
//!
//! Noted is only what another moment could not tell: the last different answers, in [`Ring`]s of a few entries that exist
//! as long as something waits. Everything else is read off the distributor's state when somebody asks.

mod history;
mod look;
mod past;
mod remark;
mod ring;
mod tell;
mod workers;

pub use look::{Cause, Causes, Computed, Look};
pub use past::Past;
pub use remark::{Noted, Remark, Remarks, Verdict};
pub use ring::Ring;
