//! The life of a latent worker's instance, as decisions without I/O (reference 08.038–08.046, 08.051).
//!
//! ```text
//!                    wanted                  answered and connected
//! not substantiated ───────► substantiating ───────────────────────► substantiated
//!        ▲                        │ refused, late, unwanted                │ idle, lost
//!        │ stopped                ▼                                        │
//!        └─────────────── insubstantiating ◄───────────────────────────────┘
//!                            │      ▲ unwanted
//!                     wanted ▼      │
//!                 insubstantiating, then substantiating ──stopped──► substantiating
//! ```
//!
//! At most one call of the worker's class is under way at any time. Buildbot's state SUBSTANTIATING, in which a worker waits
//! for its turn, passes at once here: nothing else has the turn.

mod ending;

use super::terms::{Call, Effect, Event, Failure, Idle, Settings, State};
use lunabot_model::{BuildRequestId, Mono};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long one call of `stop_instance` may take.
pub const STOP_WITHIN: Duration = Duration::from_secs(300);
/// Why it ends for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Removed,
    ShutDown { fast: bool },
}

/// One latent worker.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    state: State,
    call: Option<Call>,
    connected: bool,
    /// Builds that are on the worker, and those of them that wait for the instance.
    builds: BTreeSet<BuildRequestId>,
    waiting: BTreeSet<BuildRequestId>,
    outdated: bool,
    ending: Option<Ending>,
    /// Until when builds wait.
    missing: Option<Mono>,
    /// Until when the present call may take.
    late: Option<Mono>,
    /// The next check, the next try of a stop, or the end of an idle instance.
    next: Option<Mono>,
    /// Stops that failed in a row.
    failures: u32,
}

impl Machine {
    pub fn new(settings: Settings) -> Self {
        Machine {
            settings,
            state: State::NotSubstantiated,
            call: None,
            connected: false,
            builds: BTreeSet::new(),
            waiting: BTreeSet::new(),
            outdated: false,
            ending: None,
            missing: None,
            late: None,
            next: None,
            failures: 0,
        }
    }

    /// One whose instance an earlier master has started, or was about to: it is stopped first.
    pub fn left_behind(settings: Settings, now: Mono) -> (Self, Vec<Effect>) {
        let mut machine = Machine::new(settings);
        let mut effects = Vec::new();
        machine.insubstantiate(now, &mut effects);
        (machine, effects)
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether a worker that comes may stay (08.043).
    pub fn may_attach(&self) -> bool {
        match self.state {
            State::Substantiating => true,
            State::NotSubstantiated | State::Substantiated => {
                self.settings.idle == Idle::Keep && self.ending.is_none() && !self.connected
            }
            State::Insubstantiating | State::InsubstantiatingSubstantiating | State::ShutDown => false,
        }
    }

    /// Whether there is an instance whose properties are known: its start has been answered.
    pub fn has_instance(&self) -> bool {
        match self.state {
            State::Substantiated => true,
            State::Substantiating => self.call != Some(Call::Start),
            State::NotSubstantiated
            | State::Insubstantiating
            | State::InsubstantiatingSubstantiating
            | State::ShutDown => false,
        }
    }

    /// Whether any build is to be served.
    pub fn is_wanted(&self) -> bool {
        !self.builds.is_empty()
    }

    /// When [`Machine::wake`] is to be called at the latest. An idle worker without an instance wants nothing.
    pub fn next_wake(&self) -> Option<Mono> {
        [self.missing, self.late, self.next].into_iter().flatten().min()
    }

    pub fn handle(&mut self, now: Mono, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Begun(build) => {
                self.builds.insert(build);
                if self.state == State::Substantiated {
                    self.next = None;
                }
            }
            Event::Wanted(build) => self.wanted(now, build, &mut effects),
            Event::Over(build) => self.over(now, build, &mut effects),
            Event::Started(answer) if self.call == Some(Call::Start) => {
                self.answered();
                self.has_started(now, answer, &mut effects);
            }
            Event::Checked(answer) if self.call == Some(Call::Check) => {
                self.answered();
                self.checked(now, answer, &mut effects);
            }
            Event::Stopped(answer) if self.call == Some(Call::Stop) => {
                self.answered();
                self.stopped(now, answer, &mut effects);
            }
            // Of a call that was dropped.
            Event::Started(_) | Event::Checked(_) | Event::Stopped(_) => {}
            Event::Attached => {
                self.connected = true;
                self.complete(&mut effects);
            }
            Event::Detached => self.detached(now, &mut effects),
            Event::Configured { settings, outdated } => {
                self.configured(now, settings, outdated, &mut effects);
            }
            Event::Outdated => self.outdate(now, true, &mut effects),
            Event::Removed => self.end(now, Ending::Removed, &mut effects),
            Event::ShutDown { fast } => self.end(now, Ending::ShutDown { fast }, &mut effects),
        }
        effects
    }

    /// Does what time has come for.
    pub fn wake(&mut self, now: Mono) -> Vec<Effect> {
        let mut effects = Vec::new();
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        if due(self.late) {
            self.too_late(now, &mut effects);
        }
        if due(self.missing) {
            self.went_missing(now, &mut effects);
        }
        if due(self.next) {
            self.next = None;
            match self.state {
                State::Substantiated => self.insubstantiate(now, &mut effects),
                State::Substantiating => self.call(now, Call::Check, &mut effects),
                State::Insubstantiating | State::InsubstantiatingSubstantiating => {
                    self.call(now, Call::Stop, &mut effects);
                }
                State::NotSubstantiated | State::ShutDown => {}
            }
        }
        effects
    }

    /// 08.041.
    fn wanted(&mut self, now: Mono, build: BuildRequestId, effects: &mut Vec<Effect>) {
        self.builds.insert(build);
        if self.ending.is_some() {
            effects.push(Effect::Failed(build, Failure::new(self.last_words())));
            return;
        }
        if self.state == State::Substantiated && self.connected {
            effects.push(Effect::Ready(build));
            return;
        }
        self.waiting.insert(build);
        match self.state {
            State::NotSubstantiated => self.start(now, effects),
            State::Substantiated => self.insubstantiate(now, effects),
            State::Insubstantiating => {
                self.state = State::InsubstantiatingSubstantiating;
                self.missing = Some(now + self.settings.missing);
            }
            State::Substantiating | State::InsubstantiatingSubstantiating | State::ShutDown => {}
        }
    }

    fn over(&mut self, now: Mono, build: BuildRequestId, effects: &mut Vec<Effect>) {
        self.builds.remove(&build);
        self.waiting.remove(&build);
        match self.state {
            State::InsubstantiatingSubstantiating if self.waiting.is_empty() => self.unwanted(),
            State::Substantiating if self.builds.is_empty() => self.insubstantiate(now, effects),
            State::Substantiated if self.builds.is_empty() => self.idle(now, effects),
            State::NotSubstantiated
            | State::Substantiating
            | State::Substantiated
            | State::Insubstantiating
            | State::InsubstantiatingSubstantiating
            | State::ShutDown => {}
        }
    }

    /// Nobody waits any more for the instance that was to follow.
    fn unwanted(&mut self) {
        self.state = State::Insubstantiating;
        self.missing = None;
    }

    /// 08.046.
    fn idle(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let of_no_use = self.outdated || !self.connected;
        self.next = match self.settings.idle {
            Idle::StopAfter(time) if !of_no_use => Some(now + time),
            Idle::Keep if !self.outdated => None,
            Idle::Stop | Idle::StopAfter(_) | Idle::Keep => return self.insubstantiate(now, effects),
        };
    }

    /// 08.042.
    fn start(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let Some(first) = self.waiting.first().copied() else { return };
        self.state = State::Substantiating;
        self.outdated = false;
        self.failures = 0;
        self.call = Some(Call::Start);
        let until = Some(now + self.settings.missing);
        (self.missing, self.late, self.next) = (until, until, None);
        effects.push(Effect::Start(first));
    }

    fn has_started(&mut self, now: Mono, answer: Result<(), Failure>, effects: &mut Vec<Effect>) {
        match (self.state, answer) {
            (State::Substantiating, Ok(())) => {
                self.next = self.settings.check.map(|interval| now + interval);
                self.complete(effects);
            }
            (State::Substantiating, Err(failure)) => self.fail(now, &failure, effects),
            // It is to be stopped since.
            (State::Insubstantiating | State::InsubstantiatingSubstantiating, _) => {
                self.call(now, Call::Stop, effects);
            }
            (State::NotSubstantiated | State::Substantiated | State::ShutDown, _) => {}
        }
    }

    fn checked(&mut self, now: Mono, answer: Result<(), String>, effects: &mut Vec<Effect>) {
        if self.state != State::Substantiating {
            return;
        }
        match answer {
            Ok(()) => self.next = self.settings.check.map(|interval| now + interval),
            Err(why) => {
                let why = format!("latent worker crashed before connecting: {why}");
                self.fail(now, &Failure::new(why), effects);
            }
        }
    }

    /// Substantiated, where the instance is connected and its start has been answered (08.043).
    fn complete(&mut self, effects: &mut Vec<Effect>) {
        if self.state != State::Substantiating || !self.connected || self.call == Some(Call::Start) {
            return;
        }
        self.abort(None, effects);
        self.state = State::Substantiated;
        (self.missing, self.next) = (None, None);
        effects.extend(std::mem::take(&mut self.waiting).into_iter().map(Effect::Ready));
    }

    fn detached(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        self.connected = false;
        if self.state == State::Substantiated && self.builds.is_empty() && self.settings.idle != Idle::Keep {
            self.insubstantiate(now, effects);
        }
    }

    fn fail(&mut self, now: Mono, failure: &Failure, effects: &mut Vec<Effect>) {
        self.refuse_waiting(failure, effects);
        self.insubstantiate(now, effects);
    }

    fn refuse_waiting(&mut self, failure: &Failure, effects: &mut Vec<Effect>) {
        let waiting = std::mem::take(&mut self.waiting);
        effects.extend(waiting.into_iter().map(|build| Effect::Failed(build, failure.clone())));
        self.missing = None;
    }

    /// The present call has taken its time.
    fn too_late(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let call = self.call;
        self.abort(call, effects);
        match call {
            Some(Call::Start) if self.state == State::Substantiating => {
                let seconds = self.settings.missing.as_secs_f64();
                let why = format!("start_instance did not end within {seconds} s (missing_timeout)");
                effects.push(Effect::Missing);
                self.fail(now, &Failure::new(why), effects);
            }
            Some(Call::Start) => self.call(now, Call::Stop, effects),
            Some(Call::Stop) => {
                let why = format!("stop_instance did not end within {} s", STOP_WITHIN.as_secs());
                self.stopped(now, Err(why), effects);
            }
            Some(Call::Check) | None => {}
        }
    }

    /// 08.044.
    fn went_missing(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        self.missing = None;
        let seconds = self.settings.missing.as_secs_f64();
        match self.state {
            State::Substantiating => {
                effects.push(Effect::Missing);
                let why = format!("the instance did not connect within {seconds} s (missing_timeout)");
                self.fail(now, &Failure::new(why), effects);
            }
            State::InsubstantiatingSubstantiating => {
                let why =
                    format!("the instance before it was not stopped within {seconds} s (missing_timeout)");
                self.refuse_waiting(&Failure::new(why), effects);
                self.unwanted();
            }
            State::NotSubstantiated | State::Substantiated | State::Insubstantiating | State::ShutDown => {}
        }
    }

    fn call(&mut self, now: Mono, call: Call, effects: &mut Vec<Effect>) {
        self.call = Some(call);
        match call {
            Call::Start => {}
            // The script host bounds it.
            Call::Check => effects.push(Effect::Check),
            Call::Stop => {
                self.late = Some(now + STOP_WITHIN);
                let fast = self.ending == Some(Ending::ShutDown { fast: true });
                effects.push(Effect::Stop { fast });
            }
        }
    }

    fn answered(&mut self) {
        (self.call, self.late) = (None, None);
    }

    fn abort(&mut self, late: Option<Call>, effects: &mut Vec<Effect>) {
        if self.call.is_some() {
            self.answered();
            effects.push(Effect::Abort { late });
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
