//! `steps.Bzr` (06.028): branches of Bazaar, by Breezy or what answers to `bzr`.

use crate::common::step_kind;
use crate::source::{SourceStep, Target, Tree, Vcs, full_by, highest, source_defaults, source_params};
use async_trait::async_trait;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{OwnChecks, Step, StepError, StepKind, VcCommand, given, read};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::resources::Change;
use lunabot_model::{Json, Problem, Renderable};
use std::collections::BTreeMap;

const CLASS: &str = "Bzr";
/// The tree that method `copy` updates, beside the one that is built in.
const SOURCE_DIR: &str = "source";

source_params! {
/// Checks out a branch of Bazaar.
pub struct BzrParams {
    /// The address of the branch, as `bzr checkout` takes it.
    #[serde(default)]
    pub repourl: Option<Renderable<String>>,
    /// In place of `repourl`: what the build's branch, or `defaultBranch`, is added to.
    #[serde(default, rename = "baseURL")]
    pub base_url: Option<Renderable<String>>,
    /// For mode `full`: `fresh` (default), `clean`, `clobber` or `copy`.
    #[serde(default)]
    pub method: Option<Renderable<String>>,
    /// The branch below `baseURL` where the build names none.
    #[serde(default, rename = "defaultBranch")]
    pub default_branch: Option<Renderable<String>>,
}
}

/// What a full checkout does with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Fresh,
    Clean,
    Clobber,
    Copy,
}

const METHODS: &[(&str, Method)] = &[
    ("fresh", Method::Fresh),
    ("clean", Method::Clean),
    ("clobber", Method::Clobber),
    ("copy", Method::Copy),
];

impl BzrParams {
    /// `None`: incremental.
    fn full(&self) -> Result<Option<Method>, Problem> {
        full_by(given(&self.mode).as_deref(), given(&self.method).as_deref(), METHODS)
    }
}

impl OwnChecks for BzrParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.full().err().into_iter().collect();
        let mut add = |path: &str, message: &str| problems.push(Problem::new(path, message));
        match (&self.repourl, &self.base_url) {
            (Some(_), Some(_)) => add("repourl", "repourl and baseURL exclude each other"),
            (None, None) => add("repourl", "say where the branch is, by repourl or baseURL"),
            (None, Some(_)) if self.default_branch.is_none() => {
                add("defaultBranch", "baseURL needs the branch that is built where a build names none");
            }
            _ => {}
        }
        for (option, url) in [("repourl", &self.repourl), ("baseURL", &self.base_url)] {
            if given(url).is_some_and(|url| url.is_empty() || url.starts_with('-')) {
                add(option, "must be the address of a branch");
            }
        }
        problems
    }
}

/// Declares the step.
pub static BZR: StepKind = StepKind {
    kind: step_kind(
        CLASS,
        &["repourl", "baseURL", "mode", "method", "defaultBranch"],
        "Checks out the build's revision of a branch of Bazaar, and sets the property got_revision to its number.",
        schema_of::<BzrParams>,
        check_as::<BzrParams>,
    ),
    defaults: source_defaults("bzr"),
    build,
};

struct Bzr {
    params: BzrParams,
    full: Option<Method>,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: BzrParams = read(rendered)?;
    let full = params.full().map_err(|p| StepError::Exception(format!("{}: {}", p.path, p.message)))?;
    let options = params.source();
    Ok(SourceStep::boxed(Bzr { params, full }, options))
}

#[async_trait]
impl Vcs for Bzr {
    fn class(&self) -> &'static str {
        CLASS
    }

    async fn command(&self, tree: Tree<'_>, command: VcCommand) -> Result<FinishedCommand, StepError> {
        let words = std::iter::once("bzr".to_string()).chain(command.args).collect();
        tree.run(words, BTreeMap::new(), command.stdin).await
    }

    async fn check_out(&mut self, tree: Tree<'_>, target: &Target) -> Result<(), StepError> {
        let url = self.url(target);
        let built_in = tree.at(tree.workdir.clone());
        let work = match self.full {
            Some(Method::Copy) => tree.at(SOURCE_DIR.into()),
            _ => tree,
        };
        let checkout = Checkout { tree: work, url, revision: target.revision.clone() };
        if !checkout.may(&["--version"]).await? {
            return Err(StepError::Exception("bzr is not installed on the worker".into()));
        }
        match self.full {
            Some(Method::Clobber) => checkout.clobber().await?,
            _ if !checkout.is_tree().await? => checkout.clobber().await?,
            method => {
                if method.is_some() || checkout.tree.is_patched().await? {
                    checkout.clean(method != Some(Method::Clean)).await?;
                }
                checkout.update().await?;
            }
        }
        if self.full == Some(Method::Copy) {
            built_in.clobber().await?;
            checkout.tree.copy_to(&built_in.workdir).await?;
        }
        if let Some(patch) = &target.patch {
            built_in.patch(patch).await?;
        }
        Checkout { tree: built_in, ..checkout }.note_revision().await
    }

    fn newest(&self, changes: &[&Change]) -> Option<String> {
        highest(changes)
    }
}

impl Bzr {
    fn url(&self, target: &Target) -> String {
        if let Some(url) = given(&self.params.repourl) {
            return url;
        }
        let branch = target.branch.clone().or_else(|| given(&self.params.default_branch));
        let base = given(&self.params.base_url).unwrap_or_default();
        format!("{}/{}", base.trim_end_matches('/'), branch.unwrap_or_default().trim_start_matches('/'))
    }
}

/// One checkout under way.
struct Checkout<'a> {
    tree: Tree<'a>,
    url: String,
    /// None: the newest.
    revision: Option<String>,
}

impl Checkout<'_> {
    async fn is_tree(&self) -> Result<bool, StepError> {
        self.tree.cx.path_exists(&self.tree.path(&[".bzr"])).await
    }

    async fn clobber(&self) -> Result<(), StepError> {
        let mut left = self.tree.options.retry.map_or(0, |(_, count)| count);
        let mut args = vec!["checkout", self.url.as_str(), "."];
        args.extend(self.revision.iter().flat_map(|revision| ["-r", revision.as_str()]));
        loop {
            self.tree.clobber().await?;
            if self.may(&args).await? {
                return Ok(());
            }
            let again = self.tree.options.retry.filter(|_| left > 0);
            let Some((delay, _)) = again else { return Err(failed("checkout")) };
            left -= 1;
            self.tree.cx.sleep(delay.std()).await?;
        }
    }

    /// Undoes changes and removes what is not known; with `ignored` also what is ignored.
    async fn clean(&self, ignored: bool) -> Result<(), StepError> {
        self.must(&["revert", "--no-backup"]).await?;
        let mut args = vec!["clean-tree", "--force", "--unknown", "--detritus"];
        args.extend(ignored.then_some("--ignored"));
        self.must(&args).await
    }

    /// Goes to the branch, which may be another one than before, and to the revision.
    async fn update(&self) -> Result<(), StepError> {
        self.must(&["switch", "--force", &self.url]).await?;
        match &self.revision {
            Some(revision) => self.must(&["update", "-r", revision]).await,
            None => self.must(&["update"]).await,
        }
    }

    async fn note_revision(&self) -> Result<(), StepError> {
        let outcome = self.bzr(&["revno", "--tree"]).await?;
        let revision = outcome.stdout.trim();
        if outcome.did_fail() || !revision.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(StepError::Failed(format!("bzr revno gave {revision:?}, not a revision")));
        }
        self.tree.note(CLASS, "got_revision", revision)
    }

    async fn bzr(&self, args: &[&str]) -> Result<FinishedCommand, StepError> {
        let words = std::iter::once("bzr").chain(args.iter().copied()).map(String::from).collect();
        self.tree.run(words, BTreeMap::new(), None).await
    }

    /// Runs bzr; whether it succeeded.
    async fn may(&self, args: &[&str]) -> Result<bool, StepError> {
        Ok(!self.bzr(args).await?.did_fail())
    }

    async fn must(&self, args: &[&str]) -> Result<(), StepError> {
        if self.may(args).await? { Ok(()) } else { Err(failed(args.first().copied().unwrap_or_default())) }
    }
}

fn failed(command: &str) -> StepError {
    StepError::Failed(format!("bzr {command} failed"))
}
