//! `lunabot reconfig`: a running master takes up its changed configuration (16.006).

use crate::basedir::BaseDir;
use crate::cli::Reconfig;
use crate::control::{Ask, client};
use crate::pidfile::PidFile;
use crate::ui;
use anyhow::{Result, bail};
use std::process::ExitCode;
use std::time::Duration;

pub fn run(args: &Reconfig) -> Result<ExitCode> {
    let base = BaseDir::new(&args.place.dir, None)?;
    if PidFile::holder(&base.pid_file())?.is_none() {
        bail!(
            "no master runs in {}; start one with: lunabot start {}",
            base.dir().display(),
            args.place.dir.display()
        );
    }
    let ask = if args.plan { Ask::Plan } else { Ask::Reconfig };
    let outcome = client::ask_all(&base.socket(), ask, Duration::from_secs(args.progress_timeout))?;
    for line in &outcome.lines {
        match (outcome.ok, args.quiet.quiet) {
            (false, _) => ui::err(line),
            (true, false) => ui::out(line),
            (true, true) => {}
        }
    }
    Ok(super::exit(outcome.ok))
}
