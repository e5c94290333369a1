//! The commands, one file per family.

mod archive;
mod dirs;
mod files;
mod glob;
mod shell;
mod transfer;

use crate::{
    CommandError, MasterSide, args::require, errors::Failure, paths::Paths, process::Ledger, report::Report,
};
use lunabot_proto::{Command, names};
use std::{ffi::OsString, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What a running command has at hand.
pub(crate) struct Cx {
    pub(crate) command: Command,
    pub(crate) paths: Paths,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) ledger: Ledger,
    pub(crate) umask: Option<u32>,
    pub(crate) max_line_length: usize,
    pub(crate) master: Arc<dyn MasterSide>,
    /// The master wants it to end.
    pub(crate) interrupted: CancellationToken,
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
        names::SHELL => ("WorkerShellCommand", &[&["workdir"], &["command"]]),
        names::UPLOAD_FILE | names::UPLOAD_FILE_MSGPACK => {
            ("WorkerFileUploadCommand", &[&["workersrc", "path"], &["blocksize"]])
        }
        names::UPLOAD_DIRECTORY | names::UPLOAD_DIRECTORY_MSGPACK => {
            ("WorkerDirectoryUploadCommand", &[&["workersrc", "path"], &["blocksize"]])
        }
        names::DOWNLOAD_FILE | names::DOWNLOAD_FILE_MSGPACK => {
            ("WorkerFileDownloadCommand", &[&["workerdest", "path"], &["blocksize"]])
        }
        names::RMDIR => ("RemoveDirectory", &[&["dir", "paths"]]),
        names::CPDIR => ("CopyDirectory", &[&["todir", "to_path"], &["fromdir", "from_path"]]),
        names::MKDIR => ("MakeDirectory", &[&["dir", "paths"]]),
        names::STAT => ("StatFile", &[&["file", "path"]]),
        names::GLOB => ("GlobPath", &[&["path"]]),
        names::LISTDIR => ("ListDir", &[&["dir", "path"]]),
        names::RMFILE => ("RemoveFile", &[&["path"]]),
        name => return Err(CommandError::Unknown { id: command.id.clone(), name: name.to_owned() }),
    };
    require(class, command, required)
}

/// Runs a checked command.
pub(crate) async fn run(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    match cx.command.name.as_str() {
        names::SHELL => shell::shell(cx, report).await,
        names::UPLOAD_FILE | names::UPLOAD_FILE_MSGPACK => transfer::upload_file(cx, report).await,
        names::UPLOAD_DIRECTORY | names::UPLOAD_DIRECTORY_MSGPACK => {
            transfer::upload_directory(cx, report).await
        }
        names::DOWNLOAD_FILE | names::DOWNLOAD_FILE_MSGPACK => transfer::download_file(cx, report).await,
        names::RMDIR => dirs::rmdir(cx, report).await,
        names::CPDIR => dirs::cpdir(cx, report).await,
        names::MKDIR => files::mkdir(cx, report).await,
        names::STAT => files::stat(cx, report).await,
        names::GLOB => files::glob(cx, report).await,
        names::LISTDIR => files::listdir(cx, report).await,
        names::RMFILE => files::rmfile(cx, report).await,
        name => Err(Failure::new(format!("unrecognized command '{name}'"))),
    }
}
