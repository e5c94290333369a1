//! Text of the worker: how values and commands are shown, how output becomes lines.

pub(crate) mod python;
