//! Mercurial: everything since the newest ancestor that the default repository has.

use super::{Tree, Wanted, attempt, line, maybe, run};
use anyhow::{Result, bail};
use std::path::Path;

/// Mercurial's name for what has no branch.
const DEFAULT: &str = "default";

pub(super) fn read(folder: &Path, wanted: &Wanted) -> Result<Tree> {
    let top = line(folder, "hg", &["root"])?;
    let folder = Path::new(&top);
    let branch = match &wanted.branch {
        Some(branch) => branch.clone(),
        None => line(folder, "hg", &["branch"])?,
    };
    let base = match &wanted.base {
        Some(base) => line(folder, "hg", &["log", "-r", base, "--template", "{node}"])?,
        None => base(folder)?,
    };
    let patch = run(folder, "hg", &["diff", "--git", "-r", &base])?;
    let branch = Some(branch).filter(|branch| branch != DEFAULT || wanted.branch.is_some());
    Ok(Tree { branch, base: Some(base), level: 1, patch, top })
}

/// The repository is asked; one that was cloned from nowhere has its last commit.
fn base(folder: &Path) -> Result<String> {
    if maybe(folder, "hg", &["paths", "default"])?.is_none() {
        return line(folder, "hg", &["log", "-r", ".", "--template", "{node}"]);
    }
    let newest = ["log", "-r", "last(::. - outgoing())", "--template", "{node}"];
    match attempt(folder, "hg", &newest)? {
        Ok(node) if !node.is_empty() => Ok(super::one_line(&node)),
        Ok(_) => {
            bail!("the repository at `hg paths default` has no commit of this tree; give --baserev=REVISION")
        }
        Err(said) => {
            bail!("the repository at `hg paths default` cannot be asked: {said}; give --baserev=REVISION")
        }
    }
}
