//! Running a program: its surroundings, its output, its limits, its end.

mod channel;
mod env;
mod header;
mod kill;
mod ledger;
mod run;
mod spawn;
mod spec;
mod watch;

pub(crate) use ledger::Ledger;
pub(crate) use run::{Ended, run};
pub(crate) use spec::{Limit, Program, Spec};
