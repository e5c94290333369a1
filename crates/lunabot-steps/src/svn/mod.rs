//! `steps.SVN` (06.025): options in `params`, what svn answers in `answers`, the order of its commands here.

mod answers;
mod params;

use crate::common::step_kind;
use crate::source::{SourceStep, Target, Tree, Vcs, highest, source_defaults};
use async_trait::async_trait;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{Step, StepError, StepKind, VcCommand, given, read};
use lunabot_model::Json;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::resources::Change;
use params::{Method, SvnParams};
use std::collections::BTreeMap;

const CLASS: &str = "SVN";
/// Folder of the checkout that the methods `copy` and `export` take from.
const COPY_SOURCE: &str = "source";
/// svn's complaint of a tree that an interrupted command left locked.
const UNFINISHED: &str = "E155037:";

/// Declares the step.
pub static SVN: StepKind = StepKind {
    kind: step_kind(
        CLASS,
        &[
            "repourl",
            "mode",
            "method",
            "username",
            "password",
            "extra_args",
            "keep_on_purge",
            "depth",
            "preferLastChangedRev",
        ],
        "Checks out the build's revision of a folder in a Subversion repository, and sets the property got_revision.",
        schema_of::<SvnParams>,
        check_as::<SvnParams>,
    ),
    defaults: source_defaults("svn"),
    build,
};

struct Svn {
    params: SvnParams,
    full: Option<Method>,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: SvnParams = read(rendered)?;
    let full = params.full().map_err(|p| StepError::Exception(format!("{}: {}", p.path, p.message)))?;
    let options = params.source();
    Ok(SourceStep::boxed(Svn { params, full }, options))
}

#[async_trait]
impl Vcs for Svn {
    fn class(&self) -> &'static str {
        CLASS
    }

    fn hidden(&self) -> Vec<String> {
        given(&self.params.password).into_iter().collect()
    }

    async fn command(&self, tree: Tree<'_>, command: VcCommand) -> Result<FinishedCommand, StepError> {
        let checkout = Checkout { tree, params: &self.params, revision: None };
        let words = checkout.command(command.args);
        checkout.tree.run(words, BTreeMap::new(), command.stdin).await
    }

    async fn check_out(&mut self, tree: Tree<'_>, target: &Target) -> Result<(), StepError> {
        let version = tree.run(words(&["svn", "--version"]), BTreeMap::new(), None).await?;
        if version.did_fail() {
            return Err(StepError::Exception("svn is not installed on the worker".into()));
        }
        let checkout = Checkout { tree, params: &self.params, revision: target.revision.as_deref() };
        checkout.all(self.full).await?;
        if let Some(patch) = &target.patch {
            checkout.tree.patch(patch).await?;
        }
        checkout.note_revision(self.full).await
    }

    fn newest(&self, changes: &[&Change]) -> Option<String> {
        highest(changes)
    }
}

/// One checkout under way.
struct Checkout<'a> {
    tree: Tree<'a>,
    params: &'a SvnParams,
    revision: Option<&'a str>,
}

impl Checkout<'_> {
    async fn all(&self, full: Option<Method>) -> Result<(), StepError> {
        if self.tree.is_patched().await? {
            self.purge(false).await?;
        }
        match full {
            None => self.incremental().await,
            Some(Method::Clobber) => self.clobber().await,
            Some(Method::Copy | Method::Export) => self.copy(full == Some(Method::Export)).await,
            Some(Method::Clean | Method::Fresh) if !self.is_updatable().await? => self.clobber().await,
            Some(method) => {
                self.purge(method == Method::Fresh).await?;
                self.update().await
            }
        }
    }

    async fn incremental(&self) -> Result<(), StepError> {
        if self.is_updatable().await? { self.update().await } else { self.clobber().await }
    }

    async fn update(&self) -> Result<(), StepError> {
        let mut args = words(&["update"]);
        self.at_revision(&mut args);
        self.to_depth(&mut args);
        self.must(args).await.map(drop)
    }

    async fn clobber(&self) -> Result<(), StepError> {
        let mut left = self.tree.options.retry.map_or(0, |(_, count)| count);
        loop {
            self.tree.clobber().await?;
            let mut args = words(&["checkout", &self.repourl(), "."]);
            self.at_revision(&mut args);
            self.to_depth(&mut args);
            if !self.svn(args).await?.did_fail() {
                return Ok(());
            }
            let again = self.tree.options.retry.filter(|_| left > 0);
            let Some((delay, _)) = again else { return Err(StepError::Failed("svn checkout failed".into())) };
            left -= 1;
            self.tree.cx.sleep(delay.std()).await?;
        }
    }

    /// Brings a tree of its own up to date, and copies or exports it.
    async fn copy(&self, export: bool) -> Result<(), StepError> {
        let target = self.tree.workdir.clone();
        self.tree.clobber().await?;
        let source =
            Checkout { tree: self.tree.at(self.source()), params: self.params, revision: self.revision };
        Box::pin(source.incremental()).await?;
        if !export {
            return source.tree.copy_to(&target).await;
        }
        let mut args = words(&["svn", "export"]);
        self.at_revision(&mut args);
        self.sign_in(&mut args);
        args.extend([source.tree.workdir.clone(), target]);
        let outcome = self.tree.at(String::new()).run(args, BTreeMap::new(), None).await?;
        if outcome.did_fail() { Err(StepError::Failed("svn export failed".into())) } else { Ok(()) }
    }

    /// The folder that copies are made of.
    fn source(&self) -> String {
        match self.tree.options.codebase.as_str() {
            "" => COPY_SOURCE.into(),
            codebase => self.tree.cx.join_path(&[COPY_SOURCE, codebase]),
        }
    }

    /// Whether the tree is one of this address, and sound.
    async fn is_updatable(&self) -> Result<bool, StepError> {
        if !self.tree.cx.path_exists(&self.tree.path(&[".svn"])).await? {
            return Ok(false);
        }
        let outcome = self.tree.run_for_errors(self.command(words(&["info", "--xml"]))).await?;
        if outcome.stderr.contains(UNFINISHED) || outcome.did_fail() {
            return Ok(false);
        }
        let found = answers::info(&outcome.stdout);
        Ok(found.is_some_and(|info| answers::same_address(&info.url, &self.repourl())))
    }

    /// Removes whatever is not as it was checked out; the update that follows brings back what belongs there.
    async fn purge(&self, ignored: bool) -> Result<(), StepError> {
        let mut args = words(&["status", "--xml"]);
        if ignored {
            args.push("--no-ignore".into());
        }
        let outcome = self.must(args).await?;
        let Some(changed) = answers::changed_paths(&outcome.stdout) else {
            return Err(StepError::Failed("svn status gave something other than XML".into()));
        };
        let kept = given(&self.params.keep_on_purge).unwrap_or_default().0;
        let paths = changed.iter().filter(|path| !kept.contains(path)).map(|path| self.tree.path(&[path]));
        self.tree.remove(paths.collect()).await
    }

    async fn note_revision(&self, full: Option<Method>) -> Result<(), StepError> {
        // An exported tree does not know where it is from.
        let tree = match full {
            Some(Method::Export) => self.tree.at(self.source()),
            _ => self.tree.at(self.tree.workdir.clone()),
        };
        let outcome = tree.run(words(&["svn", "info", "--xml"]), BTreeMap::new(), None).await?;
        let Some(info) = answers::info(&outcome.stdout).filter(|_| !outcome.did_fail()) else {
            return Err(StepError::Failed("svn info told no revision".into()));
        };
        let changed = info.last_changed.filter(|_| self.params.prefer_last_changed_rev);
        let revision = changed.unwrap_or(info.revision);
        self.tree.log.add_header(&format!("Got SVN revision {revision}\n")).await?;
        self.tree.note(CLASS, "got_revision", &revision)
    }

    fn repourl(&self) -> String {
        self.params.repourl.literal().unwrap_or_default()
    }

    fn at_revision(&self, args: &mut Vec<String>) {
        args.extend(self.revision.into_iter().flat_map(|revision| words(&["--revision", revision])));
    }

    fn to_depth(&self, args: &mut Vec<String>) {
        args.extend(given(&self.params.depth).into_iter().flat_map(|depth| words(&["--depth", &depth])));
    }

    fn sign_in(&self, args: &mut Vec<String>) {
        for (option, value) in [("--username", &self.params.username), ("--password", &self.params.password)]
        {
            args.extend(given(value).into_iter().flat_map(|value| words(&[option, &value])));
        }
        args.extend(given(&self.params.extra_args).unwrap_or_default().0);
    }

    fn command(&self, args: Vec<String>) -> Vec<String> {
        let mut all = words(&["svn"]);
        all.extend(args);
        all.extend(words(&["--non-interactive", "--no-auth-cache"]));
        self.sign_in(&mut all);
        all
    }

    async fn svn(&self, args: Vec<String>) -> Result<FinishedCommand, StepError> {
        self.tree.run(self.command(args), BTreeMap::new(), None).await
    }

    async fn must(&self, args: Vec<String>) -> Result<FinishedCommand, StepError> {
        let name = args.first().cloned().unwrap_or_default();
        let outcome = self.svn(args).await?;
        if outcome.did_fail() { Err(StepError::Failed(format!("svn {name} failed"))) } else { Ok(outcome) }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
