//! `changes.BzrPoller` (02.027): the revisions of one branch of Bazaar, by number.

use crate::bzr_log::{self, Deed, Revision};
use crate::kinds::{ChangeSourceKind, checked};
use crate::known::{self, Known, Place};
use crate::poller_params::{CATEGORY, CHANGE_FN, poller_kind, poller_params};
use crate::program::{BRZ, Limits, Program, cover_passwords};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{AnyObject, Json, Kind, Problem};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Revisions that are read and added at a time.
const PIECE: u64 = 100;
/// brz says nothing while it reads a remote branch.
const PATIENCE: Limits = Limits { answer: Duration::from_secs(300), ..Limits::USUAL };
/// Under which the position is kept: there is one branch only.
const POSITION: &str = "";

poller_params! {
/// Watches a branch of Bazaar.
pub struct BzrPollerParams {
    /// The address of the branch, as `brz log` takes it.
    pub url: String,
    /// The branch of the changes. Default: none.
    #[serde(default)]
    pub branch_name: Option<String>,
    /// The author of a merge is who wrote it, not who merged it; default false.
    #[serde(default)]
    pub blame_merge_author: bool,
    /// The program. Default `brz`.
    #[serde(default = "brz")]
    pub bzrbin: String,
}
}

fn brz() -> String {
    "brz".into()
}

impl Params for BzrPollerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.common().problems();
        if self.url.trim().is_empty() || self.url.starts_with('-') {
            problems.push(Problem::new("url", "must be the address of a branch"));
        }
        problems
    }
}

static KIND: Kind = poller_kind(
    "BzrPoller",
    &["url"],
    "Watches a branch of Bazaar and reports each new revision as a change. The first poll only remembers where the \
     branch stands.",
    schema_of::<BzrPollerParams>,
    check_as::<BzrPollerParams>,
    &[CATEGORY, CHANGE_FN],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    object.arg("url").and_then(Json::as_str).unwrap_or_default().to_string()
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    Ok(Arc::new(BzrPoller { params: checked(object)? }))
}

struct BzrPoller {
    params: BzrPollerParams,
}

impl BzrPoller {
    /// The number of the newest revision.
    async fn tip(&self, brz: &Program) -> Result<u64, SourceError> {
        let output = brz.ask(&["revno", &self.params.url], &[]).await?;
        let text = String::from_utf8_lossy(&output).trim().to_string();
        text.parse().map_err(|_| SourceError::Other(format!("brz revno answered {text:?}, not a number")))
    }

    /// Revisions by number, both ends included.
    async fn revisions(&self, brz: &Program, from: u64, to: u64) -> Result<Vec<Revision>, SourceError> {
        let range = format!("--revision={from}..{to}");
        let args = [
            "log",
            "--long",
            "--verbose",
            "--forward",
            "--levels=1",
            "--timezone=utc",
            &range,
            &self.params.url,
        ];
        let output = brz.ask(&args, &[]).await?;
        let revisions = bzr_log::read(String::from_utf8_lossy(&output).lines());
        let numbers = revisions.iter().map(|revision| revision.revno.parse::<u64>().ok());
        match numbers.eq((from..=to).map(Some)) {
            true => Ok(revisions),
            false => Err(SourceError::Other(format!(
                "brz log was asked for {from} to {to} and gave something else"
            ))),
        }
    }

    async fn add(
        &self,
        revisions: Vec<Revision>,
        added: &BTreeSet<Place>,
        known: &mut Known,
        cx: &SourceContext,
    ) -> Result<(), SourceError> {
        let branch = self.params.branch_name.clone().unwrap_or_default();
        let places: Vec<Place> = revisions.iter().map(|one| (branch.clone(), one.revno.clone())).collect();
        known::announce(cx, &places).await?;
        let functions = self.params.common().functions();
        for (revision, place) in revisions.into_iter().zip(places) {
            if !added.contains(&place) {
                cx.intake.add(self.change(revision), &functions, &cx.concerns()).await?;
            }
            known.set(POSITION, &place.1);
        }
        Ok(())
    }

    fn change(&self, revision: Revision) -> NewChange {
        let merger = revision.committer.clone();
        let author = match (revision.author, self.params.blame_merge_author) {
            (Some(author), true) => author,
            (Some(author), false) if merger.is_empty() => author,
            _ => merger,
        };
        NewChange {
            author,
            committer: Some(revision.committer),
            files: revision.files.into_iter().flat_map(|(deed, file)| names(deed, file)).collect(),
            comments: revision.message.trim_end().to_string(),
            revision: Some(revision.revno),
            when_timestamp: revision.when,
            branch: self.params.branch_name.clone(),
            category: self.params.common().category(),
            repository: self.params.url.clone(),
            project: self.params.project.clone().unwrap_or_default(),
            ..NewChange::default()
        }
    }
}

/// Both names of a renamed file.
fn names(deed: Deed, file: String) -> Vec<String> {
    match file.split_once(" => ") {
        Some((old, new)) if deed == Deed::Renamed => vec![old.into(), new.into()],
        _ => vec![file],
    }
}

#[async_trait]
impl Poller for BzrPoller {
    fn times(&self) -> PollTimes {
        self.params.common().times()
    }

    fn describe(&self) -> String {
        format!("bzr poller of {}", cover_passwords(&self.params.url))
    }

    async fn check(&self, _: &SourceContext) -> Result<(), SourceError> {
        Ok(())
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let brz = Program::new(BRZ, &self.params.bzrbin, &cx.basedir, PATIENCE, cx.clock.clone());
        let tip = self.tip(&brz).await?;
        let mut known = Known::load(cx).await?;
        let position = known.get(POSITION).and_then(|number| number.parse::<u64>().ok());
        // The first poll of all; or revisions were taken back.
        let Some(mut position) = position.filter(|position| *position <= tip) else {
            known.set(POSITION, &tip.to_string());
            return known.save(cx).await;
        };
        let added = match cx.first {
            true => known::already_added(cx, &self.params.url).await?,
            false => BTreeSet::new(),
        };
        while position < tip {
            let end = tip.min(position + PIECE);
            let revisions = self.revisions(&brz, position + 1, end).await?;
            let outcome = self.add(revisions, &added, &mut known, cx).await;
            known.save(cx).await?;
            outcome?;
            position = end;
        }
        Ok(())
    }
}
