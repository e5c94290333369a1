use super::*;
use lunabot_model::results::ResultFlags;

const NOW: Mono = Mono(Duration::ZERO);

fn running() -> Machine {
    let (mut machine, first) = Machine::new(false);
    assert_eq!(first, [Effect::Add]);
    for event in [Event::Added(Ok(())), Event::SetUp(Ok(false)), Event::Pinged(true), Event::Started(true)] {
        machine.handle(NOW, event);
    }
    machine
}

fn ended(results: Results, flags: ResultFlags, summary: Option<&str>) -> Event {
    Event::StepEnded(StepEnd {
        name: "s".into(),
        results,
        flags,
        summary: summary.map(str::to_string),
        finish: None,
        lost: false,
        facts: crate::step::run::Facts::default(),
    })
}

/// A step that found its worker lost.
fn lost_step() -> Event {
    let Event::StepEnded(end) = ended(Results::Retry, ResultFlags::default(), None) else { unreachable!() };
    Event::StepEnded(StepEnd { lost: true, ..end })
}

fn stop(results: Results) -> Event {
    Event::Stop { reason: "no more".into(), results }
}

fn run(only_if_always: bool) -> Vec<Effect> {
    vec![Effect::RunStep { only_if_always }]
}

fn finish(text: &str, results: Results, unprepared: bool) -> Effect {
    Effect::Finish { text: text.into(), outcome: Outcome { results, unprepared } }
}

fn last(effects: Vec<Effect>) -> Effect {
    effects.into_iter().last().unwrap()
}

#[test]
fn row_05_007_the_states_of_a_trivial_build_in_order() {
    let (mut machine, _) = Machine::new(false);
    assert_eq!(machine.handle(NOW, Event::Added(Ok(()))), [Effect::SetUp]);
    let states = [Effect::State("preparing worker"), Effect::State("pinging worker"), Effect::Ping];
    assert_eq!(machine.handle(NOW, Event::SetUp(Ok(false))), states);
    let ready = [Effect::EndPreparation { results: Results::Success, why: None }, Effect::StartRemote];
    assert_eq!(machine.handle(NOW, Event::Pinged(true)), ready);
    let building = [Effect::State("building"), Effect::RunStep { only_if_always: false }];
    assert_eq!(machine.handle(NOW, Event::Started(true)), building);
    assert_eq!(machine.handle(NOW, ended(Results::Success, ResultFlags::default(), None)), run(false));
    assert_eq!(
        machine.handle(NOW, Event::NoStep(None)),
        [finish("build successful", Results::Success, false)]
    );
    assert!(machine.handle(NOW, Event::Lost).is_empty(), "no effect once finished");
}

#[test]
fn row_08_047_a_latent_worker_is_substantiated_before_it_is_pinged() {
    let wanting = || {
        let (mut machine, _) = Machine::new(true);
        machine.handle(NOW, Event::Added(Ok(())));
        let effects = machine.handle(NOW, Event::SetUp(Ok(false)));
        assert_eq!(effects, [Effect::State("preparing worker"), Effect::Substantiate]);
        machine
    };
    let ping = [Effect::State("pinging worker"), Effect::Ping];
    assert_eq!(wanting().handle(NOW, Event::Substantiated(Ok(()))), ping);
    for (hopeless, results, text) in [
        (false, Results::Retry, "worker not available"),
        (true, Results::Exception, "worker cannot substantiate"),
    ] {
        let failure = Failure { hopeless, why: "oh".into() };
        let told = Effect::EndPreparation { results: Results::Exception, why: Some("oh".into()) };
        let effects = wanting().handle(NOW, Event::Substantiated(Err(failure)));
        assert_eq!(effects, [told, finish(text, results, true)]);
    }
    let cancelled = last(wanting().handle(NOW, stop(Results::Cancelled)));
    assert_eq!(cancelled, finish("cancelled (no more)", Results::Cancelled, false));
    let lost = last(wanting().handle(NOW, Event::Lost));
    assert_eq!(lost, finish("worker not available", Results::Retry, true));
}

#[test]
fn row_05_007_an_unwanted_build_is_skipped_without_a_step() {
    for (before, results) in [(None, Results::Skipped), (Some(stop(Results::Cancelled)), Results::Cancelled)]
    {
        let (mut machine, _) = Machine::new(false);
        before.map(|event| machine.handle(NOW, event));
        let [Effect::Finish { outcome, .. }] = &machine.handle(NOW, Event::Unwanted)[..] else {
            panic!("an end")
        };
        assert_eq!(*outcome, Outcome { results, unprepared: false });
    }
}

#[test]
fn row_05_003_halting_leaves_only_steps_that_always_run() {
    let mut machine = running();
    let halts = ResultFlags { halt_on_failure: true, ..ResultFlags::default() };
    assert_eq!(machine.handle(NOW, ended(Results::Failure, halts, Some("'make test' (failure)"))), run(true));
    assert_eq!(machine.handle(NOW, Event::StepPassed), run(true));
    assert_eq!(machine.handle(NOW, ended(Results::Success, ResultFlags::default(), None)), run(true));
    let end = machine.handle(NOW, Event::NoStep(None));
    assert_eq!(end, [finish("failed 'make test' (failure)", Results::Failure, false)]);
}

#[test]
fn row_05_013_a_stopped_build_interrupts_its_step_and_ends_cancelled_with_the_reason() {
    let mut machine = running();
    assert_eq!(machine.handle(NOW, stop(Results::Cancelled)), [Effect::Interrupt("no more".into())]);
    let next = machine.handle(NOW, ended(Results::Cancelled, ResultFlags::default(), Some("x (cancelled)")));
    assert_eq!(next, run(true));
    assert_eq!(machine.handle(NOW, Event::StepPassed), run(true));
    let end = machine.handle(NOW, Event::NoStep(None));
    assert_eq!(end, [finish("cancelled (no more) x (cancelled)", Results::Cancelled, false)]);
    assert!(machine.handle(NOW, stop(Results::Cancelled)).is_empty(), "no effect once finished");
}

#[test]
fn row_05_014_a_lost_worker_ends_in_retry_and_nothing_more_runs() {
    let mut machine = running();
    assert!(machine.handle(NOW, Event::Lost).is_empty());
    let end = machine.handle(NOW, lost_step());
    assert_eq!(end, [finish("retry lost connection", Results::Retry, false)]);
    // Its step may find out before its owner says so.
    let end = running().handle(NOW, lost_step());
    assert_eq!(end, [finish("retry lost connection", Results::Retry, false)]);
}

#[test]
fn row_05_003_a_step_that_asks_for_a_retry_loses_no_worker_what_always_runs_does() {
    let mut machine = running();
    assert_eq!(machine.handle(NOW, ended(Results::Retry, ResultFlags::default(), None)), run(true));
    assert_eq!(machine.handle(NOW, ended(Results::Success, ResultFlags::default(), None)), run(true));
    assert_eq!(last(machine.handle(NOW, Event::NoStep(None))), finish("retry", Results::Retry, false));
}

#[test]
fn row_07_029_a_build_stopped_for_shutdown_ends_in_retry_whatever_its_step_says() {
    let mut machine = running();
    machine.handle(NOW, stop(Results::Retry));
    let end = machine.handle(NOW, ended(Results::Cancelled, ResultFlags::default(), None));
    assert_eq!(end, [finish("retry (no more)", Results::Retry, false)]);
}

#[test]
fn row_05_007_preparation_that_fails_quarantines_unless_stopped() {
    let until_ping = || {
        let (mut machine, _) = Machine::new(false);
        machine.handle(NOW, Event::Added(Ok(())));
        machine.handle(NOW, Event::SetUp(Ok(false)));
        machine
    };
    let mut unanswered = until_ping();
    assert_eq!(unanswered.next_wake(), Some(NOW + PING_TIMEOUT));
    assert!(unanswered.wake(NOW).is_empty());
    assert_eq!(last(unanswered.wake(NOW + PING_TIMEOUT)), finish("worker not pinged", Results::Retry, true));
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
    let (mut machine, _) = Machine::new(false);
    machine.handle(NOW, stop(Results::Cancelled));
    machine.handle(NOW, Event::Added(Ok(())));
    let end = last(machine.handle(NOW, Event::SetUp(Ok(false))));
    assert_eq!(end, finish("cancelled (no more)", Results::Cancelled, false));
}

#[test]
fn row_05_007_a_setup_that_fails_is_an_exception() {
    let (mut machine, _) = Machine::new(false);
    machine.handle(NOW, Event::Added(Ok(())));
    let end = last(machine.handle(NOW, Event::SetUp(Err("why".into()))));
    assert_eq!(end, finish("Build.setupBuild failed", Results::Exception, true));
    let outcome = Outcome { results: Results::Exception, unprepared: true };
    assert!(outcome.quarantines() && !outcome.resets_quarantine());
    let retry = Outcome { results: Results::Retry, unprepared: false };
    assert!(!retry.quarantines() && !retry.resets_quarantine());
}

fn locking() -> Machine {
    let (mut machine, _) = Machine::new(false);
    for event in [Event::Added(Ok(())), Event::SetUp(Ok(true)), Event::Pinged(true)] {
        machine.handle(NOW, event);
    }
    let waits = [Effect::State("acquiring locks"), Effect::AcquireLocks];
    assert_eq!(machine.handle(NOW, Event::Started(true)), waits);
    machine
}

fn end_locks(results: Results, why: &str) -> Effect {
    Effect::EndLocks { results, why: Some(why.into()) }
}

#[test]
fn row_05_061_a_build_with_locks_waits_for_them_before_its_steps() {
    let mut machine = locking();
    let building = [
        Effect::EndLocks { results: Results::Success, why: None },
        Effect::State("building"),
        Effect::RunStep { only_if_always: false },
    ];
    assert_eq!(machine.handle(NOW, Event::Locks(Ok(()))), building);
}

#[test]
fn row_05_013_a_build_that_waits_for_locks_ends_when_stopped_lost_or_refused() {
    let table = [
        (
            stop(Results::Cancelled),
            [
                end_locks(Results::Cancelled, "no more"),
                finish("cancelled (no more)", Results::Cancelled, false),
            ],
        ),
        (
            stop(Results::Retry),
            [end_locks(Results::Retry, "no more"), finish("retry (no more)", Results::Retry, false)],
        ),
        (
            Event::Lost,
            [
                end_locks(Results::Retry, "lost connection to the worker"),
                finish("retry lost connection", Results::Retry, false),
            ],
        ),
        (
            Event::Locks(Err("never".into())),
            [end_locks(Results::Exception, "never"), finish("exception never", Results::Exception, false)],
        ),
    ];
    for (event, effects) in table {
        let mut machine = locking();
        assert_eq!(machine.handle(NOW, event), effects);
        assert!(machine.handle(NOW, Event::Locks(Ok(()))).is_empty(), "it is over");
    }
}

#[test]
fn row_05_013_a_build_stopped_before_it_asks_for_its_locks_does_not_ask() {
    let (mut machine, _) = Machine::new(false);
    for event in [Event::Added(Ok(())), Event::SetUp(Ok(true)), Event::Pinged(true)] {
        machine.handle(NOW, event);
    }
    let end = last(machine.handle(NOW, stop(Results::Cancelled)));
    assert_eq!(end, finish("cancelled (no more)", Results::Cancelled, false));
    assert!(machine.handle(NOW, Event::Started(true)).is_empty());
}
/// A stop at every moment, whatever else happens to the build, and what it ends with.
#[test]
fn row_05_013_row_07_024_a_stop_at_every_moment_ends_the_build_and_a_person_has_the_last_word() {
    let step = || ended(Results::Cancelled, ResultFlags::default(), None);
    let (cancel, retry) = (|| stop(Results::Cancelled), || stop(Results::Retry));
    let added = || vec![Event::Added(Ok(()))];
    let pinging = || vec![Event::Added(Ok(())), Event::SetUp(Ok(false))];
    let starting = || [pinging(), vec![Event::Pinged(true)]].concat();
    let running = || [starting(), vec![Event::Started(true)]].concat();
    let stories: Vec<(&str, Vec<Event>, Vec<Event>, Results)> = vec![
        (
            "before its row",
            vec![],
            vec![cancel(), Event::Added(Ok(())), Event::SetUp(Ok(false))],
            Results::Cancelled,
        ),
        (
            "before its row, which fails",
            vec![],
            vec![cancel(), Event::Added(Err("x".into()))],
            Results::Cancelled,
        ),
        ("while set up", added(), vec![cancel(), Event::SetUp(Ok(false))], Results::Cancelled),
        ("while pinging", pinging(), vec![cancel()], Results::Cancelled),
        ("while the worker is told", starting(), vec![cancel()], Results::Cancelled),
        ("in a step", running(), vec![cancel(), step(), Event::StepPassed], Results::Cancelled),
        (
            "in a step that succeeds all the same",
            running(),
            vec![cancel(), ended(Results::Success, ResultFlags::default(), None), Event::StepPassed],
            Results::Cancelled,
        ),
        ("in a step, then lost", running(), vec![cancel(), Event::Lost, lost_step()], Results::Cancelled),
        ("lost, then stopped", running(), vec![Event::Lost, cancel(), lost_step()], Results::Cancelled),
        ("cancelled, then shut down", running(), vec![cancel(), retry(), step()], Results::Cancelled),
        ("shut down, then cancelled", running(), vec![retry(), cancel(), step()], Results::Cancelled),
        ("shut down in a step", running(), vec![retry(), step()], Results::Retry),
        ("shut down while pinging", pinging(), vec![retry()], Results::Retry),
        (
            "shut down before its row",
            vec![],
            vec![retry(), Event::Added(Ok(())), Event::SetUp(Ok(false))],
            Results::Retry,
        ),
        ("shut down and lost", running(), vec![retry(), Event::Lost, lost_step()], Results::Retry),
    ];
    for (moment, before, after, want) in stories {
        let (mut machine, _) = Machine::new(false);
        before.into_iter().for_each(|event| drop(machine.handle(NOW, event)));
        let after = after.into_iter().chain([Event::NoStep(None)]);
        let effects: Vec<Effect> = after.flat_map(|event| machine.handle(NOW, event)).collect();
        let Some(Effect::Finish { text, outcome }) = effects.last() else { panic!("{moment}: {effects:?}") };
        assert_eq!((outcome.results, outcome.unprepared), (want, false), "{moment}");
        assert!(text.contains("(no more)"), "{moment}: {text}");
        assert_eq!(machine.next_wake(), None, "{moment}");
        assert!(machine.handle(NOW, cancel()).is_empty(), "{moment}: over is over");
    }
}

#[test]
fn row_05_010_a_class_that_breaks_ends_the_build_and_one_may_say_how_it_ends() {
    let mut broken = running();
    assert_eq!(broken.handle(NOW, Event::Broken), [finish("build exception", Results::Exception, false)]);
    let mut stopped = running();
    stopped.handle(NOW, stop(Results::Cancelled));
    assert_eq!(
        last(stopped.handle(NOW, Event::Broken)),
        finish("cancelled (no more)", Results::Cancelled, false)
    );
    let mut wanted = running();
    let end = StepEnd {
        name: "s".into(),
        results: Results::Success,
        flags: ResultFlags::default(),
        summary: None,
        finish: Some(Results::Warnings),
        lost: false,
        facts: crate::step::run::Facts::default(),
    };
    assert_eq!(wanted.handle(NOW, Event::StepEnded(end)), run(true));
    assert_eq!(last(wanted.handle(NOW, Event::NoStep(None))), finish("warnings", Results::Warnings, false));
}
