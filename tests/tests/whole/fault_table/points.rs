//! The table `points.lua`, read.

use anyhow::{Context, Result};

/// What comes of a fault.
pub enum Outcome {
    /// The build of this builder ends with this result.
    Ends(String, i64),
    /// The request of this builder waits.
    Waits(String),
    /// So many requests of this builder are not complete.
    Begets(String, usize),
    /// A method and a path are answered with this status.
    Answers(String, String, u16),
    /// It is told.
    Acts,
    /// It is told again and again when its object leaves.
    Leaves,
}

/// One function.
pub struct Point {
    pub callback: String,
    pub concerns: String,
    pub outcome: Outcome,
    /// Names of faults that are not tried here.
    without: Vec<String>,
    /// Where the function is.
    pub line: i64,
}

impl Point {
    fn read(line: usize, text: &str) -> Result<Point> {
        let mut fields = text.split('|').map(str::trim);
        let mut next = || fields.next().with_context(|| format!("points.lua:{line}: a field is missing"));
        let (callback, concerns, outcome) = (next()?.to_string(), next()?, next()?);
        let without = fields.next().unwrap_or_default().split(',');
        Ok(Point {
            callback,
            concerns: concerns.replace("LINE", &line.to_string()),
            outcome: Outcome::read(outcome).with_context(|| format!("points.lua:{line}: {outcome}"))?,
            without: without.map(|name| name.trim().trim_end_matches(" -").to_string()).collect(),
            line: i64::try_from(line)?,
        })
    }

    pub fn suffers(&self, fault: &str) -> bool {
        !self.without.iter().any(|name| name == fault)
    }

    /// The category of changes for which it is called, and how many.
    pub fn changes(&self) -> Option<(String, usize)> {
        let (builder, count) = match &self.outcome {
            Outcome::Ends(builder, _) | Outcome::Waits(builder) => (builder, 1),
            Outcome::Begets(builder, count) => (builder, (*count).max(1)),
            Outcome::Answers(..) | Outcome::Acts | Outcome::Leaves => return None,
        };
        let scheduler = self.concerns.strip_prefix("scheduler ").filter(|name| name.starts_with("by "));
        Some((scheduler.unwrap_or(builder).to_string(), count))
    }
}

impl Outcome {
    fn read(text: &str) -> Result<Outcome> {
        let words: Vec<&str> = text.split(' ').collect();
        Ok(match words[..] {
            ["acts"] => Outcome::Acts,
            ["leaves"] => Outcome::Leaves,
            [name, "waits"] => Outcome::Waits(name.into()),
            [name, "ends", results] => Outcome::Ends(name.into(), results.parse()?),
            [name, "begets", count] => Outcome::Begets(name.into(), count.parse()?),
            [method, path, status] => Outcome::Answers(method.into(), path.into(), status.parse()?),
            _ => anyhow::bail!("no outcome"),
        })
    }
}

const TABLE: &str = include_str!("points.lua");

/// All points.
pub fn table() -> Result<Vec<Point>> {
    let marked = (1..).zip(TABLE.lines()).filter_map(|(line, text)| Some((line, text.split_once("--> ")?.1)));
    let points = marked.filter(|(_, text)| text.contains('|'));
    points.map(|(line, text)| Point::read(line, text)).collect()
}

/// The configuration; `fault` gives what the point at a line does first.
pub fn with_faults<'a>(fault: impl Fn(i64) -> &'a str) -> String {
    let lines = (1..).zip(TABLE.lines());
    lines
        .map(|(line, text)| text.replace("FAULT", &fault(line).replace("LINE", &line.to_string())) + "\n")
        .collect()
}
