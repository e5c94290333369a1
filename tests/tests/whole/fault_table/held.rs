//! Functions that are at work when the configuration is reloaded, or the master is killed.

use super::points::{Outcome, Point, table};
use super::{Table, configuration, requests};
use anyhow::{Context, Result};
use futures::future::join_all;
use lunabot_tests::Master;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The function waits until the test lets it go on.
const GATE: &str = "gate(LINE)";
/// The same in another configuration.
const CHANGED: &str = "gate(LINE, 'changed')";
/// How long a function may wait for the gate: longer than any test.
const PATIENT: &str = "{callback_timeout = 600}";
/// All others wait for these, so each has a master of its own.
const IN_THE_WAY: [&str; 3] = ["prioritizeBuilders", "codebaseGenerator", "revlink"];

/// A master in which some functions are at work.
struct Held {
    table: Table,
    lines: BTreeSet<i64>,
}

impl Held {
    /// `wanted` says which functions; they are at work when this returns.
    async fn start(wanted: impl Fn(&Point) -> bool) -> Result<Held> {
        let lines: BTreeSet<i64> = table()?.iter().filter(|p| wanted(p)).map(|p| p.line).collect();
        let table = Table::start(|line| if lines.contains(&line) { GATE } else { "" }, PATIENT).await?;
        Ok(Held { table, lines })
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.table.points.iter().filter(|point| self.lines.contains(&point.line))
    }

    /// All of them have said it.
    async fn said(&self, word: &str, master: &Master) -> Result<()> {
        let all = self.points().map(|point| async move {
            let wanted = format!("{word} {}.", point.line);
            let seen = master.log_line(|line| line.contains(&wanted)).await;
            seen.map(drop).map_err(|_| format!("{} of {}", point.callback, point.concerns))
        });
        let missing: Vec<String> = join_all(all).await.into_iter().filter_map(Result::err).collect();
        anyhow::ensure!(missing.is_empty(), "not {word}: {missing:#?}");
        Ok(())
    }

    /// The table with this in place of GATE.
    fn text(&self, gate: &'static str, stays: bool) -> String {
        let fault = |line| if self.lines.contains(&line) { gate } else { "" };
        configuration(fault, PATIENT, &self.table.around, stays)
    }

    fn open(&self) -> Result<()> {
        Ok(std::fs::write(self.table.master.dir().join("open"), "")?)
    }

    /// What the functions were asked for is done, by this master; `which` builds count.
    async fn done(&self, master: &Master, which: &str) -> Result<()> {
        let all = join_all(self.points().map(|point| async move {
            let seen = good(master, point, which).await;
            seen.map_err(|error| format!("{} of {}: {error:#}", point.callback, point.concerns))
        }));
        let wrong: Vec<String> = all.await.into_iter().filter_map(Result::err).collect();
        anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }
}

/// What is there in the end where nothing goes wrong.
async fn good(master: &Master, point: &Point, which: &str) -> Result<()> {
    let (builder, results) = match &point.outcome {
        // The instances of the table never connect.
        _ if point.concerns.starts_with("worker ") => return Ok(()),
        Outcome::Answers(..) | Outcome::Acts | Outcome::Leaves => return Ok(()),
        Outcome::Ends(builder, 6) => (builder, 6),
        // One of them is not wanted.
        Outcome::Begets(builder, count @ 1..) => {
            let path = format!("builders/{builder}/buildrequests?complete=false");
            return master.until(&path, |answer| requests(answer) == count - 1).await.map(drop);
        }
        Outcome::Ends(builder, _) | Outcome::Waits(builder) | Outcome::Begets(builder, _) => (builder, 0),
    };
    let path = format!("builders/{builder}/builds?results={results}{which}");
    let there = |answer: &Value| answer["builds"].as_array().is_some_and(|builds| !builds.is_empty());
    master.until(&path, there).await.map(drop).with_context(|| format!("no build of {builder}"))
}

/// Asks what people ask; what is asked of a function at work is answered well.
async fn answered_well(table: &Table, point: &Point) -> Result<()> {
    let got = table.ask(point).await?;
    let well = got.is_none_or(|status| (200..=299).contains(&status));
    anyhow::ensure!(well, "{} of {}: {got:?}", point.callback, point.concerns);
    Ok(())
}

async fn reloaded(wanted: impl Fn(&Point) -> bool) -> Result<()> {
    let held = Held::start(|point| wanted(point) && point.suffers("reload")).await?;
    let master = &held.table.master;
    let asked = join_all(held.points().map(|point| answered_well(&held.table, point)));
    let reload = async {
        held.said("inside", master).await?;
        held.table.reload(&held.text(CHANGED, true)).await?;
        held.open()?;
        held.said("through", master).await
    };
    // Whoever asks is not answered where the gate stays closed.
    let asked = async { anyhow::Ok(asked.await) };
    let ((), answers, ()) = tokio::try_join!(held.table.drive(), asked, reload)?;
    let wrong: Vec<String> =
        answers.into_iter().filter_map(|answer| Some(format!("{:#}", answer.err()?))).collect();
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    // The first one: none was interrupted.
    held.done(master, "&number=1").await?;
    no_errors(master).await
}

async fn no_errors(master: &Master) -> Result<()> {
    let errors = master.get("script_errors").await?;
    anyhow::ensure!(errors["script_errors"] == json!([]), "{errors:#}");
    Ok(())
}

async fn killed(wanted: impl Fn(&Point) -> bool) -> Result<()> {
    let outlives = |point: &Point| point.suffers("kill") && !matches!(point.outcome, Outcome::Answers(..));
    let mut held = Held::start(|point| wanted(point) && outlives(point)).await?;
    let master = &held.table.master;
    let (driven, inside) = tokio::join!(held.table.drive(), held.said("inside", master));
    inside?;
    driven?;
    let dir = master.shared_dir();
    held.table.master.stop_at_once().await?;
    // Only now: what was killed was inside.
    held.open()?;
    let again = Master::start_in(dir).await?;
    held.said("through", &again).await?;
    held.done(&again, "").await
}

fn in_the_way(point: &Point) -> bool {
    IN_THE_WAY.contains(&&*point.callback) && !point.concerns.starts_with("change source ")
}

fn leaves(point: &Point) -> bool {
    matches!(point.outcome, Outcome::Leaves)
}

#[tokio::test]
async fn a_reload_ends_no_function() -> Result<()> {
    reloaded(|point| !in_the_way(point) && !leaves(point)).await
}

#[tokio::test]
async fn a_reload_ends_no_function_for_which_all_wait() -> Result<()> {
    for name in IN_THE_WAY {
        reloaded(|point| in_the_way(point) && point.callback == name).await.context(name)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_ends_no_farewell() -> Result<()> {
    let held = Held::start(leaves).await?;
    let master = &held.table.master;
    master.rewrite_config(&held.text(GATE, false))?;
    master.signal(Signal::SIGHUP)?;
    held.said("inside", master).await?;
    // Another one while they wait.
    master.rewrite_config(&format!("-- changed\n{}", held.text("local changed", false)))?;
    master.signal(Signal::SIGHUP)?;
    held.open()?;
    held.said("through", master).await?;
    held.table.in_use(2).await?;
    held.table.change("fine").await?;
    held.table.ends("fine", 0).await?;
    no_errors(master).await
}

#[tokio::test]
async fn a_function_that_was_killed_with_the_master_is_called_again() -> Result<()> {
    killed(|point| !in_the_way(point)).await
}
