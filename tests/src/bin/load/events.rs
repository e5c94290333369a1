//! Many who listen to the events of builds: how late they hear, and what each costs.

use crate::child::Master;
use crate::config::{Steps, lua};
use crate::report::{figure, median_and_p99};
use crate::scenarios::force_many;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const LISTENERS: usize = 1_000;
const BUILDERS: usize = 50;
/// Between two forced builds: a hundred per second.
const PACE: Duration = Duration::from_millis(10);
/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// When each build's end was heard of by one listener.
type Heard = HashMap<u64, Instant>;

pub fn events(quick: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for pattern in ["builds/*/finished", "builds/*/*"] {
        let dir = TempDir::new()?;
        let master = Master::start(&dir, &lua(BUILDERS, BUILDERS, Steps::Three))?;
        force_many(&master, 500, BUILDERS)?;
        runtime.block_on(listened(&master, pattern, if quick { 200 } else { 2_000 }))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
async fn listened(master: &Master, pattern: &str, builds: usize) -> Result<()> {
    let alone = master.memory("VmRSS")?;
    let mut all = JoinSet::new();
    for _ in 0..LISTENERS {
        let stream = listener(master.address(), pattern).await?;
        all.spawn(tokio::time::timeout(PATIENCE, hear(stream, builds)));
    }
    let each = |rss: f64| (rss - alone) * 1024.0 / LISTENERS as f64;
    figure(&format!("{pattern}: memory per listener, idle"), each(master.memory("VmRSS")?), "KB");
    let (begun, cpu) = (Instant::now(), master.cpu()?);
    tokio::task::block_in_place(|| paced(master, builds))?;
    figure("builds", builds as f64 / begun.elapsed().as_secs_f64(), "builds/s");
    figure("CPU of the master", (master.cpu()? - cpu) / begun.elapsed().as_secs_f64() * 100.0, "% of a core");
    figure("memory per listener, busy", each(master.memory("VmRSS")?), "KB");
    let heard = all.join_all().await.into_iter().map(|heard| heard.context("somebody missed an event")?);
    let heard: Vec<Heard> = heard.collect::<Result<_>>()?;
    let mut first: Heard = HashMap::new();
    for (build, at) in heard.iter().flatten() {
        first.entry(*build).and_modify(|known| *known = (*known).min(*at)).or_insert(*at);
    }
    let late = |(build, at): (&u64, &Instant)| (*at - first[build]).as_secs_f64() * 1e3;
    let mut delays: Vec<f64> = heard.iter().flatten().map(late).collect();
    let (median, p99) = median_and_p99(&mut delays);
    figure("after the first listener, median", median, "ms");
    figure("after the first listener, p99", p99, "ms");
    Ok(())
}

/// Forces builds one after the other, at an even pace.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn paced(master: &Master, builds: usize) -> Result<()> {
    let mut http = master.http()?;
    let mut next = Instant::now();
    for number in 0..builds {
        let params = json!({"builderNames": [format!("b{}", number % BUILDERS + 1)]});
        http.control("/api/v2/forceschedulers/force", "force", &params)?;
        next += PACE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// A connection that has been greeted.
async fn listener(address: &str, pattern: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /sse/listen/{pattern} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut text, mut piece) = (String::new(), [0; 1024]);
    while !text.contains("event: handshake") {
        let count = stream.read(&mut piece).await?;
        ensure!(count > 0, "no handshake: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    Ok(stream)
}

/// Listens until the end of so many builds was told.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
async fn hear(mut stream: TcpStream, builds: usize) -> Result<Heard> {
    let (mut heard, mut rest, mut piece) = (Heard::new(), String::new(), vec![0; 16 << 10]);
    while heard.len() < builds {
        let count = stream.read(&mut piece).await?;
        let now = Instant::now();
        ensure!(count > 0, "the stream ended");
        rest.push_str(&String::from_utf8_lossy(&piece[..count]));
        let whole = rest.rfind('\n').map_or(0, |end| end + 1);
        for line in rest[..whole].lines() {
            ensure!(!line.starts_with("event: lagged"), "fell behind");
            if let Some(build) = finished(line).context("an event's key")? {
                heard.insert(build, now);
            }
        }
        rest.drain(..whole);
    }
    Ok(heard)
}

/// The build whose end a line tells of. The error is a key that is none.
fn finished(line: &str) -> Result<Option<u64>> {
    let Some(rest) = line.strip_prefix("data: ") else { return Ok(None) };
    let Some(end) = rest.find("\"finished\"]") else { return Ok(None) };
    let id = rest[..end].rsplit('"').nth(1).unwrap_or_default();
    Ok(Some(id.parse()?))
}
