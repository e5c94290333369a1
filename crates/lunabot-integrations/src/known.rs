//! What a poller remembers across restarts: where each branch stood, and which changes it was about to add.

use crate::source::{SourceContext, SourceError};
use lunabot_data::Answer;
use lunabot_model::Json;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Branch → the newest commit that was looked at; Buildbot's name and form.
const LAST_REV: &str = "lastRev";
/// The changes being added. Written before them and never taken back: after a process was killed in between, it says
/// which commits have to be looked up before they are added again.
const ADDING: &str = "adding";

/// The positions of the branches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known(BTreeMap<String, String>);

impl Known {
    pub async fn load(cx: &SourceContext) -> Result<Self, SourceError> {
        let stored = cx.state(LAST_REV).await?;
        let entries = stored.iter().filter_map(Json::as_object).flatten();
        let text = |value: &Json| value.as_str().map(String::from);
        let short = |name: &str| name.strip_prefix("refs/heads/").unwrap_or(name).to_string();
        Ok(Known(entries.filter_map(|(name, rev)| Some((short(name), text(rev)?))).collect()))
    }

    pub async fn save(&self, cx: &SourceContext) -> Result<(), SourceError> {
        Ok(cx.data().set_state(&cx.key(LAST_REV), json!(self.0)).await?.await?)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, branch: &str) -> Option<&str> {
        self.0.get(branch).map(String::as_str)
    }

    pub fn set(&mut self, branch: &str, revision: &str) {
        self.0.insert(branch.into(), revision.into());
    }

    /// All positions, each once.
    pub fn revisions(&self) -> Vec<&str> {
        self.0.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Drops branches that are not among `present`, and names them.
    pub fn retain(&mut self, present: &BTreeSet<&str>) -> Vec<String> {
        let gone: Vec<String> =
            self.0.keys().filter(|name| !present.contains(name.as_str())).cloned().collect();
        gone.iter().for_each(|name| drop(self.0.remove(name)));
        gone
    }
}

/// A commit on a branch.
pub type Place = (String, String);

/// Notes that these changes are about to be added. Not waited for: the store keeps the order of what is written.
pub async fn announce(cx: &SourceContext, places: &[Place]) -> Result<(), SourceError> {
    cx.data().set_state(&cx.key(ADDING), json!(places)).await?.detach();
    Ok(())
}

/// The commits that an earlier process announced and managed to store.
pub async fn already_added(cx: &SourceContext, repository: &str) -> Result<BTreeSet<Place>, SourceError> {
    let mut added = BTreeSet::new();
    let announced = cx.state(ADDING).await?.unwrap_or_default();
    let announced: Vec<Place> = serde_json::from_value(announced).unwrap_or_default();
    for (branch, revision) in announced {
        let answer = cx.data().get("changes", &format!("revision={revision}")).await?;
        let Answer::List { items, .. } = answer else { continue };
        let here = |change: &Json| {
            change["branch"].as_str().unwrap_or_default() == branch && change["repository"] == repository
        };
        if items.iter().any(here) {
            added.insert((branch, revision));
        }
    }
    Ok(added)
}
