//! Bringing a database to the newest schema (14.019–14.023). The files are part of the program.

use crate::error::{DbError, Result};
use crate::pool::{Conn, Value};

/// One step forward, for both engines.
struct Migration {
    version: i64,
    sqlite: &'static str,
    postgres: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        sqlite: include_str!("../../../migrations/sqlite/0001_first.sql"),
        postgres: include_str!("../../../migrations/postgres/0001_first.sql"),
    },
    Migration {
        version: 2,
        sqlite: include_str!("../../../migrations/sqlite/0002_requests.sql"),
        postgres: include_str!("../../../migrations/postgres/0002_requests.sql"),
    },
    Migration {
        version: 3,
        sqlite: include_str!("../../../migrations/sqlite/0003_codebases.sql"),
        postgres: include_str!("../../../migrations/postgres/0003_codebases.sql"),
    },
    Migration {
        version: 4,
        sqlite: include_str!("../../../migrations/sqlite/0004_generations.sql"),
        postgres: include_str!("../../../migrations/postgres/0004_generations.sql"),
    },
    Migration {
        version: 5,
        sqlite: include_str!("../../../migrations/sqlite/0005_outbox.sql"),
        postgres: include_str!("../../../migrations/postgres/0005_outbox.sql"),
    },
];

const CREATE_VERSION: &str = "CREATE TABLE lunabot_schema (version BIGINT NOT NULL PRIMARY KEY)";
const SELECT_VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM lunabot_schema";
const INSERT_VERSION: &str = "INSERT INTO lunabot_schema (version) VALUES ($1)";
const TABLES_SQLITE: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
const TABLES_POSTGRES: &str =
    "SELECT CAST(tablename AS TEXT) FROM pg_catalog.pg_tables WHERE schemaname = current_schema()";

/// The version that this program works with.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |m| m.version)
}

/// The version of the schema; `None`: an empty database. A foreign one is an error that says so (14.021).
pub(crate) async fn version(conn: &mut Conn) -> Result<Option<i64>> {
    let sql = match conn {
        Conn::Sqlite(_) => TABLES_SQLITE,
        Conn::Postgres(_) => TABLES_POSTGRES,
    };
    let rows = conn.fetch(sql, Vec::new()).await?;
    let tables: Vec<String> = rows.iter().map(|row| row.cols().text()).collect::<Result<_>>()?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    match (tables.is_empty(), has("lunabot_schema"), has("alembic_version")) {
        (true, ..) => Ok(None),
        (false, true, _) => {
            let rows = conn.fetch(SELECT_VERSION, Vec::new()).await?;
            rows.first().map(|row| row.cols().int()).transpose()
        }
        (false, false, true) => Err(DbError::Lasting(
            "this is a database of Buildbot, not of Lunabot; name another one in db.db_url".into(),
        )),
        (false, false, false) => Err(DbError::Lasting(format!(
            "this database belongs to something else (it holds {}, but no table of Lunabot's); name another one in db.db_url",
            tables.join(", ")
        ))),
    }
}

/// Refuses what a newer program has written.
pub(crate) fn check_not_newer(have: i64) -> Result<()> {
    if have > newest() {
        return Err(DbError::Lasting(format!(
            "the database has schema version {have}, this program knows versions up to {}; \
             use the newer program, or a backup of the database from before it",
            newest()
        )));
    }
    Ok(())
}

/// Applies what is missing, each version in a transaction of its own.
pub(crate) async fn run(conn: &mut Conn, have: Option<i64>) -> Result<()> {
    for migration in MIGRATIONS.iter().filter(|m| have.is_none_or(|have| m.version > have)) {
        conn.begin().await?;
        if have.is_none() && migration.version == 1 {
            conn.script(CREATE_VERSION).await?;
        }
        conn.script(match conn {
            Conn::Sqlite(_) => migration.sqlite,
            Conn::Postgres(_) => migration.postgres,
        })
        .await?;
        conn.execute(INSERT_VERSION, vec![Value::Int(migration.version)]).await?;
        conn.script("COMMIT").await?;
    }
    Ok(())
}
