//! A builder as the distributor sees it: its queue and where it may run (reference 07.012, 07.013).

use super::explain::{Computed, Look, Ring};
use lunabot_model::{BuildId, BuildRequestId, BuilderId, WorkerId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Which of a builder's decisions are left to functions of the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asks {
    pub next_build: bool,
    pub next_worker: bool,
    pub can_start_build: bool,
}

/// A configured builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderSetup {
    pub id: BuilderId,
    pub name: String,
    pub workers: Vec<WorkerId>,
    pub asks: Asks,
}

/// A request in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub id: BuildRequestId,
    pub builder: BuilderId,
    pub priority: i64,
    /// Seconds since 1970.
    pub submitted_at: i64,
    /// The build that waits for it.
    pub parent: Option<BuildId>,
}

/// The requests of one builder that nobody has taken, by each order that is asked for.
#[derive(Debug, Default)]
pub struct Queue {
    by_id: BTreeMap<BuildRequestId, Waiting>,
    by_priority: BTreeSet<(Reverse<i64>, BuildRequestId)>,
    by_age: BTreeSet<(i64, BuildRequestId)>,
}

impl Queue {
    /// Adds a request; one that is known already takes its new priority.
    pub fn add(&mut self, request: Waiting) {
        self.remove(request.id);
        self.by_id.insert(request.id, request);
        self.by_priority.insert((Reverse(request.priority), request.id));
        self.by_age.insert((request.submitted_at, request.id));
    }

    pub fn remove(&mut self, id: BuildRequestId) -> Option<Waiting> {
        let request = self.by_id.remove(&id)?;
        self.by_priority.remove(&(Reverse(request.priority), id));
        self.by_age.remove(&(request.submitted_at, id));
        Some(request)
    }

    pub fn contains(&self, id: BuildRequestId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub fn get(&self, id: BuildRequestId) -> Option<&Waiting> {
        self.by_id.get(&id)
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// By id.
    pub fn all(&self) -> impl Iterator<Item = &Waiting> {
        self.by_id.values()
    }

    /// Highest priority first, then lowest id (07c item 2).
    pub fn by_priority(&self) -> impl Iterator<Item = &Waiting> {
        self.by_priority.iter().filter_map(|(_, id)| self.by_id.get(id))
    }

    /// How many go before this one.
    pub fn ahead_of(&self, request: &Waiting) -> usize {
        self.by_priority.range(..(Reverse(request.priority), request.id)).count()
    }

    pub fn highest_priority(&self) -> Option<i64> {
        self.by_priority.first().map(|(Reverse(priority), _)| *priority)
    }

    pub fn oldest(&self) -> Option<i64> {
        self.by_age.first().map(|(submitted_at, _)| *submitted_at)
    }
}

/// A builder with what waits and runs.
#[derive(Debug)]
pub struct Builder {
    pub setup: BuilderSetup,
    pub queue: Queue,
    /// Workers that build for it now: at most one build each (07.020).
    pub busy: BTreeSet<WorkerId>,
    /// Builds that began before the last change of the configuration count as old.
    pub configured: bool,
    /// What was found when no build could start, since there are requests in the queue.
    pub looks: Ring<Look>,
    /// What became of the computed locks of those requests for which they were asked (05.062).
    pub computed: HashMap<BuildRequestId, Ring<Computed>>,
}

impl Builder {
    /// The default order of builders (07.013): smaller goes first.
    pub fn rank(&self) -> (Reverse<Option<i64>>, i64, &str) {
        (Reverse(self.queue.highest_priority()), self.queue.oldest().unwrap_or(i64::MAX), &self.setup.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_07_014_requests_go_by_priority_then_by_id() {
        let mut queue = Queue::default();
        for (id, priority, submitted_at) in [(3, 0, 10), (1, 0, 30), (2, 5, 20)] {
            queue.add(Waiting { id, builder: 1, priority, submitted_at, parent: None });
        }
        assert_eq!(queue.by_priority().map(|waiting| waiting.id).collect::<Vec<_>>(), [2, 1, 3]);
        assert_eq!((queue.highest_priority(), queue.oldest()), (Some(5), Some(10)));
        queue.add(Waiting { id: 1, builder: 1, priority: 9, submitted_at: 30, parent: None });
        assert_eq!((queue.by_priority().next().map(|first| first.id), queue.all().count()), (Some(1), 3));
        queue.remove(3);
        assert_eq!(queue.oldest(), Some(20));
    }
}
