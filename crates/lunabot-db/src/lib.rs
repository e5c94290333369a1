//! The only SQL: connections, migrations, statements, and the one transaction that writes a [`Batch`].
//!
//! Every statement is a named constant or is put together from the declarations of a table, with `$1` placeholders
//! that both SQLite and PostgreSQL understand. What must never enter: events, live state, decisions; those are the
//! data room's. Nobody but the data room uses this one.

mod batch;
pub mod endpoints;
mod error;
mod list;
mod logs;
mod migrate;
mod names;
mod pool;
#[doc(hidden)]
pub mod rare;
mod read;
mod recover;
mod resource;
pub mod resources;
mod stats;
mod store;
mod tables;
mod tidy;

pub use batch::{Batch, Record, Set, Statement, Upsert};
pub use error::DbError;
pub use list::{ListQuery, Page};
pub use logs::{Chunk, ChunkRow, MAX_CHUNK, merge, pack};
pub use names::{Names, NextIds};
pub use pool::{Cols, Row, Value};
pub use read::{PropertiesOf, PropertyOwners};
pub use resource::{Column, Decl, Field, PoolRef, Resource, field_specs};
pub use stats::{BuilderStats, OlderThan, Stats};
pub use store::{OpenStore, Store};
pub use tables::*;
pub use tidy::OldBuild;
