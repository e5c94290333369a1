//! When a change-driven scheduler adds a buildset: the story of `treeStableTimer` (03.011–03.013), without I/O.
//!
//! Events come in, effects go out; the actor carries them out and sleeps until [`Timing::next_wake`].

use lunabot_model::resources::Change;
use lunabot_model::{ChangeId, Mono};
use std::collections::BTreeMap;
use std::time::Duration;

/// What waits together: with a timer per branch, changes of one codebase, project, repository and branch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tree(Option<(String, String, String, Option<String>)>);

impl Tree {
    /// The tree of a change, for AnyBranchScheduler (03.013); with `per_branch` false all changes share one.
    pub fn of(change: &Change, per_branch: bool) -> Self {
        Tree(per_branch.then(|| {
            let codebase = change.codebase.clone();
            (codebase, change.project.clone(), change.repository.clone(), change.branch.clone())
        }))
    }
}

/// What happens to a scheduler.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A change passed the filters.
    Changed { tree: Tree, change: ChangeId, important: bool },
    /// The scheduler starts, or its options changed: these changes are classified and wait (03.012).
    Started { waiting: Vec<(Tree, ChangeId, bool)> },
    /// It was disabled (03.003): timers stop, classifications stay stored.
    Stopped,
    /// The buildset of these changes could not be made; they wait for the next important change.
    PutBack { tree: Tree, changes: Vec<(ChangeId, bool)> },
    /// Time has passed.
    Woke,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Store the verdict on a change.
    Classify { change: ChangeId, important: bool },
    /// Add one buildset for these changes, in this order, and forget their classifications with it.
    Fire { tree: Tree, changes: Vec<(ChangeId, bool)> },
    /// Forget all stored classifications: there is no timer any more.
    Forget,
    /// Build nothing this time (03.018).
    Skip,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Change → important. One small entry per change that the database holds a classification of.
    changes: BTreeMap<ChangeId, bool>,
    deadline: Option<Mono>,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Timing {
    /// `None`: every important change fires at once (03.011).
    delay: Option<Duration>,
    trees: BTreeMap<Tree, Waiting>,
}

impl Timing {
    /// A machine with `treeStableTimer = delay`; zero is no timer.
    pub fn new(delay: Option<Duration>) -> Self {
        Timing { delay: delay.filter(|delay| !delay.is_zero()), trees: BTreeMap::new() }
    }

    /// Takes an event at the time `now`.
    pub fn handle(&mut self, now: Mono, event: Event) -> Vec<Effect> {
        match event {
            Event::Changed { tree, change, important } => self.changed(now, tree, change, important),
            Event::Started { waiting } => self.started(now, waiting),
            Event::Stopped => self.stopped(),
            Event::PutBack { tree, changes } => self.put_back(tree, changes),
            Event::Woke => self.woke(now),
        }
    }

    /// When [`Event::Woke`] is due.
    pub fn next_wake(&self) -> Option<Mono> {
        self.trees.values().filter_map(|waiting| waiting.deadline).min()
    }

    fn changed(&mut self, now: Mono, tree: Tree, change: ChangeId, important: bool) -> Vec<Effect> {
        let Some(delay) = self.delay else {
            return if important {
                vec![Effect::Fire { tree, changes: vec![(change, true)] }]
            } else {
                vec![]
            };
        };
        let waiting = self.trees.entry(tree).or_default();
        waiting.changes.insert(change, important);
        if important || waiting.deadline.is_some() {
            waiting.deadline = Some(now + delay);
        }
        vec![Effect::Classify { change, important }]
    }

    fn started(&mut self, now: Mono, waiting: Vec<(Tree, ChangeId, bool)>) -> Vec<Effect> {
        self.trees.clear();
        let Some(delay) = self.delay else {
            return if waiting.is_empty() { vec![] } else { vec![Effect::Forget] };
        };
        for (tree, change, important) in waiting {
            let tree = self.trees.entry(tree).or_default();
            tree.changes.insert(change, important);
            if important {
                tree.deadline = Some(now + delay);
            }
        }
        Vec::new()
    }

    fn stopped(&mut self) -> Vec<Effect> {
        self.trees.clear();
        Vec::new()
    }

    fn put_back(&mut self, tree: Tree, changes: Vec<(ChangeId, bool)>) -> Vec<Effect> {
        if self.delay.is_some() {
            self.trees.entry(tree).or_default().changes.extend(changes);
        }
        Vec::new()
    }

    fn woke(&mut self, now: Mono) -> Vec<Effect> {
        let due = |waiting: &Waiting| waiting.deadline.is_some_and(|deadline| deadline <= now);
        let due: Vec<Tree> =
            self.trees.iter().filter(|(_, w)| due(w)).map(|(tree, _)| tree.clone()).collect();
        let fire = |tree: Tree| {
            let waiting = self.trees.remove(&tree)?;
            Some(Effect::Fire { tree, changes: waiting.changes.into_iter().collect() })
        };
        due.into_iter().filter_map(fire).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono(Duration::from_secs(secs))
    }

    fn changed(branch: &str, change: ChangeId, important: bool) -> Event {
        let tree = Tree(Some((String::new(), String::new(), String::new(), Some(branch.into()))));
        Event::Changed { tree, change, important }
    }

    fn fired(effects: &[Effect]) -> Vec<Vec<ChangeId>> {
        let ids = |effect: &Effect| match effect {
            Effect::Fire { changes, .. } => Some(changes.iter().map(|(id, _)| *id).collect()),
            Effect::Classify { .. } | Effect::Forget | Effect::Skip => None,
        };
        effects.iter().filter_map(ids).collect()
    }

    fn timer() -> Timing {
        Timing::new(Some(Duration::from_secs(10)))
    }

    #[test]
    fn without_a_timer_important_changes_fire_at_once_and_others_are_ignored_03_011() {
        let mut timing = Timing::new(None);
        assert_eq!(fired(&timing.handle(at(0), changed("a", 1, true))), [[1]]);
        assert_eq!(timing.handle(at(0), changed("a", 2, false)), []);
        assert_eq!(timing.next_wake(), None);
        assert_eq!(fired(&Timing::new(Some(Duration::ZERO)).handle(at(0), changed("a", 1, true))), [[1]]);
    }

    #[test]
    fn each_change_in_the_window_restarts_the_timer_and_all_fire_together_03_012() {
        let mut timing = timer();
        let effects = timing.handle(at(0), changed("a", 1, true));
        assert_eq!(effects, [Effect::Classify { change: 1, important: true }]);
        timing.handle(at(8), changed("a", 3, true));
        timing.handle(at(9), changed("a", 2, false));
        assert_eq!(timing.next_wake(), Some(at(19)));
        assert_eq!(timing.handle(at(18), Event::Woke), []);
        assert_eq!(fired(&timing.handle(at(19), Event::Woke)), [[1, 2, 3]]);
        assert_eq!(timing.next_wake(), None);
    }

    #[test]
    fn an_unimportant_change_starts_no_timer_but_is_built_with_the_next_important_one_03_012() {
        let mut timing = timer();
        timing.handle(at(0), changed("a", 1, false));
        assert_eq!(timing.next_wake(), None);
        timing.handle(at(5), changed("a", 2, true));
        assert_eq!(fired(&timing.handle(at(15), Event::Woke)), [[1, 2]]);
    }

    #[test]
    fn branches_have_timers_of_their_own_03_013() {
        let mut timing = timer();
        timing.handle(at(0), changed("a", 1, true));
        timing.handle(at(5), changed("b", 2, true));
        assert_eq!(fired(&timing.handle(at(10), Event::Woke)), [[1]]);
        assert_eq!(timing.next_wake(), Some(at(15)));
        assert_eq!(fired(&timing.handle(at(15), Event::Woke)), [[2]]);
    }

    #[test]
    fn a_start_restarts_the_timers_of_what_was_classified_03_012() {
        let mut timing = timer();
        let tree = Tree::default();
        let waiting = vec![(tree.clone(), 1, false), (tree.clone(), 2, true)];
        assert_eq!(timing.handle(at(100), Event::Started { waiting: waiting.clone() }), []);
        assert_eq!(fired(&timing.handle(at(110), Event::Woke)), [[1, 2]]);
        let unimportant = vec![(tree, 1, false)];
        timing.handle(at(200), Event::Started { waiting: unimportant });
        assert_eq!(timing.next_wake(), None);
        let mut none = Timing::new(None);
        assert_eq!(none.handle(at(0), Event::Started { waiting }), [Effect::Forget]);
        assert_eq!(none.handle(at(0), Event::Started { waiting: vec![] }), []);
    }

    #[test]
    fn a_stop_ends_timers_and_failures_wait_for_the_next_important_change() {
        let mut timing = timer();
        timing.handle(at(0), changed("a", 1, true));
        timing.handle(at(1), Event::Stopped);
        assert_eq!(timing.next_wake(), None);
        timing.handle(at(2), changed("a", 2, true));
        let [Effect::Fire { tree, changes }] = &timing.handle(at(12), Event::Woke)[..] else { panic!() };
        timing.handle(at(12), Event::PutBack { tree: tree.clone(), changes: changes.clone() });
        assert_eq!(timing.next_wake(), None);
        timing.handle(at(13), changed("a", 3, true));
        assert_eq!(fired(&timing.handle(at(23), Event::Woke)), [[2, 3]]);
    }
}
