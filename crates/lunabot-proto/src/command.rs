//! A command the master asks a worker to run.

use crate::Dict;

/// One remote command.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Chosen by the master, unique per connection; names the command in updates and interrupts.
    pub id: String,
    /// One of [`names`].
    pub name: String,
    /// The builder's directory, relative to the worker's base directory (or absolute). Relative
    /// paths in the arguments start here. PB workers know it from the builder they were asked
    /// through; over msgpack all paths are absolute and it is `None`.
    pub builddir: Option<String>,
    /// The arguments, by name.
    pub args: Dict,
}

impl Command {
    /// A command without a builder's directory.
    pub fn new(id: impl Into<String>, name: impl Into<String>, args: Dict) -> Self {
        Self { id: id.into(), name: name.into(), builddir: None, args }
    }

    /// The same command, run for a builder whose directory this is.
    #[must_use]
    pub fn in_builddir(mut self, builddir: impl Into<String>) -> Self {
        self.builddir = Some(builddir.into());
        self
    }
}

/// The commands a worker knows (reference row 08.023).
pub mod names {
    /// Runs a program.
    pub const SHELL: &str = "shell";
    /// Sends one file to the master.
    pub const UPLOAD_FILE: &str = "uploadFile";
    /// Sends a directory to the master as a tar stream.
    pub const UPLOAD_DIRECTORY: &str = "uploadDirectory";
    /// Fetches one file from the master.
    pub const DOWNLOAD_FILE: &str = "downloadFile";
    /// Makes directories.
    pub const MKDIR: &str = "mkdir";
    /// Removes directories with their contents.
    pub const RMDIR: &str = "rmdir";
    /// Copies a directory.
    pub const CPDIR: &str = "cpdir";
    /// Describes a file.
    pub const STAT: &str = "stat";
    /// Finds files by pattern.
    pub const GLOB: &str = "glob";
    /// Lists a directory.
    pub const LISTDIR: &str = "listdir";
    /// Removes one file.
    pub const RMFILE: &str = "rmfile";
    /// The name of [`UPLOAD_FILE`] over msgpack.
    pub const UPLOAD_FILE_MSGPACK: &str = "upload_file";
    /// The name of [`UPLOAD_DIRECTORY`] over msgpack.
    pub const UPLOAD_DIRECTORY_MSGPACK: &str = "upload_directory";
    /// The name of [`DOWNLOAD_FILE`] over msgpack.
    pub const DOWNLOAD_FILE_MSGPACK: &str = "download_file";

    /// Every name above, in the order a worker lists them.
    pub const ALL: &[&str] = &[
        SHELL,
        UPLOAD_FILE,
        UPLOAD_FILE_MSGPACK,
        UPLOAD_DIRECTORY,
        UPLOAD_DIRECTORY_MSGPACK,
        DOWNLOAD_FILE,
        DOWNLOAD_FILE_MSGPACK,
        MKDIR,
        RMDIR,
        CPDIR,
        STAT,
        GLOB,
        LISTDIR,
        RMFILE,
    ];
}
