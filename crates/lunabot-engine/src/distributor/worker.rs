//! A worker as the distributor sees it: whether it may take a build, and its quarantine (reference 07.016, 07.021–07.023).

use super::explain::Cause;
use crate::build::Outcome;
use lunabot_model::{BuilderId, Mono, WorkerId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The first quarantine, and the longest (07.021).
pub const FIRST_QUARANTINE: Duration = Duration::from_secs(10);
pub const LONGEST_QUARANTINE: Duration = Duration::from_secs(3600);

/// A configured worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSetup {
    pub id: WorkerId,
    pub name: String,
    /// `None`: no limit (08.001).
    pub max_builds: Option<usize>,
    /// It is started when it is needed: it takes builds without a connection (08.050).
    pub latent: bool,
    /// It is asked whether builds suit its instance (08.048).
    pub asks_compatible: bool,
    /// It is in a downtime: until when, seconds since 1970.
    pub downtime: Option<i64>,
}

/// What a worker does and may do.
#[derive(Debug)]
pub struct Worker {
    pub setup: WorkerSetup,
    pub connected: bool,
    pub paused: bool,
    pub graceful: bool,
    /// A latent one whose instance is of no more use: it takes no build until those that it has are over (07.016).
    pub lingering: bool,
    /// Builds that run or are about to.
    pub running: usize,
    /// Builders whose question about this worker is open.
    pub asked_by: BTreeSet<BuilderId>,
    /// Builders that found it taken only by such a question.
    pub passed_over: BTreeSet<BuilderId>,
    /// Builders that may run on it.
    pub builders: Arc<BTreeSet<BuilderId>>,
    pub quarantine: Quarantine,
    /// When it last came or went; at first, when it was configured.
    pub connection_since: Mono,
    /// When it was last paused or unpaused, told to stop, put into quarantine, or a downtime of it began.
    pub since: Mono,
}

impl Worker {
    pub fn new(setup: WorkerSetup, paused: bool, now: Mono) -> Self {
        Worker {
            setup,
            connected: false,
            paused,
            graceful: false,
            lingering: false,
            running: 0,
            asked_by: BTreeSet::new(),
            passed_over: BTreeSet::new(),
            builders: Arc::default(),
            quarantine: Quarantine::default(),
            connection_since: now,
            since: now,
        }
    }

    /// Whether it is there, or can be had.
    pub fn is_there(&self) -> bool {
        self.connected || self.setup.latent
    }

    /// What keeps it from taking any build; in the order in which it is told.
    pub fn closed(&self) -> Option<Cause> {
        match self {
            worker if !worker.is_there() => Some(Cause::Disconnected),
            Worker { graceful: true, .. } => Some(Cause::Graceful),
            Worker { lingering: true, .. } => Some(Cause::Lingering),
            Worker { paused: true, .. } => Some(Cause::Paused),
            Worker { setup: WorkerSetup { downtime: Some(_), .. }, .. } => Some(Cause::Downtime),
            Worker { quarantine: Quarantine { until: Some(_), .. }, .. } => Some(Cause::Quarantined),
            _ => None,
        }
    }

    /// What keeps it from a build of `builder`, locks aside; `building`: it has one.
    pub fn cause(&self, builder: BuilderId, building: bool) -> Option<Cause> {
        let full = || match (self.has_room(builder), self.is_only_asked_for(builder)) {
            (true, _) => None,
            (false, true) => Some(Cause::Asked),
            (false, false) => Some(Cause::Full),
        };
        self.closed().or(building.then_some(Cause::Building)).or_else(full)
    }

    /// Whether it takes builds at all (07.016, first checks).
    pub fn is_open(&self) -> bool {
        self.closed().is_none()
    }

    /// The same but for a quarantine.
    pub fn would_be_open(&self) -> bool {
        matches!(self.closed(), None | Some(Cause::Quarantined))
    }

    /// Whether it has room for a build of `builder`, questions of other builders counted as builds.
    pub fn has_room(&self, builder: BuilderId) -> bool {
        let asked = self.asked_by.len() - usize::from(self.asked_by.contains(&builder));
        self.fits(self.running + asked)
    }

    /// Whether only questions of other builders take its room.
    pub fn is_only_asked_for(&self, builder: BuilderId) -> bool {
        self.fits(self.running) && !self.has_room(builder)
    }

    fn fits(&self, taken: usize) -> bool {
        self.setup.max_builds.is_none_or(|most| taken < most)
    }
}

/// What puts a worker into quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Unprepared,
    Exception,
    Function,
}

impl Why {
    /// What the end of a build gives cause for.
    pub fn of(outcome: Outcome) -> Option<Self> {
        let why = if outcome.unprepared { Why::Unprepared } else { Why::Exception };
        outcome.quarantines().then_some(why)
    }

    /// What is said of it.
    pub const fn told(self) -> &'static str {
        match self {
            Why::Unprepared => "it could not be prepared",
            Why::Exception => "a build on it ended in an exception",
            Why::Function => "a function put it there",
        }
    }
}

/// The series of a worker's quarantines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    pub until: Option<Mono>,
    /// Of the newest.
    pub why: Option<Why>,
    /// The error, where there was one.
    pub reason: Option<Box<str>>,
    /// How long the next one lasts.
    pub timeout: Duration,
}

impl Default for Quarantine {
    fn default() -> Self {
        Quarantine { until: None, why: None, reason: None, timeout: FIRST_QUARANTINE }
    }
}

impl Quarantine {
    /// 07.021: no effect while one lasts. With `once`, this one lasts that long and the series is as before.
    pub fn enter(&mut self, now: Mono, why: Why, once: Option<Duration>) {
        if self.until.is_some() {
            return;
        }
        (self.why, self.reason) = (Some(why), None);
        self.until = Some(now + once.unwrap_or(self.timeout));
        if once.is_none() {
            self.timeout = (self.timeout * 2).min(LONGEST_QUARANTINE);
        }
    }

    /// 07.022: the next one is short again; a present one goes on.
    pub fn reset(&mut self) {
        self.timeout = FIRST_QUARANTINE;
    }

    /// Why it was put there, in words.
    pub fn told(&self) -> Option<String> {
        let why = self.why?.told();
        Some(match &self.reason {
            Some(reason) => format!("{why}: {reason}"),
            None => why.into(),
        })
    }

    /// Ends a quarantine that is over; true if it just ended.
    pub fn expire(&mut self, now: Mono) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            self.until = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_07_021_quarantines_double_up_to_an_hour_and_do_not_pile_up() {
        let mut quarantine = Quarantine::default();
        let mut now = Mono(Duration::ZERO);
        let mut lengths = Vec::new();
        for _ in 0..11 {
            quarantine.enter(now, Why::Exception, None);
            let until = quarantine.until.unwrap();
            quarantine.enter(now, Why::Exception, None);
            assert_eq!(quarantine.until, Some(until), "no effect while one lasts");
            lengths.push((until - now).as_secs());
            now = until;
            assert!(quarantine.expire(now));
        }
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
    }

    #[test]
    fn row_07_022_a_reset_shortens_only_the_next() {
        let mut quarantine = Quarantine { timeout: Duration::from_secs(640), ..Quarantine::default() };
        quarantine.enter(Mono(Duration::ZERO), Why::Function, None);
        quarantine.reset();
        assert!(!quarantine.expire(Mono(Duration::from_secs(639))));
        assert!(quarantine.expire(Mono(Duration::from_secs(640))));
        assert_eq!(quarantine.timeout, FIRST_QUARANTINE);
    }

    #[test]
    fn row_07_016_max_builds_counts_builds_and_open_questions_of_others() {
        let setup = WorkerSetup {
            id: 1,
            name: "w".into(),
            max_builds: Some(1),
            latent: false,
            asks_compatible: false,
            downtime: None,
        };
        let mut worker = Worker::new(setup, false, Mono(Duration::ZERO));
        assert!(!worker.is_open(), "not connected");
        worker.setup.latent = true;
        assert!(worker.is_open(), "08.050: it will be");
        worker.lingering = true;
        assert!(!worker.is_open(), "not as long as builds of a lost instance end");
        (worker.setup.latent, worker.lingering) = (false, false);
        worker.connected = true;
        assert!(worker.is_open() && worker.has_room(7));
        worker.asked_by.insert(8);
        assert!(!worker.has_room(7) && worker.has_room(8) && worker.is_only_asked_for(7));
        worker.asked_by.clear();
        worker.running = 1;
        assert!(!worker.has_room(7) && !worker.is_only_asked_for(7));
    }
}
