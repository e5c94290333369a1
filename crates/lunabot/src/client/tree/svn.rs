//! Subversion: everything that differs from the revision that is checked out.

use super::{Tree, Wanted, line, run};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

pub(super) fn read(folder: &Path, wanted: &Wanted) -> Result<Tree> {
    let top = top(folder, wanted)?;
    let base = match &wanted.base {
        Some(base) => base.clone(),
        None => checked_out(&top)?,
    };
    // A given base differs from what is checked out.
    let range = format!("-r{base}");
    let mut args = vec!["diff", "--non-interactive", "--internal-diff"];
    if wanted.base.is_some() {
        args.push(&range);
    }
    let patch = run(&top, "svn", &args)?;
    let top = top.display().to_string();
    Ok(Tree { branch: wanted.branch.clone(), base: Some(base), level: 0, patch, top })
}

fn top(folder: &Path, wanted: &Wanted) -> Result<PathBuf> {
    if let Some(top) = &wanted.topdir {
        let top = folder.join(top);
        return top.canonicalize().with_context(|| format!("--topdir {}", top.display()));
    }
    if let Some(file) = &wanted.topfile {
        let top = folder.ancestors().find(|folder| folder.join(file).exists());
        return top
            .map(Path::to_owned)
            .with_context(|| format!("--topfile {file}: no such file in {} or above it", folder.display()));
    }
    Ok(PathBuf::from(line(folder, "svn", &["info", "--show-item", "wc-root", "--no-newline"])?))
}

/// A tree whose parts are at different revisions has no base.
fn checked_out(top: &Path) -> Result<String> {
    let version = line(top, "svnversion", &["."])?;
    let number = version.trim_end_matches(['M', 'S', 'P']);
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
        bail!("this tree is at {version}, not at one revision; svn update, or give --baserev=REVISION");
    }
    Ok(number.to_owned())
}
