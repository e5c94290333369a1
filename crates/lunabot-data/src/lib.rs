//! The data API: the one door to what is stored, and the bus on which every change of it is announced.
//!
//! Reading: [`Data::get`] answers the paths of `/api/v2` for REST, pages and Lua alike; the typed readers serve the
//! engine. Writing: the typed updates below. Ids are known at once; rows are written by one writer in the order of
//! the calls, many in one transaction (group commit), and the events of an update are published after its commit.
//! An update returns an [`Ack`] that resolves when it is durable; whoever answers the outside awaits it, others need
//! not: order is kept, so the database never holds a later fact without the earlier ones.
//! What must never enter: SQL (that is `lunabot-db`), HTTP, decisions about builds.

mod ack;
mod announce;
mod bus;
mod cache;
mod control;
mod data;
mod error;
mod explain;
mod get;
pub mod intake;
mod live;
mod memory;
mod merge;
pub mod new;
mod outbox;
mod overview;
mod pending;
mod read;
mod shared;
pub mod stats;
mod tidy;
mod updates;
mod writer;

pub use ack::Ack;
pub use announce::TOPICS;
pub use bus::{Bus, Delivery, Subscription};
pub use control::{ControlError, ControlHandler, Explainer, Progresses};
pub use data::{Data, OpenOptions};
pub use error::DataError;
pub use explain::{CANCEL_REASON, COLLAPSED_INTO};
pub use get::{Answer, Contents, ContentsBody, RawLog, RawStream, Serialised, actions_of, dataspec, openapi};
pub use memory::Memory;
pub use outbox::{Due, Happening, Interest, Wish};
pub use overview::PendingCount;
pub use tidy::{Progress, Tidied};
pub use updates::Collapser;
