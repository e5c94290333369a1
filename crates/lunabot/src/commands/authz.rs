//! `lunabot authz explain`: may somebody do something, and which rule says so?

use crate::basedir::BaseDir;
use crate::cli::Explain;
use crate::clock::SystemClock;
use crate::control::{Ask, client};
use crate::pidfile::PidFile;
use crate::reload::generation::Loader;
use crate::ui;
use anyhow::{Context as _, Result, anyhow};
use lunabot_lua::Records;
use lunabot_www::Question;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// A function of the configuration may take a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// Asks the master that runs, which knows whose build it is; else the configuration alone. Exit status 1: denied.
pub fn explain(args: &Explain) -> Result<ExitCode> {
    let question = Question {
        user: args.user.clone(),
        email: args.email.clone(),
        groups: args.group.clone(),
        action: args.method.clone(),
        path: args.path.clone(),
        builders: args.builder.iter().cloned().collect(),
    };
    let base = BaseDir::new(&args.dir, None)?;
    if PidFile::holder(&base.pid_file())?.is_some() {
        let ok = client::ask(&base.socket(), Ask::Explain(question), PATIENCE, ui::out)?;
        return Ok(super::exit(ok));
    }
    ui::err("no master runs here: judged by the configuration, which knows nothing of builds and owners");
    let base = BaseDir::existing(&args.dir, None)?;
    let loader = Loader::new(base, Arc::new(SystemClock::new()), Arc::new(Records::default()));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let (ok, lines) = runtime.block_on(async {
        let generation =
            loader.check(false).await.map_err(|failure| anyhow!("Configuration Errors:\n{failure}"))?;
        anyhow::Ok(generation.explain(&question, None).await)
    })?;
    lines.iter().for_each(|line| ui::out(line));
    Ok(super::exit(ok))
}
