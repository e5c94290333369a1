//! Running a program: its surroundings, its output, its limits, its end.

mod env;
mod header;
mod kill;
mod run;
mod spawn;
mod spec;
mod watch;

pub(crate) use run::{Ended, run};
pub(crate) use spec::{Limit, Program, Spec};
