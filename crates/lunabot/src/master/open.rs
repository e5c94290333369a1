//! Opening what the rooms stand on.

use super::rooms::Ground;
use super::web::Web;
use crate::basedir::BaseDir;
use crate::reload::history::History;
use crate::wiring::health::Health;
use crate::wiring::pollers::Pollers;
use anyhow::{Context as _, Result};
use lunabot_data::{Data, OpenOptions};
use lunabot_engine::{Engine, EngineOptions};
use lunabot_lua::Records;
use lunabot_model::config::Config;
use lunabot_model::{Clock, Json};
use lunabot_www::{SharedSite, WwwState};
use serde::Serialize;
use std::sync::Arc;

/// Opens the store and brings it up to date.
pub(super) async fn store(base: &BaseDir, config: &Config, clock: &Arc<dyn Clock>) -> Result<Data> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let options = OpenOptions {
        url: config.db_url.clone(),
        basedir: base.dir().to_owned(),
        master_name: format!("{}:{}", host.trim(), base.dir().display()),
        clock: Arc::clone(clock),
    };
    Data::open(options)
        .await
        .with_context(|| format!("cannot open the database {}", without_password(&config.db_url)))
}

/// A database URL that may be printed.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_string() };
    match rest.rsplit_once('@') {
        Some((who, place)) => {
            let user = who.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => url.to_string(),
    }
}

/// The engine, with every step there is.
pub(super) async fn engine(data: &Data, clock: &Arc<dyn Clock>) -> Result<Engine> {
    let options = EngineOptions {
        data: data.clone(),
        clock: Arc::clone(clock),
        seed: rand::random(),
        steps: lunabot_steps::STEPS.to_vec(),
    };
    Ok(Engine::start(options).await?)
}

/// Lists that are not stored: generations, callbacks and those that failed (lua-api §§ 2, 5, 6).
pub(super) fn serve_lists(data: &Data, history: &Arc<History>, records: Arc<Records>) {
    let history = Arc::clone(history);
    data.set_virtual("generations", Arc::new(move || history.rows()));
    let failed = Arc::clone(&records);
    data.set_virtual("script_errors", Arc::new(move || listed(&failed.errors())));
    data.set_virtual("callbacks", Arc::new(move || listed(&records.profile())));
}

fn listed(rows: &[impl Serialize]) -> Vec<Json> {
    rows.iter().map(|row| serde_json::to_value(row).unwrap_or(Json::Null)).collect()
}

/// The web of this master, not listening yet.
pub(super) fn web(data: &Data, site: &SharedSite, health: Health, ground: &Ground) -> Web {
    let metrics = ground.metrics.clone();
    let state = WwwState {
        data: data.clone(),
        site: site.clone(),
        clock: Arc::clone(&ground.clock),
        pollers: Arc::new(Pollers(Arc::clone(&health.sources))),
        health: Arc::new(health),
        metrics: Arc::new(move || metrics.render()),
    };
    Web::new(state, ground.lifecycle.clone())
}

#[cfg(test)]
mod tests {
    #[test]
    fn passwords_are_not_printed() {
        let table = [
            ("postgresql://ci:s3cret@db:5432/ci", "postgresql://ci@db:5432/ci"),
            ("postgresql://db/ci", "postgresql://db/ci"),
            ("sqlite:///state.sqlite", "sqlite:///state.sqlite"),
        ];
        for (url, shown) in table {
            assert_eq!(super::without_password(url), shown);
        }
    }
}
