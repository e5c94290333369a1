//! Gerrit: what it tells of reviews and branches becomes changes (02.020–02.022).

mod event;
mod ledger;
mod log;
mod log_poller;
mod source;
mod ssh;

pub use log_poller::SOURCE as EVENT_LOG;
pub use source::SOURCE as STREAM;
