//! What the machine itself can do: the figures that ours are held against.

use crate::http::Http;
use crate::report::{figure, median_and_p99};
use anyhow::{Result, ensure};
use sqlx::{Connection, Executor, SqliteConnection};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Rows per second in fully synchronous commits, one row and a hundred rows at a time.
pub fn raw_commits() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for rows in [1, 100] {
        let rate = runtime.block_on(commits(rows, Duration::from_secs(2)))?;
        figure(&format!("raw SQLite, synchronous=FULL, {rows} rows a commit"), rate, "rows/s");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
async fn commits(rows: usize, time: Duration) -> Result<f64> {
    let dir = TempDir::new()?;
    let url = format!("sqlite://{}?mode=rwc", dir.path().join("raw.sqlite").display());
    let mut db = SqliteConnection::connect(&url).await?;
    db.execute(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
    )
    .await?;
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        let mut tx = db.begin().await?;
        for _ in 0..rows {
            sqlx::query("INSERT INTO t (v) VALUES ($1)")
                .bind("a row of some length, like a step")
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        count += rows;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Requests per second of a route that answers a fixed page of `bytes`.
pub fn bare_route(bytes: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let body = "x".repeat(bytes);
    let app = axum::Router::new().route("/", axum::routing::get(move || std::future::ready(body.clone())));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    runtime.spawn(async move { axum::serve(listener, app).await });
    for connections in [1, 32] {
        let rate = requests_per_second(&address, "/", connections, Duration::from_secs(2))?;
        figure(&format!("bare route, {bytes} bytes, {connections} connections"), rate, "requests/s");
    }
    runtime.shutdown_background();
    Ok(())
}

/// Requests per second of `path` over so many connections.
pub fn requests_per_second(address: &str, path: &str, connections: usize, time: Duration) -> Result<f64> {
    Ok(asked(address, path, connections, time)?.0)
}

/// Requests per second of `path` over so many connections, and what 99 % of them stay under, in ms.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
pub fn asked(address: &str, path: &str, connections: usize, time: Duration) -> Result<(f64, f64)> {
    let client = |address: String, path: String| {
        // A master that stands still counts with the time that it stood.
        move || -> Result<(Vec<f64>, Duration)> {
            let mut http = Http::connect(&address)?;
            let (begun, mut times) = (Instant::now(), Vec::new());
            while begun.elapsed() < time {
                let sent = Instant::now();
                let answered = http.get(&path);
                let stood = answered.as_ref().is_err_and(Http::is_timeout);
                if !stood {
                    answered?;
                    times.push(sent.elapsed().as_secs_f64() * 1e3);
                }
            }
            Ok((times, begun.elapsed()))
        }
    };
    let threads: Vec<_> =
        (0..connections).map(|_| std::thread::spawn(client(address.to_string(), path.to_string()))).collect();
    let (mut all, mut rate) = (Vec::new(), 0.0);
    for thread in threads {
        let (mut times, took) = thread.join().map_err(|_| anyhow::anyhow!("a client died"))??;
        rate += times.len() as f64 / took.as_secs_f64();
        all.append(&mut times);
    }
    ensure!(!all.is_empty(), "{path}: nothing was answered");
    Ok((rate, median_and_p99(&mut all).1))
}

/// One byte there and back over loopback.
#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
pub fn loopback() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut peer, _) = listener.accept()?;
        peer.set_nodelay(true)?;
        let mut byte = [0];
        while peer.read(&mut byte)? == 1 {
            peer.write_all(&byte)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    for _ in 0..2000 {
        let begun = Instant::now();
        stream.write_all(&[1])?;
        stream.read_exact(&mut [0])?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let (median, _) = median_and_p99(&mut times);
    figure("loopback round trip, median", median, "µs");
    Ok(())
}
