//! Workers behind wires that misbehave (reference rows 08.006, 08.007, 08.011): no build hangs, each ends or is built again.

use crate::workers::{PASSWORD, config, connected, gated, open, port, said, worker};
use anyhow::{Result, ensure};
use lunabot_tests::{Fault, Master, PROTOCOLS, Proxy, StockWorker};
use serde_json::json;

/// A build over a wire that suffers while a command runs, and is sound again later. The results of the builds.
async fn suffering(protocol: &str, fault: Fault) -> Result<Vec<i64>> {
    let gate = tempfile::tempdir()?;
    let steps = format!(
        "builder(\"b\", {}, steps.ShellCommand{{name = \"more\", command = \"seq 20000\"}})",
        gated(gate.path(), "before")
    );
    let mut master = Master::start(&config(&(worker("keepalive_interval = 1") + &steps))).await?;
    let proxy = Proxy::to(port(&mut master, protocol).await?).await?;
    let _worker = StockWorker::start(protocol, proxy.port(), "w1", PASSWORD).await?;
    connected(&master, true).await?;
    master.force("b").await?;
    said(&master, 1, "before").await?;
    proxy.suffers(fault);
    open(gate.path())?;
    // A slow wire is no reason to give up; of the others some break the connection, some only ruin what is said.
    let first = master.finished_build(1).await?["results"].as_i64().unwrap_or(-1);
    proxy.heals();
    let mut results = vec![first];
    while results.last() == Some(&5) {
        ensure!(results.len() < 5, "{protocol}, {fault:?}: built again and again: {results:?}");
        let build = master.finished_build(results.len() as i64 + 1).await?;
        results.push(build["results"].as_i64().unwrap_or(-1));
    }
    let requests = master.get("buildrequests").await?;
    ensure!(requests["buildrequests"][0]["complete"] == true, "{protocol}, {fault:?}: {requests}");
    Ok(results)
}

#[tokio::test]
async fn row_08_011_a_wire_that_carries_nothing_is_noticed_by_the_keepalive() -> Result<()> {
    let both = PROTOCOLS.map(|protocol| suffering(protocol, Fault::Stall));
    for results in futures::future::join_all(both).await {
        assert_eq!(results?, [5, 0]);
    }
    Ok(())
}

#[tokio::test]
async fn row_08_006_a_wire_that_loses_bytes_ends_no_build_wrongly() -> Result<()> {
    let both = PROTOCOLS.map(|protocol| suffering(protocol, Fault::Lose));
    for results in futures::future::join_all(both).await {
        assert_eq!(results?, [5, 0]);
    }
    Ok(())
}

#[tokio::test]
async fn row_08_006_a_wire_that_repeats_bytes_ends_no_build_wrongly() -> Result<()> {
    let both = PROTOCOLS.map(|protocol| suffering(protocol, Fault::Repeat));
    for results in futures::future::join_all(both).await {
        assert_eq!(results?.last(), Some(&0));
    }
    Ok(())
}

#[tokio::test]
async fn row_08_011_a_slow_wire_ends_no_build() -> Result<()> {
    let both = PROTOCOLS.map(|protocol| suffering(protocol, Fault::Delay));
    for results in futures::future::join_all(both).await {
        assert_eq!(results?, [0]);
    }
    Ok(())
}

#[tokio::test]
async fn row_08_007_a_worker_that_stays_away_is_told_once_with_whom_to_notify() -> Result<()> {
    let options = "missing_timeout = 1, notify_on_missing = {\"ops@example.org\", \"joe@example.org\"}";
    let steps = "builder(\"b\", steps.ShellCommand{command = \"true\"})";
    let mut master = Master::start(&config(&(worker(options) + steps))).await?;
    // Not seen since the start.
    master.log_line(|line| line.contains("missing for 1 s") && line.contains("w1")).await?;
    let port = port(&mut master, PROTOCOLS[0]).await?;
    let stock = StockWorker::start(PROTOCOLS[0], port, "w1", PASSWORD).await?;
    connected(&master, true).await?;
    let mut events = master.listen("workers/*/missing").await?;
    stock.kill().await?;
    let told = events.next().await?;
    assert_eq!(told["name"], "w1");
    assert_eq!(told["notify"], json!(["ops@example.org", "joe@example.org"]));
    // `Sun Nov 29 12:00:00 2026`
    let last = told["last_connection"].as_str().unwrap_or_default();
    assert!(last.len() == 24 && last.contains(" 20"), "{told}");
    Ok(())
}
