//! The default rule (reference 07.007).

use lunabot_data::new::PendingRequest;
use lunabot_model::resources::SourceStamp;
use lunabot_model::{Json, Property, SourceStampId};
use std::collections::BTreeSet;

/// Whether `new` makes `old` needless. `changed`: stamps that have changes.
pub fn can_be_collapsed(
    new: &PendingRequest,
    old: &PendingRequest,
    changed: &BTreeSet<SourceStampId>,
) -> bool {
    agree(new, old) && same_point(new, old, changed)
}

/// The parts of the rule that need no look at changes.
pub(super) fn agree(new: &PendingRequest, old: &PendingRequest) -> bool {
    if new.buildset.bsid == old.buildset.bsid {
        return true;
    }
    if new.request.buildrequestid < old.request.buildrequestid {
        return false;
    }
    let stamps_agree = |a: &SourceStamp| {
        of_codebase(old, &a.codebase).is_some_and(|b| {
            a.repository == b.repository
                && a.branch == b.branch
                && a.project == b.project
                && a.patch.is_none()
                && b.patch.is_none()
        })
    };
    // A buildset has one stamp per codebase.
    new.buildset.sourcestamps.len() == old.buildset.sourcestamps.len()
        && new.buildset.sourcestamps.iter().all(stamps_agree)
        && scheduled(new).eq(scheduled(old))
}

/// Per codebase: both have changes, or neither has and the revisions are equal.
pub(super) fn same_point(
    new: &PendingRequest,
    old: &PendingRequest,
    changed: &BTreeSet<SourceStampId>,
) -> bool {
    if new.buildset.bsid == old.buildset.bsid {
        return true;
    }
    new.buildset.sourcestamps.iter().all(|a| {
        of_codebase(old, &a.codebase).is_some_and(|b| {
            match (changed.contains(&a.ssid), changed.contains(&b.ssid)) {
                (true, true) => true,
                (true, false) | (false, true) => false,
                (false, false) => a.revision == b.revision,
            }
        })
    })
}

fn of_codebase<'r>(request: &'r PendingRequest, codebase: &str) -> Option<&'r SourceStamp> {
    request.buildset.sourcestamps.iter().rfind(|stamp| stamp.codebase == codebase)
}

/// Properties that a scheduler set, by name.
fn scheduled(request: &PendingRequest) -> impl Iterator<Item = (&str, &Json)> {
    let own = |(name, property): &(&str, &Property)| property.source == "Scheduler" && *name != "scheduler";
    request.properties.iter().filter(own).map(|(name, property)| (name, &property.value))
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
