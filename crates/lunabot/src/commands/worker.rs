//! `lunabot worker`: a worker, in the foreground (16.020).

use crate::cli::Worker;
use crate::logging::{self, LogFormat};
use crate::pidfile::PidFile;
use crate::worker::{config, folder, process};
use anyhow::{Context as _, Result};
use std::process::ExitCode;

/// The lock by which one worker runs in a folder.
const PID_FILE: &str = "lunabot-worker.pid";

pub fn run(args: &Worker) -> Result<ExitCode> {
    let dir =
        args.dir.canonicalize().with_context(|| format!("cannot find the folder {}", args.dir.display()))?;
    let config = config::load(&dir)?;
    if config.remote.address.tls {
        let trusted = lunabot_worker::remote::trust(config.remote.ca_file.as_deref());
        trusted.map_err(|why| anyhow::anyhow!("{why}"))?;
    }
    let _pid = PidFile::take(&dir.join(PID_FILE), "worker", "kill PROCESS")?;
    logging::start(args.log_format, None)?;
    if let Some(warning) = folder::readable_by_others(&config.remote.password_file) {
        tracing::warn!("{warning}");
    }
    process::run(config).inspect_err(|error| {
        // In the foreground the person at the terminal is told anyway.
        if args.log_format != LogFormat::Human {
            tracing::error!("{error:#}");
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
