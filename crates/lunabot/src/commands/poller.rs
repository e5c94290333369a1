//! `lunabot poller`: commands for the change sources of a running master.

use crate::basedir::BaseDir;
use crate::cli::Skip;
use crate::control::{Ask, client};
use crate::pidfile::PidFile;
use crate::ui;
use anyhow::{Result, bail};
use std::process::ExitCode;
use std::time::Duration;

/// A poll that is under way is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// `lunabot poller skip NAME REVISION`.
pub fn skip(args: &Skip) -> Result<ExitCode> {
    let base = BaseDir::new(&args.place.dir, None)?;
    if PidFile::holder(&base.pid_file())?.is_none() {
        bail!("no master runs in {}; name its folder after the revision", base.dir().display());
    }
    let ask = Ask::Skip { source: args.name.clone(), revision: args.revision.clone() };
    let outcome = client::ask_all(&base.socket(), ask, PATIENCE)?;
    for line in &outcome.lines {
        if outcome.ok { ui::out(line) } else { ui::err(line) }
    }
    Ok(super::exit(outcome.ok))
}
