//! The scenario of workers over the network: what idle ones cost, what builds over each protocol cost, and how long it takes
//! until all are back after the master was restarted.

use crate::child::Master;
use crate::report::{figure, median_and_p99};
use crate::scenarios::force_many;
use crate::wire::{PASSWORD, Wire, live};
use anyhow::{Result, ensure};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longer than any of it takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between the attempts of a worker to connect.
const RETRY: Duration = Duration::from_millis(100);

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
pub fn workers(quick: bool) -> Result<()> {
    for wire in [Wire::Msgpack, Wire::Pb] {
        let what = wire.name();
        idle(wire, if quick { 200 } else { 2_000 }, Duration::from_secs(if quick { 5 } else { 20 }))?;
        let (dir, port) = (TempDir::new()?, free_port()?);
        let master = Master::start(&dir, &lua(wire, port, 50))?;
        let _fleet = Fleet::connect(wire, port, 50)?;
        force_many(&master, 500, 50)?;
        let count = if quick { 500 } else { 3_000 };
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..if quick { 1 } else { 3 } {
            let (begun, cpu) = (Instant::now(), master.cpu()?);
            force_many(&master, count, 50)?;
            rates.push(count as f64 / begun.elapsed().as_secs_f64());
            costs.push((master.cpu()? - cpu) * 1e3 / count as f64);
        }
        figure(&format!("builds of three steps over {what}"), median_and_p99(&mut rates).0, "builds/s");
        figure("CPU of the master per build", median_and_p99(&mut costs).0, "ms");
        comeback(wire, if quick { 100 } else { 1_000 })?;
    }
    Ok(())
}

fn idle(wire: Wire, count: usize, time: Duration) -> Result<()> {
    let (dir, port) = (TempDir::new()?, free_port()?);
    let master = Master::start(&dir, &lua(wire, port, count))?;
    let alone = master.memory("VmRSS")?;
    let _fleet = Fleet::connect(wire, port, count)?;
    std::thread::sleep(Duration::from_secs(3));
    let each = (master.memory("VmRSS")? - alone) * 1024.0 / count as f64;
    let cpu = master.cpu()?;
    std::thread::sleep(time);
    let share = (master.cpu()? - cpu) / time.as_secs_f64() * 100.0;
    figure(&format!("CPU with {count} idle workers over {}", wire.name()), share, "% of a core");
    figure("memory of each", each, "KB");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn comeback(wire: Wire, count: usize) -> Result<()> {
    let (dir, port) = (TempDir::new()?, free_port()?);
    let master = Master::start(&dir, &lua(wire, port, count))?;
    let fleet = Fleet::connect(wire, port, count)?;
    drop(master);
    fleet.reaches(0)?;
    let begun = Instant::now();
    let _master = Master::start_again(dir.path())?;
    fleet.reaches(count)?;
    let what = format!("start to the last of {count} workers attached over {}", wire.name());
    figure(&what, begun.elapsed().as_secs_f64(), "s");
    Ok(())
}

/// Workers that connect, and connect again. Gone when dropped.
struct Fleet {
    attached: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Fleet {
    /// So many workers; returns when all are attached.
    fn connect(wire: Wire, port: u16, count: usize) -> Result<Fleet> {
        let attached = Arc::new(AtomicUsize::new(0));
        let runtime = Runtime::new()?;
        for number in 1..=count {
            let attached = attached.clone();
            runtime.spawn(async move {
                let name = format!("w{number}");
                loop {
                    // The master is away, or has ended the connection.
                    let _ = live(wire, port, &name, &attached).await;
                    tokio::time::sleep(RETRY).await;
                }
            });
        }
        let fleet = Fleet { attached, _runtime: runtime };
        fleet.reaches(count)?;
        Ok(fleet)
    }

    #[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
    fn reaches(&self, count: usize) -> Result<()> {
        let begun = Instant::now();
        while self.attached.load(Ordering::Relaxed) != count {
            let now = self.attached.load(Ordering::Relaxed);
            ensure!(begun.elapsed() < PATIENCE, "{now} of {count} workers are attached");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// As many builders as workers, builder i on worker i.
fn lua(wire: Wire, port: u16, workers: usize) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{}}, builders = {{}}, collapseRequests = false, www = {{ port = "127.0.0.1:0" }} }}
c.protocols = {{ {} = {{ port = "127.0.0.1:{port}" }} }}
local f = util.BuildFactory{{}}
for i = 1, 3 do f:addStep(steps.ShellCommand{{name = "s" .. i, command = {{"instant"}}}}) end
local names = {{}}
for i = 1, {workers} do
  names[i] = "b" .. i
  c.workers[i] = worker.Worker{{"w" .. i, "{PASSWORD}"}}
  c.builders[i] = util.BuilderConfig{{name = names[i], workernames = {{"w" .. i}}, factory = f}}
end
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = names}} }}
return c
"#,
        wire.name()
    )
}
