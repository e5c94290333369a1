//! `lunabot test`: a master for one test, with everything real but the outside (lua-api § 6).
//!
//! Each test has a fresh interpreter, store, engine, clock and workers. What would reach outside is played: workers
//! (`worker`), steps of the master (`steps`), secrets (`secrets`), and `util.http` and `util.process` (the script host's
//! part). Change sources, pages and ports are not started; reporters are. Files are written to a folder that goes with the test.

mod answers;
mod clock;
mod command;
mod host;
mod load;
mod master;
mod object;
mod reported;
mod run;
mod secrets;
mod shared;
mod steps;
mod story;
mod usual;
mod worker;
mod worker_object;

pub use load::Place;
pub use run::{Outcome, Runner};
