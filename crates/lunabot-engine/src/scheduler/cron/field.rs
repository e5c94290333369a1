//! One field of a calendar: `*`, numbers, names, lists, ranges and steps; `L`, `15W`, `mon#1` and `L5` for days.

use jiff::civil::{Date, Weekday};
use lunabot_model::Json;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// A field as written: a number, a text of cron, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Number(i64),
    Text(String),
}

impl Times {
    pub fn number(number: i64) -> Times {
        Times(vec![Item::Number(number)])
    }

    /// Every one.
    pub fn any() -> Times {
        Times(vec![Item::Text("*".into())])
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match item {
                Item::Number(number) => write!(f, "{number}")?,
                Item::Text(text) => f.write_str(text)?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let item = |value: &Json| match value {
            Json::Number(number) => number.as_i64().map(Item::Number),
            Json::String(text) => Some(Item::Text(text.clone())),
            _ => None,
        };
        let value = Json::deserialize(d)?;
        let items = match &value {
            Json::Array(items) => items.iter().map(item).collect(),
            one => item(one).map(|one| vec![one]),
        };
        items.filter(|items| !items.is_empty()).map(Times).ok_or_else(|| {
            let text =
                format!("expected a whole number, a text such as \"*/2\", or a list of them, not {value}");
            serde::de::Error::custom(text)
        })
    }
}

impl JsonSchema for Times {
    fn schema_name() -> Cow<'static, str> {
        "Times".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "integer"},
            {"type": "string"},
            {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
        ]})
    }
}

/// What a field counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Unit {
    fn range(self) -> (i64, i64) {
        match self {
            Unit::Minute => (0, 59),
            Unit::Hour => (0, 23),
            Unit::Day => (1, 31),
            Unit::Month => (1, 12),
            Unit::Weekday => (0, 7),
        }
    }

    /// Names, and the number of the first.
    fn names(self) -> (&'static [&'static str], i64) {
        match self {
            Unit::Month => (MONTHS, 1),
            Unit::Weekday => (WEEKDAYS, 0),
            Unit::Minute | Unit::Hour | Unit::Day => (&[], 0),
        }
    }
}

/// Most often that a day of the week is in a month.
const WEEKS: i8 = 5;

/// A field, worked out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// Bit N: the value N is in. Weekdays count from Sunday, 0.
    bits: u64,
    /// `*`: nothing was asked.
    pub any: bool,
    /// `L`: the last day of the month.
    last: bool,
    /// Bit N: `NW`, the working day nearest to the Nth of the month, is in.
    near: u64,
    /// By day of the week. Bit N: the Nth in a month is in (`mon#1`); bit 0: the last one is (`L1`).
    nth: [u8; 7],
}

impl Field {
    /// The error says which part is wrong and what would be right.
    pub fn read(times: &Times, unit: Unit) -> Result<Field, String> {
        let mut field = Field::default();
        for item in &times.0 {
            match item {
                Item::Number(number) => field.add_number(*number, unit)?,
                Item::Text(text) => {
                    for part in text.split(',') {
                        field.add(part.trim(), unit)?;
                    }
                }
            }
        }
        Ok(field)
    }

    pub fn contains(&self, value: i8) -> bool {
        set(self.bits, value)
    }

    /// Whether this date's day of the month is in.
    pub fn has_day(&self, date: Date) -> bool {
        let ends = self.last && date.day() == date.days_in_month();
        let mut near = (date.day() - 2..=date.day() + 2).filter(|day| set(self.near, *day));
        self.contains(date.day())
            || ends
            || near.any(|day| nearest_working_day(date, day) == Some(date.day()))
    }

    /// Whether this date's day of the week is in.
    pub fn has_weekday(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let nth = usize::try_from(weekday).map_or(0, |weekday| u64::from(self.nth[weekday]));
        let last = date.day() + 7 > date.days_in_month();
        self.contains(weekday) || set(nth, (date.day() - 1) / 7 + 1) || last && set(nth, 0)
    }

    /// Its values from `first` on.
    pub fn from(&self, first: i8) -> impl Iterator<Item = i8> + '_ {
        (first..60).filter(|value| self.contains(*value))
    }

    /// A number of its own: weekdays then count from Monday, 0.
    fn add_number(&mut self, number: i64, unit: Unit) -> Result<(), String> {
        if unit == Unit::Weekday {
            if !(0..=6).contains(&number) {
                return Err(format!(
                    "{number} is no day of the week; they count from 0, Monday, to 6, Sunday"
                ));
            }
            return self.put((number + 1) % 7, unit);
        }
        self.put(check(number, unit)?, unit)
    }

    fn add(&mut self, part: &str, unit: Unit) -> Result<(), String> {
        if let Ok(number) = part.parse() {
            return self.add_number(number, unit);
        }
        if unit == Unit::Weekday && self.add_nth(part)? {
            return Ok(());
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<i64>().ok().filter(|step| *step > 0);
                (range, Some(step.ok_or_else(|| format!("in \"{part}\" a whole number must follow the /"))?))
            }
            None => (part, None),
        };
        let (low, high) = unit.range();
        match range {
            "*" | "?" => {
                self.any |= step.is_none();
                self.fill(low, if unit == Unit::Weekday { 6 } else { high }, step.unwrap_or(1), unit)
            }
            "L" | "l" if unit == Unit::Day && step.is_none() => {
                self.last = true;
                Ok(())
            }
            _ if unit == Unit::Day && range.ends_with(['W', 'w']) && step.is_none() => {
                self.near |= 1 << value(&range[..range.len() - 1], unit)?;
                Ok(())
            }
            _ => match (range.split_once('-'), step) {
                (Some((from, to)), step) => {
                    self.fill(value(from, unit)?, value(to, unit)?, step.unwrap_or(1), unit)
                }
                (None, Some(step)) => self.fill(value(range, unit)?, high, step, unit),
                (None, None) => self.put(value(range, unit)?, unit),
            },
        }
    }

    /// `mon#1`, the first Monday; `L5`, the last Friday. Numbers count from Sunday, 0, as cron has them.
    fn add_nth(&mut self, part: &str) -> Result<bool, String> {
        let (days, nth) = match part.split_once('#') {
            Some((days, nth)) => {
                let nth = nth.parse::<i8>().ok().filter(|nth| (1..=WEEKS).contains(nth));
                (
                    days,
                    nth.ok_or_else(|| format!("in \"{part}\" a number from 1 to {WEEKS} must follow the #"))?,
                )
            }
            None => match part.strip_prefix(['L', 'l']) {
                Some(day) => (day, 0),
                None => return Ok(false),
            },
        };
        if days.is_empty() {
            return Err(format!("in \"{part}\" a day of the week is missing"));
        }
        let mut wanted = Field::default();
        match days.split_once('-') {
            Some((from, to)) => {
                wanted.fill(value(from, Unit::Weekday)?, value(to, Unit::Weekday)?, 1, Unit::Weekday)?;
            }
            None => wanted.put(value(days, Unit::Weekday)?, Unit::Weekday)?,
        }
        for (bits, _) in self.nth.iter_mut().zip(0..).filter(|(_, weekday)| wanted.contains(*weekday)) {
            *bits |= 1 << nth;
        }
        Ok(true)
    }

    /// Each `step`th value from one to another; a range that ends before it begins goes over the end: `fri-mon`, `22-2`.
    fn fill(&mut self, from: i64, to: i64, step: i64, unit: Unit) -> Result<(), String> {
        let (low, high) = unit.range();
        let size = if unit == Unit::Weekday { 7 } else { high - low + 1 };
        let length = if to >= from { to - from } else { to - from + size };
        let mut offset = 0;
        while offset <= length {
            self.put(low + (from - low + offset) % size, unit)?;
            offset += step;
        }
        Ok(())
    }

    fn put(&mut self, value: i64, unit: Unit) -> Result<(), String> {
        let value = if unit == Unit::Weekday { value % 7 } else { value };
        self.bits |= 1 << value;
        Ok(())
    }
}

fn set(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits.checked_shr(value).unwrap_or(0) & 1 == 1)
}

/// The day from Monday to Friday that is nearest to one of this date's month, in the same month; `None`: it has no such day.
fn nearest_working_day(date: Date, day: i8) -> Option<i8> {
    let there = date.with().day(day).build().ok()?;
    Some(match there.weekday() {
        Weekday::Saturday if day == 1 => 3,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == there.days_in_month() => day - 2,
        Weekday::Sunday => day + 1,
        _ => day,
    })
}

fn check(number: i64, unit: Unit) -> Result<i64, String> {
    let (low, high) = unit.range();
    match (low..=high).contains(&number) {
        true => Ok(number),
        false => Err(format!("{number} is not between {low} and {high}")),
    }
}

/// A number or a name.
fn value(text: &str, unit: Unit) -> Result<i64, String> {
    if let Ok(number) = text.parse() {
        return check(number, unit);
    }
    let (names, first) = unit.names();
    let lower = text.to_ascii_lowercase();
    let found = names.iter().zip(first..).find(|(name, _)| lower == **name).map(|(_, number)| number);
    found.ok_or_else(|| match names {
        [] => format!(
            "\"{text}\" is not understood; write numbers, ranges \"1-5\", steps \"*/2\", or lists of them"
        ),
        names => format!("\"{text}\" is not understood; names are {}", names.join(" ")),
    })
}
