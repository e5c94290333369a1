//! PB, Perspective Broker: Banana bytes, Jelly values, references in both directions, a login by challenge
//! (reference 8b; `docs/worker-protocols.md`).
//!
//! From bytes up: [`banana`] trees, [`Jelly`] values, the [`Broker`]'s calls and answers, and on top the ends that the
//! master plays: [`Door`] until the login, then [`PbMaster`] for a worker,
//! [`PbClient`] and [`PbTry`] for command line clients. [`Visitor`] is who stands before the door, [`PbCaller`] a client.

pub mod banana;
mod broker;
mod caller;
mod client;
mod door;
mod failure;
mod jelly;
mod machine;
mod tries;
mod visitor;
mod vocabulary;

pub use banana::{Sexp, TooLarge};
pub use broker::{Broker, Object, Spoken};
pub use caller::{CallerError, Errand, PbCaller, Told};
pub use client::{PbClient, Reported};
pub use door::{Door, Knock, Proof};
pub use failure::Failure;
pub use jelly::Jelly;
pub use machine::PbMaster;
pub use tries::{PbTry, Status, TryAnswer, TryAsked, TryNews, TryQuestion};
pub use visitor::{Greeting, Visitor};
