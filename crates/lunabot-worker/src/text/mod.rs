//! Text of the worker: how values and commands are shown, how output becomes lines.

mod decode;
pub(crate) mod lines;
mod newlines;
pub(crate) mod python;
