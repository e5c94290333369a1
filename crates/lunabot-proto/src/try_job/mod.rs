//! A try job: somebody's work tree as a base and a patch, to be built before it is committed (03.022, 03.023).

mod file;

pub use file::{BadJob, MAX_JOB, read, write};

use crate::Dict;

/// A revision as clients say it. Buildbot 4.3 writes `b'12'` into job files for what Subversion and Mercurial call `12`.
pub(crate) fn revision(said: String) -> Option<String> {
    let bare = said.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\''));
    Some(bare.map(str::to_owned).unwrap_or(said)).filter(|revision| !revision.is_empty())
}

/// See the module. Over PB it is the arguments of a call, in a job folder a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TryJob {
    /// The client's own name for it; jobs over PB have none.
    pub id: String,
    /// Absent: the default branch.
    pub branch: Option<String>,
    /// What the patch applies to; absent: the newest.
    pub revision: Option<String>,
    /// How many leading folders the patch's paths have to lose.
    pub level: i64,
    /// The patch; empty: none.
    pub patch: Vec<u8>,
    pub repository: String,
    pub project: String,
    /// The builders to run it; empty: all that are offered.
    pub builders: Vec<String>,
    pub who: Option<String>,
    pub comment: Option<String>,
    pub properties: Dict,
}
