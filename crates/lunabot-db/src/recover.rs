//! After a crash: what an earlier process of this master left unfinished (14.033, 15.004). One transaction.

use crate::error::Result;
use crate::pool::{Conn, Value};
use crate::store::Store;
use crate::tables::UNHEARD;
use lunabot_model::Results;

/// The builds that this master left running.
const RUNNING: &str = "SELECT id FROM builds WHERE complete_at IS NULL AND masterid = $1";

const END_LOGS: &str = "UPDATE logs SET complete = TRUE WHERE complete = FALSE AND stepid IN (\
    SELECT id FROM steps WHERE buildid IN (SELECT id FROM builds WHERE complete_at IS NULL AND masterid = $1))";
const END_STEPS: &str = "UPDATE steps SET complete_at = $2, results = $3 WHERE complete_at IS NULL AND buildid IN (\
    SELECT id FROM builds WHERE complete_at IS NULL AND masterid = $1)";
const END_BUILDS: &str =
    "UPDATE builds SET complete_at = $2, results = $3 WHERE complete_at IS NULL AND masterid = $1";

/// Claimed requests whose newest build came to an end that counts: only the word that they are done was lost.
const END_REQUESTS: &str = "UPDATE buildrequests SET complete = TRUE, complete_at = $2, results = (\
        SELECT b.results FROM builds b WHERE b.buildrequestid = buildrequests.id ORDER BY b.id DESC LIMIT 1) \
    WHERE complete = FALSE AND claimed_by_masterid = $1 AND EXISTS (\
        SELECT 1 FROM builds b WHERE b.buildrequestid = buildrequests.id AND b.results <> $3 \
        AND b.id = (SELECT MAX(n.id) FROM builds n WHERE n.buildrequestid = buildrequests.id))";
const FREE_REQUESTS: &str = "UPDATE buildrequests SET claimed_by_masterid = NULL, claimed_at = NULL \
    WHERE complete = FALSE AND claimed_by_masterid = $1";

const IDLE_SETS: &str = "SELECT t.id FROM buildsets t WHERE t.complete = FALSE AND NOT EXISTS (\
    SELECT 1 FROM buildrequests r WHERE r.buildsetid = t.id AND r.complete = FALSE)";
const SET_RESULTS: &str = "SELECT COALESCE(results, 0) FROM buildrequests WHERE buildsetid = $1";
/// Nobody hears of it now; see [`UNHEARD`].
const UNHEARD_OF: &str = "INSERT INTO outbox (id, reporter, topic, subject, payload, created_at, next_at, tries) \
    VALUES ($1, $2, $3, $3, 'null', $4, 0, 0)";
const NEWEST_OUTBOX: &str = "SELECT COALESCE(MAX(id), 0) FROM outbox";
const END_SET: &str = "UPDATE buildsets SET complete = TRUE, complete_at = $2, results = $3 WHERE id = $1";

const NO_WORKERS: &str = "DELETE FROM connected_workers WHERE masterid = $1";
const MASTER: &str = "INSERT INTO masters (id, name, active, last_active) VALUES ($1, $2, TRUE, $3) \
    ON CONFLICT (id) DO UPDATE SET active = TRUE, last_active = excluded.last_active";

impl Store {
    /// Marks the master as running, and ends what it left behind. The ids are those of builds that end with RETRY. What
    /// ends by it and is to be reported has rows in the outbox from then on.
    pub async fn start_master(&self, id: i64, name: &str, now: i64) -> Result<Vec<i64>> {
        let mut writer = self.writer.lock().await;
        let conn = writer.connection().await?;
        conn.begin().await?;
        conn.execute(MASTER, vec![id.into(), name.into(), now.into()]).await?;
        let interrupted = recover(conn, id, now).await?;
        conn.script("COMMIT").await?;
        Ok(interrupted)
    }
}

async fn recover(conn: &mut Conn, master: i64, now: i64) -> Result<Vec<i64>> {
    let retry = Value::Int(Results::Retry.code());
    let master = Value::Int(master);
    let now = Value::Int(now);
    let ended = || vec![master.clone(), now.clone(), retry.clone()];
    let rows = conn.fetch(RUNNING, vec![master.clone()]).await?;
    let running: Vec<i64> = rows.iter().map(|row| row.cols().int()).collect::<Result<_>>()?;
    conn.execute(END_LOGS, vec![master.clone()]).await?;
    conn.execute(END_STEPS, ended()).await?;
    conn.execute(END_BUILDS, ended()).await?;
    conn.execute(END_REQUESTS, ended()).await?;
    conn.execute(FREE_REQUESTS, vec![master.clone()]).await?;
    conn.execute(NO_WORKERS, vec![master.clone()]).await?;
    let mut ended: Vec<String> = running.iter().map(|id| format!("builds/{id}/finished")).collect();
    let sets = end_sets(conn, &now).await?;
    ended.extend(sets.iter().map(|id| format!("buildsets/{id}/complete")));
    note(conn, ended, &now).await?;
    Ok(running)
}

/// Keeps what happened for those who will hear of it.
async fn note(conn: &mut Conn, topics: Vec<String>, now: &Value) -> Result<()> {
    let rows = conn.fetch(NEWEST_OUTBOX, Vec::new()).await?;
    let newest = rows.first().map_or(Ok(0), |row| row.cols().int())?;
    for (id, topic) in (newest + 1..).zip(topics) {
        conn.execute(UNHEARD_OF, vec![id.into(), UNHEARD.into(), topic.as_str().into(), now.clone()]).await?;
    }
    Ok(())
}

/// Buildsets whose last request was completed, though the set was not yet. Tells which.
async fn end_sets(conn: &mut Conn, now: &Value) -> Result<Vec<i64>> {
    let mut ended = Vec::new();
    for row in conn.fetch(IDLE_SETS, Vec::new()).await? {
        let id = row.cols().int()?;
        let mut worst = Results::Success;
        for row in conn.fetch(SET_RESULTS, vec![id.into()]).await? {
            worst = worst.worst(Results::from_code(row.cols().int()?).unwrap_or(Results::Success));
        }
        conn.execute(END_SET, vec![id.into(), now.clone(), worst.code().into()]).await?;
        ended.push(id);
    }
    Ok(ended)
}
