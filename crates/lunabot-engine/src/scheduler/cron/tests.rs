use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMES: Names = ["minute", "hour", "dayOfMonth", "month", "dayOfWeek"];

fn cron(fields: [Value; 5], zone: &str) -> Result<Cron, Vec<Problem>> {
    let times = fields.map(|field| serde_json::from_value::<Times>(field).unwrap());
    let [minute, hour, day_of_month, month, day_of_week] = &times;
    let written = Written { minute, hour, day_of_month, month, day_of_week };
    Cron::read(written, NAMES, TimeZone::get(zone).unwrap())
}

fn at(text: &str, zone: &str) -> Time {
    let local: DateTime = text.parse().unwrap();
    Time(local.to_zoned_datetime(TimeZone::get(zone).unwrap()).unwrap().timestamp().as_microsecond())
}

fn show(time: Time, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap();
    let moment = Timestamp::from_microsecond(time.0).unwrap();
    let offset = zone.to_offset(moment);
    format!("{}{offset}", zone.to_datetime(moment))
}

/// The next times after a moment, as the clocks show them.
fn next(fields: [Value; 5], zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = cron(fields, zone).unwrap();
    let mut now = at(after, zone);
    let mut found = Vec::new();
    for _ in 0..count {
        now = cron.next(now).unwrap();
        found.push(show(now, zone).replace(":00+00", "").replace(":00+00:00", ""));
    }
    found
}

#[test]
fn row_03_017_a_table_of_next_times() {
    let any = || json!("*");
    // 2026-11-01 is a Sunday.
    for (fields, want) in [
        ([json!(0), any(), any(), any(), any()], ["2026-11-01T13:00", "2026-11-01T14:00"]),
        ([json!(30), json!(3), any(), any(), any()], ["2026-11-02T03:30", "2026-11-03T03:30"]),
        ([json!(0), json!([3, 15]), any(), any(), any()], ["2026-11-01T15:00", "2026-11-02T03:00"]),
        ([json!("*/20"), json!("22-2"), any(), any(), any()], ["2026-11-01T22:00", "2026-11-01T22:20"]),
        ([json!("5/25"), any(), any(), any(), any()], ["2026-11-01T12:05", "2026-11-01T12:30"]),
        ([json!("0"), json!("0"), any(), any(), json!(0)], ["2026-11-02T00:00", "2026-11-09T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("5,sun")], ["2026-11-07T00:00", "2026-11-08T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("mon-fri")], ["2026-11-02T00:00", "2026-11-03T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("1-5/2")], ["2026-11-02T00:00", "2026-11-04T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("Fri-Mon")], ["2026-11-02T00:00", "2026-11-06T00:00"]),
        ([json!(0), json!(0), any(), any(), json!([6, "wed"])], ["2026-11-04T00:00", "2026-11-08T00:00"]),
        ([json!(0), json!(0), json!(15), any(), json!(0)], ["2026-11-02T00:00", "2026-11-09T00:00"]),
        ([json!(0), json!(0), json!("1-31"), any(), json!(0)], ["2026-11-02T00:00", "2026-11-03T00:00"]),
        ([json!(0), json!(0), json!("L"), any(), any()], ["2026-11-30T00:00", "2026-12-31T00:00"]),
        ([json!(0), json!(0), json!(29), json!("feb"), any()], ["2028-02-29T00:00", "2032-02-29T00:00"]),
        (
            [json!("0-10/5"), json!(3), json!(1), json!("jan,Mar"), any()],
            ["2027-01-01T03:00", "2027-01-01T03:05"],
        ),
        ([json!(0), json!(0), json!("15W"), any(), any()], ["2026-11-16T00:00", "2026-12-15T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("mon#1")], ["2026-11-02T00:00", "2026-12-07T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("7#5")], ["2026-11-29T00:00", "2027-01-31T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("Mon-Tue#1")], ["2026-11-02T00:00", "2026-11-03T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("L5")], ["2026-11-27T00:00", "2026-12-25T00:00"]),
        (
            [json!(0), json!(0), any(), any(), json!(["mon#1", "L5"])],
            ["2026-11-02T00:00", "2026-11-27T00:00"],
        ),
        ([json!(0), json!(0), json!(15), any(), json!("mon#1")], ["2026-11-02T00:00", "2026-11-15T00:00"]),
        ([json!(0), json!(0), any(), any(), json!("?")], ["2026-11-02T00:00", "2026-11-03T00:00"]),
    ] {
        assert_eq!(next(fields.clone(), "UTC", "2026-11-01T12:00", 2), want, "{fields:?}");
    }
}

#[test]
fn row_03_017_mistakes_name_the_option_and_the_remedy() {
    let any = || json!("*");
    for (fields, option, text) in [
        ([json!(60), any(), any(), any(), any()], "minute", "60 is not between 0 and 59"),
        ([json!(0), json!("25"), any(), any(), any()], "hour", "25 is not between 0 and 23"),
        ([json!(0), any(), json!(0), any(), any()], "dayOfMonth", "0 is not between 1 and 31"),
        ([json!(0), any(), any(), json!("foo"), any()], "month", "names are jan feb"),
        ([json!(0), any(), any(), any(), json!(7)], "dayOfWeek", "from 0, Monday, to 6, Sunday"),
        ([json!("*/0"), any(), any(), any(), any()], "minute", "must follow the /"),
        ([json!("a-b"), any(), any(), any(), any()], "minute", "is not understood"),
        ([json!(0), json!(""), any(), any(), any()], "hour", "is not understood"),
        ([json!(0), any(), json!(30), json!("feb"), any()], "dayOfMonth", "no such day"),
        (
            [json!(0), any(), any(), any(), json!("sat#6")],
            "dayOfWeek",
            "a number from 1 to 5 must follow the #",
        ),
        ([json!(0), any(), any(), any(), json!("L8")], "dayOfWeek", "8 is not between 0 and 7"),
        ([json!(0), any(), any(), any(), json!("#1")], "dayOfWeek", "a day of the week is missing"),
        ([json!(0), any(), json!("32W"), any(), any()], "dayOfMonth", "32 is not between 1 and 31"),
        ([json!("L"), any(), any(), any(), any()], "minute", "is not understood"),
        ([json!(0), json!("3#1"), any(), any(), any()], "hour", "is not understood"),
        ([json!(0), any(), json!("31W"), json!("feb"), any()], "dayOfMonth", "no such day"),
    ] {
        let problems = cron(fields.clone(), "UTC").unwrap_err();
        assert!(problems[0].path == option && problems[0].message.contains(text), "{fields:?}: {problems:?}");
    }
    for wrong in [json!([]), json!(1.5), json!({}), json!(true)] {
        assert!(serde_json::from_value::<Times>(wrong).is_err());
    }
    assert!(zone(Some("Europe/Nowhere")).unwrap_err().contains("tzdata"));
}

#[test]
fn row_03_017_a_time_left_out_fires_at_the_next_moment_and_a_repeated_one_once() {
    let berlin = "Europe/Berlin";
    let any = || json!("*");
    let half_past_two = || [json!(30), json!(2), any(), any(), any()];
    let spring = next(half_past_two(), berlin, "2026-03-28T12:00", 2);
    assert_eq!(spring, ["2026-03-29T03:00:00+02", "2026-03-30T02:30:00+02"]);
    let autumn = next(half_past_two(), berlin, "2026-10-24T12:00", 2);
    assert_eq!(autumn, ["2026-10-25T02:30:00+02", "2026-10-26T02:30:00+01"]);
    // All that is left out is one moment, which may be a time of its own.
    let often = next([json!("*/20"), any(), any(), any(), any()], berlin, "2026-03-29T01:40", 2);
    assert_eq!(often, ["2026-03-29T03:00:00+02", "2026-03-29T03:20:00+02"]);
    // In Samoa the 30th of December 2011 was left out.
    let samoa = next([json!(0), json!(12), any(), any(), any()], "Pacific/Apia", "2011-12-29T13:00", 2);
    assert_eq!(samoa, ["2011-12-31T00:00:00+14", "2011-12-31T12:00:00+14"]);
}

/// What should happen, minute by minute: a moment fires if the clocks show a time of the calendar that they have not
/// shown before, or have just passed over one.
fn naive(cron: &Cron, day: &dyn Fn(Date) -> bool, from: Time, minutes: i64) -> Vec<Time> {
    const MINUTE: i64 = 60_000_000;
    let local = |time: i64| cron.zone.to_datetime(Timestamp::from_microsecond(time).unwrap());
    let fits = |shown: DateTime| {
        cron.hour.contains(shown.hour()) && cron.minute.contains(shown.minute()) && day(shown.date())
    };
    let mut newest = local(from.0);
    let mut found = Vec::new();
    for index in 1..=minutes {
        let now = from.0 + index * MINUTE;
        let shown = local(now);
        let mut fires = false;
        while newest < shown {
            newest = newest.checked_add(jiff::Span::new().minutes(1)).unwrap();
            fires |= fits(newest);
        }
        if fires {
            found.push(Time(now));
        }
    }
    found
}

fn field(low: i64, high: i64) -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(json!("*")),
        2 => (low..=high).prop_map(|n| json!(n)),
        1 => (low..=high, low..=high).prop_map(|(a, b)| json!(format!("{a}-{b}"))),
        1 => (1..=high).prop_map(|step| json!(format!("*/{step}"))),
        1 => proptest::collection::vec(low..=high, 1..4).prop_map(|all| json!(all)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Around both changes of the clocks of many years in zones with all kinds of them.
    #[test]
    fn row_03_017_agrees_with_a_model_that_goes_minute_by_minute(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        zone in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu",
            "Africa/Casablanca", "Pacific/Apia", "America/St_Johns", "Antarctica/Troll",
        ]),
        year in 2005_i16..2035,
        which in 0_usize..3,
        minute in 0_i64..1440,
    ) {
        let (a, b, c, d, e) = fields;
        let Ok(cron) = cron([a, b, c, d, e], zone) else { return Ok(()) };
        let new_year = at(&format!("{year}-01-01T00:00"), zone);
        let moment = Timestamp::from_microsecond(new_year.0).unwrap();
        let change = cron.zone.following(moment).nth(which).map_or(moment, |change| change.timestamp());
        let from = Time((change.as_microsecond() / 60_000_000 - 1440 - minute) * 60_000_000);
        let days = 5;
        let wanted = naive(&cron, &|date| cron.day_matches(date), from, days * 1440);
        let mut found = Vec::new();
        let mut now = from;
        let end = Time(from.0 + days * 86_400_000_000);
        while let Some(next) = cron.next(now).filter(|next| *next <= end) {
            prop_assert!(next > now);
            found.push(next);
            now = next;
        }
        prop_assert_eq!(found, wanted);
    }
}

/// Whole years, day and night.
#[test]
fn row_03_017_agrees_with_the_model_over_whole_years() {
    let any = || json!("*");
    for (zone, year, fields) in [
        ("Europe/Berlin", 2024, [json!(30), json!(2), any(), any(), any()]),
        ("America/New_York", 2025, [json!(15), json!("1-3"), json!([1, 15, "L"]), any(), json!("sun")]),
        ("Australia/Lord_Howe", 2026, [json!("*/30"), json!(1), any(), json!("mar-apr,oct,nov"), any()]),
    ] {
        let cron = cron(fields.clone(), zone).unwrap();
        let mut now = at(&format!("{year}-01-01T00:00"), zone);
        for want in naive(&cron, &|date| cron.day_matches(date), now, 366 * 1440) {
            now = cron.next(now).unwrap();
            assert_eq!(show(now, zone), show(want, zone), "{fields:?}");
        }
    }
}

/// Whether a day counts, given the days of its month up to it and after it.
type DayRule<'a> = &'a dyn Fn(Date, &[Date], &[Date]) -> bool;

/// The dates of a year, each with the days of its month up to it and after it.
fn counted(year: i16, day: DayRule<'_>) -> Vec<Date> {
    let mut found = Vec::new();
    for month in 1..=12 {
        let first = jiff::civil::date(year, month, 1);
        let all: Vec<Date> =
            first.series(jiff::Span::new().days(1)).take_while(|date| date.month() == month).collect();
        for (index, date) in all.iter().enumerate() {
            if day(*date, &all[..=index], &all[index + 1..]) {
                found.push(*date);
            }
        }
    }
    found
}

/// The forms that look at the whole month, by counting its days: first Mondays, last Fridays, nearest working days. Three
/// months, in which one ends with a change of the clocks.
#[test]
fn row_03_017_days_that_depend_on_the_month_agree_with_counting() {
    let any = || json!("*");
    let agree = |fields: [Value; 5], day: DayRule<'_>| {
        let (zone, year) = ("Europe/Berlin", 2024);
        let cron = cron(fields.clone(), zone).unwrap();
        let mut now = Time(at(&format!("{year}-01-01T00:00"), zone).0 - 1);
        let days = counted(year, day);
        for want in naive(&cron, &|date| days.contains(&date), Time(now.0 - 59_999_999), 91 * 1440) {
            now = cron.next(now).unwrap();
            assert_eq!(show(now, zone), show(want, zone), "{fields:?}");
        }
    };
    for (number, name) in [(0, "sun"), (1, "mon"), (5, "fri")] {
        let same = |date: &Date| date.weekday().to_sunday_zero_offset() == number;
        let nth = |days: &[Date]| days.iter().filter(|date| same(date)).count();
        let first = |n: usize| move |date: Date, upto: &[Date], _: &[Date]| same(&date) && nth(upto) == n;
        agree([json!(30), json!(2), any(), any(), json!(format!("{name}#1"))], &first(1));
        agree([json!(30), json!(2), any(), any(), json!(format!("{number}#5"))], &first(5));
        agree([json!(0), json!("*/12"), any(), any(), json!(format!("L{number}"))], &|date, _, after| {
            same(&date) && nth(after) == 0
        });
    }
    let works = |date: &Date| (1..=5).contains(&date.weekday().to_sunday_zero_offset());
    for wanted in [1_i8, 15, 31] {
        agree([json!(0), json!(0), json!(format!("{wanted}W")), any(), any()], &|date, upto, after| {
            let month: Vec<Date> = upto.iter().chain(after).copied().filter(works).collect();
            let there = upto.len() + after.len() >= usize::try_from(wanted).unwrap();
            there && month.iter().min_by_key(|day| (day.day() - wanted).abs()) == Some(&date)
        });
    }
}
