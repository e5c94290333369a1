//! `changes.HgPoller` (02.018).
//!
//! Each poll pulls what is watched into a mirror. The mirror numbers revisions as they arrive: of a branch, what came
//! after the known position is new, on all of its heads; of a bookmark, what it leads to and the position does not.
//! Positions are kept as for git.

use crate::git::Encoding;
use crate::kinds::ChangeSourceKind;
use crate::known::{self, Known, Place};
use crate::poller_params::{CATEGORY, CHANGE_FN, poller_kind, poller_params};
use crate::program::{HG, Limits, Program, ProgramError, cover_passwords};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::script::CallSite;
use lunabot_model::{AnyObject, Arg, Callback, CallbackSpec, Json, Kind, Problem, StringOrList};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Revisions that are read and added at a time.
const PIECE: usize = 100;
/// hg says nothing while it transfers, so its silence is no sign.
const PATIENCE: Limits =
    Limits { answer: Duration::from_secs(300), silence: Duration::from_secs(3600), ..Limits::USUAL };
/// The branch of a repository without branches.
const DEFAULT_BRANCH: &str = "default";
/// One revision as [`parse`] reads it.
const TEMPLATE: &str = r"{node}\0{date|hgdate}\0{author}\0{desc|strip}\0{files % '{file}\0'}\0";

poller_params! {
/// Watches branches or bookmarks of a Mercurial repository.
pub struct HgPollerParams {
    /// The address, as `hg pull` takes it.
    pub repourl: String,
    /// The branch to watch. Default: `default`.
    #[serde(default)]
    pub branch: Option<String>,
    /// The branches to watch.
    #[serde(default)]
    pub branches: Option<StringOrList>,
    /// The bookmarks to watch.
    #[serde(default)]
    pub bookmarks: Option<StringOrList>,
    /// Folder of the mirror; one for each poller. Default: one below `hgpoller-work`.
    #[serde(default)]
    pub workdir: Option<String>,
    /// The program. Default `hg`.
    #[serde(default = "hg")]
    pub hgbin: String,
    /// Changes bear the time of their revision (default), or the time when they were found.
    #[serde(default = "yes")]
    pub usetimestamps: bool,
    /// How to read names and messages that are not UTF-8.
    #[serde(default = "utf8")]
    pub encoding: String,
    /// Gives the address of a revision's page.
    #[serde(default)]
    pub revlink: Option<Callback>,
}
}

fn hg() -> String {
    "hg".into()
}
fn yes() -> bool {
    true
}
fn utf8() -> String {
    "utf-8".into()
}

impl Params for HgPollerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.common().problems();
        let mut add = |path: &str, message: &str| problems.push(Problem::new(path, message));
        if self.repourl.trim().is_empty() || self.repourl.starts_with('-') {
            add("repourl", "must be the address of a repository");
        }
        if self.branch.is_some() && self.branches.is_some() {
            add("branch", "branch and branches exclude each other");
        }
        if let Err(problem) = Encoding::named(&self.encoding) {
            add("encoding", &problem);
        }
        problems
    }
}

const REVLINK: CallbackSpec = CallbackSpec {
    option: "revlink",
    args: "branch, revision",
    returns: "the address of the revision's page, or nil",
    on_error: "no link",
};

static KIND: Kind = poller_kind(
    "HgPoller",
    &["repourl"],
    "Watches branches or bookmarks of a Mercurial repository and reports each new revision as a change. The first \
     poll only remembers where they stand.",
    schema_of::<HgPollerParams>,
    check_as::<HgPollerParams>,
    &[REVLINK, CATEGORY, CHANGE_FN],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    object.arg("repourl").and_then(Json::as_str).unwrap_or_default().to_string()
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let whole = |message: String| vec![Problem::new("", message)];
    let params: HgPollerParams =
        serde_json::from_value(object.args.clone()).map_err(|e| whole(e.to_string()))?;
    let encoding = Encoding::named(&params.encoding).map_err(whole)?;
    Ok(Arc::new(HgPoller { params, encoding }))
}

/// A poller as declared.
struct HgPoller {
    params: HgPollerParams,
    encoding: Encoding,
}

/// Something that is watched.
enum Watched<'a> {
    Branch(&'a str),
    Bookmark(&'a str),
}

impl Watched<'_> {
    fn name(&self) -> &str {
        match self {
            Watched::Branch(name) | Watched::Bookmark(name) => name,
        }
    }

    /// All of its revisions, in Mercurial's language of sets.
    fn all(&self) -> String {
        match self {
            Watched::Branch(name) => format!("present(branch({}))", literal(name)),
            Watched::Bookmark(name) => format!("::present(bookmark({}))", literal(name)),
        }
    }

    /// Those that came after a position.
    fn after(&self, node: &str) -> String {
        match self {
            Watched::Branch(_) => format!("{} and ({node}:) - {node}", self.all()),
            Watched::Bookmark(_) => format!("{} - ::{node}", self.all()),
        }
    }
}

/// A name as a pattern that stands for itself.
fn literal(name: &str) -> String {
    format!("\"literal:{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One revision.
struct Revision {
    node: String,
    when: i64,
    author: String,
    message: String,
    files: Vec<String>,
}

impl HgPoller {
    fn watched(&self) -> Vec<Watched<'_>> {
        let params = &self.params;
        let branches = params.branch.iter().chain(params.branches.iter().flat_map(|list| &list.0));
        let bookmarks = params.bookmarks.iter().flat_map(|list| &list.0);
        let all: Vec<Watched<'_>> = branches
            .map(|name| Watched::Branch(name))
            .chain(bookmarks.map(|name| Watched::Bookmark(name)))
            .collect();
        if all.is_empty() { vec![Watched::Branch(DEFAULT_BRANCH)] } else { all }
    }

    fn dir(&self, cx: &SourceContext) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        self.params.repourl.hash(&mut hasher);
        let own = || format!("hgpoller-work/{:016x}", hasher.finish());
        cx.basedir.join(self.params.workdir.clone().unwrap_or_else(own))
    }

    /// hg in the mirror, which is made if it is not there. Never in a repository that the folder may lie in.
    async fn hg(&self, cx: &SourceContext) -> Result<Program, ProgramError> {
        let dir = self.dir(cx);
        tokio::fs::create_dir_all(&dir).await.map_err(|error| ProgramError::File {
            path: dir.display().to_string(),
            reason: error.to_string(),
        })?;
        let outside = Program::new(HG, &self.params.hgbin, &dir, PATIENCE, cx.clock.clone());
        let hg = outside.clone().with(Vec::new(), vec!["--repository".into(), ".".into()]);
        if !tokio::fs::try_exists(dir.join(".hg")).await.unwrap_or(false) {
            outside.ask(&["init", "."], &[]).await?;
        }
        Ok(hg)
    }

    /// Brings the mirror up to date.
    async fn pull(&self, hg: &Program) -> Result<(), ProgramError> {
        let mut args = vec!["pull", "--quiet"];
        let named =
            self.params.branch.is_some() || self.params.branches.is_some() || self.params.bookmarks.is_some();
        let watched = self.watched();
        // A repository without revisions has no branches to name, but can be pulled from.
        for one in watched.iter().filter(|_| named) {
            match one {
                Watched::Branch(name) => args.extend(["--branch", name]),
                Watched::Bookmark(name) => args.extend(["--bookmark", name]),
            }
        }
        args.push(&self.params.repourl);
        hg.transfer(&args).await.map(drop)
    }

    /// The names of a set's revisions, oldest first.
    async fn nodes(&self, hg: &Program, set: &str) -> Result<Vec<String>, SourceError> {
        let sorted = format!("sort({set}, rev)");
        let output = hg.ask(&["log", "--rev", &sorted, "--template", r"{node}\n"], &[]).await?;
        Ok(String::from_utf8_lossy(&output).lines().map(String::from).collect())
    }

    async fn revisions(&self, hg: &Program, nodes: &[String]) -> Result<Vec<Revision>, SourceError> {
        let set = format!("sort({}, rev)", nodes.join("+"));
        let output = hg.ask(&["log", "--rev", &set, "--template", TEMPLATE], &[]).await?;
        let revisions = parse(&output, self.encoding);
        match revisions.iter().map(|revision| &revision.node).eq(nodes) {
            true => Ok(revisions),
            false => {
                Err(SourceError::Other(format!("hg log was asked for {nodes:?} and gave something else")))
            }
        }
    }

    /// Adds what is new on one branch or bookmark.
    async fn report(
        &self,
        hg: &Program,
        watched: &Watched<'_>,
        added: &BTreeSet<Place>,
        known: &mut Known,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        let name = watched.name();
        let Some(position) = self.nodes(hg, &format!("max({})", watched.all())).await?.pop() else {
            return Ok(());
        };
        let before = match known.get(name) {
            Some(before) if before == position => return Ok(()),
            Some(before) => self.nodes(hg, &format!("present({before})")).await?.pop(),
            None => None,
        };
        let Some(before) = before else {
            if let Some(lost) = known.get(name) {
                tracing::warn!(source = %cx.name, "{name}: revision {lost} is gone; going on from {position}");
            }
            known.set(name, &position);
            return known.save(cx).await;
        };
        for piece in self.nodes(hg, &watched.after(&before)).await?.chunks(PIECE) {
            let outcome = self.add(hg, name, piece, added, known, cx).await;
            known.save(cx).await?;
            outcome?;
        }
        known.set(name, &position);
        known.save(cx).await
    }

    async fn add(
        &self,
        hg: &Program,
        name: &str,
        piece: &[String],
        added: &BTreeSet<Place>,
        known: &mut Known,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        let revisions = self.revisions(hg, piece).await?;
        let places: Vec<Place> = piece.iter().map(|node| (name.to_string(), node.clone())).collect();
        known::announce(cx, &places).await?;
        for (revision, place) in revisions.into_iter().zip(places) {
            if !added.contains(&place) {
                let change = self.change(revision, name, cx).await;
                cx.intake.add(change, &self.params.common().functions(), &cx.concerns()).await?;
            }
            known.set(name, &place.1);
        }
        Ok(())
    }

    async fn change(&self, revision: Revision, branch: &str, cx: &SourceContext) -> NewChange {
        NewChange {
            author: revision.author,
            files: revision.files,
            comments: revision.message,
            revlink: self.link(branch, &revision.node, cx).await,
            revision: Some(revision.node),
            when_timestamp: self.params.usetimestamps.then_some(revision.when),
            branch: Some(branch.into()),
            category: self.params.common().category(),
            repository: self.params.repourl.clone(),
            project: self.params.project.clone().unwrap_or_default(),
            ..NewChange::default()
        }
    }

    /// An error of the function means no link; the host has recorded it.
    async fn link(&self, branch: &str, node: &str, cx: &SourceContext) -> Option<String> {
        let callback = self.params.revlink.as_ref()?;
        let site = CallSite::new("revlink", cx.concerns());
        let args = [branch, node].map(|text| Arg::Value(text.into())).to_vec();
        match cx.script().call(callback, site.clone(), args).await {
            Ok(Json::String(link)) => Some(link),
            Ok(Json::Null) | Err(_) => None,
            Ok(other) => {
                let message = format!("revlink returned {}; wanted a text or nil", cx.script().shown(&other));
                cx.script().nonsense(callback, site, &message);
                None
            }
        }
    }
}

/// Reads [`TEMPLATE`]'s output; a revision ends with an empty field where a file's name would be.
fn parse(output: &[u8], encoding: Encoding) -> Vec<Revision> {
    let mut fields = output.split(|byte| *byte == 0);
    let mut revisions = Vec::new();
    while let Some(node) = fields.next().filter(|node| !node.is_empty()) {
        let mut next = || fields.next().map(|field| encoding.decode(field)).unwrap_or_default();
        let (date, author, message) = (next(), next(), next());
        let files = fields.by_ref().take_while(|file| !file.is_empty()).map(|file| encoding.decode(file));
        revisions.push(Revision {
            files: files.collect(),
            node: String::from_utf8_lossy(node).into_owned(),
            when: date.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default(),
            author,
            message,
        });
    }
    revisions
}

#[async_trait]
impl Poller for HgPoller {
    fn times(&self) -> PollTimes {
        self.params.common().times()
    }

    fn describe(&self) -> String {
        let names: Vec<String> = self.watched().iter().map(|one| one.name().to_string()).collect();
        format!("hg poller of {} of {}", names.join(", "), cover_passwords(&self.params.repourl))
    }

    async fn check(&self, _: &SourceContext) -> Result<(), SourceError> {
        Ok(())
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let hg = self.hg(cx).await?;
        self.pull(&hg).await?;
        let mut known = Known::load(cx).await?;
        let added = match cx.first {
            true => known::already_added(cx, &self.params.repourl).await?,
            false => BTreeSet::new(),
        };
        for watched in self.watched() {
            self.report(&hg, &watched, &added, &mut known, cx).await?;
        }
        Ok(())
    }
}
