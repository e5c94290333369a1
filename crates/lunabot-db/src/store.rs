//! Opening a database, and the connection that writes.

use crate::batch::Batch;
use crate::error::{DbError, Result};
use crate::list::Counts;
use crate::migrate;
use crate::pool::{Conn, Pool, Row, Value};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::Mutex;

/// Connections for reading; each is a thread on SQLite.
const READERS: u32 = 4;

/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements kept by the writer (every table in every size) and by each reader.
const WRITER_STATEMENTS: usize = 512;
const READER_STATEMENTS: usize = 256;

/// What to open.
#[derive(Debug, Clone)]
pub struct OpenStore {
    /// `sqlite:///relative`, `sqlite:////absolute`, `postgresql://…`.
    pub url: String,
    pub basedir: PathBuf,
}

/// An open database: one connection that writes, several that read.
pub struct Store {
    pub(crate) pool: Pool,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) counts: crate::list::Counts,
}

/// The writing connection; opened again after it has failed.
pub(crate) struct Writer {
    target: Target,
    conn: Option<Conn>,
}

#[derive(Clone)]
enum Target {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl Target {
    fn parse(open: &OpenStore) -> Result<Target> {
        if let Some(rest) = open.url.strip_prefix("sqlite://") {
            return Ok(Target::Sqlite(sqlite_options(rest, &open.basedir)?));
        }
        if open.url.starts_with("postgresql://") || open.url.starts_with("postgres://") {
            let options = PgConnectOptions::from_str(&open.url)
                .map_err(|e| DbError::Lasting(format!("the database URL cannot be read: {e}")))?;
            return Ok(Target::Postgres(
                options.statement_cache_capacity(WRITER_STATEMENTS).disable_statement_logging(),
            ));
        }
        Err(DbError::Lasting(format!(
            "the database URL \"{}\" is neither sqlite:///FILE nor postgresql://USER@HOST/NAME",
            without_password(&open.url)
        )))
    }

    async fn connect(&self) -> Result<Conn> {
        Ok(match self {
            Target::Sqlite(options) => {
                // For new files: what is deleted can be given back while the master runs.
                let options = options.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
                Conn::Sqlite(SqliteConnection::connect_with(&options).await?)
            }
            Target::Postgres(options) => Conn::Postgres(PgConnection::connect_with(options).await?),
        })
    }

    fn readers(&self) -> Pool {
        match self {
            Target::Sqlite(options) => {
                let options = options.clone().read_only(true).create_if_missing(false);
                let options = options.statement_cache_capacity(READER_STATEMENTS);
                Pool::Sqlite(SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options))
            }
            Target::Postgres(options) => {
                let options = options.clone().statement_cache_capacity(READER_STATEMENTS);
                Pool::Postgres(PgPoolOptions::new().max_connections(READERS).connect_lazy_with(options))
            }
        }
    }
}

/// What a URL may say of itself in a message.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

/// `rest` is `/relative` or `//absolute` (14.020).
fn sqlite_options(rest: &str, basedir: &Path) -> Result<SqliteConnectOptions> {
    let name = rest.split('?').next().and_then(|path| path.strip_prefix('/')).unwrap_or("");
    if name.is_empty() || name == ":memory:" {
        return Err(DbError::Lasting(
            "an SQLite database needs a file: sqlite:///state.sqlite, or sqlite:////absolute/path".into(),
        ));
    }
    Ok(SqliteConnectOptions::new()
        .filename(basedir.join(name))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Acknowledged means safe against power loss, not only against the end of this process.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(WRITER_STATEMENTS)
        .pragma("temp_store", "memory")
        .disable_statement_logging())
}

impl Writer {
    /// The connection, opened again if it has failed.
    pub(crate) async fn connection(&mut self) -> Result<&mut Conn> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.target.connect().await?,
        };
        Ok(self.conn.insert(conn))
    }
}

impl Store {
    /// Opens the database and brings its schema up to date, after a backup of an SQLite file that holds an older one.
    pub async fn open(open: &OpenStore) -> Result<Store> {
        let target = Target::parse(open)?;
        let mut conn = target.connect().await.map_err(|e| opening(open, &e))?;
        let have = migrate::version(&mut conn).await.map_err(|e| opening(open, &e))?;
        if let Some(have) = have {
            migrate::check_not_newer(have).map_err(|e| opening(open, &e))?;
            if let (Target::Sqlite(options), true) = (&target, have < migrate::newest()) {
                back_up(&mut conn, options.get_filename(), have).await?;
            }
        }
        migrate::run(&mut conn, have).await.map_err(|e| opening(open, &e))?;
        let pool = target.readers();
        Ok(Store { pool, writer: Mutex::new(Writer { target, conn: Some(conn) }), counts: Counts::default() })
    }

    /// See [`Store::look`].
    pub(crate) async fn looking(open: &OpenStore) -> Result<Store> {
        let target = Target::parse(open)?;
        if let Target::Sqlite(options) = &target
            && !options.get_filename().is_file()
        {
            return Err(DbError::Lasting(format!(
                "there is no database {}",
                options.get_filename().display()
            )));
        }
        let pool = target.readers();
        Ok(Store { pool, writer: Mutex::new(Writer { target, conn: None }), counts: Counts::default() })
    }

    /// Writes a batch in one transaction. `salvage`: rows that can never be stored are given up, with an error in the log;
    /// for a batch that has failed for lasting reasons.
    pub async fn write(&self, batch: &Batch, salvage: bool) -> Result<()> {
        let mut writer = self.writer.lock().await;
        let result = transaction(writer.connection().await?, batch, salvage).await;
        if result.is_err() {
            // Its state is unknown now: the next attempt opens a new one.
            writer.conn = None;
        }
        result
    }

    /// Ends all connections; SQLite folds its write-ahead log into the file then.
    pub async fn close(&self) {
        self.pool.close().await;
        match self.writer.lock().await.conn.take() {
            Some(Conn::Sqlite(conn)) => drop(conn.close().await),
            Some(Conn::Postgres(conn)) => drop(conn.close().await),
            None => {}
        }
    }

    /// How many statements that read are under way.
    pub fn reading(&self) -> usize {
        self.pool.in_use()
    }

    pub(crate) async fn fetch(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        self.pool.fetch(sql, values).await
    }
}

fn opening(open: &OpenStore, error: &DbError) -> DbError {
    DbError::Lasting(format!("cannot open the database {}: {error}", without_password(&open.url)))
}

async fn transaction(conn: &mut Conn, batch: &Batch, salvage: bool) -> Result<()> {
    conn.begin().await?;
    batch.write(conn, salvage).await?;
    conn.script("COMMIT").await
}

/// A consistent copy beside the file: `state.sqlite.backup-<version>`.
async fn back_up(conn: &mut Conn, file: &Path, version: i64) -> Result<()> {
    let copy = format!("{}.backup-{version}", file.display());
    if Path::new(&copy).exists() {
        return Ok(());
    }
    tracing::info!(copy, "copying the database before its schema changes");
    conn.execute("VACUUM INTO $1", vec![Value::Text(copy)]).await
}
