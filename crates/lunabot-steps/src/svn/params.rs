//! The options of `steps.SVN` (06.025).

use crate::source::{full_by, source_params};
use lunabot_engine::step::{OwnChecks, given};
use lunabot_model::{Problem, Renderable, StringOrList};

source_params! {
/// Checks out a Subversion repository.
pub struct SvnParams {
    /// The address of the folder to check out, branch included; usually a `util.Interpolate`.
    pub repourl: Renderable<String>,
    /// For mode `full`: `fresh` (default), `clean`, `clobber`, `copy` or `export`.
    #[serde(default)]
    pub method: Option<Renderable<String>>,
    /// The name to sign in with.
    #[serde(default)]
    pub username: Option<Renderable<String>>,
    /// The password to sign in with; no log shows it.
    #[serde(default)]
    pub password: Option<Renderable<String>>,
    /// Further arguments of each svn command.
    #[serde(default)]
    pub extra_args: Option<Renderable<StringOrList>>,
    /// Paths in the tree that `clean` and `fresh` keep.
    #[serde(default)]
    pub keep_on_purge: Option<Renderable<StringOrList>>,
    /// How deep to check out: `empty`, `files`, `immediates` or `infinity`.
    #[serde(default)]
    pub depth: Option<Renderable<String>>,
    /// `got_revision` is the last one that changed the folder, not the newest of the repository.
    #[serde(default, rename = "preferLastChangedRev")]
    pub prefer_last_changed_rev: bool,
}
}

/// What a full checkout does with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Fresh,
    Clean,
    Clobber,
    Copy,
    Export,
}

const METHODS: &[(&str, Method)] = &[
    ("fresh", Method::Fresh),
    ("clean", Method::Clean),
    ("clobber", Method::Clobber),
    ("copy", Method::Copy),
    ("export", Method::Export),
];

const DEPTHS: &[&str] = &["empty", "files", "immediates", "infinity"];

impl SvnParams {
    /// `None`: incremental.
    pub fn full(&self) -> Result<Option<Method>, Problem> {
        full_by(given(&self.mode).as_deref(), given(&self.method).as_deref(), METHODS)
    }
}

impl OwnChecks for SvnParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.full().err().into_iter().collect();
        if self.repourl.literal().is_some_and(|url| url.is_empty() || url.starts_with('-')) {
            problems.push(Problem::new("repourl", "must be the address of a folder in a repository"));
        }
        if given(&self.depth).is_some_and(|depth| !DEPTHS.contains(&depth.as_str())) {
            problems.push(Problem::new("depth", format!("must be one of {}", DEPTHS.join(", "))));
        }
        problems
    }
}
