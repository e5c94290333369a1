//! `util.OldBuildCanceller` (reference 03.025).

use super::kinds::OldBuildCancellerParams;
use super::stamps::Rule;
use super::{Around, id_of};
use crate::scripts::RequestChanges;
use lunabot_data::new::PendingRequest;
use lunabot_data::{DataError, Delivery};
use lunabot_model::resources::SourceStamp;
use lunabot_model::script::CallSite;
use lunabot_model::{AnyObject, Arg, BuildRequestId, BuilderId, Callback, ChangeId, Json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

const REASON: &str = "Build request has been obsoleted by a newer commit";

/// See the module.
pub(super) struct OldBuilds {
    name: String,
    rules: Vec<Rule>,
    branch_key: Option<Callback>,
}

/// A line of development as one builder sees it: builder, project, codebase, repository, branch.
type Line = (BuilderId, String, String, String, String);

/// The open requests, and the newest change of each on the lines that it is on; 0: none is known.
#[derive(Default)]
struct Tracked {
    lines: HashMap<Line, BTreeMap<BuildRequestId, ChangeId>>,
    requests: HashMap<BuildRequestId, Vec<Line>>,
}

impl Tracked {
    /// Notes a request; gives those that it makes obsolete.
    fn add(&mut self, request: BuildRequestId, lines: Vec<(Line, ChangeId)>) -> BTreeSet<BuildRequestId> {
        let mut obsolete = BTreeSet::new();
        for (line, newest) in &lines {
            let open = self.lines.entry(line.clone()).or_default();
            let older = open.range(..request).filter(|(_, change)| *change < newest);
            obsolete.extend(older.map(|(id, _)| *id));
            open.insert(request, *newest);
        }
        self.requests.insert(request, lines.into_iter().map(|(line, _)| line).collect());
        obsolete
    }

    fn remove(&mut self, request: BuildRequestId) {
        for line in self.requests.remove(&request).into_iter().flatten() {
            if let Some(open) = self.lines.get_mut(&line) {
                open.remove(&request);
                if open.is_empty() {
                    self.lines.remove(&line);
                }
            }
        }
    }
}

impl OldBuilds {
    pub fn read(object: &AnyObject) -> Result<Self, String> {
        let params: OldBuildCancellerParams = object.typed().map_err(|error| error.to_string())?.args;
        let rules = Rule::all(&params.filters)?;
        Ok(OldBuilds { name: params.name, rules, branch_key: params.branch_key })
    }

    pub async fn live(self, around: &Around) {
        let mut events = around.listen(&["buildrequests/*/new", "buildrequests/*/complete"]);
        let mut tracked = Tracked::default();
        self.look_at(around, None, &mut tracked).await;
        while let Some(delivery) = events.next().await {
            match (id_of(&delivery), &delivery) {
                (Some(id), Delivery::Event(event)) if event.topic.part(2) == Some("new") => {
                    self.look_at(around, Some(id), &mut tracked).await;
                }
                (Some(id), _) => tracked.remove(id),
                // Events were missed: everything is looked at once more.
                (None, _) => {
                    tracked = Tracked::default();
                    self.look_at(around, None, &mut tracked).await;
                }
            }
        }
    }

    /// Looks at one new request, or at all that are open, oldest first.
    async fn look_at(&self, around: &Around, only: Option<BuildRequestId>, tracked: &mut Tracked) {
        if let Err(error) = self.try_look_at(around, only, tracked).await {
            tracing::error!(service = self.name, "could not look at requests: {error}");
        }
    }

    async fn try_look_at(
        &self,
        around: &Around,
        only: Option<BuildRequestId>,
        tracked: &mut Tracked,
    ) -> Result<(), DataError> {
        let only = only.map(|id| [id]);
        let open = around.data.incomplete_requests(only.as_ref().map(<[i64; 1]>::as_slice)).await?;
        let open: Vec<Arc<PendingRequest>> = open.into_iter().map(Arc::new).collect();
        let changes = RequestChanges::read(&around.data, open.clone()).await?;
        for request in open {
            let id = request.request.buildrequestid;
            let lines = self.lines(around, &request, &changes).await;
            for obsolete in tracked.add(id, lines) {
                around.cancel(&self.name, obsolete, REASON).await;
            }
        }
        Ok(())
    }

    async fn lines(
        &self,
        around: &Around,
        request: &PendingRequest,
        changes: &RequestChanges,
    ) -> Vec<(Line, ChangeId)> {
        let mut lines = Vec::new();
        let id = request.request.builderid;
        let Some(builder) = around.builders.get(&id) else { return lines };
        let concerns = format!("service {}", self.name);
        for stamp in &request.buildset.sourcestamps {
            let mut watched = false;
            for rule in self.rules.iter().filter(|rule| rule.has(builder)) {
                watched = watched || rule.matches(around, stamp, &concerns).await;
            }
            if !watched {
                continue;
            }
            if let Some(branch) = self.branch(around, stamp, &concerns).await {
                let SourceStamp { project, codebase, repository, .. } = stamp.clone();
                lines.push(((id, project, codebase, repository, branch), changes.newest(stamp)));
            }
        }
        lines
    }

    /// The branch that counts; `None`: it is not watched.
    async fn branch(&self, around: &Around, stamp: &SourceStamp, concerns: &str) -> Option<String> {
        let branch = stamp.branch.as_deref()?;
        let Some(callback) = &self.branch_key else { return Some(folded(branch)) };
        let host = &around.generation.host;
        let site = CallSite::new("branch_key", concerns);
        let args = vec![Arg::Value(serde_json::to_value(stamp).unwrap_or_default())];
        match host.call(callback, site.clone(), args).await {
            Ok(Json::String(key)) => Some(key),
            Ok(Json::Null) | Err(_) => None,
            Ok(other) => {
                host.nonsense(
                    callback,
                    site,
                    &format!("branch_key returned {other:.200}; return a text or nil"),
                );
                None
            }
        }
    }
}

/// All patch sets of a Gerrit change, `refs/changes/AA/N/P`, are one branch.
fn folded(branch: &str) -> String {
    let parts: Vec<&str> = branch.split('/').collect();
    match parts.as_slice() {
        ["refs", "changes", group, number, _] => format!("refs/changes/{group}/{number}"),
        _ => branch.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_03_025_patch_sets_of_a_gerrit_change_are_one_branch() {
        for (branch, want) in [
            ("refs/changes/34/1234/5", "refs/changes/34/1234"),
            ("refs/changes/34/1234", "refs/changes/34/1234"),
            ("refs/pull/7/merge", "refs/pull/7/merge"),
            ("main", "main"),
        ] {
            assert_eq!(folded(branch), want);
        }
    }

    #[test]
    fn row_03_025_only_what_is_older_on_the_same_line_is_obsolete() {
        let mut tracked = Tracked::default();
        let line = |builder, branch: &str| {
            (builder, String::new(), String::new(), String::new(), branch.to_string())
        };
        let mut add = |id, builder, branch, change| {
            tracked.add(id, vec![(line(builder, branch), change)]).into_iter().collect::<Vec<_>>()
        };
        assert!(add(1, 1, "a", 10).is_empty());
        assert!(add(2, 2, "a", 11).is_empty(), "another builder");
        assert!(add(3, 1, "b", 12).is_empty(), "another branch");
        assert!(add(4, 1, "a", 10).is_empty(), "the same change once more");
        assert!(add(5, 1, "a", 9).is_empty(), "an older change");
        assert!(add(6, 1, "a", 0).is_empty(), "no change");
        assert_eq!(add(7, 1, "a", 13), [1, 4, 5, 6]);
        tracked.remove(7);
        assert!(tracked.requests.len() == 6 && tracked.lines.len() == 3);
    }
}
