//! `steps.Git` (06.016–06.022) and its variants for forges (06.024, in `forges`): options in `params`, command lines in
//! `commands`, their order in `checkout`, keys in `auth`. Steps that change a repository are in `change` (06.023), what
//! a build differs in, in `diff_info` (06.030).

mod auth;
mod change;
mod checkout;
mod commands;
mod diff_info;
mod forges;
mod params;

pub use change::{GIT_COMMIT, GIT_PUSH, GIT_TAG};
pub use diff_info::GIT_DIFF_INFO;

use crate::common::step_kind;
use crate::source::{SourceStep, Target, Tree, Vcs, source_defaults};
use async_trait::async_trait;
use auth::Auth;
use checkout::Checkout;
use commands::{Features, Wanted};
use forges::Variant;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{Step, StepContext, StepError, StepKind, VcCommand, given, read};
use lunabot_model::Json;
use lunabot_model::git::RenderedAuth;
use lunabot_model::kind::{check_as, schema_of};
use params::{GitParams, Method, Mode};

/// Folder of the checkout that mode `full`, method `copy` copies from.
const COPY_SOURCE: &str = "source";

const POSITIONAL: &[&str] = &[
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
];

const fn declare(
    name: &'static str,
    doc: &'static str,
    build: fn(&Json) -> Result<Box<dyn Step>, StepError>,
) -> StepKind {
    let kind = step_kind(name, POSITIONAL, doc, schema_of::<GitParams>, check_as::<GitParams>);
    StepKind { kind, defaults: source_defaults("git"), build }
}

/// Declares the step.
pub static GIT: StepKind = declare(
    "Git",
    "Checks out the build's revision of a git repository, and sets the property got_revision.",
    |rendered| build(rendered, Variant::Git),
);

/// Declares the step.
pub static GITHUB: StepKind = declare(
    "GitHub",
    "As Git; of a pull request's merge (refs/pull/N/merge) the newest is checked out, as GitHub made it.",
    |rendered| build(rendered, Variant::GitHub),
);

/// Declares the step.
pub static GITLAB: StepKind = declare(
    "GitLab",
    "As Git; for a merge request, by the properties of GitLab's hook, the branch is that of its source repository.",
    |rendered| build(rendered, Variant::GitLab),
);

/// Declares the step.
pub static GERRIT: StepKind = declare(
    "Gerrit",
    "As Git; the branch is the patch set of Gerrit's event or of the property gerrit_change.",
    |rendered| build(rendered, Variant::Gerrit),
);

struct Git {
    params: GitParams,
    mode: Mode,
    variant: Variant,
}

fn build(rendered: &Json, variant: Variant) -> Result<Box<dyn Step>, StepError> {
    let params: GitParams = read(rendered)?;
    let mode = Mode::read(given(&params.mode).as_deref(), given(&params.method).as_deref())
        .map_err(|problem| StepError::Exception(format!("{}: {}", problem.path, problem.message)))?;
    let options = params.source();
    Ok(SourceStep::boxed(Git { params, mode, variant }, options))
}

#[async_trait]
impl Vcs for Git {
    fn class(&self) -> &'static str {
        self.variant.class()
    }

    async fn check_out(&mut self, tree: Tree<'_>, target: &Target) -> Result<(), StepError> {
        let cx = tree.cx;
        let features = commands::features(&tree, &self.params.config).await?;
        let mut wanted = self.wanted(target, features);
        self.variant.adjust(&mut wanted, target, &tree)?;
        let auth = self.auth(cx, features).await?;
        let (mode, class) = (self.mode, self.class());
        let mut checkout = Checkout { tree, wanted, mode, params: &self.params, auth: &auth, class };
        if checkout.tree.is_patched().await? {
            checkout.must(commands::clean(true)).await?;
        }
        let outcome = match checkout.lay_auth().await {
            Ok(()) => checkout.all(target.patch.as_ref()).await,
            Err(error) => Err(error),
        };
        let removed = auth.remove(cx).await;
        outcome?;
        removed
    }

    async fn command(&self, tree: Tree<'_>, command: VcCommand) -> Result<FinishedCommand, StepError> {
        let cx = tree.cx;
        let features = commands::features(&tree, &self.params.config).await?;
        let auth = self.auth(cx, features).await?;
        let wanted = self.wanted(&Target::default(), features);
        let (mode, class) = (self.mode, self.class());
        let checkout = Checkout { tree, wanted, mode, params: &self.params, auth: &auth, class };
        if !auth.serves(command.args.first().map_or("", String::as_str)) {
            return checkout.command(command.args, command.stdin).await;
        }
        let outcome = match checkout.lay_auth().await {
            Ok(()) => checkout.command(command.args, command.stdin).await,
            Err(error) => Err(error),
        };
        auth.remove(cx).await?;
        outcome
    }
}

impl Git {
    fn wanted(&self, target: &Target, features: Features) -> Wanted {
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
