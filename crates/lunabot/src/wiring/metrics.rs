//! The recorder behind the `metrics` macros, and the text of `/metrics`.

use anyhow::{Context as _, Result};
use lunabot_model::Clock;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Upper bounds of all histograms, in seconds: from a callback to a build.
const BUCKETS: &[f64] = &[0.0001, 0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];
/// How often histograms are folded; samples between are kept one by one.
const UPKEEP: Duration = Duration::from_secs(10);

/// The metrics of this process; cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder. Once per process.
    pub fn install() -> Result<Self> {
        let recorder = PrometheusBuilder::new().set_buckets(BUCKETS)?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).context("another recorder is installed")?;
        metrics::gauge!("lunabot_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Metrics(handle))
    }

    /// The page `/metrics`.
    pub fn render(&self) -> String {
        record_process();
        self.0.render()
    }

    /// Keeps histograms small until `stop`.
    pub async fn upkeep(self, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<()> {
        while stop.run_until_cancelled(clock.sleep(UPKEEP)).await.is_some() {
            self.0.run_upkeep();
        }
        Ok(())
    }
}

/// What Prometheus calls the process's own figures.
fn record_process() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok()
    };
    if let Some(resident) = kilobytes("VmRSS:") {
        metrics::gauge!("process_resident_memory_bytes").set(resident * 1024.0);
    }
    if let Some(threads) = kilobytes("Threads:") {
        metrics::gauge!("process_threads").set(threads);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(open.count() as f64);
    }
}
