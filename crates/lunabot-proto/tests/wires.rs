//! The wire protocols against recorded traffic, and against anything at all.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "wires/arbitrary.rs"]
mod arbitrary;
#[path = "wires/arguments.rs"]
mod arguments;
#[path = "wires/banana.rs"]
mod banana;
#[path = "wires/msgpack.rs"]
mod msgpack;
#[path = "wires/pb.rs"]
mod pb;
#[path = "wires/recorded.rs"]
mod recorded;
#[path = "wires/tries.rs"]
mod tries;
#[path = "wires/worker.rs"]
mod worker;
