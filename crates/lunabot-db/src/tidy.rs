//! Taking out what is old (14.024–14.026, 14.030): what is there to take, and the statements that take it.
//!
//! Everything comes in slices, so that no transaction is long; the data room decides what and how fast.

use crate::batch::Batch;
use crate::error::Result;
use crate::pool::Conn;
use crate::store::Store;
use lunabot_model::Results;

const OLD_BUILDS: &str = "SELECT id, builderid, buildrequestid, results, complete_at FROM builds \
    WHERE id > $1 AND complete_at < $2 ORDER BY id LIMIT $3";
const NTH_NEWEST: &str = "SELECT id FROM builds WHERE builderid = $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
const LOGS_WITH_TEXT: &str = "SELECT s.buildid, l.id FROM steps s JOIN logs l ON l.stepid = s.id \
    WHERE s.buildid >= $1 AND s.buildid <= $2 AND l.type <> 'd' AND l.complete = TRUE";
const CHUNKS: &str = "SELECT last_line FROM logchunks WHERE logid = $1 ORDER BY last_line LIMIT $2";
const COUNT_DATA: &str =
    "SELECT buildid, COUNT(*) FROM build_data WHERE buildid >= $1 AND buildid <= $2 GROUP BY buildid";
const SET_OF_REQUEST: &str = "SELECT buildsetid FROM buildrequests WHERE id = $1";
const NTH_CHANGE: &str = "SELECT id FROM changes ORDER BY id DESC LIMIT 1 OFFSET $1";
const OLD_CHANGES: &str = "SELECT id FROM changes WHERE id <= $1 ORDER BY id LIMIT $2";

const MARK_LOG: &str = "UPDATE logs SET type = 'd' WHERE id = $1";
const DROP_CHUNKS: &str = "DELETE FROM logchunks WHERE logid = $1 AND last_line <= $2";
const DROP_DATA: &str = "DELETE FROM build_data WHERE buildid = $1";
const DROP_BUILD: &str = "DELETE FROM builds WHERE id = $1";
const DROP_REQUEST: &str = "DELETE FROM buildrequests WHERE id = $1 AND complete = TRUE \
    AND NOT EXISTS (SELECT 1 FROM builds WHERE buildrequestid = $1)";
const DROP_SET: &str = "DELETE FROM buildsets WHERE id = $1 AND complete = TRUE \
    AND NOT EXISTS (SELECT 1 FROM buildrequests WHERE buildsetid = $1)";
const DROP_CHANGE: &str = "DELETE FROM changes WHERE id = $1";

const FREE_PAGES: &str = "SELECT freelist_count FROM pragma_freelist_count";
const AUTO_VACUUM: &str = "SELECT auto_vacuum FROM pragma_auto_vacuum";

/// All that both engines understand, for the test that prepares each.
pub(crate) const ALL: &[&str] = &[
    OLD_BUILDS,
    NTH_NEWEST,
    LOGS_WITH_TEXT,
    CHUNKS,
    COUNT_DATA,
    SET_OF_REQUEST,
    NTH_CHANGE,
    OLD_CHANGES,
    MARK_LOG,
    DROP_CHUNKS,
    DROP_DATA,
    DROP_BUILD,
    DROP_REQUEST,
    DROP_SET,
    DROP_CHANGE,
];

/// A finished build, as far as its age matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldBuild {
    pub id: i64,
    pub builderid: i64,
    pub buildrequestid: i64,
    pub results: Option<Results>,
    pub complete_at: i64,
}

impl Store {
    /// At most `most` builds with an id above `after` that ended before `before`, by id.
    pub async fn old_builds(&self, after: i64, before: i64, most: i64) -> Result<Vec<OldBuild>> {
        let rows = self.fetch(OLD_BUILDS, vec![after.into(), before.into(), most.into()]).await?;
        let read = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok(OldBuild {
                id: cols.int()?,
                builderid: cols.int()?,
                buildrequestid: cols.int()?,
                results: cols.results()?,
                complete_at: cols.int()?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The id of a builder's build that has `newer` newer ones.
    pub async fn nth_newest_build(&self, builder: i64, newer: i64) -> Result<Option<i64>> {
        self.first_int(NTH_NEWEST, vec![builder.into(), newer.into()]).await
    }

    /// Build and log, for the logs of the builds from one to another (both included) whose text is still there.
    pub async fn logs_with_text(&self, first: i64, last: i64) -> Result<Vec<(i64, i64)>> {
        self.pairs(LOGS_WITH_TEXT, first, last).await
    }

    /// Build and count, for the builds from one to another that have build data.
    pub async fn count_build_data(&self, first: i64, last: i64) -> Result<Vec<(i64, i64)>> {
        self.pairs(COUNT_DATA, first, last).await
    }

    /// The last lines of the first `most` chunks of a log.
    pub async fn first_chunks(&self, log: i64, most: i64) -> Result<Vec<i64>> {
        self.ints(CHUNKS, vec![log.into(), most.into()]).await
    }

    pub async fn buildset_of_request(&self, request: i64) -> Result<Option<i64>> {
        self.first_int(SET_OF_REQUEST, vec![request.into()]).await
    }

    /// At most `most` changes, the oldest first, that have at least `newer` newer ones.
    pub async fn changes_beyond(&self, newer: i64, most: i64) -> Result<Vec<i64>> {
        match self.first_int(NTH_CHANGE, vec![newer.into()]).await? {
            Some(last) => self.ints(OLD_CHANGES, vec![last.into(), most.into()]).await,
            None => Ok(Vec::new()),
        }
    }

    /// Gives at most so many free pages of an SQLite file back to the file system; whether any are left. On PostgreSQL
    /// that is the server's affair.
    pub async fn give_back_pages(&self, most: u32) -> Result<bool> {
        let mut writer = self.writer.lock().await;
        let conn = writer.connection().await?;
        if !matches!(conn, Conn::Sqlite(_)) || int_of(conn, AUTO_VACUUM).await? != INCREMENTAL {
            return Ok(false);
        }
        let sql = format!("PRAGMA incremental_vacuum({most})");
        conn.fetch(sqlx::AssertSqlSafe(sql), Vec::new()).await?;
        Ok(int_of(conn, FREE_PAGES).await? > 0)
    }

    async fn pairs(&self, sql: &'static str, first: i64, last: i64) -> Result<Vec<(i64, i64)>> {
        let rows = self.fetch(sql, vec![first.into(), last.into()]).await?;
        let read = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok((cols.int()?, cols.int()?))
        };
        rows.iter().map(read).collect()
    }

    async fn ints(&self, sql: &'static str, values: Vec<crate::Value>) -> Result<Vec<i64>> {
        self.fetch(sql, values).await?.iter().map(|row| row.cols().int()).collect()
    }

    async fn first_int(&self, sql: &'static str, values: Vec<crate::Value>) -> Result<Option<i64>> {
        self.fetch(sql, values).await?.first().map(|row| row.cols().int()).transpose()
    }
}

/// `PRAGMA auto_vacuum` of files that can shrink while they are used.
const INCREMENTAL: i64 = 2;

async fn int_of(conn: &mut Conn, sql: &'static str) -> Result<i64> {
    let rows = conn.fetch(sql, Vec::new()).await?;
    rows.first().map_or(Ok(0), |row| row.cols().int())
}

impl Batch {
    /// The text of a log up to and including a line.
    pub fn drop_log_lines(&mut self, log: i64, last_line: i64) {
        self.then(DROP_CHUNKS, vec![log.into(), last_line.into()]);
    }

    /// Its text is gone; its row stays (13.022).
    pub fn mark_log_deleted(&mut self, log: i64) {
        self.then(MARK_LOG, vec![log.into()]);
    }

    pub fn drop_build_data(&mut self, build: i64) {
        self.then(DROP_DATA, vec![build.into()]);
    }

    /// A build with all that belongs to it; its request and its set too, once nothing else is in them.
    pub fn drop_build(&mut self, build: &OldBuild, set: Option<i64>) {
        self.then(DROP_BUILD, vec![build.id.into()]);
        self.then(DROP_REQUEST, vec![build.buildrequestid.into()]);
        if let Some(set) = set {
            self.then(DROP_SET, vec![set.into()]);
        }
    }

    pub fn drop_change(&mut self, change: i64) {
        self.then(DROP_CHANGE, vec![change.into()]);
    }
}
