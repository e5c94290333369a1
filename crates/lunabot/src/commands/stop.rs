//! `lunabot stop` and `lunabot restart` (16.004, 16.005).

use crate::basedir::BaseDir;
use crate::cli::{Restart, Stop};
use crate::commands::daemon;
use crate::pidfile::PidFile;
use crate::ui;
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

/// How often a stopping master is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long `stop` waits on top of the longest grace that is usual; `--clean` waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(args: &Stop) -> Result<ExitCode> {
    let base = BaseDir::new(&args.place.dir, None)?;
    let say = |text: &str| {
        if !args.quiet.quiet {
            ui::out(text);
        }
    };
    let Some(pid) = signal_master(&base, args.how.clean)? else {
        say(&format!("no master runs in {}", base.dir().display()));
        return Ok(ExitCode::SUCCESS);
    };
    if args.no_wait {
        say(&format!("asked process {pid} to stop"));
        return Ok(ExitCode::SUCCESS);
    }
    wait_until_gone(&base, pid, args.how.clean)?;
    say(&format!("process {pid} is dead"));
    Ok(ExitCode::SUCCESS)
}

pub fn restart(args: &Restart) -> Result<ExitCode> {
    let base = BaseDir::existing(&args.place.dir, args.run.config.as_deref())?;
    if let Some(pid) = signal_master(&base, args.how.clean)? {
        wait_until_gone(&base, pid, args.how.clean)?;
    }
    daemon::launch(&base, &args.run, args.quiet.quiet)
}

/// Tells the running master to end; `None` if there is none.
fn signal_master(base: &BaseDir, clean: bool) -> Result<Option<Pid>> {
    let Some(pid) = PidFile::holder(&base.pid_file())? else { return Ok(None) };
    let signal = if clean { Signal::SIGUSR1 } else { Signal::SIGTERM };
    kill(pid, signal).with_context(|| format!("cannot signal process {pid}; run this as its user"))?;
    Ok(Some(pid))
}

fn wait_until_gone(base: &BaseDir, pid: Pid, clean: bool) -> Result<()> {
    let mut waited = Duration::ZERO;
    while PidFile::holder(&base.pid_file())? == Some(pid) {
        if !clean && waited >= PATIENCE {
            bail!(
                "process {pid} did not go away within {} s; kill -9 {pid} loses no data",
                PATIENCE.as_secs()
            );
        }
        sleep(LOOK);
        waited += LOOK;
    }
    Ok(())
}
