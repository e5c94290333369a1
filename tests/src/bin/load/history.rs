//! A history of builds, written straight into the tables of a master that does not run, the same for both masters.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use std::ops::RangeInclusive;
use std::path::Path;

/// Whose tables.
#[derive(Clone, Copy, PartialEq)]
pub enum Tables {
    Ours,
    Buildbots,
}

/// The build whose log has lines.
pub const TALKER: i64 = 77;
/// How many.
const LINES: i64 = 1_000;
/// Requests that wait, beside those of the builds.
const WAITING: i64 = 20;

/// What all builds are of. A set without a stamp is in no list of Buildbot's.
const STAMP: &str =
    "INSERT OR IGNORE INTO sourcestamps (id, ss_hash, branch, repository, codebase, project, created_at)
     VALUES (1, 'a stamp', 'main', 'http://host/repository', '', '', 1700000000)";

/// Builds of three steps, dealt out to `builders`, each with a request, a set and properties; and some requests that wait.
pub fn fill(db: &Path, tables: Tables, builds: RangeInclusive<i64>, builders: i64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let url = format!("sqlite://{}", db.display());
        let mut db = SqliteConnection::connect(&url).await.context("the database of a master")?;
        db.execute("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE").await?;
        for statement in statements(tables, &builds, builders) {
            db.execute(AssertSqlSafe(statement.clone())).await.with_context(|| statement)?;
        }
        db.execute("COMMIT").await?;
        Ok(db.close().await?)
    })
}

fn statements(tables: Tables, builds: &RangeInclusive<i64>, builders: i64) -> Vec<String> {
    let (first, last) = (builds.start(), builds.end());
    // One row per build: i, its builder b, its number n, when it was asked for t.
    let each = format!(
        "WITH RECURSIVE c(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM c WHERE i < {last}),
         r AS (SELECT i, (i - 1) % {builders} + 1 AS b, (i - 1) / {builders} + 1 AS n, 1700000000 + i * 10 AS t FROM c)"
    );
    let steps = "(SELECT 1 AS k UNION SELECT 2 UNION SELECT 3)";
    let urls = if tables == Tables::Ours { "urls" } else { "urls_json" };
    let mut all = vec![
        STAMP.into(),
        format!(
            "INSERT INTO buildset_sourcestamps (buildsetid, sourcestampid) {each} SELECT i, 1 FROM r"
        ),
        format!(
            "INSERT INTO buildsets (id, reason, submitted_at, complete, complete_at, results) {each}
             SELECT i, 'force build', t, 1, t + 9, 0 FROM r"
        ),
        format!(
            "INSERT INTO buildrequests (id, buildsetid, builderid, priority, complete, results, submitted_at, complete_at, waited_for) {each}
             SELECT i, i, b, 0, 1, 0, t, t + 9, 0 FROM r"
        ),
        format!(
            "INSERT INTO builds (id, number, builderid, buildrequestid, workerid, masterid, started_at, complete_at, locks_duration_s, state_string, results) {each}
             SELECT i, n, b, i, b, 1, t + 1, t + 9, 0, 'build successful', 0 FROM r"
        ),
        format!(
            "INSERT INTO build_properties (buildid, name, value, source) {each}
             SELECT i, p.column1, p.column2, 'Force Build Form' FROM r,
             (VALUES ('owner', '\"someone\"'), ('branch', '\"main\"'), ('reason', '\"a try\"')) AS p"
        ),
        format!(
            "INSERT INTO steps (id, number, name, buildid, started_at, locks_acquired_at, complete_at, state_string, results, {urls}, hidden) {each}
             SELECT (i - 1) * 3 + k, k - 1, 'step ' || k, i, t + k, t + k, t + k + 2, '''make'' finished', 0, '[]', 0 FROM r, {steps}"
        ),
        format!(
            "INSERT INTO logs (id, name, slug, stepid, complete, num_lines, type) {each}
             SELECT i, 'stdio', 'stdio', (i - 1) * 3 + 1, 1, CASE i WHEN {TALKER} THEN {LINES} ELSE 0 END, 's' FROM r"
        ),
    ];
    let claims = match tables {
        Tables::Ours => format!(
            "UPDATE buildrequests SET claimed_by_masterid = 1, claimed_at = submitted_at + 1 WHERE id BETWEEN {first} AND {last}"
        ),
        Tables::Buildbots => format!(
            "INSERT INTO buildrequest_claims (brid, masterid, claimed_at) {each} SELECT i, 1, t + 1 FROM r"
        ),
    };
    all.push(claims);
    if builds.contains(&TALKER) {
        let lines: Vec<String> =
            (1..=LINES).map(|n| format!("oline {n} of a step that says how far it is")).collect();
        let lines = lines.join("\n");
        all.push(format!(
            "INSERT INTO logchunks (logid, first_line, last_line, content, compressed)
             VALUES ({TALKER}, 0, {}, CAST('{lines}' AS BLOB), 0)",
            LINES - 1
        ));
    }
    if *first == 1 {
        all.extend(waiting());
    }
    all
}

/// Requests far above the others' ids.
fn waiting() -> [String; 3] {
    let each = format!(
        "WITH RECURSIVE c(i) AS (SELECT 2000001 UNION ALL SELECT i + 1 FROM c WHERE i < {})",
        2_000_000 + WAITING
    );
    [
        format!(
            "INSERT INTO buildsets (id, reason, submitted_at, complete, results) {each}
             SELECT i, 'force build', 1800000000, 0, -1 FROM c"
        ),
        format!(
            "INSERT INTO buildrequests (id, buildsetid, builderid, priority, complete, results, submitted_at, waited_for) {each}
             SELECT i, i, 1, 0, 0, -1, 1800000000, 0 FROM c"
        ),
        format!(
            "INSERT INTO buildset_sourcestamps (buildsetid, sourcestampid) {each} SELECT i, 1 FROM c"
        ),
    ]
}
