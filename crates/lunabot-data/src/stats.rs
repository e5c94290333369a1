//! Looking at a database from outside a master (`lunabot db`).

use crate::error::Result;
pub use lunabot_db::{BuilderStats, OlderThan, Stats};
use lunabot_db::{OpenStore, Store};
use std::path::Path;

/// Measures the database, also while a master uses it. `now` in seconds since 1970, `ages` in days.
pub async fn measure(url: &str, basedir: &Path, now: i64, ages: &[i64]) -> Result<Stats> {
    let store = Store::look(&OpenStore { url: url.into(), basedir: basedir.into() }).await?;
    let stats = store.stats(now, ages).await;
    store.close().await;
    Ok(stats?)
}

/// Writes an SQLite file anew, without free space. No master may use it.
pub async fn rewrite(url: &str, basedir: &Path) -> Result<()> {
    Ok(Store::rewrite(&OpenStore { url: url.into(), basedir: basedir.into() }).await?)
}
