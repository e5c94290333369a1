//! One field of a calendar: `*`, numbers, names, lists, ranges and steps.

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

/// A field, worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Bit N: the value N is in. Weekdays count from Sunday, 0.
    bits: u64,
    /// `*`: nothing was asked.
    pub any: bool,
    /// `L`: the last day of the month.
    pub last: bool,
}

impl Field {
    /// The error says which part is wrong and what would be right.
    pub fn read(times: &Times, unit: Unit) -> Result<Field, String> {
        let mut field = Field { bits: 0, any: false, last: false };
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
        u32::try_from(value).is_ok_and(|value| self.bits.checked_shr(value).unwrap_or(0) & 1 == 1)
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
            _ => match (range.split_once('-'), step) {
                (Some((from, to)), step) => {
                    self.fill(value(from, unit)?, value(to, unit)?, step.unwrap_or(1), unit)
                }
                (None, Some(step)) => self.fill(value(range, unit)?, high, step, unit),
                (None, None) => self.put(value(range, unit)?, unit),
            },
        }
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
