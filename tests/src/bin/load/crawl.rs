//! A crawler beside builds: what it takes from them (issue of the data API: a hundred requests per second must not disturb).

use crate::child::Master;
use crate::report::{figure, median_and_p99};
use crate::scenarios::{drained, with_history};
use anyhow::{Context, Result};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Between two of the crawler's requests.
const PACE: Duration = Duration::from_millis(10);
/// Between two builds: some twenty per second, so that the machine is not full of builds alone.
const PAUSE: Duration = Duration::from_millis(50);
/// Builders whose pages are asked for in turn.
const BUILDERS: usize = 50;

pub fn crawl(quick: bool) -> Result<()> {
    let dir = TempDir::new()?;
    let master = with_history(&dir, quick)?;
    // What the builds of the history have said.
    master.bell.set_nonblocking(true)?;
    while master.bell.recv(&mut [0]).is_ok() {}
    master.bell.set_nonblocking(false)?;
    let builds = if quick { 50 } else { 400 };
    // In turn, so that whatever else the machine does meets both.
    let (mut alone, mut beside, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        alone.append(&mut built(&master, builds)?);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| -> Result<()> {
            let crawler = scope.spawn(|| crawled(&master, &over));
            let times = built(&master, builds);
            over.store(true, Ordering::Relaxed);
            pages.append(&mut crawler.join().map_err(|_| anyhow::anyhow!("the crawler died"))??);
            beside.append(&mut times?);
            Ok(())
        })?;
    }
    for (what, times) in [("alone", &mut alone), ("beside a crawler", &mut beside), ("a page", &mut pages)] {
        let (median, p99) = median_and_p99(times);
        let what = if what == "a page" { what.to_owned() } else { format!("a step {what}") };
        figure(&format!("{what}, median"), median, "ms");
        figure(&format!("{what}, p99"), p99, "ms");
    }
    Ok(())
}

/// From one command of a build to the next, in ms.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn built(master: &Master, builds: usize) -> Result<Vec<f64>> {
    let mut http = master.http()?;
    let mut times = Vec::new();
    for _ in 0..builds {
        http.control("/api/v2/forceschedulers/force", "force", &json!({"builderNames": ["b1"]}))?;
        let command = || master.bell.recv(&mut [0]).context("no command reached the worker");
        command()?;
        for _ in 0..2 {
            let begun = Instant::now();
            command()?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        drained(&mut http)?;
        std::thread::sleep(PAUSE);
    }
    Ok(times)
}

/// Asks for pages at an even pace, whatever they cost, until it is told to end; how long each took, in ms.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn crawled(master: &Master, over: &AtomicBool) -> Result<Vec<f64>> {
    let mut http = master.http()?;
    let (mut times, mut next) = (Vec::new(), Instant::now());
    for number in 1.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let (builder, build) = (number % BUILDERS + 1, number / BUILDERS % 30 + 1);
        let path = match number % 7 {
            0 => "/".to_owned(),
            1 => "/builders".to_owned(),
            2 => format!("/builders/{builder}"),
            3 => format!("/builders/{builder}/builds/{build}"),
            4 => format!("/builders/{builder}/builds/{build}/steps/1/logs/stdio"),
            5 => "/workers".to_owned(),
            _ => "/changes".to_owned(),
        };
        let begun = Instant::now();
        http.get(&path)?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        next += PACE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(times)
}
