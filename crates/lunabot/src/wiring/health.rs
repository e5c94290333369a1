//! How the master itself is: `/readyz`, the page *Health*, `lunabot status`.

use crate::reload::history::History;
use lunabot_engine::{Engine, EngineStatus};
use lunabot_integrations::{ChangeSources, Reporters};
use lunabot_model::{BoxFuture, Time};
use lunabot_www::{HealthPort, HealthReport, Queue};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the answers are made of.
pub struct Health {
    pub started_at: Time,
    pub history: Arc<History>,
    pub stopping: CancellationToken,
    pub db_url: String,
    pub basedir: PathBuf,
    pub sources: Arc<ChangeSources>,
    pub reporters: Arc<Reporters>,
    pub engine: Engine,
}

impl Health {
    async fn facts(&self, engine: &EngineStatus) -> Vec<(String, String)> {
        let workers = format!("{} of {} connected", engine.workers_connected, engine.workers_configured);
        let mut facts = vec![
            ("process".to_string(), std::process::id().to_string()),
            ("builders".to_string(), engine.builders.to_string()),
            ("workers".to_string(), workers),
            ("running builds".to_string(), engine.builds_running.to_string()),
        ];
        for source in self.sources.status() {
            let state = match (&source.last_error, source.last_success) {
                (Some(error), _) => format!("failing: {error}"),
                (None, Some(_)) => "well".to_string(),
                (None, None) => "not polled yet".to_string(),
            };
            facts.push((format!("change source {}", source.name), format!("{}; {state}", source.describe)));
        }
        let services = self.engine.services().into_iter();
        facts.extend(services.map(|(name, how)| (format!("service {name}"), how)));
        let reporters = self.reporters.status().await.into_iter();
        facts.extend(reporters.map(|(name, how)| (format!("reporter {name}"), how)));
        facts
    }
}

impl HealthPort for Health {
    fn ready(&self) -> Result<(), String> {
        if self.stopping.is_cancelled() {
            return Err("the master is stopping".into());
        }
        self.history.current().map(drop).ok_or_else(|| "the configuration is not loaded".into())
    }

    fn report(&self) -> BoxFuture<'_, HealthReport> {
        Box::pin(async move {
            let size = match self.db_url.strip_prefix("sqlite:///") {
                Some(file) => {
                    tokio::fs::metadata(self.basedir.join(file)).await.map(|found| found.len()).ok()
                }
                None => None,
            };
            let engine = self.engine.status().await;
            HealthReport {
                version: env!("CARGO_PKG_VERSION").into(),
                started_at: self.started_at.secs(),
                generation: self.history.current().map(|load| load.number),
                config_errors: self.history.refused().map(|load| load.errors).unwrap_or_default(),
                queues: queues(&engine),
                database: self.db_url.split(':').next().unwrap_or_default().to_string(),
                database_bytes: size,
                facts: self.facts(&engine).await,
            }
        })
    }
}

fn queues(engine: &EngineStatus) -> Vec<Queue> {
    let length = engine.requests_pending as u64;
    vec![Queue { name: "requests that wait".into(), length, limit: None }]
}
