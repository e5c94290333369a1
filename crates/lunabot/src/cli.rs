//! The command line, declared once: parser, help, manual page and completions are made from it.

pub mod clients;

use crate::logging::LogFormat;
use crate::worker::config::AllowShutdown;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;

/// A continuous-integration master, configured in Lua, compatible with Buildbot's workers and REST API.
#[derive(Debug, Parser)]
#[command(name = "lunabot", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "A first look:\n  lunabot create-master ci     lay down a configuration that works\n  \
    lunabot start ci             run it; its pages are at http://localhost:8010/\n\n\
    `lunabot COMMAND --help` says more about each command."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lay down a commented master.lua that works out of the box
    CreateMaster(CreateMaster),
    /// Load a configuration, report every mistake in it, and start nothing
    #[command(alias = "check-config")]
    Checkconfig(Checkconfig),
    /// Run the tests of a configuration (files NAME_test.lua) with a simulated master; nothing real is built or asked
    Test(Test),
    /// Run a master
    Start(Start),
    /// End a running master
    Stop(Stop),
    /// Stop a master, if it runs, and start it again as a daemon
    Restart(Restart),
    /// Load the configuration again without stopping anything that did not change
    #[command(alias = "sighup")]
    Reconfig(Reconfig),
    /// Say whether a master runs, and how it is
    Status(Place),
    /// Say why a request waits: every rule that was asked, its answer, and since when; or what became of it
    Explain(Why),
    /// Lay down the folder of a worker, a program that runs builds for a master elsewhere
    CreateWorker(CreateWorker),
    /// Run a worker in the foreground; it logs to standard error and ends on Ctrl-C
    Worker(Worker),
    /// Look after the database
    Db {
        #[command(subcommand)]
        what: DbCommand,
    },
    /// Say what the functions of a running master's configuration cost
    Profile(Profile),
    /// Command a change source of a running master
    #[command(subcommand)]
    Poller(Poller),
    /// Ask who may do what
    #[command(subcommand)]
    Authz(Authz),
    /// Report a change to a master's PBChangeSource
    Sendchange(Box<clients::Sendchange>),
    /// Have a work tree built before it is committed, by a master's Try_Userpass or Try_Jobdir
    Try(Box<clients::Try>),
    /// Lay a job of `try --connect=ssh`, from standard input, into the folder of a Try_Jobdir
    Tryserver(clients::Tryserver),
    /// Write definitions for the Lua language server, so that an editor completes and checks master.lua
    LuaStubs(LuaStubs),
    /// Print what the REST API offers: every path with the type of its answers, as JSON
    Dataspec(Dataspec),
    /// Print completions for a shell, to be sourced from its start file
    Completions { shell: Shell },
    /// Print the manual page (roff): lunabot man | man -l -
    Man,
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Say how large the database is, what of, and what a horizon would take; also while a master runs
    Stats(DbStats),
    /// Write the SQLite file anew, without the space that is free in it; no master may run
    Shrink(Place),
}

#[derive(Debug, Args)]
pub struct DbStats {
    #[command(flatten)]
    pub place: Place,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The master that a command is about.
#[derive(Debug, Args)]
pub struct Place {
    /// The master's folder
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Quiet {
    /// Print errors only
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct CreateMaster {
    /// The folder; made if it is missing
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Where builds, logs and queues are stored: sqlite:///FILE or postgresql://USER@HOST/NAME
    #[arg(long, value_name = "URL", default_value = "sqlite:///state.sqlite")]
    pub db: String,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Debug, Args)]
pub struct Checkconfig {
    /// A configuration, or a master's folder
    #[arg(default_value = ".", value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
    pub place: PathBuf,
    #[command(flatten)]
    pub quiet: Quiet,
}

/// Exit status 1: a test failed; 2: there is nothing to run.
#[derive(Debug, Args)]
pub struct Test {
    /// Files of tests, or folders whose files NAME_test.lua are run, there and in their folder `tests`
    #[arg(default_value = ".", value_name = "FILES|DIR", value_hint = ValueHint::AnyPath)]
    pub places: Vec<PathBuf>,
    /// The configuration, where it is not the master.lua beside the tests or in a folder above them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Run only tests with this text in their names
    #[arg(short, long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// How long one test may take, by the clock of this machine
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    #[command(flatten)]
    pub quiet: Quiet,
}

/// How a master runs; `start` and `restart` take the same.
#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    /// The configuration, where it is not DIR/master.lua
    #[arg(long, value_name = "FILE", env = "LUNABOT_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// How log lines look (what is logged: the variable LUNABOT_LOG, e.g. info,lunabot_engine=debug)
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, env = "LUNABOT_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// As a daemon: begin a new lunabot.log after this many bytes; 0: never
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 10_000_000)]
    pub log_size: u64,
    /// As a daemon: keep so many old log files
    #[arg(short = 'l', long, value_name = "N", default_value_t = 10)]
    pub log_count: u32,
    /// On SIGTERM, let running builds go on for so long; what still runs then is built again after the next start
    #[arg(long, value_name = "SECONDS", default_value_t = 10, env = "LUNABOT_STOP_GRACE")]
    pub stop_grace: u64,
    /// As a daemon: give up waiting until it serves after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 120, env = "START_TIMEOUT")]
    pub start_timeout: u64,
}

/// Without --daemon the master stays in the foreground, logs to standard error, and ends on Ctrl-C.
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    pub place: Place,
    /// Go to the background as soon as the master serves; log to DIR/lunabot.log
    #[arg(short, long)]
    pub daemon: bool,
    /// Set by `--daemon` for the process that it starts
    #[arg(long, hide = true)]
    pub daemonized: bool,
    #[command(flatten)]
    pub run: RunOptions,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub how: StopHow,
    /// Return at once
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Debug, Args)]
pub struct StopHow {
    /// Wait for running builds to finish, however long they take
    #[arg(short, long)]
    pub clean: bool,
}

#[derive(Debug, Args)]
pub struct Restart {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub how: StopHow,
    #[command(flatten)]
    pub run: RunOptions,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Debug, Args)]
pub struct Reconfig {
    #[command(flatten)]
    pub place: Place,
    /// Only print what would start, stop, change and stay
    #[arg(long)]
    pub plan: bool,
    /// Give up waiting for an answer after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub progress_timeout: u64,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Debug, Args)]
pub struct Why {
    /// The request's id, as on the page Pending and in the API
    pub request: i64,
    #[command(flatten)]
    pub place: Place,
    /// Ask a master elsewhere, by the address of its pages
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with = "dir")]
    pub url: Option<String>,
    /// Print JSON, as buildrequests/N/explanation of the API gives it
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct LuaStubs {
    /// The folder of the configuration
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Debug, Args)]
pub struct Profile {
    #[command(flatten)]
    pub place: Place,
    /// What to sort by, the largest first
    #[arg(short, long, value_enum, default_value_t)]
    pub sort: ProfileOrder,
    /// How many functions to show
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 30)]
    pub lines: usize,
    /// All functions, as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum ProfileOrder {
    /// Time from call to answer, waiting included
    #[default]
    Total,
    /// Time in which other functions could not run
    Busy,
    Calls,
    /// What 99 % of the calls took at most
    P99,
    Slowest,
    Errors,
}

#[derive(Debug, Subcommand)]
pub enum Poller {
    /// Go past a revision that the source cannot get over, and go on after it
    Skip(Skip),
}

#[derive(Debug, Args)]
pub struct Skip {
    /// The change source, as the page Health names it
    pub name: String,
    /// The revision; the next one that is looked at is the one after it
    pub revision: String,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Subcommand)]
pub enum Authz {
    /// Say whether somebody may do something, and which rule decides; exit status 1: they may not
    Explain(Explain),
}

#[derive(Debug, Args)]
pub struct Explain {
    /// A user name, or anonymous for who is not logged in
    pub user: String,
    /// get; post: every action of the path; or one action: force, stop, rebuild, cancel, set_priority, pause, unpause, kill, enable
    pub method: String,
    /// As in the API: builds/5, forceschedulers/force, workers/w1
    pub path: String,
    /// The master's folder
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The user's address, where it is not the name
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// A group that the user is in; may be given several times
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
    /// With force: the builder; otherwise all of the scheduler's
    #[arg(long, value_name = "NAME")]
    pub builder: Option<String>,
}

#[derive(Debug, Args)]
pub struct Dataspec {
    /// Write it to a file; --: print it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// Make it a script that sets window.NAME
    #[arg(short, long, value_name = "NAME")]
    pub global: Option<String>,
    /// As an OpenAPI 3.1 document
    #[arg(long)]
    pub openapi: bool,
}

#[derive(Debug, Args)]
pub struct CreateWorker {
    /// The worker's folder; made if it is missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The master's port for msgpack workers: ws://HOST:PORT, wss://HOST:PORT (TLS), HOST:PORT or HOST (port 9989)
    #[arg(value_hint = ValueHint::Url)]
    pub master: String,
    /// What the master's configuration calls the worker
    pub name: String,
    /// The file that holds the password; - asks for it (or reads a pipe) and keeps it in DIR/password
    #[arg(value_hint = ValueHint::FilePath)]
    pub passfile: PathBuf,
    /// Ask the master whether it is there after so long a silence; 0: never [60]
    #[arg(short, long, value_name = "SECONDS")]
    pub keepalive: Option<u64>,
    /// Longest wait between two tries to connect [60]
    #[arg(long, value_name = "SECONDS")]
    pub maxdelay: Option<u64>,
    /// Give up after so many failed tries in a row; otherwise never
    #[arg(long, value_name = "N")]
    pub maxretries: Option<u32>,
    /// File creation mask, octal
    #[arg(long, value_name = "MASK")]
    pub umask: Option<String>,
    /// Processors to report, in place of what the machine has
    #[arg(long, value_name = "N")]
    pub numcpus: Option<u32>,
    /// How the owner ends the worker gracefully: SIGHUP, the file shutdown.stamp, or not at all [signal]
    #[arg(short, long, value_name = "HOW", value_enum)]
    pub allow_shutdown: Option<AllowShutdown>,
    /// Connect with TLS, as wss:// says too
    #[arg(long)]
    pub use_tls: bool,
    /// With TLS: trust these certificates (PEM) in place of the machine's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// Let the master delete folders of the worker that belong to no builder
    #[arg(long)]
    pub delete_leftover_dirs: bool,
    #[command(flatten)]
    pub quiet: Quiet,
}

#[derive(Debug, Args)]
pub struct Worker {
    /// The worker's folder, as create-worker lays it down
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// How log lines look (what is logged: the variable LUNABOT_LOG)
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, env = "LUNABOT_LOG_FORMAT")]
    pub log_format: LogFormat,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_declaration_is_sound() {
        super::Cli::command().debug_assert();
    }
}
