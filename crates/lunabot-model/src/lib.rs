//! The nouns of Lunabot, shared by every room.
//!
//! Here are ids, results, properties, changes, the resources of the data API, events, the plain
//! configuration, and the few ports through which rooms reach each other without knowing each other
//! ([`Clock`], [`ScriptHost`], [`SecretSource`]). What must never enter: I/O, tokio, Lua, SQL. Functions here are
//! pure, or asynchronous only because a port they call is.

pub mod change_filter;
pub mod class;
pub mod clock;
pub mod config;
mod crosses;
pub mod downtime;
pub mod endpoint;
pub mod event;
pub mod explanation;
pub mod from_lua;
pub mod git;
pub mod glob;
pub mod interpolate;
pub mod kind;
pub mod kinds;
pub mod locks;
pub mod object;
pub mod pattern;
pub mod percent;
pub mod progress;
pub mod properties;
pub mod render;
pub mod reporters;
pub mod resources;
pub mod result_spec;
pub mod results;
pub mod retention;
pub mod revlink;
pub mod script;
pub mod source_stamp_filter;
pub mod templates;
pub mod text;

pub use class::ClassOf;
pub use clock::{Clock, Mono, Time};
pub use crosses::Crosses;
pub use endpoint::{Endpoint, EndpointError, Passed};
pub use event::{Event, Pattern, Payload, Topic};
pub use from_lua::{FromLua, spliced};
pub use kind::{CallbackSpec, Category, Kind, Problem};
pub use object::{AnyObject, Callback, Duration, Names, Object, Renderable, StringOrList};
pub use properties::{Properties, Property};
pub use results::Results;
pub use script::{
    Arg, CallError, Instance, LiveObject, ScriptError, ScriptErrorKind, ScriptHost, ScriptObject,
    SecretSource, Token,
};

/// JSON, the form of everything that leaves a room without a type of its own.
pub use serde_json::Value as Json;
pub use templates::Templates;

/// A future that an object-safe port returns.
pub type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;

/// Row ids. All are positive and assigned by the database room; `number`s (of builds and steps) count from 1 and 0.
pub type Id = i64;
pub type MasterId = Id;
pub type BuilderId = Id;
pub type WorkerId = Id;
pub type SchedulerId = Id;
pub type ChangeSourceId = Id;
pub type ChangeId = Id;
pub type SourceStampId = Id;
pub type BuildsetId = Id;
pub type BuildRequestId = Id;
pub type BuildId = Id;
pub type StepId = Id;
pub type LogId = Id;
