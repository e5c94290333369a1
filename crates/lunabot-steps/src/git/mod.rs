//! `steps.Git` (06.016–06.022): options in `params`, command lines in `commands`, their order in `checkout`, keys in
//! `auth`.

mod auth;
mod checkout;
mod commands;
mod params;

use crate::common::step_kind;
use crate::source::{SourceOptions, Tree};
use async_trait::async_trait;
use auth::Auth;
use checkout::Checkout;
use commands::{Features, Wanted};
use lunabot_engine::step::{Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read};
use lunabot_model::git::RenderedAuth;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Duration, Json};
use params::{GitParams, Method, Mode};

/// The class's name, the source of the properties that it sets.
const CLASS: &str = "Git";
/// Folder of the checkout that mode `full`, method `copy` copies from.
const COPY_SOURCE: &str = "source";

/// Declares the step.
pub static GIT: StepKind = StepKind {
    kind: step_kind(
        "Git",
        &[
            "repourl",
            "port",
            "branch",
            "mode",
            "method",
            "reference",
            "submodules",
            "remoteSubmodules",
            "tags",
            "shallow",
            "filters",
            "progress",
            "retryFetch",
            "clobberOnFailure",
            "getDescription",
            "config",
            "origin",
            "sshPrivateKey",
            "sshHostKey",
            "sshKnownHosts",
            "auth_credentials",
            "git_credentials",
        ],
        "Checks out the build's revision of a git repository, and sets the property got_revision.",
        schema_of::<GitParams>,
        check_as::<GitParams>,
    ),
    defaults: StepDefaults::named("git").halting().described("updating", "update"),
    build,
};

struct Git {
    params: GitParams,
    options: SourceOptions,
    mode: Mode,
    /// The codebase is not in the build.
    missing: bool,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: GitParams = read(rendered)?;
    let mode = Mode::read(given(&params.mode).as_deref(), given(&params.method).as_deref())
        .map_err(|problem| StepError::Exception(format!("{}: {}", problem.path, problem.message)))?;
    let options = SourceOptions {
        timeout: given(&params.timeout).map_or(Some(params::PATIENCE), |timeout| timeout.map(Duration::secs)),
        log_environ: given(&params.log_environ).unwrap_or(true),
        env: given(&params.env).unwrap_or_default(),
        codebase: given(&params.codebase).unwrap_or_default(),
        always_use_latest: given(&params.always_use_latest).unwrap_or(false),
        retry: params.retry,
    };
    Ok(Box::new(Git { params, options, mode, missing: false }))
}

#[async_trait]
impl Step for Git {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let Some(target) = self.options.target(cx, CLASS).await? else {
            self.missing = true;
            return Ok(Results::Failure);
        };
        let log = cx.log_for_commands("stdio").await?;
        let tree = Tree { cx, log, workdir: cx.workdir().to_string(), options: &self.options };
        let features = checkout::features(&tree, &self.params).await?;
        let wanted = self.wanted(&target, features);
        let auth = self.auth(cx, features).await?;
        let mut checkout = Checkout { tree, wanted, mode: self.mode, params: &self.params, auth: &auth };
        if checkout.tree.is_patched().await? {
            checkout.must(commands::clean(true)).await?;
        }
        let outcome = match checkout.lay_auth().await {
            Ok(()) => checkout.all(target.patch.as_ref()).await,
            Err(error) => Err(error),
        };
        let removed = auth.remove(cx).await;
        outcome?;
        removed?;
        Ok(Results::Success)
    }

    fn current_summary(&self) -> Option<String> {
        let told = self.params.description.is_some() || self.options.codebase.is_empty();
        (!told).then(|| format!("updating {}", self.options.codebase))
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        if self.missing {
            return Some(format!("Codebase {} not in build", self.options.codebase));
        }
        let told = self.params.description_done.is_some() || self.options.codebase.is_empty();
        (!told).then(|| format!("update {}", self.options.codebase))
    }
}

impl Git {
    fn wanted(&self, target: &crate::source::Target, features: Features) -> Wanted {
        let params = &self.params;
        let given_branch = given(&params.branch).filter(|branch| !branch.is_empty());
        Wanted {
            repourl: params.repourl.literal().unwrap_or_default(),
            branch: target.branch.clone().or(given_branch).unwrap_or_else(|| "HEAD".into()),
            revision: target.revision.clone(),
            shallow: params.shallow.0,
            filters: params.filters.clone().unwrap_or_default().0,
            tags: params.tags,
            progress: params.progress,
            reference: given(&params.reference),
            origin: given(&params.origin),
            remote_submodules: params.remote_submodules,
            features,
        }
    }

    async fn auth(&self, cx: &StepContext, features: Features) -> Result<Auth, StepError> {
        let rendered = cx.render(&self.params.auth().to_render()).await?;
        let rendered = RenderedAuth::read(&rendered).map_err(StepError::Exception)?;
        let workdir = if self.mode == Mode::Full(Method::Copy) { COPY_SOURCE } else { cx.workdir() };
        Auth::new(rendered, self.params.port, workdir, cx, features)
    }
}
