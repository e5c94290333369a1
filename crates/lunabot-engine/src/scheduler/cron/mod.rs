//! When a Nightly builds (03.017): five fields as cron has them, in a time zone.
//!
//! Each time of the calendar fires once. One that a change to summer time leaves out fires at the next moment there is;
//! of one that the change back repeats, only the first counts.

mod field;
#[cfg(test)]
mod tests;

pub use field::Times;
pub use lunabot_model::clock::zone;

use field::{Field, Unit};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use lunabot_model::Time;
use lunabot_model::kind::Problem;

/// Days that are looked at for the next time: between two 29ths of February lie at most eight years.
const HORIZON: usize = 366 * 9;

/// The five options that say when, as written.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    pub minute: &'a Times,
    pub hour: &'a Times,
    pub day_of_month: &'a Times,
    pub month: &'a Times,
    pub day_of_week: &'a Times,
}

/// The options' names, in the order of [`Written`].
pub type Names = [&'static str; 5];

/// A calendar.
#[derive(Debug, Clone)]
pub struct Cron {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
    zone: TimeZone,
    /// As written, for people.
    text: String,
}

/// As cron writes it, with weekdays as the options have them.
impl std::fmt::Display for Cron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// Reads the options; all mistakes together, under the options' `names`.
    pub fn read(written: Written<'_>, names: Names, zone: TimeZone) -> Result<Cron, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut field = |times: &Times, unit: Unit, name: &str| {
            Field::read(times, unit).map_err(|error| problems.push(Problem::new(name, error))).ok()
        };
        let Written { minute, hour, day_of_month, month, day_of_week } = written;
        let mut text = format!("{minute} {hour} {day_of_month} {month} {day_of_week}");
        if let Some(name) = zone.iana_name() {
            text.push_str(&format!(" {name}"));
        }
        let [minute, hour, day, month, weekday] = names;
        let fields = (
            field(written.minute, Unit::Minute, minute),
            field(written.hour, Unit::Hour, hour),
            field(written.day_of_month, Unit::Day, day),
            field(written.month, Unit::Month, month),
            field(written.day_of_week, Unit::Weekday, weekday),
        );
        let (Some(minute), Some(hour), Some(day_field), Some(month), Some(weekday)) = fields else {
            return Err(problems);
        };
        let cron = Cron { minute, hour, day: day_field, month, weekday, zone, text };
        match cron.next(Time::from_secs(0)) {
            Some(_) => Ok(cron),
            None => Err(vec![Problem::new(day, "there is no such day in these months")]),
        }
    }

    /// The first time after `after`.
    pub fn next(&self, after: Time) -> Option<Time> {
        let after = Timestamp::from_microsecond(after.0).ok()?;
        let start = self.zone.to_datetime(after);
        let mut date = start.date();
        for _ in 0..HORIZON {
            if self.day_matches(date)
                && let Some(found) = self.in_day(date, after, start)
            {
                return Some(Time(found.as_microsecond()));
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Whether the minute of this moment is one of the calendar's.
    pub fn matches(&self, at: Time) -> bool {
        let Ok(at) = Timestamp::from_microsecond(at.0) else { return false };
        let local = self.zone.to_datetime(at);
        self.day_matches(local.date())
            && self.hour.contains(local.hour())
            && self.minute.contains(local.minute())
    }

    /// Where both a day of the month and of the week are given, either will do.
    fn day_matches(&self, date: Date) -> bool {
        let (day, weekday) = (self.day.has_day(date), self.weekday.has_weekday(date));
        let either = match (self.day.any, self.weekday.any) {
            (false, false) => day || weekday,
            (_, true) => day,
            (true, false) => weekday,
        };
        self.month.contains(date.month()) && either
    }

    fn in_day(&self, date: Date, after: Timestamp, start: DateTime) -> Option<Timestamp> {
        let first_hour = if date == start.date() { start.hour() } else { 0 };
        for hour in self.hour.from(first_hour) {
            let first = if date == start.date() && hour == start.hour() { start.minute() } else { 0 };
            let moments =
                self.minute.from(first).filter_map(|minute| self.moment(date.at(hour, minute, 0, 0)));
            if let Some(found) = moments.into_iter().find(|moment| *moment > after) {
                return Some(found);
            }
        }
        None
    }

    /// When the clocks show this, or first show something later.
    fn moment(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let earlier = ambiguous.earlier().ok()?;
        if !gap {
            return Some(earlier);
        }
        let shown = |moment: Timestamp| self.zone.to_datetime(moment) >= local;
        self.zone.following(earlier).map(|change| change.timestamp()).find(|moment| shown(*moment))
    }
}
