//! `changes.SVNPoller` (02.013, 02.014): options in `params`, what svn answers in `answers`.
//!
//! The log is read from the newest revision that was looked at, oldest first, in pieces of `histmax`. A revision's
//! paths are split before the first of its changes is added, and its number is kept after the last.

mod answers;
mod params;

use crate::counted::{self, Counted};
use crate::kinds::ChangeSourceKind;
use crate::poller_params::{CATEGORY, CHANGE_FN, poller_kind};
use crate::program::{Limits, Program, SVN, cover_passwords};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use crate::split_file::{Place, SPLIT_FILE, split};
use answers::{Entry, Path};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{AnyObject, Json, Kind, Problem};
use params::SvnPollerParams;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::OnceCell;

static KIND: Kind = poller_kind(
    "SVNPoller",
    &["repourl"],
    "Watches a folder of a Subversion repository and reports each new revision as one change per branch, project, \
     repository and codebase. The first poll only remembers the newest revision.",
    schema_of::<SvnPollerParams>,
    check_as::<SvnPollerParams>,
    &[SPLIT_FILE, CATEGORY, CHANGE_FN],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    object.arg("repourl").and_then(Json::as_str).unwrap_or_default().to_string()
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let mut params: SvnPollerParams =
        serde_json::from_value(object.args.clone()).map_err(|e| vec![Problem::new("", e.to_string())])?;
    params.repourl = params.repourl.trim_end_matches('/').into();
    Ok(Arc::new(SvnPoller { params, prefix: OnceCell::new() }))
}

/// A poller as declared.
struct SvnPoller {
    params: SvnPollerParams,
    /// The folder below the repository's root.
    prefix: OnceCell<String>,
}

/// svn as one poll runs it.
struct Svn<'a> {
    program: Program,
    params: &'a SvnPollerParams,
    user: Option<String>,
    password: Option<String>,
}

impl Svn<'_> {
    async fn ask(&self, args: &[&str]) -> Result<String, SourceError> {
        let mut all = args.to_vec();
        all.extend(["--xml", "--non-interactive", "--no-auth-cache"]);
        all.extend(self.user.iter().flat_map(|user| ["--username", user]));
        // Other users of this machine see the arguments of a program, not its input.
        all.extend(self.password.iter().map(|_| "--password-from-stdin"));
        all.extend(self.params.extra_args.iter().flat_map(|args| args.0.iter().map(String::as_str)));
        all.push(&self.params.repourl);
        let password = self.password.clone().unwrap_or_default();
        let output = self.program.ask(&all, password.as_bytes()).await?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// The newest `limit` revisions, or those from `since` on; oldest first.
    async fn log(&self, since: Option<u64>, limit: u32) -> Result<Vec<Entry>, SourceError> {
        let (range, limit) = (since.map(|since| format!("{since}:HEAD")), format!("--limit={limit}"));
        let mut args = vec!["log", "--verbose", &limit];
        args.extend(range.iter().flat_map(|range| ["--revision", range]));
        answers::entries(&self.ask(&args).await?).map_err(SourceError::Other)
    }
}

impl SvnPoller {
    async fn svn(&self, cx: &SourceContext) -> Result<Svn<'_>, SourceError> {
        let wanted = json!({"user": self.params.svnuser, "password": self.params.svnpasswd});
        let rendered = cx.render(&wanted).await?;
        let text = |name: &str| rendered[name].as_str().map(String::from);
        let clock = cx.clock.clone();
        Ok(Svn {
            program: Program::new(SVN, &self.params.svnbin, &cx.basedir, Limits::default(), clock),
            params: &self.params,
            user: text("user"),
            password: text("password"),
        })
    }

    /// Where the last poll, or Buildbot's file, left off.
    async fn position(&self, cx: &SourceContext) -> Result<Counted, SourceError> {
        let mut counted = Counted::load(cx).await?;
        if counted.last().is_none()
            && let Some(file) = &self.params.cachepath
            && let Some(revision) = read_cache(&cx.basedir.join(file)).await?
        {
            counted.move_to(cx, revision).await?;
        }
        Ok(counted)
    }

    /// Adds what is new, piece by piece.
    async fn take_in(
        &self,
        svn: &Svn<'_>,
        counted: &mut Counted,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        let Some(mut last) = counted.last() else {
            let newest = svn.log(None, 1).await?.last().map_or(0, |entry| entry.revision);
            return counted.move_to(cx, newest).await;
        };
        loop {
            // The first is the one that was looked at already: a revision that does not exist yet is an error.
            let entries = svn.log(Some(last), self.params.histmax.saturating_add(1)).await?;
            let new: Vec<Entry> = entries.into_iter().filter(|entry| entry.revision > last).collect();
            if new.is_empty() {
                return Ok(());
            }
            for entry in new {
                last = entry.revision;
                let changes = self.changes(&entry, svn, cx).await?;
                counted.add(cx, last, changes, &self.params.common().functions()).await?;
            }
        }
    }

    /// The changes of one revision: one per branch, project, repository and codebase.
    async fn changes(
        &self,
        entry: &Entry,
        svn: &Svn<'_>,
        cx: &SourceContext,
    ) -> Result<Vec<NewChange>, SourceError> {
        let mut groups: Vec<(Place, Vec<(String, bool)>)> = Vec::new();
        for path in &entry.paths {
            let Some(place) = self.place(path, svn, cx).await? else { continue };
            let file = (place.path.clone(), path.deleted);
            let key = Place { path: String::new(), ..place };
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, files)) => files.push(file),
                None => groups.push((key, vec![file])),
            }
        }
        // Nothing is left to build where a branch went.
        let gone = |files: &[(String, bool)]| matches!(files, [(path, true)] if path.is_empty());
        let told = groups.into_iter().filter(|(_, files)| !gone(files));
        Ok(told.map(|(place, files)| self.change(entry, place, files)).collect())
    }

    async fn place(
        &self,
        path: &Path,
        svn: &Svn<'_>,
        cx: &SourceContext,
    ) -> Result<Option<Place>, SourceError> {
        let prefix = self.prefix.get_or_try_init(|| async {
            let info = svn.ask(&["info"]).await?;
            answers::prefix(&info, &self.params.repourl).map_err(SourceError::Other)
        });
        let prefix = prefix.await?.as_str();
        let below = match prefix {
            "" => Some(path.path.as_str()),
            prefix => path.path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(below) = below else { return Ok(None) };
        match &self.params.split_file {
            Some(callback) => split(callback, below, cx).await,
            None => Ok(Some(Place { path: below.into(), ..Place::default() })),
        }
    }

    fn change(&self, entry: &Entry, place: Place, files: Vec<(String, bool)>) -> NewChange {
        let revision = entry.revision.to_string();
        let link = |template: &String| params::link(template, &revision);
        NewChange {
            author: entry.author.clone(),
            files: files.into_iter().map(|(path, _)| path).collect(),
            comments: entry.message.clone(),
            branch: place.branch,
            category: self.params.common().category(),
            revlink: self.params.revlinktmpl.as_ref().and_then(link),
            repository: place.repository.unwrap_or_else(|| self.params.repourl.clone()),
            project: place.project.or_else(|| self.params.project.clone()).unwrap_or_default(),
            codebase: place.codebase.unwrap_or_default(),
            revision: Some(revision),
            ..NewChange::default()
        }
    }
}

#[async_trait]
impl Poller for SvnPoller {
    fn times(&self) -> PollTimes {
        self.params.common().times()
    }

    fn describe(&self) -> String {
        format!("svn poller of {}", cover_passwords(&self.params.repourl))
    }

    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError> {
        self.svn(cx).await.map(drop)
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let svn = self.svn(cx).await?;
        let mut counted = self.position(cx).await?;
        let before = counted.last();
        let outcome = self.take_in(&svn, &mut counted, cx).await;
        if let (Some(file), Some(last)) = (&self.params.cachepath, counted.last())
            && (cx.first || before != Some(last))
        {
            write_cache(&cx.basedir.join(file), last).await?;
        }
        outcome
    }

    async fn skip(&self, cx: &SourceContext, revision: &str) -> Result<String, SourceError> {
        let newest = self.svn(cx).await?.log(None, 1).await?;
        counted::skip(cx, revision, newest.last().map(|entry| entry.revision)).await
    }
}

/// `None`: there is no such file.
async fn read_cache(path: &std::path::Path) -> Result<Option<u64>, SourceError> {
    let told = |problem: String| SourceError::Other(format!("cachepath {}: {problem}", path.display()));
    match tokio::fs::read_to_string(path).await {
        Ok(text) => match text.trim().parse() {
            Ok(revision) => Ok(Some(revision)),
            Err(_) => Err(told("does not hold the number of a revision; mend or remove it".into())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(told(error.to_string())),
    }
}

/// Another process never sees half a number.
async fn write_cache(path: &std::path::Path, revision: u64) -> Result<(), SourceError> {
    let new = path.with_extension("new");
    let written = async {
        tokio::fs::write(&new, revision.to_string()).await?;
        tokio::fs::rename(&new, path).await
    };
    written.await.map_err(|error| SourceError::Other(format!("cachepath {}: {error}", path.display())))
}
