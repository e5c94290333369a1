//! The commands, one file each.

mod authz;
mod checkconfig;
mod create_master;
mod create_worker;
mod daemon;
mod dataspec;
mod db;
mod explain;
mod lua_stubs;
mod man;
mod poller;
mod profile;
mod reconfig;
mod sendchange;
mod start;
mod status;
mod stop;
mod test;
mod try_job;
mod tryserver;
mod worker;

use crate::cli::{Cli, Command};
use crate::ui;
use anyhow::Result;
use clap::CommandFactory as _;
use std::process::ExitCode;

/// Runs one command to its end.
pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::CreateMaster(args) => create_master::run(&args),
        Command::Checkconfig(args) => checkconfig::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Start(args) => start::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Restart(args) => stop::restart(&args),
        Command::Reconfig(args) => reconfig::run(&args),
        Command::Status(place) => status::run(&place),
        Command::Explain(args) => explain::run(&args),
        Command::CreateWorker(args) => create_worker::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Db { what } => db::run(&what),
        Command::Profile(args) => profile::run(&args),
        Command::Poller(crate::cli::Poller::Skip(args)) => poller::skip(&args),
        Command::Authz(crate::cli::Authz::Explain(args)) => authz::explain(&args),
        Command::Sendchange(args) => sendchange::run(&args),
        Command::Try(args) => try_job::run(*args),
        Command::Tryserver(args) => tryserver::run(&args),
        Command::LuaStubs(args) => lua_stubs::run(&args),
        Command::Dataspec(args) => dataspec::run(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "lunabot", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            man::render(&mut std::io::stdout())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            ui::out(concat!("lunabot ", env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn exit(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
