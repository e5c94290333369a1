//! When a timed scheduler builds, and what (03.016–03.019): the story of Periodic and Nightly, without I/O.
//!
//! Times here are the wall's, which may jump. What was missed, because the master was down or the clock set forward, is
//! made up for once, at once. A clock set back repeats nothing; set back by more than a day, counting begins anew.

use super::cron::Cron;
use super::timing::{Effect, Event, Tree};
use lunabot_model::{ChangeId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A time that was acted on later than this was missed: the moment of acting counts in its place.
const MISSED: Duration = Duration::from_secs(60);
/// A last time that lies further in the future is a mistake of the clock.
const SET_BACK: Duration = Duration::from_secs(86_400);

/// What the options say about time.
#[derive(Debug)]
pub struct Timetable {
    pub when: When,
    pub only_if_changed: bool,
    /// Moments that build whether something has changed or not (03.018).
    pub force_at: Option<Cron>,
    /// Whether changes are collected between the builds.
    pub collects: bool,
}

#[derive(Debug)]
pub enum When {
    Every(Duration),
    Calendar(Box<Cron>),
}

/// What outlasts the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// When it last built, or saw that there was nothing to build.
    pub last_build: Option<Time>,
    /// `onlyIfChanged` at that time.
    pub last_only_if_changed: bool,
    /// Times of the calendar before this do not count.
    pub since: Time,
}

/// The machine.
#[derive(Debug)]
pub struct Timed {
    table: Arc<Timetable>,
    memory: Memory,
    waiting: BTreeMap<ChangeId, bool>,
    active: bool,
}

impl Timed {
    pub fn new(table: Arc<Timetable>, memory: Memory) -> Self {
        Timed { table, memory, waiting: BTreeMap::new(), active: false }
    }

    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Takes an event at the time `now`.
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Effect> {
        match event {
            Event::Changed { change, important, .. } => self.changed(change, important),
            Event::Started { waiting } => self.started(waiting),
            Event::Stopped => self.stopped(),
            Event::PutBack { changes, .. } => self.put_back(changes),
            Event::Woke => self.woke(now),
        }
    }

    /// The time that comes next, seen from `now`: in the past if it was missed. `None`: it does nothing now.
    pub fn due(&self, now: Time) -> Option<Time> {
        if !self.active {
            return None;
        }
        match (&self.table.when, self.memory.last_build) {
            (When::Every(_), None) => Some(now),
            (When::Every(period), Some(last)) => Some(last.min(now) + *period),
            (When::Calendar(cron), last) => {
                let base = last.unwrap_or(self.memory.since).max(self.memory.since);
                cron.next(if base > now + SET_BACK { now } else { base })
            }
        }
    }

    fn changed(&mut self, change: ChangeId, important: bool) -> Vec<Effect> {
        if !self.table.collects {
            return Vec::new();
        }
        self.waiting.insert(change, important);
        vec![Effect::Classify { change, important }]
    }

    fn started(&mut self, waiting: Vec<(Tree, ChangeId, bool)>) -> Vec<Effect> {
        self.active = true;
        if !self.table.collects && !waiting.is_empty() {
            return vec![Effect::Forget];
        }
        self.waiting = waiting.into_iter().map(|(_, change, important)| (change, important)).collect();
        Vec::new()
    }

    fn stopped(&mut self) -> Vec<Effect> {
        self.active = false;
        Vec::new()
    }

    fn put_back(&mut self, changes: Vec<(ChangeId, bool)>) -> Vec<Effect> {
        self.waiting.extend(changes);
        Vec::new()
    }

    fn woke(&mut self, now: Time) -> Vec<Effect> {
        self.rebase(now);
        let Some(due) = self.due(now).filter(|due| *due <= now) else { return Vec::new() };
        let at = if due + MISSED < now { now } else { due };
        let builds = self.builds(at);
        self.memory.last_build = Some(at);
        if !builds {
            return vec![Effect::Skip];
        }
        self.memory.last_only_if_changed = self.table.only_if_changed;
        let changes = std::mem::take(&mut self.waiting).into_iter().collect();
        vec![Effect::Fire { tree: Tree::default(), changes }]
    }

    /// Times in the future were noted before the clock was set back: a period counts from now, a calendar too if they
    /// lie far ahead.
    fn rebase(&mut self, now: Time) {
        let limit = match self.table.when {
            When::Every(_) => now,
            When::Calendar(_) => now + SET_BACK,
        };
        if self.memory.last_build.is_some_and(|last| last > limit) {
            self.memory.last_build = Some(now);
            self.memory.since = self.memory.since.min(now);
        }
        if self.memory.since > limit {
            self.memory.since = now;
        }
    }

    /// 03.018.
    fn builds(&self, at: Time) -> bool {
        !self.table.only_if_changed
            || !self.memory.last_only_if_changed
            || self.memory.last_build.is_none()
            || self.waiting.values().any(|important| *important)
            || self.table.force_at.as_ref().is_some_and(|cron| cron.matches(at))
    }
}

#[cfg(test)]
#[path = "timed_tests.rs"]
mod tests;
