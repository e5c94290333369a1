//! The scenarios of the queue: many requests that collapse, and decisions among many idle builders.

use crate::child::Master;
use crate::config::{Steps, lua};
use crate::http::Http;
use crate::report::{figure, median_and_p99};
use crate::scenarios::{drained, force_many, wait_for_generation};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Rules under which every request is needless but the newest.
const RULES: [(&str, &str); 3] = [
    ("a function", "function(master, builder, new, old) return new.source.branch == old.source.branch end"),
    ("collapse_by", "util.collapse_by(function(req) return req.source.branch or \"none\" end)"),
    ("the default rule", "true"),
];

/// Many requests wait; then one more comes, and only it is left.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
pub fn collapse(quick: bool) -> Result<()> {
    for (what, rule) in RULES {
        for count in if quick { vec![1_000] } else { vec![1_000, 5_000] } {
            let dir = TempDir::new()?;
            let plain = lua(1, 1, Steps::Three);
            let master = Master::start(&dir, &plain)?;
            let mut http = master.http()?;
            http.control("/api/v2/workers/1", "pause", &json!({}))?;
            request_many(&master, count)?;
            let ruled = plain.replace("collapseRequests = false", &format!("collapseRequests = {rule}"));
            std::fs::write(dir.path().join("master.lua"), ruled)?;
            master.signal(nix::sys::signal::Signal::SIGHUP)?;
            wait_for_generation(&master, 2)?;
            // The first connection may have been idle for too long.
            http = master.http()?;
            let (begun, cpu) = (Instant::now(), master.cpu()?);
            http.control("/api/v2/forceschedulers/force", "force", &json!({}))?;
            only_one_is_left(&mut http)?;
            let name = format!("{count} requests collapsed by {what}");
            figure(&name, begun.elapsed().as_secs_f64() * 1e3, "ms");
            figure("CPU of the master for it", (master.cpu()? - cpu) * 1e3, "ms");
            let begun = Instant::now();
            http.control("/api/v2/forceschedulers/force", "force", &json!({}))?;
            only_one_is_left(&mut http)?;
            figure("one more", begun.elapsed().as_secs_f64() * 1e3, "ms");
            http.control("/api/v2/workers/1", "unpause", &json!({}))?;
            drained(&mut http)?;
        }
    }
    Ok(())
}

fn request_many(master: &Master, count: usize) -> Result<()> {
    std::thread::scope(|scope| {
        let client = |count: usize| {
            move || -> Result<()> {
                let mut http = master.http()?;
                for _ in 0..count {
                    http.control("/api/v2/forceschedulers/force", "force", &json!({}))?;
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(client(count / 10))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client died"))?)
    })
}

fn only_one_is_left(http: &mut Http) -> Result<()> {
    loop {
        let open: Value = serde_json::from_slice(&http.get("/api/v2/buildrequests?complete=false&limit=2")?)?;
        if open["buildrequests"].as_array().is_some_and(|open| open.len() == 1) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What one more request costs, with few and with many builders that do nothing.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
pub fn decision(quick: bool) -> Result<()> {
    for builders in [10, 5_000] {
        let dir = TempDir::new()?;
        let master = Master::start(&dir, &lua(builders, 10, Steps::Three))?;
        let mut http = master.http()?;
        let mut times = Vec::new();
        for _ in 0..if quick { 30 } else { 200 } {
            let begun = Instant::now();
            http.control("/api/v2/forceschedulers/force", "force", &json!({"builderNames": ["b1"]}))?;
            master.bell.recv(&mut [0]).context("no command reached the worker")?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            drained(&mut http)?;
            (0..2).try_for_each(|_| master.bell.recv(&mut [0]).map(|_| ()))?;
        }
        let idle = builders - 10;
        figure(
            &format!("force to first command, {idle} builders idle, median"),
            median_and_p99(&mut times).0,
            "ms",
        );
        let (count, cpu) = (if quick { 500 } else { 3_000 }, master.cpu()?);
        force_many(&master, count, 10)?;
        let cost = (master.cpu()? - cpu) * 1e3 / count as f64;
        ensure!(cost > 0.0, "something was measured");
        figure(&format!("CPU of the master per build, {idle} builders idle"), cost, "ms");
    }
    Ok(())
}
