use super::super::cron::{Times, Written};
use super::*;
use jiff::tz::TimeZone;

const NAMES: super::super::cron::Names = ["minute", "hour", "dayOfMonth", "month", "dayOfWeek"];

/// Every full hour, or minute 0 of one hour of the day.
fn calendar(hour: Option<i64>) -> Cron {
    let (zero, any) = (Times::number(0), Times::any());
    let hour = hour.map_or_else(Times::any, Times::number);
    let written = Written { minute: &zero, hour: &hour, day_of_month: &any, month: &any, day_of_week: &any };
    Cron::read(written, NAMES, TimeZone::UTC).unwrap()
}

fn table(when: When) -> Timetable {
    Timetable { when, only_if_changed: false, force_at: None, collects: false }
}

fn at(hours: f64) -> Time {
    Time((hours * 3_600e6) as i64)
}

fn started(table: Timetable, last_build: Option<Time>, since: Time) -> Timed {
    let mut timed = Timed::new(Arc::new(table), Memory { last_build, last_only_if_changed: true, since });
    timed.handle(since, Event::Started { waiting: vec![] });
    timed
}

fn every(hours: u64) -> When {
    When::Every(Duration::from_secs(hours * 3600))
}

fn hourly() -> When {
    When::Calendar(Box::new(calendar(None)))
}

fn fires(timed: &mut Timed, now: Time) -> bool {
    matches!(timed.handle(now, Event::Woke)[..], [Effect::Fire { .. }])
}

#[test]
fn row_03_016_the_first_time_is_now_and_then_each_period() {
    let mut timed = started(table(every(2)), None, at(10.0));
    assert_eq!(timed.due(at(10.0)), Some(at(10.0)));
    assert!(fires(&mut timed, at(10.0)));
    assert_eq!(timed.due(at(10.0)), Some(at(12.0)));
    assert!(!fires(&mut timed, at(11.9)));
    // A little late keeps the rhythm.
    assert!(fires(&mut timed, at(12.001)));
    assert_eq!(timed.due(at(12.001)), Some(at(14.0)));
}

#[test]
fn row_03_016_after_a_restart_the_rest_of_the_period_or_at_once() {
    assert_eq!(started(table(every(2)), Some(at(9.0)), at(10.0)).due(at(10.0)), Some(at(11.0)));
    let mut late = started(table(every(2)), Some(at(1.0)), at(10.0));
    assert!(fires(&mut late, at(10.0)));
    assert_eq!(late.due(at(10.0)), Some(at(12.0)));
}

#[test]
fn row_03_017_what_was_missed_is_made_up_for_once() {
    let mut timed = started(table(hourly()), Some(at(5.0)), at(5.0));
    assert_eq!(timed.due(at(10.5)), Some(at(6.0)), "in the order in which they were due");
    assert!(fires(&mut timed, at(10.5)));
    assert!(!fires(&mut timed, at(10.6)));
    assert_eq!(timed.due(at(10.6)), Some(at(11.0)));
    // Times before it began to count were not missed.
    assert_eq!(started(table(hourly()), Some(at(5.0)), at(10.5)).due(at(10.5)), Some(at(11.0)));
    assert_eq!(started(table(hourly()), None, at(10.5)).due(at(10.5)), Some(at(11.0)));
}

#[test]
fn a_clock_that_jumps_repeats_nothing_and_stops_nothing() {
    let mut timed = started(table(hourly()), None, at(10.5));
    assert!(fires(&mut timed, at(11.0)));
    // Back by half an hour: 11:00 comes again, and does not count.
    assert!(!fires(&mut timed, at(10.5)));
    assert!(!fires(&mut timed, at(11.0)));
    assert!(fires(&mut timed, at(12.0)));
    // Forward by a day: once, at once.
    assert!(fires(&mut timed, at(36.5)));
    assert!(!fires(&mut timed, at(36.6)));
    // Back by more than a day: it counts anew.
    assert!(!fires(&mut timed, at(2.5)));
    assert_eq!(timed.due(at(2.5)), Some(at(3.0)));
    assert!(fires(&mut timed, at(3.0)));

    let mut periodic = started(table(every(2)), None, at(100.0));
    assert!(fires(&mut periodic, at(100.0)));
    assert_eq!(periodic.due(at(50.0)), Some(at(52.0)), "never further away than a period");
}

#[test]
fn row_03_003_a_stopped_one_does_nothing() {
    let mut timed = started(table(hourly()), None, at(0.5));
    timed.handle(at(0.5), Event::Stopped);
    assert_eq!(timed.due(at(0.5)), None);
    assert_eq!(timed.handle(at(9.0), Event::Woke), []);
}

/// 03.018, each condition on its own.
#[test]
fn row_03_018_only_if_changed() {
    // onlyIfChanged, the former setting, built before, an important change, an unimportant one, force_at → builds
    for (only, former, built, important, unimportant, force, builds) in [
        (false, true, true, false, false, false, true),
        (true, true, true, false, false, false, false),
        (true, false, true, false, false, false, true),
        (true, true, false, false, false, false, true),
        (true, true, true, true, false, false, true),
        (true, true, true, false, true, false, false),
        (true, true, true, false, true, true, true),
    ] {
        let force_at = Some(calendar(Some(if force { 11 } else { 12 })));
        let table = Timetable { when: hourly(), only_if_changed: only, force_at, collects: true };
        let memory =
            Memory { last_build: built.then(|| at(10.0)), last_only_if_changed: former, since: at(10.5) };
        let mut timed = Timed::new(Arc::new(table), memory);
        timed.handle(at(10.5), Event::Started { waiting: vec![] });
        for (change, importance, there) in [(1, true, important), (2, false, unimportant)] {
            if there {
                let event = Event::Changed { tree: Tree::default(), change, important: importance };
                assert_eq!(
                    timed.handle(at(10.6), event),
                    [Effect::Classify { change, important: importance }]
                );
            }
        }
        let effects = timed.handle(at(11.0), Event::Woke);
        let case = (only, former, built, important, unimportant, force);
        assert_eq!(matches!(effects[..], [Effect::Fire { .. }]), builds, "{case:?}");
        assert_eq!(matches!(effects[..], [Effect::Skip]), !builds, "{case:?}");
        assert_eq!(timed.memory().last_build, Some(at(11.0)));
        if builds {
            assert_eq!(timed.memory().last_only_if_changed, only);
        }
    }
}

#[test]
fn row_03_019_all_changes_since_the_last_build_are_built() {
    let mut timed = started(Timetable { collects: true, ..table(hourly()) }, None, at(0.5));
    for (change, important) in [(3, false), (1, true)] {
        timed.handle(at(0.6), Event::Changed { tree: Tree::default(), change, important });
    }
    let fire = |changes: Vec<(ChangeId, bool)>| vec![Effect::Fire { tree: Tree::default(), changes }];
    assert_eq!(timed.handle(at(1.0), Event::Woke), fire(vec![(1, true), (3, false)]));
    assert_eq!(timed.handle(at(2.0), Event::Woke), fire(vec![]));
    timed.handle(at(2.0), Event::PutBack { tree: Tree::default(), changes: vec![(7, true)] });
    assert_eq!(timed.handle(at(3.0), Event::Woke), fire(vec![(7, true)]));
    let waiting = vec![(Tree::default(), 9, true)];
    let mut other = Timed::new(Arc::new(table(hourly())), timed.memory());
    assert_eq!(other.handle(at(3.5), Event::Started { waiting }), [Effect::Forget]);
}
