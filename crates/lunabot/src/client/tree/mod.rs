//! What somebody's work tree holds beyond what the master can fetch: a base revision and the patch to it (16.010).

mod git;
mod hg;
mod svn;

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The largest patch that is sent over PB, in bytes: a string of the protocol.
pub const MAX_PATCH: usize = 640 * 1024;

/// What is asked of a work tree.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The branch to name, and to find the base on.
    pub branch: Option<String>,
    /// The base, instead of the one that is found.
    pub base: Option<String>,
    /// Subversion: the top of the tree, or a file that is at the top.
    pub topdir: Option<PathBuf>,
    pub topfile: Option<String>,
}

/// A work tree as a master can build it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub branch: Option<String>,
    pub base: Option<String>,
    pub level: i64,
    pub patch: Vec<u8>,
    /// The tree's folder.
    pub top: String,
}

/// Reads the tree that `folder` is in.
///
/// # Errors
/// The kind is not supported, the tool is missing or fails, or there is no base that others have.
pub fn read(vc: &str, folder: &Path, wanted: &Wanted) -> Result<Tree> {
    match vc {
        "git" => git::read(folder, wanted),
        "hg" => hg::read(folder, wanted),
        "svn" => svn::read(folder, wanted),
        "none" => Ok(Tree { branch: wanted.branch.clone(), base: wanted.base.clone(), ..Tree::default() }),
        "bzr" | "cvs" | "darcs" | "mtn" | "p4" => bail!(
            "work trees of {vc} are not read; make the patch yourself: --diff=FILE --patchlevel=N --baserev=REVISION"
        ),
        other => bail!("--vc={other} is not known; there are git, hg, svn and none"),
    }
}

/// Runs a tool of the tree; its output.
fn run(folder: &Path, program: &str, args: &[&str]) -> Result<Vec<u8>> {
    match attempt(folder, program, args)? {
        Ok(output) => Ok(output),
        Err(said) => bail!("{program} {}: {said}", args.join(" ")),
    }
}

/// [`run`] where failing is an answer; what it said then.
fn attempt(folder: &Path, program: &str, args: &[&str]) -> Result<Result<Vec<u8>, String>> {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("LC_ALL", "C.UTF-8").env("HGPLAIN", "1");
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(Ok(output.stdout));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(Err(if said.trim().is_empty() { output.status.to_string() } else { said.trim().to_owned() }))
}

/// [`run`] for one line.
fn line(folder: &Path, program: &str, args: &[&str]) -> Result<String> {
    Ok(one_line(&run(folder, program, args)?))
}

/// [`attempt`] for one line that may be missing.
fn maybe(folder: &Path, program: &str, args: &[&str]) -> Result<Option<String>> {
    let output = attempt(folder, program, args)?.ok();
    Ok(output.map(|output| one_line(&output)).filter(|line| !line.is_empty()))
}

fn one_line(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}
