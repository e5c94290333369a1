use super::*;

const MISSING: Duration = Duration::from_secs(100);
const IDLE: Duration = Duration::from_secs(600);
const CHECK: Duration = Duration::from_secs(10);

fn at(secs: u64) -> Mono {
    Mono(Duration::from_secs(secs))
}

fn settings() -> Settings {
    Settings { idle: Idle::StopAfter(IDLE), missing: MISSING, check: Some(CHECK) }
}

fn with(idle: Idle) -> Settings {
    Settings { idle, ..settings() }
}

fn machine(settings: Settings, events: &[Event]) -> Machine {
    let mut machine = Machine::new(settings);
    for event in events {
        machine.handle(at(0), event.clone());
    }
    machine
}

fn failure(why: &str) -> Failure {
    Failure::new(why)
}

const BEGUN: Event = Event::Begun(1);
const WANTED: Event = Event::Wanted(1);
const STARTED: Event = Event::Started(Ok(()));
const STOPPED: Event = Event::Stopped(Ok(()));
const STOP: Effect = Effect::Stop { fast: false };

/// How each state is reached.
fn stories() -> Vec<(&'static str, Vec<Event>)> {
    let up = vec![BEGUN, WANTED, STARTED, Event::Attached];
    let down = [up.clone(), vec![Event::Over(1), Event::Removed]].concat();
    let down = [down, vec![Event::Configured { settings: settings(), outdated: false }]].concat();
    vec![
        ("none", vec![]),
        ("starting", vec![BEGUN, WANTED]),
        ("connecting", vec![BEGUN, WANTED, STARTED]),
        ("up", up),
        ("stopping", down.clone()),
        ("stopping, then starting", [down, vec![Event::Begun(2), Event::Wanted(2)]].concat()),
        ("shut down", vec![Event::ShutDown { fast: false }]),
    ]
}

/// Row 08.040, 08.041, 08.043, 08.045: every state × every event that may come in it.
#[test]
fn rows_08_040_to_08_045_each_state_and_each_event() {
    use State::*;
    let slow = Event::ShutDown { fast: false };
    let oh = || Event::Started(Err(failure("oh")));
    let crashed = || Effect::Failed(1, failure("latent worker crashed before connecting: oh"));
    let stopping = |build| Effect::Failed(build, failure("the master is stopping"));
    let removed = |build| Effect::Failed(build, failure("the worker is no longer configured"));
    let table: Vec<(&str, Event, State, Vec<Effect>)> = vec![
        ("none", Event::Begun(3), NotSubstantiated, vec![]),
        ("none", Event::Wanted(3), Substantiating, vec![Effect::Start(3)]),
        ("none", Event::Over(3), NotSubstantiated, vec![]),
        ("none", STARTED, NotSubstantiated, vec![]),
        ("none", STOPPED, NotSubstantiated, vec![]),
        ("none", Event::Detached, NotSubstantiated, vec![]),
        ("none", Event::Removed, NotSubstantiated, vec![Effect::Gone]),
        ("none", slow.clone(), ShutDown, vec![]),
        ("starting", Event::Wanted(3), Substantiating, vec![]),
        ("starting", Event::Over(1), Insubstantiating, vec![Effect::Disconnect]),
        ("starting", STARTED, Substantiating, vec![]),
        ("starting", Event::Attached, Substantiating, vec![]),
        ("starting", Event::Detached, Substantiating, vec![]),
        ("starting", STOPPED, Substantiating, vec![]),
        (
            "starting",
            oh(),
            Insubstantiating,
            vec![Effect::Failed(1, failure("oh")), Effect::Disconnect, STOP],
        ),
        ("starting", Event::Removed, Insubstantiating, vec![removed(1), Effect::Disconnect]),
        ("starting", slow.clone(), Insubstantiating, vec![stopping(1), Effect::Disconnect]),
        ("connecting", Event::Wanted(3), Substantiating, vec![]),
        ("connecting", Event::Over(1), Insubstantiating, vec![Effect::Disconnect, STOP]),
        ("connecting", Event::Attached, Substantiated, vec![Effect::Ready(1)]),
        ("connecting", Event::Checked(Err("oh".into())), Substantiating, vec![]),
        ("connecting", slow.clone(), Insubstantiating, vec![stopping(1), Effect::Disconnect, STOP]),
        ("up", Event::Wanted(3), Substantiated, vec![Effect::Ready(3)]),
        ("up", Event::Over(1), Substantiated, vec![]),
        ("up", Event::Detached, Substantiated, vec![]),
        ("up", Event::Removed, Insubstantiating, vec![Effect::Disconnect, STOP]),
        ("up", slow.clone(), Insubstantiating, vec![Effect::Disconnect, STOP]),
        ("stopping", Event::Wanted(3), InsubstantiatingSubstantiating, vec![]),
        ("stopping", Event::Over(1), Insubstantiating, vec![]),
        ("stopping", Event::Detached, Insubstantiating, vec![]),
        ("stopping", Event::Stopped(Err("oh".into())), Insubstantiating, vec![]),
        ("stopping", STOPPED, NotSubstantiated, vec![Effect::Insubstantiated]),
        ("stopping", slow.clone(), Insubstantiating, vec![]),
        ("stopping, then starting", Event::Wanted(3), InsubstantiatingSubstantiating, vec![]),
        ("stopping, then starting", Event::Over(2), Insubstantiating, vec![]),
        ("stopping, then starting", STOPPED, Substantiating, vec![Effect::Insubstantiated, Effect::Start(2)]),
        ("stopping, then starting", Event::Removed, Insubstantiating, vec![removed(2)]),
        ("stopping, then starting", slow, Insubstantiating, vec![stopping(2)]),
        ("shut down", Event::Begun(3), ShutDown, vec![]),
        ("shut down", Event::Wanted(3), ShutDown, vec![stopping(3)]),
        ("shut down", Event::Over(3), ShutDown, vec![]),
    ];
    let stories = stories();
    for (name, event, state, effects) in table {
        let (_, story) = stories.iter().find(|(known, _)| *known == name).unwrap();
        let mut machine = machine(settings(), story);
        let told = machine.handle(at(0), event.clone());
        assert_eq!((machine.state(), told), (state, effects), "{name} × {event:?}");
    }
    // Checks are under way only after their time.
    let mut machine = machine(settings(), &stories[2].1);
    assert_eq!(machine.wake(at(10)), [Effect::Check]);
    let told = machine.handle(at(10), Event::Checked(Err("oh".into())));
    assert_eq!(told, [crashed(), Effect::Disconnect, STOP]);
}

#[test]
fn row_08_043_only_who_was_asked_for_may_attach() {
    let may = [false, true, true, false, false, false, false];
    let all: Vec<bool> = stories().iter().map(|(_, story)| machine(settings(), story).may_attach()).collect();
    assert_eq!(all, may);
    // With a negative build_wait_timeout it may come by itself, once.
    let mut own = Machine::new(with(Idle::Keep));
    assert!(own.may_attach());
    own.handle(at(0), Event::Attached);
    assert!(!own.may_attach());
    assert_eq!(own.handle(at(0), WANTED), [Effect::Start(1)]);
    assert_eq!(own.handle(at(0), STARTED), [Effect::Ready(1)], "08.042: it is connected already");
}

#[test]
fn row_08_041_builds_share_one_start() {
    let mut machine = machine(settings(), &[BEGUN, WANTED, Event::Wanted(2), Event::Attached]);
    assert_eq!(machine.handle(at(1), STARTED), [Effect::Ready(1), Effect::Ready(2)]);
    // One that is cancelled does not take the instance from the other.
    assert!(machine.handle(at(2), Event::Over(1)).is_empty());
    assert_eq!(machine.state(), State::Substantiated);
}

#[test]
fn row_08_046_an_idle_instance_is_stopped_in_its_time() {
    let up = &stories()[3].1;
    for (idle, wake) in [(Idle::Stop, None), (Idle::StopAfter(IDLE), Some(at(605))), (Idle::Keep, None)] {
        let mut machine = machine(with(idle), up);
        let effects = machine.handle(at(5), Event::Over(1));
        let stopped = vec![Effect::Disconnect, STOP];
        assert_eq!(effects, if idle == Idle::Stop { stopped.clone() } else { vec![] }, "{idle:?}");
        let timer = if idle == Idle::Stop { Some(at(5) + STOP_WITHIN) } else { wake };
        assert_eq!(machine.next_wake(), timer, "{idle:?}");
        if idle == Idle::StopAfter(IDLE) {
            // The next build stops the timer, from the moment in which it is given to the worker.
            machine.handle(at(600), Event::Begun(2));
            assert_eq!(machine.next_wake(), None);
            machine.handle(at(601), Event::Over(2));
            assert_eq!(machine.wake(at(1201)), stopped);
        }
    }
}

#[test]
fn row_08_044_an_instance_that_does_not_come_is_stopped() {
    for (story, why) in [
        ("starting", "start_instance did not end within 100 s (missing_timeout)"),
        ("connecting", "the instance did not connect within 100 s (missing_timeout)"),
    ] {
        let all = stories();
        let (_, events) = all.iter().find(|(name, _)| *name == story).unwrap();
        let mut machine = machine(Settings { check: None, ..settings() }, events);
        assert_eq!(machine.next_wake(), Some(at(100)));
        let effects = machine.wake(at(100));
        let abort = (story == "starting").then_some(Effect::Abort { late: Some(Call::Start) });
        let rest = [Effect::Missing, Effect::Failed(1, failure(why)), Effect::Disconnect, STOP];
        assert_eq!(effects, abort.into_iter().chain(rest).collect::<Vec<_>>(), "{story}");
        // What the dropped call would still have said does not count.
        assert!(machine.handle(at(101), STARTED).is_empty());
    }
}

#[test]
fn row_08_039_a_stop_is_repeated_until_it_succeeds_with_growing_waits() {
    let mut machine = machine(settings(), &stories()[4].1);
    let mut waits = Vec::new();
    let mut now = at(0);
    for _ in 0..8 {
        machine.handle(now, Event::Stopped(Err("oh".into())));
        let next = machine.next_wake().unwrap();
        waits.push((next - now).as_secs());
        now = next;
        assert_eq!(machine.wake(now), [STOP]);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    // One that never answers is dropped, and repeated.
    assert_eq!(machine.wake(now + STOP_WITHIN), [Effect::Abort { late: Some(Call::Stop) }]);
    assert_eq!(machine.wake(now + STOP_WITHIN + AGAIN_LATER), [STOP]);
    assert_eq!(machine.handle(at(9999), STOPPED), [Effect::Insubstantiated]);
    assert_eq!(machine.next_wake(), None, "nothing is done for an idle worker");
}

const AGAIN_LATER: Duration = Duration::from_secs(60);

#[test]
fn builds_do_not_wait_for_ever_for_an_instance_that_cannot_be_stopped() {
    let mut machine = machine(settings(), &stories()[5].1);
    machine.handle(at(0), Event::Stopped(Err("oh".into())));
    machine.handle(at(0), Event::Wanted(3));
    machine.wake(at(1));
    let why = "the instance before it was not stopped within 100 s (missing_timeout)";
    let failed = [Effect::Failed(2, failure(why)), Effect::Failed(3, failure(why))];
    assert_eq!(machine.wake(at(100)), failed);
    assert_eq!(machine.state(), State::Insubstantiating);
}

#[test]
fn row_08_041_one_that_is_lost_is_stopped_before_it_is_started_again() {
    let mut machine = machine(settings(), &stories()[3].1);
    assert!(machine.handle(at(1), Event::Detached).is_empty(), "its builds end first");
    assert_eq!(machine.handle(at(2), Event::Over(1)), [Effect::Disconnect, STOP]);
    // One that is kept is found lost by the next build.
    let mut kept = self::machine(with(Idle::Keep), &stories()[3].1);
    kept.handle(at(1), Event::Over(1));
    assert!(kept.handle(at(2), Event::Detached).is_empty());
    assert_eq!(kept.handle(at(3), Event::Wanted(2)), [Effect::Disconnect, STOP]);
    assert_eq!(kept.handle(at(4), STOPPED), [Effect::Insubstantiated, Effect::Start(2)]);
}

#[test]
fn a_start_that_is_under_way_is_waited_for_before_its_stop() {
    let mut machine = machine(settings(), &[BEGUN, WANTED, Event::Over(1)]);
    assert_eq!(machine.handle(at(1), STARTED), [STOP]);
    // While the master stops it has less time.
    let mut ending = self::machine(settings(), &[BEGUN, WANTED, Event::ShutDown { fast: false }]);
    assert_eq!(ending.next_wake(), Some(at(15)));
    assert_eq!(ending.wake(at(15)), [Effect::Abort { late: Some(Call::Start) }, STOP]);
    ending.handle(at(16), Event::Stopped(Err("oh".into())));
    let hastened = ending.handle(at(16), Event::ShutDown { fast: true });
    assert_eq!(hastened, [Effect::Stop { fast: true }]);
    ending.handle(at(17), STOPPED);
    assert_eq!(ending.state(), State::ShutDown);
}

#[test]
fn what_an_earlier_master_left_is_stopped_first() {
    let (mut machine, first) = Machine::left_behind(settings(), at(0));
    assert_eq!(first, [Effect::Disconnect, STOP]);
    assert!(machine.handle(at(1), WANTED).is_empty());
    assert_eq!(machine.handle(at(2), STOPPED), [Effect::Insubstantiated, Effect::Start(1)]);
}

#[test]
fn row_08_014_an_instance_of_other_options_ends_when_nobody_uses_it() {
    let other = Event::Configured { settings: settings(), outdated: true };
    let mut busy = machine(settings(), &stories()[3].1);
    assert!(busy.handle(at(1), other.clone()).is_empty(), "a reload interrupts no build");
    assert_eq!(busy.handle(at(2), Event::Over(1)), [Effect::Disconnect, STOP]);
    let mut idle = machine(settings(), &stories()[3].1);
    idle.handle(at(1), Event::Over(1));
    let same = Event::Configured { settings: settings(), outdated: false };
    assert!(idle.handle(at(2), same).is_empty());
    assert_eq!(idle.next_wake(), Some(at(601)), "its time goes on");
    assert_eq!(idle.handle(at(3), other.clone()), [Effect::Disconnect, STOP]);
    idle.handle(at(4), STOPPED);
    assert!(idle.handle(at(5), other).is_empty());
    assert_eq!(idle.handle(at(6), WANTED), [Effect::Start(1)]);
}

mod any_order {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = Option<Event>> {
        let outcome = |ok: bool| if ok { Ok(()) } else { Err("oh".to_string()) };
        prop_oneof![
            3 => (1..4i64).prop_map(|build| Some(Event::Wanted(build))),
            3 => (1..4i64).prop_map(|build| Some(Event::Over(build))),
            3 => any::<bool>().prop_map(move |ok| Some(Event::Started(outcome(ok).map_err(Failure::new)))),
            2 => any::<bool>().prop_map(move |ok| Some(Event::Checked(outcome(ok)))),
            3 => any::<bool>().prop_map(move |ok| Some(Event::Stopped(outcome(ok)))),
            3 => Just(Some(Event::Attached)),
            2 => Just(Some(Event::Detached)),
            1 => any::<bool>().prop_map(|outdated| Some(Event::Configured { settings: settings(), outdated })),
            1 => Just(Some(Event::Removed)),
            4 => Just(None),
        ]
    }

    proptest! {
        /// Row 08.039: never two calls at once; between two starts exactly one stop that succeeded; everything started
        /// is stopped in the end.
        #[test]
        fn row_08_039_starts_and_stops_alternate(story in prop::collection::vec(events(), 0..200)) {
            let mut machine = Machine::new(settings());
            let (mut now, mut open, mut started) = (at(0), None, false);
            let end = Some(Event::ShutDown { fast: true });
            let last = [end].into_iter().chain((0..10).flat_map(|_| [Some(STARTED), Some(STOPPED), None]));
            for event in story.into_iter().chain(last) {
                let answers = match &event {
                    Some(Event::Started(_)) => Some(Call::Start),
                    Some(Event::Checked(_)) => Some(Call::Check),
                    Some(Event::Stopped(_)) => Some(Call::Stop),
                    _ => None,
                };
                // Only what is under way answers.
                if answers.is_some() && answers != open {
                    continue;
                }
                if answers.is_some() {
                    open = None;
                }
                if event == Some(STOPPED) {
                    prop_assert!(started, "a stop without a start");
                    started = false;
                }
                let effects = match event {
                    Some(event) => machine.handle(now, event),
                    None => {
                        now = machine.next_wake().unwrap_or(now);
                        machine.wake(now)
                    }
                };
                for effect in effects {
                    let call = match effect {
                        Effect::Start(_) => Call::Start,
                        Effect::Check => Call::Check,
                        Effect::Stop { .. } => Call::Stop,
                        Effect::Abort { .. } => {
                            prop_assert!(open.take().is_some());
                            continue;
                        }
                        _ => continue,
                    };
                    prop_assert_eq!(open.replace(call), None, "two calls at once");
                    if call == Call::Start {
                        prop_assert!(!started, "two starts in a row");
                        started = true;
                    }
                    prop_assert!(started);
                }
            }
            prop_assert!(!started, "never stopped: {:?}", machine);
        }
    }
}
