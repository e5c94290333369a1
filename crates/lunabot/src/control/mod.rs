//! The conversation between a command and the running master, over the socket in the master's folder.
//!
//! The command sends one JSON line, an [`Ask`]; the master answers with lines of [`Said`], the last of which ends the
//! conversation. Only the master's own user and root are heard.

pub mod client;
pub mod server;

use serde::{Deserialize, Serialize};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// What a command wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Load the configuration again and go over to it.
    Reconfig,
    /// Say what [`Ask::Reconfig`] would do.
    Plan,
    Status,
    /// Say what the functions of the configuration cost: each line is a row as JSON.
    Profile,
    /// Make a change source go past a revision.
    Skip {
        source: String,
        revision: String,
    },
    /// Say whether somebody may do something, and why.
    Explain(lunabot_www::Question),
    /// Say why a request waits: an [`Explanation`](lunabot_model::explanation::Explanation) as JSON in one line.
    Why {
        request: i64,
    },
}

/// What the master says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// A line for the person who asked.
    Line(String),
    /// The end, and whether what was asked was done.
    Done { ok: bool },
}

/// The outcome of an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub ok: bool,
    pub lines: Vec<String>,
}

/// Names a socket such that the kernel takes it: those paths hold 107 bytes, a folder's may be longer. The returned
/// handle of the folder has to live until the name was used.
fn short_name(socket: &Path) -> std::io::Result<(PathBuf, Option<std::fs::File>)> {
    const LONGEST: usize = 100;
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Ok((socket.to_owned(), None));
    };
    if socket.as_os_str().len() <= LONGEST {
        return Ok((socket.to_owned(), None));
    }
    let folder = std::fs::File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((short, Some(folder)))
}
