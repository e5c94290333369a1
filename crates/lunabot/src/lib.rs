//! Lunabot's command line, wiring, reload and lifecycle: the only room that sees all the others.
//!
//! [`main`] parses the command line and runs one command. `start` becomes the master: it loads a generation of the
//! configuration, opens the store, starts the rooms and lives until a signal. `worker` becomes a worker and starts none of that. The
//! other commands are short-lived and
//! talk to a running master through its files, see [`basedir::BaseDir`]. What must never enter: rules about builds, schedulers or workers,
//! SQL, HTTP handlers, Lua values. Those have rooms of their own.

pub mod basedir;
pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod control;
pub mod lifecycle;
pub mod logging;
pub mod master;
pub mod pidfile;
pub mod reload;
pub mod rotate;
pub mod simulation;
pub mod stop;
pub mod supervisor;
mod text;
mod ui;
pub mod wiring;
pub mod worker;

use clap::Parser as _;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            ui::err(&format!("lunabot: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
