//! The scenarios: each prints its figures.

use crate::child::Master;
use crate::config::{Steps, lua};
use crate::http::Http;
use crate::limits;
use crate::report::{figure, median_and_p99};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A scenario: its name, and what runs it (`quick`: fewer repetitions).
type Scenario = (&'static str, fn(bool) -> Result<()>);

pub const ALL: &[Scenario] = &[
    ("limits", limits_of_the_machine),
    ("builds", builds),
    ("force", force),
    ("rest", rest),
    ("start", start),
    ("memory", memory),
    ("log", log),
    ("reload", reload),
    ("idle", idle),
    ("collapse", crate::queue::collapse),
    ("decision", crate::queue::decision),
    ("scripts", crate::scripts::scripts),
    ("workers", crate::fleet::workers),
    ("api", crate::api::api),
    ("events", crate::events::events),
    ("crawl", crate::crawl::crawl),
];

/// Builds of the history that lists are read from.
const HISTORY: usize = 20_000;
const NEWEST: &str = "/api/v2/builds?limit=50&order=-buildid";

fn limits_of_the_machine(_: bool) -> Result<()> {
    limits::raw_commits()?;
    limits::bare_route(16_000)?;
    limits::loopback()
}

/// Waits until nothing is pending.
pub fn drained(http: &mut Http) -> Result<()> {
    loop {
        let open: Value = serde_json::from_slice(&http.get("/api/v2/buildrequests?complete=false&limit=1")?)?;
        if open["buildrequests"] == json!([]) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Forces `count` builds over several connections, spread over `builders`, and waits for all.
pub fn force_many(master: &Master, count: usize, builders: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let client = || -> Result<()> {
            let mut http = master.http()?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                let params = json!({"builderNames": [format!("b{}", number % builders + 1)]});
                http.control("/api/v2/forceschedulers/force", "force", &params)?;
            }
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(client)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client died"))?)
    })?;
    drained(&mut master.http()?)
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn builds(quick: bool) -> Result<()> {
    let (dir, builders) = (TempDir::new()?, 50);
    let master = Master::start(&dir, &lua(builders, builders, Steps::Three))?;
    force_many(&master, 500, builders)?;
    let count = if quick { 2_000 } else { 5_000 };
    let mut rates = Vec::new();
    let mut costs = Vec::new();
    for _ in 0..if quick { 1 } else { 3 } {
        let (begun, cpu) = (Instant::now(), master.cpu()?);
        force_many(&master, count, builders)?;
        rates.push(count as f64 / begun.elapsed().as_secs_f64());
        costs.push((master.cpu()? - cpu) * 1e3 / count as f64);
    }
    figure("builds of three steps", median_and_p99(&mut rates).0, "builds/s");
    figure("CPU of the master per build", median_and_p99(&mut costs).0, "ms");
    figure("most memory resident", master.memory("VmHWM")?, "MB");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn force(quick: bool) -> Result<()> {
    for builders in [1, 1000] {
        let dir = TempDir::new()?;
        let master = Master::start(&dir, &lua(builders, builders.min(200), Steps::Three))?;
        let mut http = master.http()?;
        let mut times = Vec::new();
        for _ in 0..if quick { 30 } else { 200 } {
            let begun = Instant::now();
            http.control("/api/v2/forceschedulers/force", "force", &json!({"builderNames": ["b1"]}))?;
            master.bell.recv(&mut [0]).context("no command reached the worker")?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            drained(&mut http)?;
            // Two more commands of that build.
            (0..2).try_for_each(|_| master.bell.recv(&mut [0]).map(|_| ()))?;
        }
        let (median, p99) = median_and_p99(&mut times);
        figure(&format!("force to first command, {builders} builders, median"), median, "ms");
        figure(&format!("force to first command, {builders} builders, p99"), p99, "ms");
    }
    Ok(())
}

/// A master with a history of finished builds.
pub fn with_history(dir: &TempDir, quick: bool) -> Result<Master> {
    let builders = 50;
    let master = Master::start(dir, &lua(builders, builders, Steps::Three))?;
    force_many(&master, if quick { HISTORY / 10 } else { HISTORY }, builders)?;
    Ok(master)
}

fn rest(quick: bool) -> Result<()> {
    let dir = TempDir::new()?;
    let master = with_history(&dir, quick)?;
    let body = master.http()?.get(NEWEST)?;
    let page: Value = serde_json::from_slice(&body)?;
    ensure!(page["builds"].as_array().is_some_and(|b| b.len() == 50), "fifty builds");
    limits::bare_route(body.len())?;
    for path in [NEWEST, "/api/v2/builders", "/api/v2/builds/77", "/api/v2/builds/77/steps", "/"] {
        for connections in [1, 32] {
            let time = Duration::from_secs(if quick { 1 } else { 3 });
            let rate = limits::requests_per_second(master.address(), path, connections, time)?;
            figure(&format!("{path}, {connections} connections"), rate, "requests/s");
        }
    }
    Ok(())
}

fn start(quick: bool) -> Result<()> {
    let dir = TempDir::new()?;
    drop(with_history(&dir, quick)?);
    starts("a history of builds", &dir)?;
    let dir = TempDir::new()?;
    drop(Master::start(&dir, &lua(1000, 200, Steps::Three))?);
    starts("1000 builders", &dir)
}

fn starts(what: &str, dir: &TempDir) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(Master::start_again(dir.path())?.first_answer.as_secs_f64() * 1e3);
    }
    figure(&format!("start to first answer, {what}, median"), median_and_p99(&mut times).0, "ms");
    Ok(())
}

fn memory(_: bool) -> Result<()> {
    let dir = TempDir::new()?;
    let master = Master::start(&dir, &lua(100, 100, Steps::Three))?;
    figure("resident with 100 builders, after the start", master.memory("VmRSS")?, "MB");
    force_many(&master, 1000, 100)?;
    figure("resident with 100 builders, after 1000 builds", master.memory("VmRSS")?, "MB");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn log(quick: bool) -> Result<()> {
    let (mb, lines) = if quick { (100, 20_000) } else { (1000, 200_000) };
    for (what, steps, amount, unit) in [
        ("output of one step", Steps::Flood(mb), f64::from(mb), "MB/s"),
        ("small updates of one step", Steps::Drip(lines), f64::from(lines), "updates/s"),
    ] {
        let dir = TempDir::new()?;
        let master = Master::start(&dir, &lua(1, 1, steps))?;
        let begun = Instant::now();
        force_many(&master, 1, 1)?;
        figure(what, amount / begun.elapsed().as_secs_f64(), unit);
        figure("most memory resident", master.memory("VmHWM")?, "MB");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn reload(_: bool) -> Result<()> {
    let dir = TempDir::new()?;
    let text = lua(1000, 200, Steps::Three);
    let master = Master::start(&dir, &text)?;
    let mut times = Vec::new();
    let over = AtomicBool::new(false);
    let mut waits = std::thread::scope(|scope| -> Result<Vec<f64>> {
        let watcher = scope.spawn(|| request_times(&master, &over));
        for round in 0..5 {
            std::fs::write(dir.path().join("master.lua"), format!("{text}-- round {round}\n"))?;
            let begun = Instant::now();
            master.signal(nix::sys::signal::Signal::SIGHUP)?;
            wait_for_generation(&master, round + 2)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        over.store(true, Ordering::Relaxed);
        watcher.join().map_err(|_| anyhow::anyhow!("the watcher died"))?
    })?;
    figure("reload of 1000 builders, median", median_and_p99(&mut times).0, "ms");
    let slowest = waits.iter().copied().fold(0.0, f64::max);
    figure("a request meanwhile, median", median_and_p99(&mut waits).0, "ms");
    figure("a request meanwhile, slowest", slowest, "ms");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn request_times(master: &Master, over: &AtomicBool) -> Result<Vec<f64>> {
    let mut http = master.http()?;
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        http.get("/api/v2/builders/1")?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(times)
}

pub fn wait_for_generation(master: &Master, number: u64) -> Result<()> {
    let mut http = master.http()?;
    loop {
        let all: Value = serde_json::from_slice(&http.get("/api/v2/generations")?)?;
        let current = all["generations"].as_array().into_iter().flatten().find(|g| g["current"] == true);
        if current.is_some_and(|g| g["number"].as_u64() >= Some(number)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn idle(quick: bool) -> Result<()> {
    let dir = TempDir::new()?;
    let master = Master::start(&dir, &lua(1000, 200, Steps::Three))?;
    let time = Duration::from_secs(if quick { 5 } else { 20 });
    std::thread::sleep(Duration::from_secs(2));
    let cpu = master.cpu()?;
    std::thread::sleep(time);
    figure(
        "CPU while idle, 1000 builders, 200 workers",
        (master.cpu()? - cpu) / time.as_secs_f64() * 100.0,
        "% of a core",
    );
    figure("resident", master.memory("VmRSS")?, "MB");
    Ok(())
}
