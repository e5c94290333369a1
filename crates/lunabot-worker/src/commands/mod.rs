//! The commands, one file per family.

mod files;
mod glob;

use crate::{CommandError, MasterSide, args::require, errors::Failure, paths::Paths, report::Report};
use lunabot_proto::{Command, names};
use std::{ffi::OsString, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What a running command has at hand.
pub(crate) struct Cx {
    pub(crate) command: Command,
    pub(crate) paths: Paths,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) umask: Option<u32>,
    pub(crate) max_line_length: usize,
    pub(crate) master: Arc<dyn MasterSide>,
    /// The master wants it to end.
    pub(crate) interrupted: CancellationToken,
    /// The worker ends: kill, report nothing.
    pub(crate) halted: CancellationToken,
}

/// How a command came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// By itself, or killed for a limit of its own.
    Finished,
    /// Because the master asked for it.
    Interrupted,
}

/// Refuses what cannot be started: an unknown name, a missing argument.
pub(crate) fn check(command: &Command) -> Result<(), CommandError> {
    let (class, required): (&'static str, &[&[&'static str]]) = match command.name.as_str() {
        names::MKDIR => ("MakeDirectory", &[&["dir", "paths"]]),
        names::STAT => ("StatFile", &[&["file", "path"]]),
        names::GLOB => ("GlobPath", &[&["path"]]),
        names::LISTDIR => ("ListDir", &[&["dir", "path"]]),
        names::RMFILE => ("RemoveFile", &[&["path"]]),
        name => return Err(CommandError::Unknown { id: command.id.clone(), name: name.to_owned() }),
    };
    require(class, &command.args, required)
}

/// Runs a checked command.
pub(crate) async fn run(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    match cx.command.name.as_str() {
        names::MKDIR => files::mkdir(cx, report).await,
        names::STAT => files::stat(cx, report).await,
        names::GLOB => files::glob(cx, report).await,
        names::LISTDIR => files::listdir(cx, report).await,
        names::RMFILE => files::rmfile(cx, report).await,
        name => Err(Failure::new(format!("unrecognized command '{name}'"))),
    }
}
