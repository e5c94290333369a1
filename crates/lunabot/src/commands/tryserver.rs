//! `lunabot tryserver`: lays a job from standard input into a job folder (16.011).

use crate::cli::clients::Tryserver;
use crate::clock::SystemClock;
use anyhow::{Context as _, Result, bail};
use lunabot_model::Clock as _;
use lunabot_proto::try_job;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

/// Reads to the end, so that half a job never gets there.
pub fn run(args: &Tryserver) -> Result<ExitCode> {
    let limit = u64::try_from(try_job::MAX_JOB).unwrap_or(u64::MAX).saturating_add(1);
    let mut job = Vec::new();
    std::io::stdin().lock().take(limit).read_to_end(&mut job).context("standard input")?;
    if let Err(why) = try_job::read(&job) {
        bail!("what came in is no try job: {why}");
    }
    for part in ["tmp", "new", "cur"] {
        let folder = args.jobdir.join(part);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().replace('/', "_");
    let name = format!("{}.{}.{host}", SystemClock::new().now().0, std::process::id());
    let (tmp, new) = (args.jobdir.join("tmp").join(&name), args.jobdir.join("new").join(&name));
    let write = || {
        let mut file = File::create_new(&tmp)?;
        file.write_all(&job)?;
        file.sync_all()?;
        std::fs::rename(&tmp, &new)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&tmp))).with_context(|| tmp.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
