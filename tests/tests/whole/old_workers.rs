//! Releases of `buildbot-worker` that are still about, with this master (reference 8, 16b). Each does what the present one does.
//!
//! tests/run.sh installs them; one that cannot be installed is left out there, and said to be.

use crate::workers::{cut, every_command, interrupt, owner_stops, stop_and_kill};
use anyhow::{Context as _, Result};
use lunabot_tests::{PROTOCOLS, Release};

const PB: &str = PROTOCOLS[0];
const MSGPACK: &str = PROTOCOLS[1];

async fn works(version: &'static str, protocol: &str) -> Result<()> {
    let release = Release::old(version);
    let concerns = |what: &str| format!("{version} over {protocol}: {what}");
    every_command(release, protocol).await.with_context(|| concerns("commands"))?;
    interrupt(release, protocol).await.with_context(|| concerns("interrupt"))?;
    cut(release, protocol).await.with_context(|| concerns("reconnect"))?;
    stop_and_kill(release, protocol).await.with_context(|| concerns("stop and kill"))?;
    if protocol == PB {
        owner_stops(release).await.with_context(|| concerns("the owner stops it"))?;
    }
    Ok(())
}

#[tokio::test]
async fn row_16_019_worker_3_11_9() -> Result<()> {
    works("3.11.9", PB).await
}

#[tokio::test]
async fn row_16_019_worker_3_11_9_over_msgpack() -> Result<()> {
    works("3.11.9", MSGPACK).await
}

#[tokio::test]
async fn row_16_019_worker_2_10_5() -> Result<()> {
    works("2.10.5", PB).await
}

#[tokio::test]
async fn row_16_019_worker_1_8_2() -> Result<()> {
    works("1.8.2", PB).await
}

#[tokio::test]
async fn row_16_019_worker_0_9_14() -> Result<()> {
    works("0.9.14", PB).await
}
