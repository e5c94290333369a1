//! `lunabot start`: the master, in the foreground or as a daemon (16.003).

use crate::basedir::BaseDir;
use crate::cli::{RunOptions, Start};
use crate::commands::daemon;
use crate::logging::{self, LogFormat};
use crate::master::{self, Settings};
use crate::rotate::RotatingFile;
use crate::ui;
use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::process::ExitCode;
use std::time::Duration;

pub fn run(args: &Start) -> Result<ExitCode> {
    let base = BaseDir::existing(&args.place.dir, args.run.config.as_deref())?;
    if args.daemon {
        return daemon::launch(&base, &args.run, args.quiet.quiet);
    }
    if args.daemonized {
        daemon::detach()?;
    }
    logging::start(args.run.log_format, log_file(&base, &args.run, args.daemonized)?)?;
    allow_many_files();
    let grace = Duration::from_secs(args.run.stop_grace);
    let daemonized = args.daemonized;
    let serving = move |url: Option<&str>| if daemonized { tell_parent(url) } else { Ok(()) };
    let ran = master::run(&base, Settings { grace, serving: Box::new(serving), simulated_workers: None });
    // In the foreground the person at the terminal is told anyway.
    let logged = daemonized || args.run.log_format != LogFormat::Human;
    ran.inspect_err(|error| {
        if logged {
            tracing::error!("{error:#}");
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Open files that are asked of the system: each connection of a worker or a client is one, and shells allow 1 024.
const FILES: u64 = 65_536;

fn allow_many_files() {
    let (now, most) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => return tracing::debug!("the limit of open files is unknown: {error}"),
    };
    let wanted = FILES.min(most);
    if now < wanted
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, wanted, most)
    {
        tracing::warn!(now, "the limit of open files cannot be raised: {error}");
    }
}

/// A daemon logs to a file, unless to the journal.
fn log_file(base: &BaseDir, run: &RunOptions, daemonized: bool) -> Result<Option<RotatingFile>> {
    if !daemonized || run.log_format == LogFormat::Journald {
        return Ok(None);
    }
    let path = base.log_file();
    let file = RotatingFile::open(&path, run.log_size, run.log_count);
    file.map(Some).with_context(|| format!("cannot write {}", path.display()))
}

fn tell_parent(url: Option<&str>) -> Result<()> {
    let pages =
        url.map_or("it has no pages, as c.www names no port".into(), |url| format!("its pages are at {url}"));
    ui::out(&format!("the master runs as process {}; {pages}", std::process::id()));
    daemon::serving()
}
