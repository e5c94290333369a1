//! `changes.GitPoller` (02.010, 02.011).
//!
//! One `ls-remote` per poll; only when a head has moved, one `fetch` of what moved into a bare mirror, and the new
//! commits are read from there. Commits are added oldest first, in pieces; the position of the branch is kept after
//! each piece, so that nothing is reported twice and nothing is lost, wherever the process ends.

mod params;

pub use params::{Branches, GitPollerParams};

use crate::git::{AuthFiles, Commit, Encoding, Git, GitError, Limits, Mirror, RemoteRef};
use crate::kinds::ChangeSourceKind;
use crate::known::{self, Known, Place};
use crate::poller_params::{CATEGORY, CHANGE_FN, poller_kind};
use crate::program::GIT;
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::new::{CodebaseDecl, NewChange, NewCommit};
use lunabot_model::git::RenderedAuth;
use lunabot_model::kind;
use lunabot_model::script::CallSite;
use lunabot_model::{AnyObject, Arg, Callback, CallbackSpec, Id, Json, Kind, Problem};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Commits that are read and added at a time.
const PIECE: usize = 100;

static KIND: Kind = poller_kind(
    "GitPoller",
    &["repourl"],
    "Watches branches or tags of a git repository and reports each new commit as a change. The first poll only \
     remembers where the branches stand.",
    kind::schema_of::<GitPollerParams>,
    kind::check_as::<GitPollerParams>,
    &[
        CallbackSpec {
            option: "branches",
            args: "ref",
            returns: "boolean",
            on_error: "the poll is repeated",
        },
        CATEGORY,
        CHANGE_FN,
    ],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    object.arg("repourl").and_then(Json::as_str).unwrap_or_default().to_string()
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let poller = GitPoller::new(&object.args, Limits::default())?;
    Ok(Arc::new(poller))
}

/// A poller as declared.
pub struct GitPoller {
    params: GitPollerParams,
    encoding: Encoding,
    limits: Limits,
}

impl GitPoller {
    /// Reads the options.
    pub fn new(args: &Json, limits: Limits) -> Result<Self, Vec<Problem>> {
        let problems = kind::check_as::<GitPollerParams>(args);
        if !problems.is_empty() {
            return Err(problems);
        }
        let whole = |message: String| vec![Problem::new("", message)];
        let params: GitPollerParams =
            serde_json::from_value(args.clone()).map_err(|e| whole(e.to_string()))?;
        let encoding = Encoding::named(&params.encoding).map_err(whole)?;
        Ok(GitPoller { params, encoding, limits })
    }

    async fn auth(&self, cx: &SourceContext) -> Result<RenderedAuth, SourceError> {
        let rendered = cx.render(&self.params.auth().to_render()).await?;
        RenderedAuth::read(&rendered).map_err(SourceError::Other)
    }

    /// The references to watch, as the remote has them now.
    async fn wanted(&self, mirror: &Mirror<'_>, cx: &SourceContext) -> Result<Vec<RemoteRef>, SourceError> {
        let named = self.params.branch.as_ref().map(|branch| Branches::Named(vec![branch.clone()]));
        if self.params.only_tags {
            return Ok(mirror.refs(Some("--tags"), &[]).await?);
        }
        match named.or_else(|| self.params.branches.clone()).unwrap_or(Branches::Default) {
            Branches::Default => Ok(mirror.default_branch().await?.into_iter().collect()),
            Branches::All => Ok(mirror.refs(Some("--heads"), &[]).await?),
            Branches::Named(names) if names.is_empty() => Ok(Vec::new()),
            Branches::Named(names) => {
                let full: Vec<String> = names.iter().map(|name| full_name(name)).collect();
                Ok(mirror.refs(None, &full).await?)
            }
            Branches::Chosen(callback) => self.chosen(&callback, mirror.refs(None, &[]).await?, cx).await,
        }
    }

    async fn chosen(
        &self,
        callback: &Callback,
        all: Vec<RemoteRef>,
        cx: &SourceContext,
    ) -> Result<Vec<RemoteRef>, SourceError> {
        let mut chosen = Vec::new();
        for found in all {
            let site = CallSite::new("branches", cx.concerns());
            let args = vec![Arg::Value(found.name.as_str().into())];
            match cx.script().call(callback, site.clone(), args).await? {
                Json::Bool(true) => chosen.push(found),
                Json::Bool(false) | Json::Null => {}
                other => {
                    let message =
                        format!("branches returned {}; wanted true or false", cx.script().shown(&other));
                    cx.script().nonsense(callback, site, &message);
                    return Err(SourceError::Other(message));
                }
            }
        }
        Ok(chosen)
    }

    /// Adds the commits that brought `head` where it is.
    async fn report(
        &self,
        mirror: &Mirror<'_>,
        head: &RemoteRef,
        added: &BTreeSet<Place>,
        known: &mut Known,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        let branch = short_name(&head.name);
        let mut revisions = mirror.new_revisions(&head.commit, &known.revisions()).await?;
        if revisions.is_empty() && self.params.build_pushes_with_no_commits {
            revisions.push(head.commit.clone());
        }
        for piece in revisions.chunks(PIECE) {
            let outcome = self.add(mirror, branch, piece, added, known, cx).await;
            known.save(cx).await?;
            outcome?;
        }
        known.set(branch, &head.commit);
        known.save(cx).await
    }

    async fn add(
        &self,
        mirror: &Mirror<'_>,
        branch: &str,
        revisions: &[String],
        added: &BTreeSet<Place>,
        known: &mut Known,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        let commits = mirror.commits(revisions, self.encoding).await?;
        let places: Vec<Place> =
            revisions.iter().map(|revision| (branch.to_string(), revision.clone())).collect();
        known::announce(cx, &places).await?;
        let functions = self.params.common().functions();
        let codebase = self.codebase(cx).await?;
        for (commit, place) in commits.into_iter().zip(places) {
            let recorded = codebase.map(|codebase| (codebase, new_commit(&commit)));
            if !added.contains(&place) {
                cx.intake.add(self.change(commit, branch), &functions, &cx.concerns()).await?;
            }
            if let Some((codebase, commit)) = recorded {
                cx.data().add_commit(codebase, branch, commit).await?;
            }
            known.set(branch, &place.1);
        }
        Ok(())
    }

    /// The row of the codebase in which commits are recorded.
    async fn codebase(&self, cx: &SourceContext) -> Result<Option<Id>, SourceError> {
        let Some(codebase) = &self.params.codebase else { return Ok(None) };
        let decl = CodebaseDecl {
            name: codebase.args.name.clone(),
            slug: codebase.args.slug().to_owned(),
            project: codebase.args.project.clone(),
        };
        Ok(cx.data().sync_codebases(&[decl]).await?.pop())
    }

    fn change(&self, commit: Commit, branch: &str) -> NewChange {
        NewChange {
            author: commit.author,
            committer: Some(commit.committer),
            files: commit.files,
            comments: commit.comments,
            revision: Some(commit.revision),
            when_timestamp: self.params.usetimestamps.then_some(commit.when),
            branch: Some(branch.into()),
            category: self.params.common().category(),
            repository: self.params.repourl.clone(),
            project: self.params.project.clone().unwrap_or_default(),
            ..NewChange::default()
        }
    }

    /// A folder for keys that no other source and no other poll uses.
    fn auth_dir(&self, cx: &SourceContext) -> (PathBuf, PathBuf) {
        static POLLS: AtomicU64 = AtomicU64::new(0);
        let mut hasher = DefaultHasher::new();
        cx.name.hash(&mut hasher);
        let base = cx
            .basedir
            .join(format!("{}.auth", self.params.workdir))
            .join(format!("{:016x}", hasher.finish()));
        let own = base.join(POLLS.fetch_add(1, Ordering::Relaxed).to_string());
        (base, own)
    }
}

#[async_trait]
impl Poller for GitPoller {
    fn times(&self) -> PollTimes {
        self.params.common().times()
    }

    fn describe(&self) -> String {
        let what = match (&self.params.branch, &self.params.branches) {
            _ if self.params.only_tags => "the tags".to_string(),
            (Some(branch), _) => format!("branch {branch}"),
            (None, Some(Branches::All)) => "all branches".to_string(),
            (None, Some(Branches::Named(names))) => format!("branches {}", names.join(", ")),
            (None, Some(Branches::Chosen(_))) => "chosen references".to_string(),
            (None, Some(Branches::Default) | None) => "the default branch".to_string(),
        };
        format!("git poller of {what} of {}", crate::git::cover_passwords(&self.params.repourl))
    }

    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError> {
        self.auth(cx).await.map(drop)
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let dir = cx.basedir.join(&self.params.workdir);
        make_dir(&dir).await?;
        let git = Git::new(GIT, &self.params.gitbin, &dir, self.limits, cx.clock.clone());
        let (base, own) = self.auth_dir(cx);
        if cx.first {
            remove_dir(&base).await?;
        }
        let auth = AuthFiles::write(&self.auth(cx).await?, &self.params.repourl, own, &git).await?;
        let mirror = Mirror::new(auth.apply(git), &self.params.repourl);
        let heads = self.wanted(&mirror, cx).await?;
        if heads.is_empty() {
            return Ok(());
        }
        let mut known = Known::load(cx).await?;
        let moved = |head: &&RemoteRef| known.get(short_name(&head.name)) != Some(&head.commit);
        let moved: Vec<RemoteRef> = heads.iter().filter(moved).cloned().collect();
        if !moved.is_empty() {
            mirror.prepare().await?;
            mirror.fetch(&moved).await?;
            self.take_in(&mirror, &moved, &mut known, cx).await?;
        }
        let gone = known.retain(&heads.iter().map(|head| short_name(&head.name)).collect());
        if !gone.is_empty() {
            known.save(cx).await?;
            let names: Vec<String> = gone.iter().map(|name| full_name(name)).collect();
            mirror.forget(&names).await?;
        }
        Ok(())
    }
}

impl GitPoller {
    /// The first poll of all remembers; later ones report.
    async fn take_in(
        &self,
        mirror: &Mirror<'_>,
        moved: &[RemoteRef],
        known: &mut Known,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        let added = match cx.first {
            true => known::already_added(cx, &self.params.repourl).await?,
            false => BTreeSet::new(),
        };
        if known.is_empty() {
            return self.begin(mirror, moved, &added, known, cx).await;
        }
        for head in moved {
            self.report(mirror, head, &added, known, cx).await?;
        }
        Ok(())
    }

    /// Remembers where the branches stand; their newest commits are changes only where that is asked for.
    async fn begin(
        &self,
        mirror: &Mirror<'_>,
        heads: &[RemoteRef],
        added: &BTreeSet<Place>,
        known: &mut Known,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        if self.params.newest_at_first_poll {
            let place = |head: &RemoteRef| (short_name(&head.name).to_string(), head.commit.clone());
            known::announce(cx, &heads.iter().map(place).collect::<Vec<_>>()).await?;
            let functions = self.params.common().functions();
            for head in heads.iter().filter(|head| !added.contains(&place(head))) {
                let commits = mirror.commits(std::slice::from_ref(&head.commit), self.encoding).await?;
                for commit in commits {
                    let (branch, recorded) = (short_name(&head.name), new_commit(&commit));
                    cx.intake.add(self.change(commit, branch), &functions, &cx.concerns()).await?;
                    if let Some(codebase) = self.codebase(cx).await? {
                        cx.data().add_commit(codebase, branch, recorded).await?;
                    }
                }
            }
        }
        heads.iter().for_each(|head| known.set(short_name(&head.name), &head.commit));
        known.save(cx).await
    }
}

/// What a codebase keeps of a commit.
fn new_commit(commit: &Commit) -> NewCommit {
    NewCommit {
        author: commit.author.clone(),
        committer: Some(commit.committer.clone()),
        comments: commit.comments.clone(),
        when_timestamp: commit.when,
        revision: commit.revision.clone(),
        parent: commit.parent.clone(),
    }
}

fn full_name(branch: &str) -> String {
    if branch.starts_with("refs/") { branch.into() } else { format!("refs/heads/{branch}") }
}

fn short_name(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}

async fn make_dir(dir: &std::path::Path) -> Result<(), GitError> {
    let failed =
        |e: std::io::Error| GitError::File { path: dir.display().to_string(), reason: e.to_string() };
    tokio::fs::create_dir_all(dir).await.map_err(failed)
}

async fn remove_dir(dir: &std::path::Path) -> Result<(), GitError> {
    match tokio::fs::remove_dir_all(dir).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(GitError::File { path: dir.display().to_string(), reason: e.to_string() })
        }
        _ => Ok(()),
    }
}
