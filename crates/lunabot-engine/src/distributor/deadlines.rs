//! When requests that may not wait for ever end.

use lunabot_model::BuildRequestId;
use std::collections::{BTreeSet, HashMap};

/// Why a request does not wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Its time is over.
    Expired,
    /// None of its builder's workers was connected for so many seconds.
    Offline(i64),
}

/// A point in time, seconds since 1970, and what ends then.
pub(super) type Deadline = (i64, Why);

/// The deadlines of the requests that have any.
#[derive(Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Deadline, BuildRequestId)>,
    of: HashMap<BuildRequestId, Deadline>,
}

impl Deadlines {
    pub fn set(&mut self, request: BuildRequestId, deadline: Option<Deadline>) {
        self.remove(request);
        if let Some(deadline) = deadline {
            self.of.insert(request, deadline);
            self.by_time.insert((deadline, request));
        }
    }

    pub fn remove(&mut self, request: BuildRequestId) {
        if let Some(deadline) = self.of.remove(&request) {
            self.by_time.remove(&(deadline, request));
        }
    }

    pub fn of(&self, request: BuildRequestId) -> Option<Deadline> {
        self.of.get(&request).copied()
    }

    /// The earliest, seconds since 1970.
    pub fn next(&self) -> Option<i64> {
        self.by_time.first().map(|((at, _), _)| *at)
    }

    /// Takes those that are over.
    pub fn due(&mut self, now: i64) -> Vec<(BuildRequestId, Why)> {
        let mut due = Vec::new();
        while let Some(((_, why), request)) = self.by_time.first().copied().filter(|((at, _), _)| *at <= now)
        {
            self.remove(request);
            due.push((request, why));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_known_and_what_is_over_is_taken_once() {
        let mut deadlines = Deadlines::default();
        deadlines.set(1, Some((30, Why::Expired)));
        deadlines.set(2, Some((20, Why::Offline(5))));
        deadlines.set(3, Some((40, Why::Expired)));
        deadlines.set(1, Some((10, Why::Offline(5))));
        deadlines.set(3, None);
        assert_eq!(deadlines.next(), Some(10));
        assert!(deadlines.due(9).is_empty());
        assert_eq!(deadlines.due(20), [(1, Why::Offline(5)), (2, Why::Offline(5))]);
        assert_eq!((deadlines.next(), deadlines.due(99)), (None, vec![]));
    }
}
