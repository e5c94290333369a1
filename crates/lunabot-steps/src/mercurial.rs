//! `steps.Mercurial` (06.026).

use crate::common::step_kind;
use crate::source::{SourceStep, Target, Tree, Vcs, full_by, source_defaults, source_params};
use async_trait::async_trait;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{OwnChecks, Step, StepError, StepKind, VcCommand, given, read};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::resources::Patch;
use lunabot_model::{Json, Problem, Renderable};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

const CLASS: &str = "Mercurial";
/// The branch of a repository without branches.
const DEFAULT_BRANCH: &str = "default";

source_params! {
/// Checks out a Mercurial repository.
pub struct MercurialParams {
    /// The address, as `hg clone` takes it; with `branchType` `dirname` the build's branch is added to it.
    pub repourl: Renderable<String>,
    /// For mode `full`: `fresh` (default), `clean` or `clobber`.
    #[serde(default)]
    pub method: Option<Renderable<String>>,
    /// The branch where the build names none.
    #[serde(default, rename = "defaultBranch")]
    pub default_branch: Option<Renderable<String>>,
    /// Whether a branch is a repository of its own (`dirname`, default) or named in the repository (`inrepo`).
    #[serde(default, rename = "branchType")]
    pub branch_type: BranchType,
    /// Clone anew where the tree is of another branch. Default true.
    #[serde(default = "yes", rename = "clobberOnBranchChange")]
    pub clobber_on_branch_change: bool,
}
}

fn yes() -> bool {
    true
}

/// See [`MercurialParams::branch_type`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BranchType {
    #[default]
    Dirname,
    Inrepo,
}

/// What a full checkout does with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Fresh,
    Clean,
    Clobber,
}

const METHODS: &[(&str, Method)] =
    &[("fresh", Method::Fresh), ("clean", Method::Clean), ("clobber", Method::Clobber)];

impl MercurialParams {
    /// `None`: incremental.
    fn full(&self) -> Result<Option<Method>, Problem> {
        full_by(given(&self.mode).as_deref(), given(&self.method).as_deref(), METHODS)
    }
}

impl OwnChecks for MercurialParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.full().err().into_iter().collect();
        if self.repourl.literal().is_some_and(|url| url.is_empty() || url.starts_with('-')) {
            problems.push(Problem::new("repourl", "must be the address of a repository"));
        }
        problems
    }
}

/// Declares the step.
pub static MERCURIAL: StepKind = StepKind {
    kind: step_kind(
        CLASS,
        &["repourl", "mode", "method", "defaultBranch", "branchType", "clobberOnBranchChange"],
        "Checks out the build's revision of a Mercurial repository, and sets the property got_revision.",
        schema_of::<MercurialParams>,
        check_as::<MercurialParams>,
    ),
    defaults: source_defaults("hg"),
    build,
};

struct Mercurial {
    params: MercurialParams,
    full: Option<Method>,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: MercurialParams = read(rendered)?;
    let full = params.full().map_err(|p| StepError::Exception(format!("{}: {}", p.path, p.message)))?;
    let options = params.source();
    Ok(SourceStep::boxed(Mercurial { params, full }, options))
}

#[async_trait]
impl Vcs for Mercurial {
    fn class(&self) -> &'static str {
        CLASS
    }

    async fn command(&self, tree: Tree<'_>, wanted: VcCommand) -> Result<FinishedCommand, StepError> {
        let args: Vec<&str> = wanted.args.iter().map(String::as_str).collect();
        tree.run(command(&args), BTreeMap::new(), wanted.stdin).await
    }

    async fn check_out(&mut self, tree: Tree<'_>, target: &Target) -> Result<(), StepError> {
        let checkout = self.checkout(tree, target);
        if !checkout.may(&["--version"]).await? {
            return Err(StepError::Exception("hg is not installed on the worker".into()));
        }
        match self.full {
            Some(Method::Clobber) => checkout.clobber().await?,
            _ if !checkout.is_repository().await? => checkout.clobber().await?,
            method => {
                if method.is_some() || checkout.tree.is_patched().await? {
                    checkout.purge(method == Some(Method::Fresh)).await?;
                }
                checkout.update().await?;
            }
        }
        if let Some(patch) = &target.patch {
            checkout.patch(patch).await?;
        }
        checkout.note_revision().await
    }
}

impl Mercurial {
    fn checkout<'a>(&self, tree: Tree<'a>, target: &Target) -> Checkout<'a> {
        let params = &self.params;
        let mut repourl = params.repourl.literal().unwrap_or_default();
        let branch = target.branch.clone().or_else(|| given(&params.default_branch));
        let named = match params.branch_type {
            BranchType::Dirname => {
                repourl.push_str(&branch.unwrap_or_default());
                None
            }
            BranchType::Inrepo => Some(branch.unwrap_or_else(|| DEFAULT_BRANCH.into())),
        };
        Checkout {
            tree,
            repourl,
            revision: target.revision.clone().or_else(|| named.clone()),
            branch: named,
            clobbers: params.clobber_on_branch_change,
        }
    }
}

/// One checkout under way.
struct Checkout<'a> {
    tree: Tree<'a>,
    repourl: String,
    /// The branch, where it is named in the repository.
    branch: Option<String>,
    /// What to update to; none: the tip.
    revision: Option<String>,
    clobbers: bool,
}

impl Checkout<'_> {
    async fn is_repository(&self) -> Result<bool, StepError> {
        self.tree.cx.path_exists(&self.tree.path(&[".hg"])).await
    }

    async fn clobber(&self) -> Result<(), StepError> {
        let mut left = self.tree.options.retry.map_or(0, |(_, count)| count);
        loop {
            self.tree.clobber().await?;
            if self.may(&["clone", "--noupdate", &self.repourl, "."]).await? {
                return self.go_to_revision().await;
            }
            let again = self.tree.options.retry.filter(|_| left > 0);
            let Some((delay, _)) = again else { return Err(failed("clone")) };
            left -= 1;
            self.tree.cx.sleep(delay.std()).await?;
        }
    }

    /// Removes what is not tracked; with `ignored` also what is ignored.
    async fn purge(&self, ignored: bool) -> Result<(), StepError> {
        let mut args = vec!["--config", "extensions.purge=", "purge"];
        args.extend(ignored.then_some("--all"));
        if self.may(&args).await? { Ok(()) } else { Err(failed("purge")) }
    }

    async fn update(&self) -> Result<(), StepError> {
        let mut args = vec!["pull", self.repourl.as_str()];
        args.extend(self.revision.iter().flat_map(|revision| ["--rev", revision.as_str()]));
        if self.clobbers && self.branch.is_none() && !self.is_of_this_address().await? {
            return self.clobber().await;
        }
        if !self.may(&args).await? {
            return Err(failed("pull"));
        }
        if self.clobbers && !self.is_on_branch().await? {
            return self.clobber().await;
        }
        self.remove_added().await?;
        self.go_to_revision().await
    }

    async fn go_to_revision(&self) -> Result<(), StepError> {
        let mut args = vec!["update", "--clean"];
        args.extend(self.revision.iter().flat_map(|revision| ["--rev", revision.as_str()]));
        if self.may(&args).await? { Ok(()) } else { Err(failed("update")) }
    }

    /// Whether the tree was cloned from where the build's branch is.
    async fn is_of_this_address(&self) -> Result<bool, StepError> {
        let outcome = self.hg(&["paths", "default"], None).await?;
        Ok(!outcome.did_fail() && same_address(outcome.stdout.trim(), &self.repourl))
    }

    async fn is_on_branch(&self) -> Result<bool, StepError> {
        let Some(branch) = &self.branch else { return Ok(true) };
        let outcome = self.hg(&["identify", "--branch"], None).await?;
        if outcome.did_fail() { Err(failed("identify")) } else { Ok(outcome.stdout.trim() == branch) }
    }

    /// Removes files that a patch added: an update would keep them.
    async fn remove_added(&self) -> Result<(), StepError> {
        // Exit status 1: there are none.
        let outcome = self.hg(&["locate", "set:added()"], None).await?;
        let files = outcome.stdout.lines().filter(|name| !name.is_empty());
        self.tree.remove(files.map(|name| self.tree.path(&[name])).collect()).await
    }

    async fn patch(&self, patch: &Patch) -> Result<(), StepError> {
        let tree = self.tree.begin_patch(patch).await?;
        let level = patch.level.to_string();
        let (file, input) = Tree::patch_input(patch, &["-"]);
        let words = command(&[&["import", "--no-commit", "-p", level.as_str()], file.as_slice()].concat());
        let outcome = tree.run(words, BTreeMap::new(), input).await?;
        tree.end_patch().await?;
        if outcome.did_fail() { Err(StepError::Failed("the patch does not apply".into())) } else { Ok(()) }
    }

    async fn note_revision(&self) -> Result<(), StepError> {
        let outcome = self.hg(&["parents", "--template", "{node}\\n"], None).await?;
        let revision = outcome.stdout.trim();
        let whole = revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
        if outcome.did_fail() || !whole {
            return Err(StepError::Failed(format!("hg parents gave {revision:?}, not a revision")));
        }
        self.tree.note(CLASS, "got_revision", revision)
    }

    async fn hg(&self, args: &[&str], stdin: Option<String>) -> Result<FinishedCommand, StepError> {
        self.tree.run(command(args), BTreeMap::new(), stdin).await
    }

    /// Runs hg; whether it succeeded.
    async fn may(&self, args: &[&str]) -> Result<bool, StepError> {
        Ok(!self.hg(args, None).await?.did_fail())
    }
}

fn command(args: &[&str]) -> Vec<String> {
    ["hg", "--verbose"].iter().chain(args).map(ToString::to_string).collect()
}

fn failed(command: &str) -> StepError {
    StepError::Failed(format!("hg {command} failed"))
}

/// Whether two addresses are the same, as `hg paths` shows them: paths without `file://`, passwords covered.
fn same_address(shown: &str, wanted: &str) -> bool {
    let plain = |address: &str| {
        let address = address.strip_prefix("file://").unwrap_or(address).trim_end_matches('/');
        match address.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
            Some((scheme, (user, host))) => {
                let name = user.split_once(':').map_or(user, |(name, _)| name);
                format!("{scheme}://{name}@{host}")
            }
            None => address.to_string(),
        }
    };
    plain(shown) == plain(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_hg_shows_them() {
        assert!(same_address("/srv/hg/a", "file:///srv/hg/a/"));
        assert!(same_address("https://joe:***@h/a", "https://joe:p@ss@h/a"));
        assert!(!same_address("https://h/a", "https://h/b"));
    }
}
