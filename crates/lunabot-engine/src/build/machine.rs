//! The life cycle of a build, as decisions without I/O (reference 05a, 05b).

use crate::step::run::StepEnd;
use lunabot_model::results::combine;
use lunabot_model::{Mono, Results};
use std::sync::Arc;
use std::time::Duration;

/// A worker that does not answer a ping within this time counts as lost (05b item 9).
pub const PING_TIMEOUT: Duration = Duration::from_secs(120);

/// What happens to a build.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Its row has its place; the error says why it has none.
    Added(Result<(), String>),
    /// Properties, preparation step and objects are there (items 4 to 7).
    SetUp(Result<(), String>),
    Pinged(bool),
    /// The worker was told (item 11).
    Started(bool),
    StepEnded(StepEnd),
    /// A step that runs only where `alwaysRun` says so did not.
    StepPassed,
    Stop {
        reason: Arc<str>,
        results: Results,
    },
    /// The worker's connection is gone.
    Lost,
}

/// What is to be done. Each of `Add`, `SetUp`, `Ping`, `StartRemote` and `RunStep` is answered by an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Add,
    SetUp,
    State(&'static str),
    Ping,
    /// Properties of the attached worker are saved, then it is told (items 10 and 11).
    StartRemote,
    EndPreparation {
        results: Results,
        why: Option<String>,
    },
    RunStep {
        index: usize,
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
    Pinging { deadline: Mono },
    Starting,
    Running { index: usize },
    Done,
}

/// One build.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    /// How many steps the factory has.
    steps: usize,
    overall: Results,
    terminated: bool,
    stopped: Option<(Arc<str>, Results)>,
    lost: bool,
    /// Contributions of steps to the build's text.
    texts: Vec<String>,
}

impl Machine {
    /// A build of so many steps, and what is to be done first.
    pub fn new(steps: usize) -> (Self, Vec<Effect>) {
        let machine = Machine {
            phase: Phase::Adding,
            steps,
            overall: Results::Success,
            terminated: false,
            stopped: None,
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
            (Phase::Adding, Event::Added(Err(why))) => self.unprepared(Results::Retry, &why),
            (Phase::SettingUp, Event::SetUp(Ok(()))) => self.prepare(now),
            (Phase::SettingUp, Event::SetUp(Err(why))) => self.setup_failed(why),
            (Phase::Pinging { .. }, Event::Pinged(true)) => self.start_remote(),
            (Phase::Pinging { .. }, Event::Pinged(false)) => {
                self.unprepared(Results::Retry, "worker not pinged")
            }
            (Phase::Starting, Event::Started(true)) => self.build(),
            (Phase::Starting, Event::Started(false)) => {
                self.unprepared(Results::Retry, "worker not building")
            }
            (Phase::Running { index }, Event::StepEnded(end)) => self.step_ended(index, end),
            (Phase::Running { index }, Event::StepPassed) => self.next_step(index + 1),
            (
                Phase::Adding
                | Phase::SettingUp
                | Phase::Pinging { .. }
                | Phase::Starting
                | Phase::Running { .. },
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
            Phase::Adding | Phase::SettingUp | Phase::Starting | Phase::Running { .. } | Phase::Done => None,
        }
    }

    pub fn wake(&mut self, now: Mono) -> Vec<Effect> {
        match self.phase {
            Phase::Pinging { deadline } if deadline <= now => self.handle(now, Event::Pinged(false)),
            Phase::Pinging { .. }
            | Phase::Adding
            | Phase::SettingUp
            | Phase::Starting
            | Phase::Running { .. }
            | Phase::Done => Vec::new(),
        }
    }

    fn set_up(&mut self) -> Vec<Effect> {
        self.phase = Phase::SettingUp;
        vec![Effect::SetUp]
    }

    fn prepare(&mut self, now: Mono) -> Vec<Effect> {
        if self.stopped.is_some() {
            return self.cancelled_early();
        }
        if self.lost {
            return self.unprepared(Results::Retry, "worker not available");
        }
        self.phase = Phase::Pinging { deadline: now + PING_TIMEOUT };
        vec![Effect::State("preparing worker"), Effect::State("pinging worker"), Effect::Ping]
    }

    /// Item 2: the request was cancelled, or the build stopped, before the worker was asked for anything.
    fn cancelled_early(&mut self) -> Vec<Effect> {
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
    fn unprepared(&mut self, results: Results, text: &str) -> Vec<Effect> {
        let (results, text, preparation) = match &self.stopped {
            Some((_, stopped)) => (*stopped, "worker cancelled", Results::Cancelled),
            None => (results, text, Results::Exception),
        };
        self.phase = Phase::Done;
        let outcome = Outcome { results, unprepared: self.stopped.is_none() };
        vec![
            Effect::EndPreparation { results: preparation, why: None },
            Effect::Finish { text: text.into(), outcome },
        ]
    }

    fn start_remote(&mut self) -> Vec<Effect> {
        self.phase = Phase::Starting;
        vec![Effect::EndPreparation { results: Results::Success, why: None }, Effect::StartRemote]
    }

    fn build(&mut self) -> Vec<Effect> {
        let mut effects = vec![Effect::State("building")];
        effects.extend(self.next_step(0));
        effects
    }

    /// Item 14.
    fn next_step(&mut self, index: usize) -> Vec<Effect> {
        let retried = matches!(self.stopped, Some((_, Results::Retry)));
        if index >= self.steps || self.lost || retried {
            return self.finish();
        }
        self.phase = Phase::Running { index };
        let only_if_always = self.terminated || self.stopped.is_some();
        vec![Effect::RunStep { index, only_if_always }]
    }

    fn step_ended(&mut self, index: usize, end: StepEnd) -> Vec<Effect> {
        let (overall, terminate) = combine(self.overall, end.results, end.flags);
        self.overall = overall;
        self.terminated |= terminate;
        self.texts.extend(end.summary);
        // A connection may be found lost by the step before its owner says so.
        self.lost |= end.results == Results::Retry;
        self.next_step(index + 1)
    }

    /// 05.013.
    fn stop(&mut self, reason: Arc<str>, results: Results) -> Vec<Effect> {
        let worse = self.stopped.as_ref().map_or(results, |(_, earlier)| results.worst(*earlier));
        let results = if results == Results::Retry { Results::Retry } else { worse };
        self.stopped = Some((reason.clone(), results));
        match self.phase {
            Phase::Running { .. } => vec![Effect::Interrupt(reason)],
            Phase::Adding | Phase::SettingUp | Phase::Pinging { .. } | Phase::Starting | Phase::Done => {
                Vec::new()
            }
        }
    }

    /// 05.014. A running step finds out by itself.
    fn lose(&mut self) -> Vec<Effect> {
        let first = !std::mem::replace(&mut self.lost, true);
        match self.phase {
            Phase::Pinging { .. } => self.unprepared(Results::Retry, "worker not pinged"),
            Phase::Starting => self.unprepared(Results::Retry, "worker not building"),
            Phase::Running { .. } if first => {
                self.texts.push("lost connection".into());
                Vec::new()
            }
            Phase::Adding | Phase::SettingUp | Phase::Running { .. } | Phase::Done => Vec::new(),
        }
    }

    /// Items 15 and 16.
    fn finish(&mut self) -> Vec<Effect> {
        self.phase = Phase::Done;
        let results = match &self.stopped {
            Some((_, Results::Retry)) => Results::Retry,
            _ if self.lost => Results::Retry,
            Some((_, stopped)) => self.overall.worst(*stopped),
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
mod tests {
    use super::*;
    use lunabot_model::results::ResultFlags;

    const NOW: Mono = Mono(Duration::ZERO);

    fn running(steps: usize) -> Machine {
        let (mut machine, first) = Machine::new(steps);
        assert_eq!(first, [Effect::Add]);
        for event in [Event::Added(Ok(())), Event::SetUp(Ok(())), Event::Pinged(true), Event::Started(true)] {
            machine.handle(NOW, event);
        }
        machine
    }

    fn ended(results: Results, flags: ResultFlags, summary: Option<&str>) -> Event {
        Event::StepEnded(StepEnd { results, flags, summary: summary.map(str::to_string) })
    }

    fn stop(results: Results) -> Event {
        Event::Stop { reason: "no more".into(), results }
    }

    fn run(index: usize, only_if_always: bool) -> Vec<Effect> {
        vec![Effect::RunStep { index, only_if_always }]
    }

    fn finish(text: &str, results: Results, unprepared: bool) -> Effect {
        Effect::Finish { text: text.into(), outcome: Outcome { results, unprepared } }
    }

    fn last(effects: Vec<Effect>) -> Effect {
        effects.into_iter().last().unwrap()
    }

    #[test]
    fn row_05_007_the_states_of_a_trivial_build_in_order() {
        let (mut machine, _) = Machine::new(1);
        assert_eq!(machine.handle(NOW, Event::Added(Ok(()))), [Effect::SetUp]);
        let states = [Effect::State("preparing worker"), Effect::State("pinging worker"), Effect::Ping];
        assert_eq!(machine.handle(NOW, Event::SetUp(Ok(()))), states);
        let ready = [Effect::EndPreparation { results: Results::Success, why: None }, Effect::StartRemote];
        assert_eq!(machine.handle(NOW, Event::Pinged(true)), ready);
        let building = [Effect::State("building"), Effect::RunStep { index: 0, only_if_always: false }];
        assert_eq!(machine.handle(NOW, Event::Started(true)), building);
        let end = machine.handle(NOW, ended(Results::Success, ResultFlags::default(), None));
        assert_eq!(end, [finish("build successful", Results::Success, false)]);
        assert!(machine.handle(NOW, Event::Lost).is_empty(), "no effect once finished");
    }

    #[test]
    fn row_05_003_halting_leaves_only_steps_that_always_run() {
        let mut machine = running(3);
        let halts = ResultFlags { halt_on_failure: true, ..ResultFlags::default() };
        assert_eq!(
            machine.handle(NOW, ended(Results::Failure, halts, Some("'make test' (failure)"))),
            run(1, true)
        );
        assert_eq!(machine.handle(NOW, Event::StepPassed), run(2, true));
        let end = machine.handle(NOW, ended(Results::Success, ResultFlags::default(), None));
        assert_eq!(end, [finish("failed 'make test' (failure)", Results::Failure, false)]);
    }

    #[test]
    fn row_05_013_a_stopped_build_interrupts_its_step_and_ends_cancelled_with_the_reason() {
        let mut machine = running(2);
        assert_eq!(machine.handle(NOW, stop(Results::Cancelled)), [Effect::Interrupt("no more".into())]);
        let next =
            machine.handle(NOW, ended(Results::Cancelled, ResultFlags::default(), Some("x (cancelled)")));
        assert_eq!(next, run(1, true));
        let end = machine.handle(NOW, Event::StepPassed);
        assert_eq!(end, [finish("cancelled (no more) x (cancelled)", Results::Cancelled, false)]);
        assert!(machine.handle(NOW, stop(Results::Cancelled)).is_empty(), "no effect once finished");
    }

    #[test]
    fn row_05_014_a_lost_worker_ends_in_retry_and_nothing_more_runs() {
        let mut machine = running(3);
        assert!(machine.handle(NOW, Event::Lost).is_empty());
        let end = machine.handle(NOW, ended(Results::Retry, ResultFlags::default(), None));
        assert_eq!(end, [finish("retry lost connection", Results::Retry, false)]);
    }

    #[test]
    fn row_07_029_a_build_stopped_for_shutdown_ends_in_retry_whatever_its_step_says() {
        let mut machine = running(2);
        machine.handle(NOW, stop(Results::Retry));
        let end = machine.handle(NOW, ended(Results::Cancelled, ResultFlags::default(), None));
        assert_eq!(end, [finish("retry (no more)", Results::Retry, false)]);
    }

    #[test]
    fn row_05_007_preparation_that_fails_quarantines_unless_stopped() {
        let until_ping = || {
            let (mut machine, _) = Machine::new(1);
            machine.handle(NOW, Event::Added(Ok(())));
            machine.handle(NOW, Event::SetUp(Ok(())));
            machine
        };
        let mut unanswered = until_ping();
        assert_eq!(unanswered.next_wake(), Some(NOW + PING_TIMEOUT));
        assert!(unanswered.wake(NOW).is_empty());
        assert_eq!(
            last(unanswered.wake(NOW + PING_TIMEOUT)),
            finish("worker not pinged", Results::Retry, true)
        );
        let mut stopped = until_ping();
        stopped.handle(NOW, stop(Results::Cancelled));
        assert_eq!(
            last(stopped.handle(NOW, Event::Pinged(false))),
            finish("worker cancelled", Results::Cancelled, false)
        );
        let mut lost = until_ping();
        assert_eq!(last(lost.handle(NOW, Event::Lost)), finish("worker not pinged", Results::Retry, true));
        let mut refused = until_ping();
        refused.handle(NOW, Event::Pinged(true));
        assert_eq!(
            last(refused.handle(NOW, Event::Started(false))),
            finish("worker not building", Results::Retry, true)
        );
    }

    #[test]
    fn row_05_007_a_build_stopped_before_its_worker_is_asked_ends_at_once() {
        let (mut machine, _) = Machine::new(1);
        machine.handle(NOW, stop(Results::Cancelled));
        machine.handle(NOW, Event::Added(Ok(())));
        let end = last(machine.handle(NOW, Event::SetUp(Ok(()))));
        assert_eq!(end, finish("cancelled (no more)", Results::Cancelled, false));
    }

    #[test]
    fn row_05_007_a_setup_that_fails_is_an_exception() {
        let (mut machine, _) = Machine::new(1);
        machine.handle(NOW, Event::Added(Ok(())));
        let end = last(machine.handle(NOW, Event::SetUp(Err("why".into()))));
        assert_eq!(end, finish("Build.setupBuild failed", Results::Exception, true));
        let outcome = Outcome { results: Results::Exception, unprepared: true };
        assert!(outcome.quarantines() && !outcome.resets_quarantine());
        let retry = Outcome { results: Results::Retry, unprepared: false };
        assert!(!retry.quarantines() && !retry.resets_quarantine());
    }
}
