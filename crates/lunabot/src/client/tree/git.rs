//! git: everything since the newest commit that the remote branch has.

use super::{Tree, Wanted, line, maybe, run};
use anyhow::{Result, bail};
use std::path::Path;

pub(super) fn read(folder: &Path, wanted: &Wanted) -> Result<Tree> {
    let top = line(folder, "git", &["rev-parse", "--show-toplevel"])?;
    let folder = Path::new(&top);
    let local = maybe(folder, "git", &["symbolic-ref", "--short", "-q", "HEAD"])?;
    let (followed, upstream) = upstream(folder, local.as_deref())?;
    let branch = wanted.branch.clone().or(followed).or(local);
    let base = match (&wanted.base, &wanted.branch) {
        (Some(base), _) => line(folder, "git", &["rev-parse", "--verify", &format!("{base}^{{commit}}")])?,
        (None, Some(branch)) => common(folder, &known(folder, branch)?)?,
        (None, None) => match upstream {
            Some(upstream) => common(folder, &upstream)?,
            None => bail!(
                "this branch follows none of a remote repository, so it is not known which commits others have; \
                 give --branch=NAME or --baserev=REVISION, or let it follow one (git branch --set-upstream-to=…)"
            ),
        },
    };
    let diff = [
        "diff",
        "--binary",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
    ];
    let patch = run(folder, "git", &[&diff[..], &[base.as_str(), "--"]].concat())?;
    Ok(Tree { branch, base: Some(base), level: 1, patch, top })
}

/// The remote branch that the present one follows: its name there, and its name here.
fn upstream(folder: &Path, local: Option<&str>) -> Result<(Option<String>, Option<String>)> {
    let Some(local) = local else { return Ok((None, None)) };
    let merge = maybe(folder, "git", &["config", "--get", &format!("branch.{local}.merge")])?;
    let followed = merge.map(|name| name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned());
    let args = ["rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}"];
    Ok((followed, maybe(folder, "git", &args)?))
}

/// The name here of a branch that others know as `branch`: that of a remote, before one of ours.
fn known(folder: &Path, branch: &str) -> Result<String> {
    let remotes = run(folder, "git", &["remote"])?;
    let remotes = String::from_utf8_lossy(&remotes);
    let mut names: Vec<String> =
        remotes.lines().map(|remote| format!("refs/remotes/{remote}/{branch}")).collect();
    names.push(branch.to_owned());
    for name in &names {
        let commit = format!("{name}^{{commit}}");
        if maybe(folder, "git", &["rev-parse", "--verify", "--quiet", &commit])?.is_some() {
            return Ok(name.clone());
        }
    }
    bail!(
        "there is no branch {branch} here, neither of a remote nor of our own; git fetch, or give --baserev=REVISION"
    )
}

fn common(folder: &Path, other: &str) -> Result<String> {
    line(folder, "git", &["merge-base", "HEAD", other])
}
