//! How large the database is, and what of (`lunabot db stats`). Reads whole tables: not for pages.

use crate::error::{DbError, Result};
use crate::pool::{Conn, Row};
use crate::store::{OpenStore, Store};

const SIZES_SQLITE: &str = "SELECT COALESCE(m.tbl_name, d.name), SUM(d.pgsize) FROM dbstat d \
    LEFT JOIN sqlite_master m ON m.name = d.name WHERE d.aggregate = TRUE GROUP BY 1 ORDER BY 2 DESC";
const SIZES_POSTGRES: &str = "SELECT CAST(c.relname AS TEXT), pg_total_relation_size(c.oid) FROM pg_class c \
    WHERE c.relkind = 'r' AND c.relnamespace = CAST(current_schema() AS regnamespace) ORDER BY 2 DESC";
const BUILDERS: &str = "SELECT u.name, COUNT(*), MIN(b.complete_at) FROM builds b \
    JOIN builders u ON u.id = b.builderid GROUP BY u.name ORDER BY 1";
const LOGS: &str = "SELECT u.name, CAST(SUM(LENGTH(c.content)) AS BIGINT) FROM logchunks c \
    JOIN logs l ON l.id = c.logid JOIN steps s ON s.id = l.stepid JOIN builds b ON b.id = s.buildid \
    JOIN builders u ON u.id = b.builderid GROUP BY u.name ORDER BY 2 DESC";
const LOGS_BY_AGE: &str = "SELECT CAST(COUNT(DISTINCT b.id) AS BIGINT), CAST(COALESCE(SUM(LENGTH(c.content)), 0) AS BIGINT) \
    FROM builds b LEFT JOIN steps s ON s.buildid = b.id LEFT JOIN logs l ON l.stepid = s.id \
    LEFT JOIN logchunks c ON c.logid = l.id WHERE b.complete_at < $1";
const FREE_SQLITE: &str =
    "SELECT f.freelist_count * p.page_size FROM pragma_freelist_count f, pragma_page_size p";

/// Those that both engines understand, for the test that prepares each.
pub(crate) const ALL: &[&str] = &[BUILDERS, LOGS, LOGS_BY_AGE];

/// What is in a database.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Stats {
    /// Bytes by table, indexes included, the largest first.
    pub tables: Vec<(String, i64)>,
    /// Bytes that are free inside an SQLite file.
    pub free: i64,
    pub builders: Vec<BuilderStats>,
    /// By age.
    pub older: Vec<OlderThan>,
}

/// One builder.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct BuilderStats {
    pub name: String,
    pub builds: i64,
    /// When the oldest of them ended, seconds since 1970.
    pub oldest: Option<i64>,
    /// Bytes of their logs, as stored.
    pub logs: i64,
}

/// What a horizon would take.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct OlderThan {
    pub days: i64,
    pub builds: i64,
    /// Bytes of their logs, as stored.
    pub logs: i64,
}

impl Store {
    /// Measures; `now` in seconds since 1970, `ages` in days.
    pub async fn stats(&self, now: i64, ages: &[i64]) -> Result<Stats> {
        let sizes = if self.pool.is_sqlite() { SIZES_SQLITE } else { SIZES_POSTGRES };
        let mut stats = Stats { tables: self.named(sizes).await?, ..Stats::default() };
        if self.pool.is_sqlite() {
            let rows = self.fetch(FREE_SQLITE, Vec::new()).await?;
            stats.free = rows.first().map_or(Ok(0), |row| row.cols().int())?;
        }
        stats.builders = self.builders_stats().await?;
        for days in ages {
            let rows = self.fetch(LOGS_BY_AGE, vec![(now - days * 86_400).into()]).await?;
            for row in &rows {
                let mut cols = row.cols();
                stats.older.push(OlderThan { days: *days, builds: cols.int()?, logs: cols.int()? });
            }
        }
        Ok(stats)
    }

    async fn builders_stats(&self) -> Result<Vec<BuilderStats>> {
        let logs = self.named(LOGS).await?;
        let rows = self.fetch(BUILDERS, Vec::new()).await?;
        let read = |row: &Row| {
            let mut cols = row.cols();
            let (name, builds, oldest) = (cols.text()?, cols.int()?, cols.opt_int()?);
            let logs = logs.iter().find(|(known, _)| *known == name).map_or(0, |(_, bytes)| *bytes);
            Ok(BuilderStats { name, builds, oldest, logs })
        };
        let mut all: Vec<BuilderStats> = rows.iter().map(read).collect::<Result<_>>()?;
        all.sort_by_key(|builder| std::cmp::Reverse(builder.logs));
        Ok(all)
    }

    async fn named(&self, sql: &'static str) -> Result<Vec<(String, i64)>> {
        let rows = self.fetch(sql, Vec::new()).await?;
        let read = |row: &Row| {
            let mut cols = row.cols();
            Ok((cols.text()?, cols.int()?))
        };
        rows.iter().map(read).collect()
    }

    /// Opens a database to look at it: nothing is migrated, nothing can be written through it.
    pub async fn look(open: &OpenStore) -> Result<Store> {
        Store::looking(open).await
    }

    /// Writes an SQLite file anew, without free space, so that it can shrink from now on while it is used. Nobody else
    /// may have it open.
    pub async fn rewrite(open: &OpenStore) -> Result<()> {
        let store = Store::open(open).await?;
        let mut writer = store.writer.lock().await;
        let conn = writer.connection().await?;
        if !matches!(conn, Conn::Sqlite(_)) {
            return Err(DbError::Lasting("PostgreSQL looks after its files itself (VACUUM FULL)".into()));
        }
        conn.script("PRAGMA auto_vacuum = INCREMENTAL").await?;
        conn.script("VACUUM").await?;
        drop(writer);
        store.close().await;
        Ok(())
    }
}
