//! Times of the week at which a worker gets no builds: `downtime = {"wed 08:00-10:00", tz = "Europe/Berlin"}`.

use crate::Problem;
use crate::clock::zone;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is right, for messages.
const RIGHT: &str = "write days and hours such as \"wed 08:00-10:00\", \"mon-fri 22:00-06:00\", \"sat,sun 00:00-24:00\" \
                     or \"daily 03:00-04:00\"";
/// How far ahead the next beginning or end is looked for: each comes once a week.
const HORIZON: i64 = 8;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The option of workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DowntimeOption {
    /// Days and hours: `wed 08:00-10:00`, `mon-fri 22:00-06:00`, `daily 03:00-04:00`.
    #[serde(rename = "*", default)]
    pub times: Vec<String>,
    /// The time zone of the hours. Default: the master's.
    #[serde(default)]
    pub tz: Option<String>,
}

impl DowntimeOption {
    /// What is wrong with it.
    pub fn problem(&self) -> Option<Problem> {
        self.read().err().map(|message| Problem::new("downtime", message))
    }

    /// The error says what is right.
    pub fn read(&self) -> Result<Downtime, String> {
        if self.times.is_empty() {
            return Err(format!("is empty; {RIGHT}"));
        }
        let zone = zone(self.tz.as_deref())?;
        let spans = self.times.iter().map(|text| Span::read(text)).collect::<Result<_, _>>()?;
        Ok(Downtime { spans, zone })
    }
}

/// When a worker gets no builds.
#[derive(Debug, Clone)]
pub struct Downtime {
    spans: Vec<Span>,
    zone: TimeZone,
}

impl Downtime {
    /// In one at `now`: when it ends, both in seconds since 1970. One that never ends is told to end in a week or so.
    pub fn until(&self, now: i64) -> Option<i64> {
        let mut end = self.end_at(now)?;
        // One may begin where the other ends.
        while end < now + HORIZON * 86_400 {
            match self.end_at(end) {
                Some(later) if later > end => end = later,
                _ => break,
            }
        }
        Some(end)
    }

    /// When the answer of [`Downtime::until`] may be another, after `now`.
    pub fn next_change(&self, now: i64) -> i64 {
        if let Some(end) = self.until(now) {
            return end;
        }
        let begins = self.around(now, HORIZON).map(|(begin, _)| begin).filter(|begin| *begin > now);
        begins.min().unwrap_or(now + HORIZON * 86_400)
    }

    /// The latest end of those that `now` lies in.
    fn end_at(&self, now: i64) -> Option<i64> {
        let within = self.around(now, 0).filter(|(begin, end)| (*begin..*end).contains(&now));
        within.map(|(_, end)| end).max()
    }

    /// Beginnings and ends from the day before `now` on, for so many days.
    fn around(&self, now: i64, ahead: i64) -> impl Iterator<Item = (i64, i64)> {
        let today =
            Timestamp::from_second(now).unwrap_or_default().to_zoned_datetime(self.zone.clone()).date();
        (-1..=ahead).flat_map(move |days| {
            let day = today.saturating_add(days.days());
            let spans = self.spans.iter().filter(move |span| span.days.contains(&day.weekday()));
            spans.filter_map(move |span| Some((self.moment(day, span.from)?, self.moment(day, span.end())?)))
        })
    }

    /// Minutes after midnight, as clocks there show them.
    fn moment(&self, day: Date, minutes: i64) -> Option<i64> {
        let day = day.saturating_add((minutes / 1440).days());
        let (hour, minute) = (minutes % 1440 / 60, minutes % 60);
        let at = day.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
        Some(at.to_zoned_datetime(self.zone.clone()).ok()?.timestamp().as_second())
    }
}

/// `mon-fri 22:00-06:00`; in minutes after midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    days: Vec<Weekday>,
    from: i64,
    to: i64,
}

impl Span {
    fn read(text: &str) -> Result<Span, String> {
        let wrong = |why: &str| format!("{text:?}: {why}; {RIGHT}");
        let lower = text.to_ascii_lowercase();
        let mut words = lower.split_whitespace();
        let (Some(days), Some(hours), None) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("expected days and hours"));
        };
        let days = days_of(days).map_err(|why| wrong(&why))?;
        let (from, to) = hours.split_once('-').ok_or_else(|| wrong("expected hours, a dash between them"))?;
        let time = |text: &str| minutes(text).ok_or_else(|| wrong(&format!("{text:?} is no time of day")));
        let (from, to) = (time(from)?, time(to)?);
        match from {
            1440 => Err(wrong("it begins at 00:00 of the day after")),
            _ if from == to => Err(wrong("it ends when it begins; a whole day is 00:00-24:00")),
            _ => Ok(Span { days, from, to }),
        }
    }

    /// Over midnight: on the day after.
    fn end(&self) -> i64 {
        if self.to > self.from { self.to } else { self.to + 1440 }
    }
}

/// `daily`, or days and ranges of days with commas between them.
fn days_of(text: &str) -> Result<Vec<Weekday>, String> {
    if text == "daily" {
        return Ok((0..7).filter_map(|day| Weekday::from_monday_zero_offset(day).ok()).collect());
    }
    let day = |name: &str| {
        let place = DAYS.iter().position(|known| *known == name);
        let day = place.and_then(|place| Weekday::from_monday_zero_offset(i8::try_from(place).ok()?).ok());
        day.ok_or_else(|| format!("{name:?} is no day; days are {}", DAYS.join(" ")))
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // Round the end of the week where need be.
        all.extend(first.cycle_forward().take(usize::try_from(first.until(last)).unwrap_or(0) + 1));
    }
    Ok(all)
}

/// `08:30`, up to `24:00`.
fn minutes(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 2);
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour * 60 + minute;
    (0..=59).contains(&minute).then_some(all).filter(|all| (0..=1440).contains(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(times: &[&str]) -> DowntimeOption {
        let times = times.iter().map(|text| (*text).to_string()).collect();
        DowntimeOption { times, tz: Some("Europe/Berlin".into()) }
    }

    fn seconds(text: &str) -> i64 {
        text.parse::<jiff::civil::DateTime>().unwrap().in_tz("Europe/Berlin").unwrap().timestamp().as_second()
    }

    /// 2026-11-30 is a Monday.
    #[test]
    fn a_downtime_ends_where_the_last_of_those_that_follow_each_other_does() {
        let until = |times: &[&str], now: &str| option(times).read().unwrap().until(seconds(now));
        for (times, now, end) in [
            (&["wed 08:00-10:00"][..], "2026-12-02T08:00", Some("2026-12-02T10:00")),
            (&["wed 08:00-10:00"], "2026-12-02T10:00", None),
            (&["wed 08:00-10:00"], "2026-12-03T09:00", None),
            (&["mon-fri 22:00-06:00"], "2026-12-05T05:59", Some("2026-12-05T06:00")),
            (&["mon-fri 22:00-06:00"], "2026-12-05T22:30", None),
            (&["mon-fri 22:00-06:00"], "2026-11-30T05:00", None),
            (&["fri-mon 10:00-11:00"], "2026-12-06T10:30", Some("2026-12-06T11:00")),
            (&["fri-mon 10:00-11:00"], "2026-12-01T10:30", None),
            (&["Daily 22:00-24:00", "daily 00:00-03:00"], "2026-12-01T23:00", Some("2026-12-02T03:00")),
            (&["sat,sun 00:00-24:00"], "2026-12-05T12:00", Some("2026-12-07T00:00")),
            // Summer time begins: there is no half past two.
            (&["daily 02:30-04:00"], "2026-03-29T03:40", Some("2026-03-29T04:00")),
        ] {
            assert_eq!(until(times, now), end.map(seconds), "{times:?} at {now}");
        }
        assert!(until(&["daily 00:00-24:00"], "2026-12-01T12:00").is_some());
    }

    #[test]
    fn the_next_change_is_a_beginning_or_an_end() {
        let next = |now: &str| option(&["wed 08:00-10:00"]).read().unwrap().next_change(seconds(now));
        assert_eq!(next("2026-12-02T08:00"), seconds("2026-12-02T10:00"));
        assert_eq!(next("2026-12-02T10:00"), seconds("2026-12-09T08:00"));
        assert_eq!(next("2026-11-30T00:00"), seconds("2026-12-02T08:00"));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        for (text, told) in [
            ("", "expected days and hours"),
            ("wed", "expected days and hours"),
            ("wednesday 08:00-10:00", "\"wednesday\" is no day"),
            ("wed 8-10", "\"8\" is no time of day"),
            ("wed 08:00", "a dash between"),
            ("wed 08:00-25:00", "\"25:00\" is no time"),
            ("wed 08:00-08:00", "it ends when it begins"),
            ("wed 24:00-08:00", "begins at 00:00"),
        ] {
            let error = option(&[text]).read().unwrap_err();
            assert!(error.contains(told) && error.contains("mon-fri 22:00-06:00"), "{text}: {error}");
        }
        assert!(option(&[]).problem().unwrap().message.starts_with("is empty"));
        let nowhere = DowntimeOption { tz: Some("Nowhere".into()), ..option(&["wed 08:00-10:00"]) };
        assert!(nowhere.read().unwrap_err().contains("no time zone Nowhere"));
    }
}
