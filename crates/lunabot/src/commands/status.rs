//! `lunabot status`: does a master run here, and how is it?

use crate::basedir::BaseDir;
use crate::cli::Place;
use crate::control::{Ask, client};
use crate::pidfile::PidFile;
use crate::ui;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;

/// How long a master may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Exit status 0: it runs and answers; 1: it does not.
pub fn run(place: &Place) -> Result<ExitCode> {
    let base = BaseDir::new(&place.dir, None)?;
    let Some(pid) = PidFile::holder(&base.pid_file())? else {
        ui::out(&format!("no master runs in {}", base.dir().display()));
        return Ok(ExitCode::FAILURE);
    };
    ui::out(&format!("process {pid} in {}", base.dir().display()));
    let ok = client::ask(&base.socket(), Ask::Status, PATIENCE, ui::out)?;
    Ok(super::exit(ok))
}
