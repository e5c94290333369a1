//! `createAbsoluteSourceStamps` (03.009): the last revision of each codebase, kept in the scheduler's state.

use lunabot_model::ChangeId;
use lunabot_model::resources::Change;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the state.
pub(super) const STATE: &str = "lastCodebases";

/// Where a codebase stood at its last change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRevision {
    pub revision: Option<String>,
    pub branch: Option<String>,
    pub repository: String,
    #[serde(rename = "lastChange")]
    pub last_change: ChangeId,
}

/// Notes a change; an older one than the one remembered changes nothing. True if something changed.
pub(super) fn remember(last: &mut BTreeMap<String, LastRevision>, change: &Change) -> bool {
    if last.get(&change.codebase).is_some_and(|known| known.last_change > change.changeid) {
        return false;
    }
    let revision = LastRevision {
        revision: change.revision.clone(),
        branch: change.branch.clone(),
        repository: change.repository.clone(),
        last_change: change.changeid,
    };
    last.insert(change.codebase.clone(), revision);
    true
}
