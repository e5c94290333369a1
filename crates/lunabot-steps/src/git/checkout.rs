//! The order of git's commands in each mode (06.017–06.021).

use super::COPY_SOURCE;
use super::auth::Auth;
use super::commands::{self, Wanted, git};
use super::params::{GitParams, Method, Mode};
use crate::source::Tree;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{StepContext, StepError};
use lunabot_model::resources::Patch;
use std::collections::BTreeMap;

/// One checkout under way.
pub struct Checkout<'a> {
    pub tree: Tree<'a>,
    pub wanted: Wanted,
    pub mode: Mode,
    pub params: &'a GitParams,
    pub auth: &'a Auth,
    /// Source of the properties.
    pub class: &'static str,
}

/// What is in the folder of the tree.
enum Found {
    Repository,
    SomethingElse,
    Nothing,
}

impl Checkout<'_> {
    /// Keys and credentials.
    pub async fn lay_auth(&self) -> Result<(), StepError> {
        for text in self.auth.write(self.cx(), &self.wanted.repourl).await? {
            let words = ["credential", "approve"].map(String::from).to_vec();
            let outcome = self.command(words, Some(text)).await?;
            if outcome.did_fail() {
                return Err(StepError::Failed("git credential approve failed".into()));
            }
        }
        Ok(())
    }

    /// The tree, the patch, the properties.
    pub async fn all(&mut self, patch: Option<&Patch>) -> Result<(), StepError> {
        match self.mode {
            Mode::Incremental => self.incremental().await?,
            Mode::Full(method) => self.full(method).await?,
        }
        if let Some(patch) = patch {
            self.patch(patch).await?;
        }
        self.note_revision().await?;
        self.note_description().await
    }

    async fn full(&mut self, method: Method) -> Result<(), StepError> {
        match method {
            Method::Clobber => return self.clobber().await,
            Method::Copy => return self.copy().await,
            Method::Clean | Method::Fresh => {}
        }
        match self.look().await? {
            Found::SomethingElse => self.clobber().await,
            Found::Nothing => self.clone_or_fall_back().await,
            Found::Repository if method == Method::Clean => self.clean().await,
            Found::Repository => self.fresh().await,
        }
    }

    async fn incremental(&mut self) -> Result<(), StepError> {
        match self.look().await? {
            Found::SomethingElse => self.clobber().await,
            Found::Nothing => self.clone_or_fall_back().await,
            Found::Repository => {
                self.fetch_or_fall_back().await?;
                self.sync_submodules().await?;
                self.update_submodules().await
            }
        }
    }

    async fn clean(&mut self) -> Result<(), StepError> {
        self.must(commands::clean(false)).await?;
        self.fetch_or_fall_back().await?;
        self.sync_submodules().await?;
        self.update_submodules().await?;
        self.clean_submodules(false).await
    }

    async fn fresh(&mut self) -> Result<(), StepError> {
        if self.may(commands::clean(true)).await? {
            self.fetch_or_fall_back().await?;
        } else {
            self.tree.clobber().await?;
            self.clone_or_fall_back().await?;
        }
        self.sync_submodules().await?;
        self.update_submodules().await?;
        self.clean_submodules(true).await
    }

    async fn clobber(&self) -> Result<(), StepError> {
        self.tree.clobber().await?;
        match self.full_clone().await? {
            true => Ok(()),
            false => Err(failed("clone")),
        }
    }

    /// Brings a tree of its own up to date and copies it.
    async fn copy(&mut self) -> Result<(), StepError> {
        let target = std::mem::replace(&mut self.tree.workdir, COPY_SOURCE.into());
        self.cx().run_rmdir(&target, self.tree.options.timeout).await?;
        let outcome = match Box::pin(self.incremental()).await {
            Ok(()) => self.tree.copy_to(&target).await,
            Err(error) => Err(error),
        };
        self.tree.workdir = target;
        outcome
    }

    async fn look(&self) -> Result<Found, StepError> {
        match self.cx().run_listdir(&self.tree.workdir).await? {
            Some(names) if names.iter().any(|name| name == ".git") => Ok(Found::Repository),
            Some(names) if !names.is_empty() => Ok(Found::SomethingElse),
            _ if self.cx().is_interrupted() => Err(StepError::Cancelled),
            Some(_) | None => Ok(Found::Nothing),
        }
    }

    /// 06.019. False: it failed.
    async fn fetch(&self) -> Result<bool, StepError> {
        let here = match self.wanted.probe() {
            Some(probe) => self.may(probe).await?,
            None => false,
        };
        if !here && !self.may(self.wanted.fetch()).await? {
            return Ok(false);
        }
        if !self.may(self.wanted.checkout()).await? {
            return Ok(false);
        }
        if let Some(name_branch) = self.wanted.name_branch() {
            self.may(name_branch).await?;
        }
        Ok(true)
    }

    /// 06.021.
    async fn fetch_or_fall_back(&self) -> Result<(), StepError> {
        if self.fetch().await? || self.params.retry_fetch && self.fetch().await? {
            return Ok(());
        }
        if self.params.clobber_on_failure { self.clobber().await } else { Err(failed("fetch")) }
    }

    /// 06.020. False: it failed.
    async fn clone(&self) -> Result<bool, StepError> {
        let mut left = self.tree.options.retry.map_or(0, |(_, count)| count);
        loop {
            let cloned = self.may(self.wanted.clone(self.wanted.shallow)).await?;
            if cloned && (!self.wanted.fetches_after_clone() || self.fetch().await?) {
                return Ok(true);
            }
            let Some((delay, _)) = self.tree.options.retry.filter(|_| left > 0) else { return Ok(false) };
            left -= 1;
            self.cx().sleep(delay.std()).await?;
            self.tree.clobber().await?;
        }
    }

    async fn full_clone(&self) -> Result<bool, StepError> {
        if !self.clone().await? {
            return Ok(false);
        }
        if self.wanted.revision.is_some() && !self.may(self.wanted.checkout()).await? {
            return Ok(false);
        }
        if !self.params.submodules {
            return Ok(true);
        }
        self.may(self.wanted.submodules_after_clone(self.wanted.shallow)).await
    }

    async fn clone_or_fall_back(&self) -> Result<(), StepError> {
        if self.full_clone().await? {
            return Ok(());
        }
        if self.params.clobber_on_failure { self.clobber().await } else { Err(failed("clone")) }
    }

    async fn sync_submodules(&self) -> Result<(), StepError> {
        if self.params.submodules { self.must(commands::sync_submodules()).await } else { Ok(()) }
    }

    async fn update_submodules(&self) -> Result<(), StepError> {
        if self.params.submodules { self.must(self.wanted.update_submodules()).await } else { Ok(()) }
    }

    async fn clean_submodules(&self, ignored: bool) -> Result<(), StepError> {
        if !self.params.submodules {
            return Ok(());
        }
        self.must(commands::clean_submodules(ignored)).await?;
        self.must(commands::clean(ignored)).await
    }

    /// 06.015, 06.017.
    async fn patch(&self, patch: &Patch) -> Result<(), StepError> {
        let tree = self.tree.begin_patch(patch).await?;
        let with = |words: Vec<String>| git(&self.params.config).into_iter().chain(words).collect();
        let refresh = ["update-index", "--refresh"].map(String::from).to_vec();
        // It only tells of files that differ.
        tree.run(with(refresh), BTreeMap::new(), None).await?;
        let (file, input) = Tree::patch_input(patch, &[]);
        let mut apply = vec!["apply".into(), "--index".into(), "-p".into(), patch.level.to_string()];
        apply.extend(file.into_iter().map(String::from));
        let outcome = tree.run(with(apply), BTreeMap::new(), input).await?;
        tree.end_patch().await?;
        if outcome.did_fail() { Err(StepError::Failed("the patch does not apply".into())) } else { Ok(()) }
    }

    async fn note_revision(&self) -> Result<(), StepError> {
        let outcome = self.command(vec!["rev-parse".into(), "HEAD".into()], None).await?;
        let revision = outcome.stdout.trim();
        let whole = matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| b.is_ascii_hexdigit());
        if outcome.did_fail() || !whole {
            return Err(StepError::Failed(format!("git rev-parse HEAD gave {revision:?}, not a commit")));
        }
        self.tree.note(self.class, "got_revision", revision)
    }

    /// A repository without a name to describe by is no failure.
    async fn note_description(&self) -> Result<(), StepError> {
        let Some(options) = &self.params.get_description.0 else { return Ok(()) };
        let mut words = vec!["describe".to_string()];
        words.extend(options.iter().cloned());
        // `--dirty` looks at the tree and takes no commit.
        if !options.iter().any(|option| option.starts_with("--dirty")) {
            words.push("HEAD".into());
        }
        let outcome = self.command(words, None).await?;
        let text = outcome.stdout.trim();
        if outcome.did_fail() || text.is_empty() {
            return Ok(());
        }
        self.tree.note(self.class, "commit-description", text)
    }

    /// Runs git; a failure ends the step.
    pub async fn must(&self, words: Vec<String>) -> Result<(), StepError> {
        let name = words.first().cloned().unwrap_or_default();
        if self.may(words).await? { Ok(()) } else { Err(failed(&name)) }
    }

    /// Runs git; whether it succeeded.
    async fn may(&self, words: Vec<String>) -> Result<bool, StepError> {
        Ok(!self.command(words, None).await?.did_fail())
    }

    pub async fn command(
        &self,
        words: Vec<String>,
        stdin: Option<String>,
    ) -> Result<FinishedCommand, StepError> {
        let mut all = git(&self.params.config);
        let (options, env) = self.auth.for_command(words.first().map_or("", String::as_str));
        all.extend(options);
        all.extend(words);
        self.tree.run(all, env, stdin).await
    }

    fn cx(&self) -> &StepContext {
        self.tree.cx
    }
}

fn failed(command: &str) -> StepError {
    StepError::Failed(format!("git {command} failed"))
}
