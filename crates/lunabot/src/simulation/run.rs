//! Running the tests of a file, one after the other.

use super::load::{Loaded, Place, load};
use super::master::{Simulation, clock_at};
use super::object::master_object;
use super::story;
use crate::clock::SystemClock;
use anyhow::{Context as _, Result};
use futures::future::{Either, select};
use lunabot_lua::TestCase;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Clock as _, ScriptError, ScriptErrorKind};
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// What the clock shows at the start of a test that does not say: Monday, 1 January 2024, noon in Greenwich.
const START: f64 = 1_704_110_400.0;
/// Between two looks at a test that does nothing.
const LOOK: Duration = Duration::from_millis(250);
/// Who takes less of the processor in this time computes nothing.
const AT_REST: Duration = Duration::from_millis(4);
/// After so many of them it waits for what never comes.
const LOOKS: u32 = 8;
/// What still runs of a test that is over has so long to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Where the store is fast, and gone with the machine.
const FAST: &str = "/dev/shm";

/// What came of a test, or of loading its file.
#[derive(Debug)]
pub struct Outcome {
    pub name: String,
    /// `master_test.lua:12`, where it is written.
    pub at: String,
    /// What is told of its failure, most important first; empty: it passed.
    pub failure: Vec<String>,
    /// What looks like a mistake of the test, which passed nevertheless.
    pub warnings: Vec<String>,
}

impl Outcome {
    fn failed(name: impl Into<String>, at: impl Into<String>, failure: Vec<String>) -> Self {
        Outcome { name: name.into(), at: at.into(), failure, warnings: Vec::new() }
    }
}

/// How tests are run.
#[derive(Debug)]
pub struct Runner {
    /// Part of the names of those that are run; none: all.
    pub filter: Option<String>,
    /// How long one test may take by the real clock.
    pub timeout: Duration,
}

impl Runner {
    /// Runs the tests of a file; each is told as soon as it is over.
    ///
    /// # Errors
    /// This machine cannot run any.
    pub fn run(&self, place: &Place, mut tell: impl FnMut(Outcome)) -> Result<()> {
        let shown = place.test_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let cases = match within(async { Ok(self.discover(place).await) })? {
            Ok(cases) => cases,
            Err(failure) => {
                tell(Outcome::failed("(the file cannot be loaded)", shown, failure));
                return Ok(());
            }
        };
        let wanted = |case: &TestCase| self.filter.as_ref().is_none_or(|filter| case.name.contains(filter));
        for case in cases.into_iter().filter(wanted) {
            tell(match within(self.test(place, &case))? {
                Ok(warnings) => Outcome { name: case.name, at: case.at, failure: Vec::new(), warnings },
                Err(failure) => Outcome::failed(case.name, case.at, failure),
            });
        }
        Ok(())
    }

    /// The tests of a file; or why it cannot be loaded.
    async fn discover(&self, place: &Place) -> Result<Vec<TestCase>, Vec<String>> {
        let dir = folder().map_err(|error| vec![format!("{error:#}")])?;
        Ok(self.load(place, dir.path(), START).await?.tests.cases)
    }

    async fn load(&self, place: &Place, dir: &Path, at: f64) -> Result<Loaded, Vec<String>> {
        let real = SystemClock::new();
        let loading = std::pin::pin!(load(place, dir, clock_at(at)));
        match select(loading, real.sleep(self.timeout)).await {
            Either::Left((loaded, _)) => {
                loaded.map_err(|errors| errors.iter().map(ToString::to_string).collect())
            }
            Either::Right(_) => {
                let seconds = self.timeout.as_secs();
                Err(vec![format!(
                    "loading did not end within {seconds} s: a test's clock stands still while it is loaded"
                )])
            }
        }
    }

    /// Runs one, and gives warnings; the outer error is that this machine cannot, the inner one what is told of its failure.
    async fn test(&self, place: &Place, case: &TestCase) -> Result<Result<Vec<String>, Vec<String>>> {
        let dir = folder()?;
        let loaded = match self.load(place, dir.path(), case.starts.unwrap_or(START)).await {
            Ok(loaded) => loaded,
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(case) = loaded.tests.cases.iter().find(|known| known.name == case.name).cloned() else {
            return Ok(Err(vec![
                "the test is there at times only: its file declares others each time".into(),
            ]));
        };
        let real = SystemClock::new();
        let starting = std::pin::pin!(Simulation::start(loaded, dir));
        let simulation = match select(starting, real.sleep(self.timeout)).await {
            Either::Left((Ok(simulation), _)) => simulation,
            Either::Left((Err(error), _)) => {
                return Ok(Err(vec![format!("the simulated master cannot start: {error}")]));
            }
            Either::Right(_) => return Ok(Err(vec!["the simulated master does not start".into()])),
        };
        let failed = self.watch(&simulation, &case).await;
        let told = match failed {
            Ok(()) => Ok(story::unfit(&simulation)),
            Err(mut lines) => {
                lines.extend(facts(&simulation).await);
                Err(lines)
            }
        };
        // What is stuck must not keep the others.
        let ending = std::pin::pin!(simulation.end());
        let _ = select(ending, real.sleep(LAST_WORDS)).await;
        Ok(told)
    }

    /// Calls the function of the test, within bounds.
    async fn watch(&self, simulation: &Arc<Simulation>, case: &TestCase) -> Result<(), Vec<String>> {
        let real = SystemClock::new();
        let site = CallSite::new("test", case.name.clone()).endless();
        let args = vec![Arg::Object(master_object(simulation))];
        let host = simulation.shared.host.clone();
        let mut call = std::pin::pin!(host.call(&case.function, site, args));
        let (begun, mut still, mut pulse, mut spent) = (real.mono(), 0, simulation.pulse(), cpu_now());
        loop {
            match select(call.as_mut(), real.sleep(LOOK)).await {
                Either::Left((Ok(_), _)) => return Ok(()),
                Either::Left((Err(error), _)) => return Err(failure(&error)),
                Either::Right(_) => {}
            }
            if real.mono() - begun > self.timeout {
                let seconds = self.timeout.as_secs();
                return Err(vec![format!("{}: did not end within {seconds} s (--timeout)", case.at)]);
            }
            let (now, cpu) = (simulation.pulse(), cpu_now());
            let idle =
                simulation.turn.try_lock().is_ok() && now == pulse && cpu.saturating_sub(spent) < AT_REST;
            still = if idle { still + 1 } else { 0 };
            (pulse, spent) = (now, cpu);
            if still >= LOOKS {
                return Err(vec![format!(
                    "{}: waits for what never comes: the clock goes on in m:advance and m:run_until_idle alone",
                    case.at
                )]);
            }
        }
    }
}

/// A failed test: the message, then who called whom, where that says more.
fn failure(error: &ScriptError) -> Vec<String> {
    let mut lines: Vec<String> = error.message.lines().map(str::to_owned).collect();
    if error.kind == ScriptErrorKind::Cpu {
        lines.push("is there a loop without end?".into());
    }
    let traceback = error.traceback.lines().map(str::trim);
    let traceback: Vec<&str> = traceback.filter(|line| *line != "stack traceback:").collect();
    if traceback.len() > 1 {
        lines.push("called from:".into());
        lines.extend(traceback.iter().map(|line| format!("  {line}")));
    }
    lines
}

/// What has happened in the master, and which functions of the configuration failed.
async fn facts(simulation: &Simulation) -> Vec<String> {
    let mut lines = vec![format!("what happened (it is {}):", shown(simulation.now().secs()))];
    lines.extend(story::told(&simulation.shared).await.into_iter().map(|line| format!("  {line}")));
    lines.extend(simulation.reported_in_words().into_iter().map(|line| format!("  {line}")));
    let failed = simulation.shared.records.errors().into_iter().filter(|row| row.callback != "test");
    let failed: Vec<String> =
        failed.map(|row| format!("  {} of {}: {}", row.callback, row.concerns, row.message)).collect();
    if !failed.is_empty() {
        lines.push("functions that failed:".into());
        lines.extend(failed);
    }
    lines.extend(story::unfit(simulation));
    lines
}

fn shown(seconds: i64) -> String {
    format!("{}, {seconds} s since 1970", lunabot_model::clock::ctime(seconds))
}

/// What this process has taken of the processor.
fn cpu_now() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn folder() -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix("lunabot-test-").tempdir_in(FAST);
    made.or_else(|_| tempfile::Builder::new().prefix("lunabot-test-").tempdir())
        .context("cannot make a folder for the simulated master")
}

/// One thread of its own for each master: what happens in it happens in one order.
fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORDS);
    done
}
