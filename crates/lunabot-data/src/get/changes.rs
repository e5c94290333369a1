//! What is new in a build (09.037).

use super::{Answer, parse};
use crate::data::Data;
use crate::error::Result;
use lunabot_db::endpoints::Found;
use lunabot_db::{Resource, field_specs};
use lunabot_model::Json;
use lunabot_model::resources::{Build, Change, SourceStamp};
use std::collections::{BTreeMap, BTreeSet};

/// Ancestors followed at most: a first build may have all of history behind it.
const LONGEST_CHAIN: usize = 1000;

/// What a build was made from.
struct Sources {
    /// Repository, branch and codebase of each stamp.
    identity: BTreeSet<(String, Option<String>, String)>,
    /// The newest change of each codebase that has one.
    newest: BTreeMap<String, Change>,
}

impl Data {
    pub(super) async fn build_changes(&self, found: &Found, query: &str) -> Result<Answer> {
        let spec = parse(query, &field_specs(Change::DECL), true)?;
        let build: Option<Build> = self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
        let changes = match build {
            Some(build) => self.new_changes(&build).await?,
            None => Vec::new(),
        };
        let rows: Vec<Json> = changes.iter().map(super::json).collect();
        let (mut items, total) = spec.apply(rows);
        items.iter_mut().for_each(|item| spec.project(item));
        Ok(Answer::List { plural: "changes", items, total: i64::try_from(total).ok() })
    }

    async fn sources(&self, build: i64) -> Result<Sources> {
        let store = &self.shared.store;
        let ids = store.stamps_of_build(build).await?;
        let mut identity = BTreeSet::new();
        for id in &ids {
            if let Some(stamp) = store.by_id::<SourceStamp>(*id).await? {
                identity.insert((stamp.repository, stamp.branch, stamp.codebase));
            }
        }
        let changes = store.changes_of_stamps(&ids).await?;
        let newest = changes.into_iter().map(|change| (change.codebase.clone(), change)).collect();
        Ok(Sources { identity, newest })
    }

    async fn new_changes(&self, build: &Build) -> Result<Vec<Change>> {
        let own = self.sources(build.buildid).await?;
        let previous = self.previous(build, &own).await?;
        let mut all = Vec::new();
        for (codebase, change) in own.newest {
            let until = previous.get(&codebase).map(|c| c.changeid);
            self.ancestry(change, until, &mut all).await?;
        }
        Ok(all)
    }

    /// The newest changes of the last successful build of the same sources.
    async fn previous(&self, build: &Build, own: &Sources) -> Result<BTreeMap<String, Change>> {
        for (id, _) in self.shared.store.previous_successes(build.builderid, build.number).await? {
            let sources = self.sources(id).await?;
            if sources.identity == own.identity {
                return Ok(sources.newest);
            }
        }
        Ok(BTreeMap::new())
    }

    /// The change, and its ancestors up to but without `until`.
    async fn ancestry(&self, change: Change, until: Option<i64>, all: &mut Vec<Change>) -> Result<()> {
        let mut next = (Some(change.changeid) != until).then_some(change);
        for _ in 0..LONGEST_CHAIN {
            let Some(change) = next.take() else { break };
            let parent = change.parent_changeids.first().copied().filter(|id| Some(*id) != until);
            all.push(change);
            if let Some(parent) = parent {
                next = self.shared.store.by_id(parent).await?;
            }
        }
        Ok(())
    }
}
