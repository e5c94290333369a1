//! `lunabot profile`: what the functions of a running master's configuration cost.

use crate::basedir::BaseDir;
use crate::cli::{Profile, ProfileOrder};
use crate::control::{Ask, client};
use crate::ui;
use anyhow::{Context as _, Result};
use lunabot_lua::ProfileRow;
use lunabot_www::spent;
use std::process::ExitCode;
use std::time::Duration;

/// How long a master may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Exit status 1: no master answers.
pub fn run(args: &Profile) -> Result<ExitCode> {
    let base = BaseDir::new(&args.place.dir, None)?;
    let told = client::ask_all(&base.socket(), Ask::Profile, PATIENCE)?;
    if args.json {
        ui::out(&format!("[{}]", told.lines.join(",\n")));
        return Ok(super::exit(told.ok));
    }
    let parsed = told.lines.iter().map(|line| serde_json::from_str(line));
    let mut rows: Vec<ProfileRow> =
        parsed.collect::<Result<_, _>>().context("the running master speaks another version of Lunabot")?;
    rows.sort_by(|a, b| key(b, args.sort).total_cmp(&key(a, args.sort)));
    let called = rows.len();
    rows.truncate(args.lines);
    match (called, rows.as_slice()) {
        (0, _) => ui::out("no function of the configuration has been called yet"),
        (several, []) => ui::out(&format!("{several} functions have been called; -n 1 shows the first")),
        (_, shown) => table(shown).iter().for_each(|line| ui::out(line)),
    }
    Ok(super::exit(told.ok))
}

fn key(row: &ProfileRow, order: ProfileOrder) -> f64 {
    match order {
        ProfileOrder::Total => row.total,
        ProfileOrder::Busy => row.busy,
        ProfileOrder::Calls => row.calls as f64,
        ProfileOrder::P99 => row.p99,
        ProfileOrder::Slowest => row.slowest,
        ProfileOrder::Errors => row.errors as f64,
    }
}

const TITLES: [&str; 8] = ["calls", "errors", "total", "busy", "99 %", "slowest", "function", "of"];
/// Columns of figures, which end below each other.
const FIGURES: usize = 6;

fn table(rows: &[ProfileRow]) -> Vec<String> {
    let mut cells = vec![TITLES.map(String::from)];
    cells.extend(rows.iter().map(|row| {
        let line = row.line.map_or(String::new(), |line| format!(":{line}"));
        [
            row.calls.to_string(),
            row.errors.to_string(),
            spent(row.total),
            spent(row.busy),
            spent(row.p99),
            spent(row.slowest),
            format!("{} at {}{line}", row.callback, row.file),
            row.concerns.clone(),
        ]
    }));
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    let line = |row: &[String; 8]| {
        let padded = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0..FIGURES => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    cells.iter().map(line).collect()
}
