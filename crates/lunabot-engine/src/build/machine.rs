//! The life cycle of a build, as decisions without I/O (reference 05a, 05b).

use crate::step::run::StepEnd;
use crate::worker::latent::Failure;
use lunabot_model::results::combine;
use lunabot_model::{Mono, Results};
use std::sync::Arc;
use std::time::Duration;

/// A worker that does not answer a ping within this time counts as lost (05b item 9).
pub const PING_TIMEOUT: Duration = Duration::from_secs(120);

/// The end of a build whose worker is gone, or did not come (05b item 8).
const NOT_AVAILABLE: &str = "worker not available";

/// What happens to a build.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Its row has its place; the error says why it has none.
    Added(Result<(), String>),
    /// It has its row, and `do_build_if` does not want it (item 3).
    Unwanted,
    /// Properties, preparation step and objects are there (items 4 to 7); true: the build has locks.
    SetUp(Result<bool, String>),
    /// The latent worker is there (item 8).
    Substantiated(Result<(), Failure>),
    Pinged(bool),
    /// The worker was told (item 11).
    Started(bool),
    /// It has its locks (item 12); the error says why it never will.
    Locks(Result<(), String>),
    StepEnded(StepEnd),
    /// All steps have run; with how functions want the build to end.
    NoStep(Option<Results>),
    /// The next step could not be found (05.010).
    Broken,
    /// A step that runs only where `alwaysRun` says so did not.
    StepPassed,
    Stop {
        reason: Arc<str>,
        results: Results,
    },
    /// The worker's connection is gone.
    Lost,
}

/// What is to be done. Each of `Add`, `SetUp`, `Substantiate`, `Ping`, `StartRemote`, `AcquireLocks` and `RunStep` is answered by an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Add,
    SetUp,
    State(&'static str),
    Substantiate,
    Ping,
    /// Properties of the attached worker are saved, then it is told (items 10 and 11).
    StartRemote,
    EndPreparation {
        results: Results,
        why: Option<String>,
    },
    AcquireLocks,
    /// The step `locks_acquire` ends, without the locks for this reason.
    EndLocks {
        results: Results,
        why: Option<String>,
    },
    /// The next one; it is answered by [`Event::NoStep`] where there is none.
    RunStep {
        only_if_always: bool,
    },
    Interrupt(Arc<str>),
    Finish {
        text: String,
        outcome: Outcome,
    },
}

/// What the end of a build means for its request and its worker (item 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub results: Results,
    /// The worker could not be prepared.
    pub unprepared: bool,
}

impl Outcome {
    /// Whether the worker goes into quarantine (07.023).
    pub fn quarantines(self) -> bool {
        self.unprepared || self.results == Results::Exception
    }

    /// Whether the worker's next quarantine is short again (07.023).
    pub fn resets_quarantine(self) -> bool {
        !self.quarantines() && self.results != Results::Retry
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Adding,
    SettingUp,
    Substantiating,
    Pinging { deadline: Mono },
    Starting,
    Locking,
    Running,
    Done,
}

/// One build.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    /// The worker is latent.
    latent: bool,
    has_locks: bool,
    overall: Results,
    terminated: bool,
    stopped: Option<(Arc<str>, Results)>,
    /// The master stops: no further step runs.
    hurried: bool,
    lost: bool,
    /// Contributions of steps to the build's text.
    texts: Vec<String>,
}

impl Machine {
    /// A build, and what is to be done first.
    pub fn new(latent: bool) -> (Self, Vec<Effect>) {
        let machine = Machine {
            phase: Phase::Adding,
            latent,
            has_locks: false,
            overall: Results::Success,
            terminated: false,
            stopped: None,
            hurried: false,
            lost: false,
            texts: Vec::new(),
        };
        (machine, vec![Effect::Add])
    }

    pub fn handle(&mut self, now: Mono, event: Event) -> Vec<Effect> {
        match (self.phase, event) {
            (Phase::Done, _) => Vec::new(),
            (_, Event::Stop { reason, results }) => self.stop(reason, results),
            (_, Event::Lost) => self.lose(),
            (Phase::Adding, Event::Added(Ok(()))) => self.set_up(),
            (Phase::Adding, Event::Unwanted) => self.skip(),
            (Phase::Adding, Event::Added(Err(why))) => self.unprepared(Results::Retry, &why, None),
            (Phase::SettingUp, Event::SetUp(Ok(has_locks))) => self.prepare(now, has_locks),
            (Phase::SettingUp, Event::SetUp(Err(why))) => self.setup_failed(why),
            (Phase::Substantiating, Event::Substantiated(Ok(()))) => self.ping(now),
            (Phase::Substantiating, Event::Substantiated(Err(failure))) => self.not_substantiated(failure),
            (Phase::Pinging { .. }, Event::Pinged(true)) => self.start_remote(),
            (Phase::Pinging { .. }, Event::Pinged(false)) => {
                self.unprepared(Results::Retry, "worker not pinged", None)
            }
            (Phase::Starting, Event::Started(true)) => self.started(),
            (Phase::Starting, Event::Started(false)) => {
                self.unprepared(Results::Retry, "worker not building", None)
            }
            (Phase::Locking, Event::Locks(Ok(()))) => self.locked(),
            (Phase::Locking, Event::Locks(Err(why))) => self.not_locked(Results::Exception, why),
            (Phase::Running, Event::StepEnded(end)) => self.step_ended(end),
            (Phase::Running, Event::StepPassed) => self.next_step(),
            (Phase::Running, Event::NoStep(wanted)) => {
                self.overall = wanted.map_or(self.overall, |wanted| self.overall.worst(wanted));
                self.finish()
            }
            (Phase::Running, Event::Broken) => self.broken(),
            (
                Phase::Adding
                | Phase::SettingUp
                | Phase::Substantiating
                | Phase::Pinging { .. }
                | Phase::Starting
                | Phase::Locking
                | Phase::Running,
                late,
            ) => {
                tracing::debug!("an answer that nobody waits for any more: {late:?}");
                Vec::new()
            }
        }
    }

    /// When [`Machine::wake`] is to be called at the latest.
    pub fn next_wake(&self) -> Option<Mono> {
        match self.phase {
            Phase::Pinging { deadline } => Some(deadline),
            Phase::Adding
            | Phase::SettingUp
            | Phase::Substantiating
            | Phase::Starting
            | Phase::Locking
            | Phase::Running
            | Phase::Done => None,
        }
    }

    pub fn wake(&mut self, now: Mono) -> Vec<Effect> {
        match self.phase {
            Phase::Pinging { deadline } if deadline <= now => self.handle(now, Event::Pinged(false)),
            Phase::Pinging { .. }
            | Phase::Adding
            | Phase::SettingUp
            | Phase::Substantiating
            | Phase::Starting
            | Phase::Locking
            | Phase::Running
            | Phase::Done => Vec::new(),
        }
    }

    fn set_up(&mut self) -> Vec<Effect> {
        self.phase = Phase::SettingUp;
        vec![Effect::SetUp]
    }

    /// Item 3.
    fn skip(&mut self) -> Vec<Effect> {
        self.overall = Results::Skipped;
        self.finish()
    }

    fn prepare(&mut self, now: Mono, has_locks: bool) -> Vec<Effect> {
        self.has_locks = has_locks;
        if self.stopped.is_some() {
            return self.stopped_early();
        }
        if self.lost {
            return self.unprepared(Results::Retry, NOT_AVAILABLE, None);
        }
        let mut effects = vec![Effect::State("preparing worker")];
        if self.latent {
            self.phase = Phase::Substantiating;
            effects.push(Effect::Substantiate);
        } else {
            effects.extend(self.ping(now));
        }
        effects
    }

    /// Item 9.
    fn ping(&mut self, now: Mono) -> Vec<Effect> {
        self.phase = Phase::Pinging { deadline: now + PING_TIMEOUT };
        vec![Effect::State("pinging worker"), Effect::Ping]
    }

    /// 08.047.
    fn not_substantiated(&mut self, failure: Failure) -> Vec<Effect> {
        if failure.hopeless {
            return self.unprepared(Results::Exception, "worker cannot substantiate", Some(failure.why));
        }
        self.unprepared(Results::Retry, NOT_AVAILABLE, Some(failure.why))
    }

    /// Item 2: the request was cancelled, or the build stopped, before its first step.
    fn stopped_early(&mut self) -> Vec<Effect> {
        let mut effects = vec![Effect::EndPreparation { results: Results::Cancelled, why: None }];
        effects.extend(self.finish());
        effects
    }

    /// Item 7.
    fn setup_failed(&mut self, why: String) -> Vec<Effect> {
        self.overall = Results::Exception;
        self.phase = Phase::Done;
        let outcome = Outcome { results: Results::Exception, unprepared: true };
        vec![
            Effect::EndPreparation { results: Results::Exception, why: Some(why) },
            Effect::Finish { text: "Build.setupBuild failed".into(), outcome },
        ]
    }

    /// Items 8 to 11 failed: the worker goes into quarantine, unless the build was stopped.
    fn unprepared(&mut self, results: Results, text: &str, why: Option<String>) -> Vec<Effect> {
        if self.stopped.is_some() {
            return self.stopped_early();
        }
        self.phase = Phase::Done;
        let outcome = Outcome { results, unprepared: true };
        vec![
            Effect::EndPreparation { results: Results::Exception, why },
            Effect::Finish { text: text.into(), outcome },
        ]
    }

    fn start_remote(&mut self) -> Vec<Effect> {
        self.phase = Phase::Starting;
        vec![Effect::EndPreparation { results: Results::Success, why: None }, Effect::StartRemote]
    }

    fn started(&mut self) -> Vec<Effect> {
        if !self.has_locks {
            return self.build();
        }
        if let Some((reason, results)) = self.stopped.clone() {
            return self.not_locked(results, reason.to_string());
        }
        self.phase = Phase::Locking;
        vec![Effect::State("acquiring locks"), Effect::AcquireLocks]
    }

    fn locked(&mut self) -> Vec<Effect> {
        let mut effects = vec![Effect::EndLocks { results: Results::Success, why: None }];
        effects.extend(self.build());
        effects
    }

    /// The build ends without its locks, and so without its steps.
    fn not_locked(&mut self, results: Results, why: String) -> Vec<Effect> {
        self.overall = self.overall.worst(results);
        if results == Results::Exception {
            self.texts.push(why.clone());
        }
        let mut effects = vec![Effect::EndLocks { results, why: Some(why) }];
        effects.extend(self.finish());
        effects
    }

    fn build(&mut self) -> Vec<Effect> {
        let mut effects = vec![Effect::State("building")];
        effects.extend(self.next_step());
        effects
    }

    /// Item 14.
    fn next_step(&mut self) -> Vec<Effect> {
        if self.lost || self.hurried {
            return self.finish();
        }
        self.phase = Phase::Running;
        let only_if_always = self.terminated || self.stopped.is_some();
        vec![Effect::RunStep { only_if_always }]
    }

    /// 05.010.
    fn broken(&mut self) -> Vec<Effect> {
        if self.lost || self.stopped.is_some() {
            return self.finish();
        }
        self.phase = Phase::Done;
        let outcome = Outcome { results: Results::Exception, unprepared: false };
        vec![Effect::Finish { text: "build exception".into(), outcome }]
    }

    fn step_ended(&mut self, end: StepEnd) -> Vec<Effect> {
        let (overall, terminate) = combine(self.overall, end.results, end.flags);
        self.overall = overall;
        self.terminated |= terminate;
        // A connection may be found lost by the step before its owner says so.
        if end.lost && !std::mem::replace(&mut self.lost, true) {
            self.texts.push("lost connection".into());
        }
        self.texts.extend(end.summary);
        if let Some(wanted) = end.finish {
            self.overall = self.overall.worst(wanted);
            self.terminated = true;
        }
        self.next_step()
    }

    /// 05.013.
    fn stop(&mut self, reason: Arc<str>, results: Results) -> Vec<Effect> {
        self.hurried |= results == Results::Retry;
        // What a person cancelled is not tried again because the master stops as well.
        let results = self.stopped.as_ref().map_or(results, |(_, earlier)| results.worst(*earlier));
        self.stopped = Some((reason.clone(), results));
        match self.phase {
            Phase::Running => vec![Effect::Interrupt(reason)],
            Phase::Locking => self.not_locked(results, reason.to_string()),
            // No step has run: there is nothing to wait for, least of all a worker that does not answer.
            Phase::Substantiating | Phase::Pinging { .. } | Phase::Starting => self.stopped_early(),
            Phase::Adding | Phase::SettingUp | Phase::Done => Vec::new(),
        }
    }

    /// 05.014. A running step finds out by itself.
    fn lose(&mut self) -> Vec<Effect> {
        let first = !std::mem::replace(&mut self.lost, true);
        match self.phase {
            Phase::Substantiating => self.unprepared(Results::Retry, NOT_AVAILABLE, None),
            Phase::Pinging { .. } => self.unprepared(Results::Retry, "worker not pinged", None),
            Phase::Starting => self.unprepared(Results::Retry, "worker not building", None),
            Phase::Locking => {
                self.texts.push("lost connection".into());
                self.not_locked(Results::Retry, "lost connection to the worker".into())
            }
            Phase::Running if first => {
                self.texts.push("lost connection".into());
                Vec::new()
            }
            Phase::Adding | Phase::SettingUp | Phase::Running | Phase::Done => Vec::new(),
        }
    }

    /// Items 15 and 16.
    fn finish(&mut self) -> Vec<Effect> {
        self.phase = Phase::Done;
        let results = match &self.stopped {
            Some((_, Results::Retry)) => Results::Retry,
            // Also where the worker was lost then: what was cancelled is not built again.
            Some((_, stopped)) => self.overall.worst(*stopped),
            None if self.lost => Results::Retry,
            None => self.overall,
        };
        let text = self.end_text(results);
        vec![Effect::Finish { text, outcome: Outcome { results, unprepared: false } }]
    }

    fn end_text(&self, results: Results) -> String {
        let mut text = match results {
            Results::Failure => "failed".to_string(),
            Results::Warnings => "warnings".into(),
            Results::Exception => "exception".into(),
            Results::Retry => "retry".into(),
            Results::Cancelled => "cancelled".into(),
            Results::Success | Results::Skipped => "build successful".into(),
        };
        if let Some((reason, _)) = &self.stopped {
            text.push_str(&format!(" ({reason})"));
        }
        for part in &self.texts {
            text.push(' ');
            text.push_str(part);
        }
        text
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
