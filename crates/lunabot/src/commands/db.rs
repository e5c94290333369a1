//! `lunabot db`: how large the database is, and making its file small again.

use crate::basedir::BaseDir;
use crate::cli::{DbCommand, DbStats, Place};
use crate::clock::SystemClock;
use crate::pidfile::PidFile;
use crate::reload::generation::Loader;
use crate::ui;
use anyhow::{Context as _, Result, bail};
use lunabot_data::stats::{self, Stats};
use lunabot_lua::Records;
use lunabot_model::Clock as _;
use std::process::ExitCode;
use std::sync::Arc;

/// Ages, in days, for which the report says what a horizon would take.
const AGES: &[i64] = &[7, 30, 90, 365];
/// Builders that are listed.
const MOST_BUILDERS: usize = 20;

pub fn run(what: &DbCommand) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    match what {
        DbCommand::Stats(args) => runtime.block_on(stats(args)),
        DbCommand::Shrink(place) => runtime.block_on(shrink(place)),
    }
}

/// The database that the configuration names.
async fn url(base: &BaseDir) -> Result<String> {
    let loader = Loader::new(base.clone(), Arc::new(SystemClock::new()), Arc::new(Records::default()));
    let generation =
        loader.check(false).await.context("the configuration says which database, and does not load")?;
    Ok(generation.config().db_url.clone())
}

async fn stats(args: &DbStats) -> Result<ExitCode> {
    let base = BaseDir::existing(&args.place.dir, None)?;
    let url = url(&base).await?;
    let now = SystemClock::new().now().secs();
    let found = stats::measure(&url, base.dir(), now, AGES).await?;
    if args.json {
        ui::out(&serde_json::to_string_pretty(&found)?);
    } else {
        report(&found, now);
    }
    Ok(ExitCode::SUCCESS)
}

fn report(stats: &Stats, now: i64) {
    let whole: i64 = stats.tables.iter().map(|(_, bytes)| bytes).sum();
    ui::out(&format!("{} in all", bytes(whole + stats.free)));
    if stats.free > 0 {
        ui::out(&format!("{} of it free", bytes(stats.free)));
    }
    ui::out("\nby table, indexes included:");
    for (name, size) in stats.tables.iter().filter(|(_, size)| *size * 200 >= whole) {
        ui::out(&format!("  {:>10}  {name}", bytes(*size)));
    }
    ui::out("\nlogs, builds and the oldest build of each builder:");
    for builder in stats.builders.iter().take(MOST_BUILDERS) {
        let days = builder.oldest.map_or(0, |oldest| (now - oldest) / 86_400);
        let text =
            format!("  {:>10}  {:>8}  {:>6} d  {}", bytes(builder.logs), builder.builds, days, builder.name);
        ui::out(&text);
    }
    if stats.builders.len() > MOST_BUILDERS {
        ui::out(&format!("  and {} more", stats.builders.len() - MOST_BUILDERS));
    }
    ui::out("\nwhat a horizon would take (logHorizon of util.JanitorConfigurator):");
    for older in &stats.older {
        let text = format!(
            "  {:>10}  of logs of {} builds older than {} days",
            bytes(older.logs),
            older.builds,
            older.days
        );
        ui::out(&text);
    }
}

/// `12.3 MB`.
fn bytes(count: i64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

async fn shrink(place: &Place) -> Result<ExitCode> {
    let base = BaseDir::existing(&place.dir, None)?;
    if let Some(pid) = PidFile::holder(&base.pid_file())? {
        bail!("a master runs here (process {pid}); stop it first: lunabot stop {}", place.dir.display());
    }
    let url = url(&base).await?;
    stats::rewrite(&url, base.dir()).await?;
    ui::out("the database was written anew; from now on it gives back what the janitor frees");
    Ok(ExitCode::SUCCESS)
}
