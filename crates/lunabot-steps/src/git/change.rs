//! `steps.GitCommit`, `steps.GitTag` and `steps.GitPush` (06.023).

use super::auth::Auth;
use super::commands::{self, Config, git};
use crate::common::step_kind;
use crate::source::{PATIENCE, SourceOptions, Tree};
use async_trait::async_trait;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_model::git::{GitAuth, GitCredentialOptions, RenderedAuth};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Duration, Json, Object, Problem, Renderable, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Declares the options of a step that works in a tree which another step has checked out.
macro_rules! change_params {
    ($(#[$attr:meta])* pub struct $name:ident { $($own:tt)* }) => {
        lunabot_engine::step_params! {
            $(#[$attr])*
            pub struct $name {
                $($own)*
                /// Environment of the commands.
                pub env: Option<Renderable<BTreeMap<String, Json>>>,
                /// Seconds without output after which a command is killed; `util.null`: never. Default 1200.
                #[schemars(extend("default" = 1200))]
                #[serde(default, deserialize_with = "lunabot_engine::step::present")]
                pub timeout: Option<Renderable<Option<Duration>>>,
                /// Show the environment in the log. Default true.
                #[schemars(extend("default" = true))]
                #[serde(rename = "logEnviron")]
                pub log_environ: Option<Renderable<bool>>,
                /// Settings for every git command, by name.
                pub config: Config,
            }
        }

        impl $name {
            fn options(&self) -> SourceOptions {
                SourceOptions {
                    timeout: given(&self.timeout)
                        .map_or(Some(PATIENCE), |timeout| timeout.map(Duration::secs)),
                    log_environ: given(&self.log_environ).unwrap_or(true),
                    env: given(&self.env).unwrap_or_default(),
                    ..SourceOptions::default()
                }
            }
        }
    };
}

/// git in the step's tree.
struct Git<'a> {
    tree: Tree<'a>,
    config: &'a Config,
    auth: Option<&'a Auth>,
}

impl<'a> Git<'a> {
    async fn new(
        cx: &'a StepContext,
        options: &'a SourceOptions,
        config: &'a Config,
    ) -> Result<Self, StepError> {
        let log = cx.log_for_commands("stdio").await?;
        let tree = Tree { cx, log, workdir: cx.workdir().to_string(), options, hidden: Vec::new() };
        Ok(Git { tree, config, auth: None })
    }

    async fn features(&self) -> Result<commands::Features, StepError> {
        commands::features(&self.tree, self.config).await
    }

    async fn run(&self, args: Vec<String>, stdin: Option<String>) -> Result<FinishedCommand, StepError> {
        let mut words = git(self.config);
        let name = args.first().map_or("", String::as_str);
        let (options, env) = self.auth.map(|auth| auth.for_command(name)).unwrap_or_default();
        words.extend(options);
        words.extend(args);
        self.tree.run(words, env, stdin).await
    }

    async fn must(&self, args: Vec<String>) -> Result<FinishedCommand, StepError> {
        let name = args.first().cloned().unwrap_or_default();
        let outcome = self.run(args, None).await?;
        if outcome.did_fail() { Err(StepError::Failed(format!("git {name} failed"))) } else { Ok(outcome) }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// `-m` before each message.
fn messages(texts: &Option<Renderable<StringOrList>>) -> impl Iterator<Item = String> {
    let texts = given(texts).unwrap_or_default().0;
    texts.into_iter().flat_map(|text| ["-m".to_string(), text])
}

/// A list that is known, and has nothing in it.
fn is_empty(list: &Option<Renderable<StringOrList>>) -> bool {
    match list {
        None => true,
        Some(list) => list.literal().is_some_and(|list| list.0.is_empty()),
    }
}

change_params! {
/// Commits files of the tree.
pub struct GitCommitParams {
    /// The files to commit, as `git add` takes them.
    pub paths: Option<Renderable<StringOrList>>,
    /// The paragraphs of the message.
    pub messages: Option<Renderable<StringOrList>>,
    /// What becomes of a commit without changes: `disallow` (default): a failure, `create-empty-commit`, or `ignore`:
    /// none is made.
    #[serde(default, rename = "emptyCommits")]
    pub empty_commits: EmptyCommits,
    /// Leave out the hooks of the repository.
    #[serde(default)]
    pub no_verify: bool,
}
}

/// See [`GitCommitParams::empty_commits`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyCommits {
    #[default]
    Disallow,
    CreateEmptyCommit,
    Ignore,
}

impl OwnChecks for GitCommitParams {
    fn problems(&self) -> Vec<Problem> {
        let lists = [("paths", &self.paths), ("messages", &self.messages)];
        let missing = lists.into_iter().filter(|(_, list)| is_empty(list));
        missing.map(|(option, _)| Problem::new(option, "must be given, with at least one text")).collect()
    }
}

/// Declares the step.
pub static GIT_COMMIT: StepKind = StepKind {
    kind: step_kind(
        "GitCommit",
        &[
            "workdir",
            "paths",
            "messages",
            "env",
            "timeout",
            "logEnviron",
            "emptyCommits",
            "config",
            "no_verify",
        ],
        "Commits files of the tree to its branch.",
        schema_of::<GitCommitParams>,
        check_as::<GitCommitParams>,
    ),
    defaults: StepDefaults::named("gitcommit"),
    build: |rendered| {
        let params: GitCommitParams = read(rendered)?;
        Ok(Box::new(GitCommit { options: params.options(), params }))
    },
};

struct GitCommit {
    params: GitCommitParams,
    options: SourceOptions,
}

#[async_trait]
impl Step for GitCommit {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let git = Git::new(cx, &self.options, &self.params.config).await?;
        git.features().await?;
        if git.run(words(&["symbolic-ref", "HEAD"]), None).await?.did_fail() {
            return Err(StepError::Failed(
                "the tree is on no branch (detached HEAD); nothing is committed".into(),
            ));
        }
        let mut add = words(&["add"]);
        add.extend(given(&self.params.paths).unwrap_or_default().0);
        git.must(add).await?;
        if self.params.empty_commits == EmptyCommits::Ignore && !has_something(&git).await? {
            return Ok(Results::Success);
        }
        let mut commit = words(&["commit"]);
        commit.extend(messages(&self.params.messages));
        let flags = [
            (self.params.empty_commits == EmptyCommits::CreateEmptyCommit, "--allow-empty"),
            (self.params.no_verify, "--no-verify"),
        ];
        commit.extend(flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag.to_string()));
        git.must(commit).await?;
        Ok(Results::Success)
    }
}

/// Whether anything is staged.
async fn has_something(git: &Git<'_>) -> Result<bool, StepError> {
    let outcome = git.must(words(&["status", "--porcelain=v1"])).await?;
    Ok(outcome.stdout.lines().any(|line| line.starts_with(|c| "MADRCTU".contains(c))))
}

change_params! {
/// Names the commit of the tree.
pub struct GitTagParams {
    /// The name.
    #[serde(rename = "tagName")]
    pub tag_name: Renderable<String>,
    /// Make a tag with messages.
    #[serde(default)]
    pub annotated: bool,
    /// The paragraphs of an annotated tag's message.
    pub messages: Option<Renderable<StringOrList>>,
    /// Replace a tag of that name.
    #[serde(default)]
    pub force: bool,
}
}

impl OwnChecks for GitTagParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.annotated && is_empty(&self.messages) {
            problems.push(Problem::new("messages", "must be given for an annotated tag"));
        }
        if !self.annotated && self.messages.is_some() {
            problems.push(Problem::new("messages", "need annotated = true"));
        }
        if self.tag_name.literal().is_some_and(|name| name.is_empty() || name.starts_with('-')) {
            problems.push(Problem::new("tagName", "must be the name of a tag"));
        }
        problems
    }
}

/// Declares the step.
pub static GIT_TAG: StepKind = StepKind {
    kind: step_kind(
        "GitTag",
        &["workdir", "tagName", "annotated", "messages", "force", "env", "timeout", "logEnviron", "config"],
        "Gives the commit of the tree a tag.",
        schema_of::<GitTagParams>,
        check_as::<GitTagParams>,
    ),
    defaults: StepDefaults::named("gittag"),
    build: |rendered| {
        let params: GitTagParams = read(rendered)?;
        Ok(Box::new(GitTag { options: params.options(), params }))
    },
};

struct GitTag {
    params: GitTagParams,
    options: SourceOptions,
}

#[async_trait]
impl Step for GitTag {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let git = Git::new(cx, &self.options, &self.params.config).await?;
        git.features().await?;
        let mut tag = words(&["tag"]);
        tag.extend(self.params.annotated.then(|| "-a".to_string()));
        tag.push(self.params.tag_name.literal().unwrap_or_default());
        tag.extend(messages(&self.params.messages));
        tag.extend(self.params.force.then(|| "--force".to_string()));
        git.must(tag).await?;
        Ok(Results::Success)
    }
}

change_params! {
/// Pushes a branch of the tree.
pub struct GitPushParams {
    /// Where to.
    pub repourl: Renderable<String>,
    /// Port of the ssh server. Default 22.
    #[serde(default = "super::params::ssh_port")]
    pub port: u16,
    /// What to push: a branch, a tag, or `HEAD:refs/heads/NAME`.
    pub branch: Renderable<String>,
    /// Replace what is there.
    #[serde(default)]
    pub force: bool,
    /// A private key for ssh.
    #[serde(rename = "sshPrivateKey")]
    pub ssh_private_key: Option<Renderable<String>>,
    /// The server's public key; needs `sshPrivateKey`, not together with `sshKnownHosts`.
    #[serde(rename = "sshHostKey")]
    pub ssh_host_key: Option<Renderable<String>>,
    /// The contents of a `known_hosts` file; needs `sshPrivateKey`.
    #[serde(rename = "sshKnownHosts")]
    pub ssh_known_hosts: Option<Renderable<String>>,
    /// `{user, password}` for the address.
    pub auth_credentials: Option<Renderable<Vec<String>>>,
    /// A `util.GitCredentialOptions`.
    pub git_credentials: Option<Object<GitCredentialOptions>>,
}
}

impl GitPushParams {
    fn auth(&self) -> GitAuth {
        GitAuth {
            ssh_private_key: self.ssh_private_key.clone(),
            ssh_host_key: self.ssh_host_key.clone(),
            ssh_known_hosts: self.ssh_known_hosts.clone(),
            auth_credentials: self.auth_credentials.clone(),
            git_credentials: self.git_credentials.clone(),
        }
    }
}

impl OwnChecks for GitPushParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.auth().validate();
        let texts = [("repourl", &self.repourl), ("branch", &self.branch)];
        for (option, text) in texts {
            if text.literal().is_some_and(|text| text.is_empty() || text.starts_with('-')) {
                problems.push(Problem::new(option, "must not be empty, nor begin with a hyphen"));
            }
        }
        problems
    }
}

/// Declares the step.
pub static GIT_PUSH: StepKind = StepKind {
    kind: step_kind(
        "GitPush",
        &[
            "workdir",
            "repourl",
            "port",
            "branch",
            "force",
            "env",
            "timeout",
            "logEnviron",
            "sshPrivateKey",
            "sshHostKey",
            "sshKnownHosts",
            "auth_credentials",
            "git_credentials",
            "config",
        ],
        "Pushes a branch of the tree to a repository.",
        schema_of::<GitPushParams>,
        check_as::<GitPushParams>,
    ),
    defaults: StepDefaults::named("gitpush"),
    build: |rendered| {
        let params: GitPushParams = read(rendered)?;
        Ok(Box::new(GitPush { options: params.options(), params }))
    },
};

struct GitPush {
    params: GitPushParams,
    options: SourceOptions,
}

#[async_trait]
impl Step for GitPush {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let mut git = Git::new(cx, &self.options, &self.params.config).await?;
        let features = git.features().await?;
        let rendered = cx.render(&self.params.auth().to_render()).await?;
        let rendered = RenderedAuth::read(&rendered).map_err(StepError::Exception)?;
        let auth = Auth::new(rendered, self.params.port, cx.workdir(), cx, features)?;
        git.auth = Some(&auth);
        let outcome = self.push(&git, &auth).await;
        let removed = auth.remove(cx).await;
        outcome?;
        removed?;
        Ok(Results::Success)
    }
}

impl GitPush {
    async fn push(&self, git: &Git<'_>, auth: &Auth) -> Result<(), StepError> {
        let text = |option: &Renderable<String>| option.literal().unwrap_or_default();
        let repourl = text(&self.params.repourl);
        for credential in auth.write(git.tree.cx, &repourl).await? {
            if git.run(words(&["credential", "approve"]), Some(credential)).await?.did_fail() {
                return Err(StepError::Failed("git credential approve failed".into()));
            }
        }
        let mut push = words(&["push", &repourl, &text(&self.params.branch)]);
        push.extend(self.params.force.then(|| "--force".to_string()));
        git.must(push).await.map(drop)
    }
}
